import numpy as np
import py360convert
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import coordinates, stripes, through_v360

from pano_sound.sphere import view as view_module
from pano_sound.sphere.convention import angles_to_pixel, directions, rotation
from pano_sound.sphere.view import View, render_planes, sample, sampling_maps

LOOKS = [
    (90, 0, 0, 0),
    (90, 0, 30, 0),
    (70, -100, 20, 0),
    (70, 175, -30, 15),  # over the seam, leaning
    (65.5, 10, 70, 0),  # near the pole
    (80, -30, 90, 20),  # the pole itself
    (80, 120, -88, 0),
    (100, -60, 45, -40),
]


@pytest.mark.parametrize(("hfov", "yaw", "pitch", "roll"), LOOKS)
def test_every_pixel_is_where_ffmpeg_and_py360convert_put_it(hfov, yaw, pitch, roll):
    view, picture = View(320, 180, hfov), coordinates(512, 256)
    ours = sample(picture, *sampling_maps(view, yaw, pitch, roll, 512, 256)[0], smooth=False).astype(int)
    e2p = py360convert.e2p(picture, (hfov, view.vfov), yaw, pitch, (180, 320), in_rot_deg=roll).astype(int)
    assert np.abs(ours - through_v360(picture, view, yaw, pitch, roll).astype(int)).max() <= 2
    assert np.abs(ours - e2p).max() <= 2


@pytest.mark.parametrize(("hfov", "yaw", "pitch", "roll"), LOOKS[:4])
def test_fine_stripes_agree_within_their_half_pixels(hfov, yaw, pitch, roll):
    """v360 takes the centre of the source's last pixel for its edge, py360convert that of the view's: each is up
    to half a pixel off, v360 away from the middle of the source, py360convert away from the middle of the view."""
    view, picture = View(320, 180, hfov), stripes(512, 256)
    ours = sample(picture, *sampling_maps(view, yaw, pitch, roll, 512, 256)[0], smooth=False).astype(int)
    e2p = py360convert.e2p(picture, (hfov, view.vfov), yaw, pitch, (180, 320), in_rot_deg=roll).astype(int)
    levels_a_pixel = 2 * np.pi * 100 / 8
    assert np.abs(ours - through_v360(picture, view, yaw, pitch, roll).astype(int)).max() < 2 + 0.5 * levels_a_pixel
    assert np.abs(ours - e2p).max() < 2 + 0.5 * levels_a_pixel
    middle = np.s_[80:100, 140:180]
    assert np.abs(ours - e2p)[middle].max() < 2 + 0.07 * levels_a_pixel


@settings(max_examples=30)
@given(
    st.floats(-180, 180),
    st.one_of(st.floats(-90, 90), st.floats(-20, 20)),
    st.floats(-180, 180),
    st.floats(30, 120),
    st.sampled_from([(320, 180), (640, 360), (360, 640)]),
)
def test_the_coarse_grid_is_exact_to_a_tenth_of_a_pixel(yaw, pitch, roll, hfov, size):
    view = View(*size, hfov)
    near, view_module.NEAR_POLE = view_module.NEAR_POLE, 1000.0
    try:
        exact = sampling_maps(view, yaw, pitch, roll, 960, 480)
    finally:
        view_module.NEAR_POLE = near
    quick = sampling_maps(view, yaw, pitch, roll, 960, 480)
    for plane in (0, 1):
        for ours, wanted in zip(quick[plane], exact[plane], strict=True):
            assert np.abs(ours - wanted).max() < 0.1


@pytest.mark.parametrize("yaw", [0, 90, 179, -179, 180])
def test_the_middle_of_the_view_is_the_look(yaw):
    view = View(321, 181, 80)
    u, v = sampling_maps(view, yaw, 25, 0, 960, 480)[0]
    want_u, want_v = angles_to_pixel(yaw, 25, 960, 480)
    assert (u[90, 160] - want_u + 480) % 960 - 480 == pytest.approx(0, abs=0.03)
    assert v[90, 160] == pytest.approx(want_v, abs=0.03)


def test_the_seam_does_not_show():
    picture = coordinates(960, 480)
    turned = np.roll(picture, 480, axis=1)
    view = View(320, 180, 90)
    over_seam = sample(picture, *sampling_maps(view, 180, 10, 0, 960, 480)[0])
    elsewhere = sample(turned, *sampling_maps(view, 0, 10, 0, 960, 480)[0])
    assert np.abs(over_seam.astype(int) - elsewhere.astype(int)).max() <= 1


@pytest.mark.parametrize("pitch", [90, -90])
def test_the_pole_is_continuous(pitch):
    picture = coordinates(960, 480)
    out = sample(picture, *sampling_maps(View(200, 200, 20), 40, pitch, 0, 960, 480)[0]).astype(int)
    assert np.abs(np.diff(out, axis=0)).max() <= 2
    assert np.abs(np.diff(out, axis=1)).max() <= 2
    assert out[100, 100, 2] == pytest.approx(127.5 + np.sign(pitch) * 120, abs=1)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_planes_show_the_same_place_in_the_same_kind(kind):
    """Luma and chroma of one picture, drawn from one function of direction, agree after rendering."""
    scale = 1 if kind == np.uint8 else 4
    luma = coordinates(1920, 960)[..., 0].astype(kind) * scale
    # Chroma samples lie beside even luma columns, between two rows.
    wide = coordinates(3840, 960)[..., 0].astype(float)
    chroma_rows = (wide[0::2] + wide[1::2]) / 2
    chroma = np.round(chroma_rows[:, 1::4]).astype(kind) * scale
    view = View(640, 360, 90)
    y, u, v = render_planes((luma, chroma, chroma), view, 100, 20, bit_depth=10)
    assert y.shape == (360, 640)
    assert u.shape == v.shape == (180, 320)
    assert y.dtype == u.dtype == kind
    beside = (y[0::2].astype(float) + y[1::2]) / 2
    assert np.abs(beside[:, 0::2] - u).max() <= 1.6 * scale


def test_sharp_edges_stay_within_the_bits():
    """A cubic overshoots; what does not fit in 10 bits comes out black from some encoders."""
    board = (np.indices((480, 960)).sum(axis=0) // 8 % 2 * 1023).astype(np.uint16)
    chroma = np.full((240, 480), 512, np.uint16)
    luma, _, _ = render_planes((board, chroma, chroma), View(640, 360, 60), 10, 5, bit_depth=10)
    assert luma.max() == 1023


def test_a_much_finer_source_is_averaged_not_aliased():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1024, 2048)).astype(np.uint8)
    chroma = np.full((512, 1024), 128, np.uint8)
    luma, _, _ = render_planes((noise, chroma, chroma), View(64, 36, 90), 0, 0)
    assert luma.std() < 0.3 * noise.std()


@given(st.floats(-180, 180), st.floats(-60, 60), st.floats(-180, 180))
def test_contains_agrees_with_the_picture(yaw, pitch, roll):
    view = View(320, 180, 70)
    assert view.contains(directions(yaw, pitch), yaw, pitch, roll)
    edge = view.width / 2 / view.focal
    for side, inside in ((0.99, True), (1.01, False)):
        ray = rotation(yaw, pitch, roll) @ np.array([1, -edge * side, 0])
        assert view.contains(ray / np.linalg.norm(ray), yaw, pitch, roll) == inside
    assert not view.contains(-directions(yaw, pitch), yaw, pitch, roll)


def test_a_view_that_turns_is_never_drawn_where_it_looked_before():
    rng = np.random.default_rng(6)
    luma, chroma = rng.integers(0, 256, (240, 480), np.uint8), np.full((120, 240), 128, np.uint8)
    view = View(64, 36, 60)
    looks = [(0, 0, 0), (0.01, 0, 0), (0, 0.01, 0), (0, 0, 0.5), (0, 0, 0)]
    drawn = [render_planes((luma, chroma, chroma), view, *look)[0] for look in looks]
    for look, picture in zip(looks, drawn, strict=True):
        assert np.array_equal(picture, sample(luma, *sampling_maps(view, *look, 480, 240)[0]))
    assert np.array_equal(drawn[0], drawn[-1])
    assert not any(np.array_equal(drawn[0], other) for other in drawn[1:4])
    assert not np.array_equal(drawn[0], render_planes((luma, chroma, chroma), View(64, 36, 61), 0, 0, 0)[0])
