from fractions import Fraction

import numpy as np
import pytest

from pano_sound.media.colour import Colour
from pano_sound.media.reader import Picture
from pano_sound.soundmap import SoundMap
from pano_sound.visualize.overlay import Overlay, colour_planes


def made_map(row, column, present=0.9):
    """Of a film whose sound comes from that cell, or, as probable as the rest, from nowhere in the picture."""
    posterior = np.zeros((2, 30, 60), np.float16)
    posterior[:, row, column] = present
    elsewhere = np.full(2, 1 - present, np.float32)
    return SoundMap(np.array([0.0, 1.0]), posterior, elsewhere, np.full(2, -20, np.float32), {"width": 480})


def grey(bit_depth=8):
    kind, level = (np.uint8, 90) if bit_depth == 8 else (np.uint16, 360)
    planes = (
        np.full((240, 480), level, kind),
        np.full((120, 240), 128 << (bit_depth - 8), kind),
        np.full((120, 240), 128 << (bit_depth - 8), kind),
    )
    return Picture(planes, 0, Fraction(1, 30), bit_depth, Colour())


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("row", "column"), [(15, 30), (3, 0), (20, 59)])
def test_heat_is_drawn_where_it_sounds_and_nowhere_else(bit_depth, row, column):
    before = grey(bit_depth)
    after = Overlay(made_map(row, column), 480, 240)(before)
    changed = np.abs(after[0].astype(int) - before.planes[0])
    y, x = np.unravel_index(changed.argmax(), changed.shape)
    assert abs(y - (row * 8 + 4)) <= 4
    assert abs((x - (column * 8 + 4) + 240) % 480 - 240) <= 4
    assert changed[:, (column * 8 + 240) % 480].max() == 0
    assert [p.dtype for p in after] == [p.dtype for p in before.planes]
    assert [p.shape for p in after] == [p.shape for p in before.planes]


def test_heat_crosses_the_seam():
    after = Overlay(made_map(15, 0), 480, 240)(grey())[0]
    assert after[124, 478] != 90
    assert after[124, 0] != 90


def test_nothing_is_drawn_when_nothing_in_the_picture_sounds():
    after = Overlay(made_map(15, 30, present=0), 480, 240)(grey())
    assert (after[0] == 90).all()


def test_colours_are_in_the_pictures_own_range():
    for bit_depth, top in ((8, 235), (10, 940)):
        luma, *chroma = colour_planes(bit_depth, Colour(range=1))
        assert luma.min() >= 16 << (bit_depth - 8)
        assert luma.max() <= top
        assert all(c.dtype == luma.dtype for c in chroma)
