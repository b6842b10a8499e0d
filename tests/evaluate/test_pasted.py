"""Four pictures in a panorama: they are pasted at the stated places, and peaks are counted there."""

import cv2
import numpy as np
import pytest

from pano_sound.errors import DataFileError
from pano_sound.research.evaluate.pasted import cells_of, paste, pasted_pictures

HEIGHT, WIDTH = 480, 960


def test_pictures_are_pasted_at_the_stated_places() -> None:
    panorama = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pictures = [np.full((60, 80, 3), 50 * (k + 1), np.uint8) for k in range(4)]
    seams = 0
    for seed in range(40):
        canvas, places = paste(panorama, pictures, np.random.default_rng(seed))
        left = canvas.astype(int).copy()
        for k, (x, y, width, height) in enumerate(places):
            assert width * 360 / WIDTH + 0.5 >= 15
            assert width * 360 / WIDTH - 0.5 <= 40
            columns = (x + np.arange(width)) % WIDTH
            assert (canvas[y : y + height][:, columns] == 50 * (k + 1)).all()
            left[y : y + height, columns] = 0
            seams += x + width > WIDTH
        assert not left.any()  # nothing else was changed, and none covers another
    assert panorama.max() == 0
    assert seams > 5


def test_cells_of_a_place_across_the_seam() -> None:
    cells = cells_of((WIDTH - 32, 240, 64, 32), (HEIGHT, WIDTH), 30, 60)
    assert np.argwhere(cells).tolist() == [[15, 0], [15, 1], [15, 58], [15, 59], [16, 0], [16, 1], [16, 58], [16, 59]]


def test_peaks_are_counted_where_they_are(made_set, tmp_path, monkeypatch) -> None:
    """With responses that are high on one colour only, the share is that of the labels with this colour."""
    import shutil

    import torch

    from pano_sound.localize.nets.localizer import TINY, Localizer

    data = tmp_path / "set"
    shutil.copytree(made_set, data)
    (data / "stills").mkdir()
    for k in range(6):  # those that are called 4 and 5 are of the split val
        cv2.imwrite(str(data / "stills" / f"{k}.jpg"), np.full((96, 192, 3), 0 if k >= 4 else 255, np.uint8))
    for path in data.glob("*-val-*.png"):
        cv2.imwrite(str(path), np.full((48, 64, 3), 255 if path.name.startswith("dog") else 0, np.uint8))
    model = Localizer(**TINY).eval()
    monkeypatch.setattr(
        model,
        "visual",
        lambda picture, wrap: torch.nn.functional.avg_pool2d(picture[:, :1].float() / 255, 16),
    )
    monkeypatch.setattr(model, "respond", lambda v, h: v[:, 0].expand(len(h), -1, -1))
    result = pasted_pictures(model, data, draws=60)
    # One question in four is about the dog; the bright picture is among the four of every one (there are four labels).
    assert result.right.of == 60
    assert result.right == result.of_four == result.shuffled == result.picture_only
    assert 0.1 < result.right.value < 0.45
    assert "peak of the panorama" in str(result)


def test_a_set_without_panoramas_is_refused(made_set) -> None:
    from pano_sound.localize.nets.localizer import TINY, Localizer

    with pytest.raises(DataFileError, match="panoramas"):
        pasted_pictures(Localizer(**TINY).eval(), made_set, draws=1)
