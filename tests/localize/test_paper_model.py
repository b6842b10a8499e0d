"""The paper's model: every layer as published, its equations by hand, any size, the sphere without a seam."""

import sys
from pathlib import Path

import films
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pano_sound.commands import main
from pano_sound.localize.nets import weights
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.paper import PAPER, PAPER_TINY, PaperLocalizer
from pano_sound.media.probe import probe
from pano_sound.soundmap import SoundMap


@pytest.fixture(scope="module")
def tiny() -> PaperLocalizer:
    torch.manual_seed(0)
    return PaperLocalizer(**PAPER_TINY).eval()


@pytest.fixture(scope="module")
def real() -> PaperLocalizer:
    """As large as published, without any numbers in it."""
    with torch.device("meta"):
        return PaperLocalizer(**PAPER).eval()


def test_its_fully_connected_layers_are_the_papers(real: PaperLocalizer) -> None:
    def sizes(layers: nn.Module) -> list[tuple[int, int] | str]:
        return [
            (x.in_features, x.out_features) if isinstance(x, nn.Linear) else type(x).__name__ for x in layers.children()
        ]

    assert sizes(real.audio_head) == ["ReLU", (1000, 1000), "ReLU", (1000, 512)]
    assert sizes(real.code_head) == ["ReLU", (512, 512), "ReLU", (512, 1000)]
    assert real.temperature == 1.0
    assert (real.sound_rate, real.grid_stride) == (22_050, 16)


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(320, 320, 20, 20), (480, 960, 30, 60)])
def test_maps_and_vectors_have_the_papers_sizes(
    real: PaperLocalizer, height: int, width: int, rows: int, columns: int
) -> None:
    with torch.device("meta"):
        v = real.visual(torch.zeros(3, 3, height, width), wrap=height != width)
        features = real.sound_features(torch.zeros(20 * 22_050))
        pooled = features.mean(0, keepdim=True)
        h = real.sound_embedding(pooled)
        raw = real.respond(v, h)
        f_s, f_v = real.sound_code(pooled), real.visual_code(v, raw)
    assert v.shape == (3, 512, rows, columns)
    assert features.shape == (4, 1000)
    assert h.shape == (1, 512)
    assert raw.shape == (3, rows, columns)
    assert f_s.shape == (1, 1000)
    assert f_v.shape == (3, 1000)


def test_equations_by_hand(tiny: PaperLocalizer) -> None:
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(2, 16, 3, 4, generator=generator) * 7
    f_s = torch.randn(2, 24, generator=generator)
    first, second = (x for x in tiny.audio_head if isinstance(x, nn.Linear))
    h = second(first(f_s.clamp(min=0)).clamp(min=0))
    torch.testing.assert_close(tiny.sound_embedding(f_s), h / h.norm(dim=1, keepdim=True))
    raw = tiny.respond(v, tiny.sound_embedding(f_s))
    for n, r, c in ((0, 0, 0), (1, 2, 3)):
        torch.testing.assert_close(raw[n, r, c], F.cosine_similarity(v[n, :, r, c], h[n], dim=0))
    third, fourth = (x for x in tiny.code_head if isinstance(x, nn.Linear))
    for mechanism, used in ((1, raw), (2, raw.clamp(min=0))):
        model = PaperLocalizer(**PAPER_TINY, mechanism=mechanism).eval()
        model.load_state_dict(tiny.state_dict())
        alpha = used.exp() / used.exp().sum(dim=(1, 2), keepdim=True)
        z = torch.stack([(v[n] * alpha[n]).sum(dim=(1, 2)) for n in range(2)])
        torch.testing.assert_close(model.attention(raw), alpha)
        torch.testing.assert_close(model.visual_code(v, raw), fourth(third(z.clamp(min=0)).clamp(min=0)))
    torch.testing.assert_close(tiny.sound_code(f_s), f_s)


def test_codes_of_base_are_its_unit_vectors() -> None:
    model = Localizer(**TINY).eval()
    v = model.visual(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), wrap=False)
    pooled = torch.randn(2, 16)
    h = model.sound_embedding(pooled)
    raw = model.respond(v, h)
    code = model.visual_code(v, raw)
    torch.testing.assert_close(model.sound_code(pooled), h)
    torch.testing.assert_close(code.norm(dim=1), torch.ones(2))
    alpha = torch.softmax(raw.flatten(1) / model.temperature, dim=1)
    torch.testing.assert_close(code, F.normalize((v.flatten(2) @ alpha[:, :, None])[..., 0], dim=1))


def test_saved_weights_load_unchanged(tiny: PaperLocalizer, tmp_path: Path) -> None:
    path = tmp_path / "paper.safetensors"
    weights.save(tiny, path, {"name": "paper-tiny"})
    loaded = weights.load(path)
    assert isinstance(loaded, PaperLocalizer)
    assert loaded.config == tiny.config
    for name, value in tiny.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_options_that_do_not_fit_raise() -> None:
    with pytest.raises(ValueError, match="as long as a cell"):
        PaperLocalizer(**{**PAPER_TINY, "embedding": 8})
    with pytest.raises(ValueError, match="mechanism must be"):
        PaperLocalizer(**PAPER_TINY, mechanism=3)
    with pytest.raises(KeyError):
        weights.build({**PAPER_TINY, "kind": "another"})


@pytest.mark.slow
def test_the_command_line_pans_with_it(tiny: PaperLocalizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights.save(tiny, tmp_path / "tiny.safetensors", {})
    films.make_film(tmp_path / "in.mp4", films.steady(30, 15), size=(256, 128), sound=films.tone(2.0))
    monkeypatch.chdir(tmp_path)
    for words in (
        "pan in.mp4 -o out.mp4 --model ./tiny.safetensors -q",
        "analyse in.mp4 -o again.soundmap.npz --model ./tiny.safetensors --attention 1 -q",
    ):
        monkeypatch.setattr(sys, "argv", ["pano-sound", *words.split()])
        with pytest.raises(SystemExit) as exit:
            main()
        assert exit.value.code == 0
    assert probe(tmp_path / "out.mp4").duration == pytest.approx(2.0, abs=0.1)
    soundmap = SoundMap.load("again.soundmap.npz")
    assert soundmap.grid == (30, 60)
    assert (soundmap.settings["attention"], list(soundmap.cues)) == (1, ["semantic"])
    assert soundmap.posterior.max() > 0
    np.testing.assert_allclose(soundmap.posterior.sum(axis=(1, 2), dtype=float) + soundmap.elsewhere, 1, atol=0.01)
