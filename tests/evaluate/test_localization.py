"""One sound, four pictures: the response is the model's own, and too small a set is an error in one line."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pano_sound.errors import DataFileError
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.paper import PAPER_TINY, PaperLocalizer
from pano_sound.research.datasets.examples import PICTURE_SIZE, read_picture
from pano_sound.research.datasets.labelled import read_items
from pano_sound.research.evaluate.localization import four_pictures, responses
from pano_sound.research.evaluate.metrics import Proportion


@pytest.mark.parametrize("kind", ["base", "paper"])
def test_peaks_are_those_of_the_models_response(made_set: Path, kind: str) -> None:
    torch.manual_seed(0)
    model = (Localizer(**TINY) if kind == "base" else PaperLocalizer(**PAPER_TINY)).eval()
    items = read_items(made_set, "pictures")[:3]
    h = torch.nn.functional.normalize(torch.randn(2, 16), dim=1)
    answer = responses(model, items, h)
    for k, item in enumerate(items):
        picture = torch.from_numpy(read_picture(item.path, (PICTURE_SIZE, PICTURE_SIZE))).permute(2, 0, 1)[None]
        with torch.inference_mode():
            raw = model.respond(model.visual(picture, wrap=False), h).flatten(1)
        assert answer.peaks[:, k] == pytest.approx(raw.amax(dim=1).numpy(), abs=1e-5)
        scores = model.temperature * (raw / model.temperature).exp().mean(dim=1).log()
        assert answer.scores[:, k] == pytest.approx(scores.numpy(), abs=1e-5)
        alone = model.temperature * (raw.mean(dim=0) / model.temperature).exp().mean().log()
        assert answer.unheard[k] == pytest.approx(float(alone), abs=1e-5)
    assert np.abs(answer.peaks).max() <= 1


def test_a_split_with_too_few_labels_is_refused(made_set: Path, tmp_path: Path) -> None:
    model = Localizer(**TINY).eval()
    assert four_pictures(model, made_set, draws=5).right.of == 5
    with pytest.raises(DataFileError, match="split 'test' has too few labels"):
        four_pictures(model, made_set, draws=5, split="test")
    data = shutil.copytree(made_set, tmp_path / "set")
    (data / "pairs.csv").write_text("sound,picture\nbell,bell\ncar,car\nhorn,horn\n")
    with pytest.raises(DataFileError, match="split 'val' has too few labels"):
        four_pictures(model, data, draws=5)


def test_a_network_that_tells_no_pictures_apart_has_none_right(made_set: Path) -> None:
    model = Localizer(**TINY).eval()
    torch.nn.init.zeros_(model.visual_head.weight)
    assert model.visual_head.bias is not None
    torch.nn.init.zeros_(model.visual_head.bias)
    found = four_pictures(model, made_set, draws=5)
    assert "nan" not in str(replace(found, in_box=Proportion(), box_area=float("nan")))
    for share in (found.right, found.by_peak, found.shuffled, found.picture_only):
        assert (share.right, share.of) == (0, 5)
