"""What surrounds a cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.surroundings import Surroundings, mean_around


@pytest.mark.parametrize("wrap", [False, True], ids=["borders", "sphere"])
@pytest.mark.parametrize("width", [1, 3, 7])
def test_means_are_over_the_cells_that_there_are(width, wrap):
    maps = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    found = mean_around(torch.from_numpy(maps)[None, None], width, wrap)[0, 0].numpy()
    reach = width // 2
    for row in range(5):
        for column in range(8):
            rows = range(max(row - reach, 0), min(row + reach + 1, 5))
            columns = range(column - reach, column + reach + 1)
            columns = [c % 8 for c in columns] if wrap else [c for c in columns if 0 <= c < 8]
            assert found[row, column] == pytest.approx(np.mean(maps[np.ix_(rows, columns)]), abs=1e-5)


def test_squares_have_a_middle():
    with pytest.raises(ValueError, match="odd"):
        Surroundings(4, 4, 2, [3, 4])


def test_at_first_they_add_nothing():
    torch.manual_seed(0)
    model = Localizer(**TINY, surroundings={"channels": 4, "widths": [3]}).eval()
    alone = Localizer(**TINY).eval()
    alone.load_state_dict({key: value for key, value in model.state_dict().items() if "surroundings" not in key})
    picture = torch.randint(0, 256, (1, 3, 64, 128), dtype=torch.uint8)
    torch.testing.assert_close(model.visual(picture, wrap=True), alone.visual(picture, wrap=True))


def test_a_turned_panorama_gives_the_same_map_turned():
    torch.manual_seed(0)
    model = Localizer(**TINY, surroundings={"channels": 4, "widths": [3, 5]}).eval()
    torch.nn.init.normal_(model.surroundings.expand.weight)
    picture = torch.randint(0, 256, (1, 3, 64, 160), dtype=torch.uint8)
    turned = model.visual(picture.roll(48, 3), wrap=True)
    torch.testing.assert_close(turned, model.visual(picture, wrap=True).roll(3, 3), atol=1e-5, rtol=1e-4)
