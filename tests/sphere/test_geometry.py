import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pano_sound.sphere.convention import angles, directions, rotation
from pano_sound.sphere.geometry import angle_between, cell_areas, cell_directions, slerp, vector_mean

looks = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@given(looks, looks)
def test_distance_is_symmetric_and_survives_rotation(a, b):
    va, vb = directions(*a), directions(*b)
    turn = rotation(33, -20, 70)
    assert angle_between(va, vb) == pytest.approx(angle_between(vb, va), abs=1e-9)
    assert angle_between(turn @ va, turn @ vb) == pytest.approx(float(angle_between(va, vb)), abs=1e-6)


def test_small_and_large_distances_are_exact():
    ahead = directions(0, 0)
    assert angle_between(ahead, directions(1e-7, 0)) == pytest.approx(1e-7)
    assert angle_between(ahead, directions(180, 1e-7)) == pytest.approx(180 - 1e-7, abs=1e-9)


@given(looks, looks, st.floats(0, 1))
def test_slerp_keeps_to_the_great_circle(a, b, share):
    va, vb = directions(*a), directions(*b)
    way = float(angle_between(va, vb))
    between = slerp(va, vb, share)
    assert np.linalg.norm(between) == pytest.approx(1)
    assert angle_between(va, between) == pytest.approx(share * way, abs=1e-4)
    assert angle_between(between, vb) == pytest.approx((1 - share) * way, abs=1e-4)


def test_slerp_between_opposite_points_stays_on_the_horizon():
    yaw, pitch = angles(slerp(directions(0, 0), directions(180, 0), 0.5))
    assert (yaw, pitch) == pytest.approx((90, 0))


@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(0, 0.05))
def test_vector_mean_finds_a_source_anywhere_under_a_floor(yaw, pitch, floor):
    """Where the planar mean of pixels fails: at the seam, and with a uniform floor."""
    cells = cell_directions(30, 60)
    areas = cell_areas(30, 60)
    blob = np.exp(-((angle_between(cells, directions(yaw, pitch)) / 15) ** 2))
    mean, length = vector_mean(cells.reshape(-1, 3), ((blob + floor) * areas).ravel())
    assert angle_between(mean, directions(yaw, pitch)) < 3
    assert 0.2 < length <= 1


def test_vector_mean_of_an_even_spread_has_no_length():
    mean, length = vector_mean(cell_directions(30, 60).reshape(-1, 3), cell_areas(30, 60).ravel())
    assert length < 1e-9
    assert mean == pytest.approx([1, 0, 0])


def test_areas_cover_the_sphere():
    areas = cell_areas(180, 360)
    assert areas.sum() == pytest.approx(1)
    assert areas[90, 0] == pytest.approx(np.cos(np.radians(0.5)) * np.radians(1) ** 2 / (4 * np.pi), rel=1e-4)
