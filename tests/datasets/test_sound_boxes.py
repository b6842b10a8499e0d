"""Ambisonic 360° films bring boxes around their sources; other films bring none."""

import struct
from dataclasses import replace
from pathlib import Path

import films
import numpy as np
import pytest
from scipy.signal import resample_poly
from soundfields import diffuse, plane_wave, talker

from pano_sound.media.probe import probe
from pano_sound.media.spherical import tag_mp4
from pano_sound.research.datasets.layouts import read_set
from pano_sound.research.datasets.sound_boxes import sound_boxes

SECONDS = 3


def film(path: Path, field: np.ndarray) -> Path:
    """A film whose four channels (4, samples at 16 kHz) are tagged as AmbiX."""
    sound = resample_poly(field, 3, 1, axis=1).astype(np.float32)
    films.make_film(path, films.steady(SECONDS * 5, 5), sound=sound, layout="4.0", sound_codec="flac")
    tag_mp4(path, struct.pack(">BBIBBI4I", 0, 0, 1, 0, 0, 4, 0, 1, 2, 3))
    return path


@pytest.mark.parametrize("yaw", [-90, 30, 177])
def test_a_clear_source_has_a_box_around_it(tmp_path: Path, yaw: int) -> None:
    film(tmp_path / "a.mp4", plane_wave(talker(SECONDS, 1), yaw, 10))
    (example,) = read_set(tmp_path, "videos")
    (boxes,) = example.boxes
    x, y = (yaw + 180) / 360, (90 - 10) / 180
    assert any(x0 < x < x1 and y0 < y < y1 for x0, y0, x1, y1 in boxes)
    assert sum(x1 - x0 for x0, _, x1, _ in boxes) == pytest.approx(0.1)
    assert len(boxes) == (2 if yaw == 177 else 1)
    assert all(0 <= x0 < x1 <= 1 for x0, _, x1, _ in boxes)


def test_diffuse_sound_brings_no_box(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", diffuse(SECONDS))
    assert [example.boxes for example in read_set(tmp_path, "videos")] == [()]


def test_pictures_of_two_eyes_or_not_shown_as_they_are_stored_bring_no_box(tmp_path: Path) -> None:
    info = probe(film(tmp_path / "a.mp4", plane_wave(talker(SECONDS, 1), 30, 10)))
    assert sound_boxes(info, [1.5]) != [()]
    others = [
        {"spherical": replace(info.spherical, stereo="top-bottom")},
        {"video": replace(info.video, rotation=180)},
        {"video": replace(info.video, mirrored=True)},
    ]
    for other in others:
        assert sound_boxes(replace(info, **other), [1.5]) == [()]
