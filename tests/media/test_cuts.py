import av
import films
import numpy as np
import pytest

from pano_sound.media.cuts import CutFinder
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader


def found(pictures, fps=10, pix_fmt="yuv420p"):
    cuts = CutFinder()
    for n, picture in enumerate(pictures):
        rgb = np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        cuts.add(n / fps, av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt))
    cuts.finish()
    return cuts.cuts


def scene(seed, count, noise=3.0):
    """A picture of blocks that stays but for some noise."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.uniform(20, 230, (8, 16)), np.ones((16, 16)))
    return [blocks + noise * rng.standard_normal(blocks.shape) for _ in range(count)]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "rgb24", "nv12", "p010le"])
def test_cuts_are_found_between_the_two_pictures(pix_fmt):
    film = scene(1, 20) + scene(2, 15) + scene(3, 10)
    assert found(film, pix_fmt=pix_fmt) == pytest.approx([1.95, 3.45])


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "p010le", "p210le", "rgb24"])
def test_a_small_change_of_brightness_is_no_cut(pix_fmt):
    grey = np.full((128, 256), 100)
    assert found([grey] * 10 + [grey + 6] * 10, pix_fmt=pix_fmt) == []
    assert found([grey] * 10 + [grey + 30] * 10, pix_fmt=pix_fmt) == pytest.approx([0.95])


def test_flashes_movement_and_fades_are_no_cuts():
    still = scene(1, 20)
    flash = [*still[:10], still[0] + 120, *still[11:]]
    assert found(flash) == []
    wide = np.tile(scene(4, 1)[0], (1, 2))
    assert found([wide[:, 12 * n : 12 * n + 128] for n in range(20)]) == []
    a, b = scene(1, 1)[0], scene(2, 1)[0]
    assert found([a + (b - a) * np.clip(n / 15, 0, 1) for n in range(-8, 24)]) == []


def test_a_cut_amid_movement_and_one_near_the_end_are_found():
    wide = np.tile(scene(4, 1)[0], (1, 2))
    moving = [wide[:, 2 * n : 2 * n + 128] for n in range(20)]
    assert found(moving + scene(5, 20)) == pytest.approx([1.95])
    assert found(scene(1, 20) + scene(2, 2)) == pytest.approx([1.95])
    assert found(scene(1, 1)) == []


def test_the_cut_finder_gets_every_picture(tmp_path):
    levels = [60] * 20 + [180] * 20
    path = films.make_film(tmp_path / "two.mp4", films.steady(40, 10), levels=levels, size=(256, 128))
    cuts = CutFinder()
    with VideoReader(probe(path)) as reader:
        for picture in reader.stored():
            cuts.add(float(picture.t), picture.frame)
    cuts.finish()
    assert cuts.cuts == pytest.approx([1.95])
