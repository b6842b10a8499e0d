from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.media.colour import BT709, FULL, LIMITED, Colour
from pano_sound.media.reader import Picture
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import directions, pixel_to_angles, wrap_degrees
from pano_sound.sphere.geometry import angle_between
from pano_sound.sphere.view import View
from pano_sound.visualize.colours import heat_colours, in_film
from pano_sound.visualize.overlay import FAINTEST, Overlay, outline
from pano_sound.visualize.strip import words

STRIP = 240 // 16 // 4 * 4


def made_map(row, column, present=0.9, level_db=-20.0):
    """The map of a film whose sound comes from that cell, or from nowhere in the picture."""
    posterior = np.zeros((2, 30, 60), np.float16)
    posterior[:, row, column] = present
    elsewhere = np.full(2, 1 - present, np.float32)
    return SoundMap(np.array([0.0, 1.0]), posterior, elsewhere, np.full(2, level_db, np.float32), {"width": 480})


def grey(bit_depth=8):
    kind, level = (np.uint8, 90) if bit_depth == 8 else (np.uint16, 360)
    planes = (
        np.full((240, 480), level, kind),
        np.full((120, 240), 128 << (bit_depth - 8), kind),
        np.full((120, 240), 128 << (bit_depth - 8), kind),
    )
    return Picture(planes, 0, Fraction(1, 30), bit_depth, Colour())


def drawn(soundmap, path=None, bit_depth=8):
    """How far from grey each chroma sample above the strip is, (h, 240)."""
    chroma = Overlay(soundmap, 480, 240, path)(grey(bit_depth), 0.0)[1:]
    return np.abs(np.stack(chroma).astype(int) - (128 << (bit_depth - 8))).sum(axis=0)[: -STRIP // 2]


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("present", [0.9, 0.05])
@pytest.mark.parametrize(("row", "column"), [(15, 30), (3, 0), (20, 59)])
def test_heat_is_drawn_where_it_sounds_and_nowhere_else(bit_depth, present, row, column):
    changed = drawn(made_map(row, column, present), bit_depth=bit_depth)
    assert changed[row * 4 + 2, column * 4 + 2] >= 0.7 * changed.max() >= 20 * FAINTEST
    y, x = np.nonzero(changed)
    assert np.abs(y - (row * 4 + 2)).max() <= 5
    assert np.abs((x - (column * 4 + 2) + 120) % 240 - 120).max() <= 5


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_planes_keep_their_shape_and_kind(bit_depth):
    before = grey(bit_depth)
    after = Overlay(made_map(15, 30), 480, 240)(before, 0.5)
    assert [(p.dtype, p.shape) for p in after] == [(p.dtype, p.shape) for p in before.planes]
    assert max(p.max() for p in after) < 1 << bit_depth


def test_more_is_drawn_the_surer_it_is():
    peaks = [drawn(made_map(15, 30, present)).max() for present in (0.02, 0.3, 0.6, 0.95)]
    assert peaks[0] > 0
    luma = [Overlay(made_map(15, 30, present), 480, 240)(grey(), 0.0)[0][124, 244] for present in (0.02, 0.6, 0.95)]
    assert luma[0] < luma[1] < luma[2]


def test_heat_crosses_the_seam():
    changed = drawn(made_map(15, 0))
    assert changed[62, 239] > 0
    assert changed[62, 0] > 0


def test_nothing_is_drawn_in_silence_or_on_a_flat_map():
    assert not drawn(made_map(15, 30, present=0, level_db=-120)).any()
    even = made_map(15, 30, present=0)
    even.posterior[:] = np.repeat(np.diff(-np.sin(np.linspace(np.pi / 2, -np.pi / 2, 31)))[:, None], 60, axis=1) / 120
    even.elsewhere[:] = 0
    assert drawn(even).max() < 0.1 * drawn(made_map(15, 30)).max()


LOOKS = [(0, 0, 0, 90), (179, 10, 5, 90), (-120, 60, -30, 75), (30, 85, 0, 100), (90, -89, 0, 60), (-180, 0, 0, 120)]


@pytest.mark.parametrize("look", LOOKS)
def test_the_outline_is_the_border_of_what_the_view_holds(look):
    yaw, pitch, roll, hfov = look
    view, size = View(1280, 720, hfov), (2048, 1024)
    lines = outline(view, yaw, pitch, roll, *size)
    assert all(np.abs(np.diff(line[:, 0])).max() <= size[0] / 2 for line in lines)
    points = np.concatenate(lines)
    vectors = directions(*pixel_to_angles(points[:, 0], points[:, 1], *size))
    slightly = 1.5
    assert View(1280, 720, hfov + slightly).contains(vectors, yaw, pitch, roll).all()
    smaller = View(1280, 720, hfov - slightly)
    assert not smaller.contains(vectors, yaw, pitch, roll).any()


def test_the_planned_view_is_outlined_where_it_looks_at_that_time():
    samples = np.array([[0.0, -90, 0, 0, 60], [1.0, 90, 0, 0, 60]])
    path = CameraPath(640, 360, samples, cuts=frozenset([1]))
    quiet = made_map(15, 30, present=0, level_db=-120)
    plain, bright = grey().planes[0], []
    for t in (0.0, 1.0):
        luma = Overlay(quiet, 480, 240, path)(grey(), t)[0][:-STRIP].astype(int)
        bright.append(np.nonzero((luma - plain[:-STRIP]).max(axis=0) > 50)[0])
    assert (bright[0].min(), bright[0].max()) == (pytest.approx(80, abs=3), pytest.approx(160, abs=3))
    assert (bright[1].min(), bright[1].max()) == (pytest.approx(320, abs=3), pytest.approx(400, abs=3))


def heard_from(yaw, pitch, clear=4.0, width=8.0):
    """A map whose sound has a direction of its own, to `width` degrees."""
    cells = directions(*pixel_to_angles(*np.meshgrid(np.arange(60), np.arange(30)), 60, 30))
    ratios = clear - (np.degrees(np.arccos(np.clip(cells @ directions(yaw, pitch), -1, 1))) / width) ** 2 / 2
    quiet = made_map(15, 30, present=0)
    return replace(quiet, cues={"spatial": np.maximum(ratios, -3)[None].repeat(2, axis=0).astype(np.float16)})


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (37, -20), (179, 10), (-178, 0), (100, 55)])
def test_a_ring_is_around_the_direction_that_the_sound_has_itself(yaw, pitch):
    """1.5 nats below the peak are 14 degrees away from it, also across the seam."""
    rings = Overlay(heard_from(yaw, pitch), 960, 480).rings(0.5)
    u, v = np.concatenate(rings).T
    yaws, pitches = pixel_to_angles(u, v, 960, 480)
    assert angle_between(directions(yaws, pitches), directions(yaw, pitch)) == pytest.approx(14, abs=2.5)
    aside, above = wrap_degrees(yaws - yaw), pitches - pitch
    assert min(aside.max(), -aside.min(), above.max(), -above.min()) > 10


def test_the_ring_is_drawn_in_the_picture_and_moves_with_the_sound():
    soundmap = heard_from(60, 0)
    soundmap.cues["spatial"][1] = heard_from(-60, 0).cues["spatial"][0]
    overlay = Overlay(soundmap, 480, 240)
    for t, yaw in ((0.0, 60), (1.0, -60)):
        changed = np.abs(overlay(grey(), t)[0][:-STRIP].astype(int) - 90).max(axis=0) > 20
        assert np.nonzero(changed)[0].mean() == pytest.approx(240 + yaw / 360 * 480, abs=4)


def test_heat_does_not_pass_from_shot_to_shot():
    posterior = np.concatenate([made_map(10, 10).posterior[:1], made_map(20, 50).posterior[:1]])
    soundmap = replace(made_map(10, 10), posterior=posterior, cuts=np.array([0.6]))
    overlay = Overlay(soundmap, 480, 240)
    for t, there in ((0.0, (10, 10)), (0.55, (10, 10)), (0.65, (20, 50)), (1.0, (20, 50)), (1.5, (20, 50))):
        heat, _ = overlay.heat(t)
        assert (heat[there], np.count_nonzero(heat)) == (1, 1)
    between, _ = Overlay(replace(soundmap, cuts=np.array([-1.0, 2.0])), 480, 240).heat(0.55)
    assert np.count_nonzero(between) == 2


def test_there_is_no_ring_without_a_clear_direction():
    assert not Overlay(heard_from(0, 0, clear=0.9), 480, 240).rings(0.5)
    assert not Overlay(made_map(15, 30), 480, 240).rings(0.5)


@pytest.mark.parametrize(
    ("level", "sure", "names", "text"),
    [
        (-21.6, 0.94, [], "-22 dB, 94% sure"),
        (-30, 0.31, [], "-30 dB, unsure (31%)"),
        (-30, 0.5, ["music", "guitar"], "music, guitar: -30 dB, 50% sure"),
        (-120, 0.0, ["music"], "silent"),
    ],
)
def test_the_strip_says_what_is_heard_how_loud_and_how_sure(level, sure, names, text):
    assert words(level, sure, names) == text


def test_the_strip_marks_the_current_time():
    overlay = Overlay(made_map(15, 30), 480, 240)
    for t in (0.0, 0.5, 1.0):
        row = overlay(grey(), t)[0][-STRIP // 2]
        assert row.argmax() == pytest.approx(t * 479, abs=2)


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("light", [LIMITED, FULL])
def test_colours_are_in_the_range_of_the_film(bit_depth, light):
    white = in_film(np.full((1, 3), 255, np.uint8), bit_depth, Colour(range=light))
    top = 235 if light == LIMITED else 255
    assert [int(p[0]) >> (bit_depth - 8) for p in white] == [top, 128, 128]


@pytest.mark.parametrize(("transfer", "share"), [(BT709, 1.0), (16, 0.58), (18, 0.75)])
def test_white_in_hdr_is_paper_white(transfer, share):
    y, _, _ = in_film(np.full((1, 3), 255, np.uint8), 10, Colour(range=FULL, space=9, transfer=transfer))
    assert y[0] == pytest.approx(share * 1020, abs=1)


def test_heat_has_no_dark_end():
    assert in_film(heat_colours(), 8, Colour(range=FULL))[0].min() > 40
