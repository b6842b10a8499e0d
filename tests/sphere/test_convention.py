import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pano_sound.sphere.convention import (
    angles,
    angles_to_pixel,
    directions,
    pixel_to_angles,
    rotation,
    wrap_degrees,
)

degrees = st.floats(-720, 720)
pitches = st.floats(-89, 89)


def test_axes():
    assert directions(0, 0) == pytest.approx([1, 0, 0])
    assert directions(90, 0) == pytest.approx([0, -1, 0])  # to the right
    assert directions(0, 90) == pytest.approx([0, 0, 1])  # up


def test_roll_leans_to_the_right():
    assert rotation(0, 0, 90) @ [0, 1, 0] == pytest.approx([0, 0, 1])  # what was left is now up


@given(degrees, pitches)
def test_angles_undo_directions(yaw, pitch):
    back_yaw, back_pitch = angles(directions(yaw, pitch))
    assert wrap_degrees(back_yaw - yaw) == pytest.approx(0, abs=1e-6)
    assert back_pitch == pytest.approx(pitch, abs=1e-6)


@given(degrees)
def test_wrapped_angles_are_in_range(yaw):
    wrapped = float(wrap_degrees(yaw))
    assert -180 < wrapped <= 180
    assert np.cos(np.radians(wrapped)) == pytest.approx(np.cos(np.radians(yaw)), abs=1e-9)


@given(degrees, pitches, degrees)
def test_rotation_turns_forward_to_the_look(yaw, pitch, roll):
    r = rotation(yaw, pitch, roll)
    assert r @ [1, 0, 0] == pytest.approx(directions(yaw, pitch), abs=1e-9)
    assert r @ r.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(r) == pytest.approx(1)


def test_middle_of_the_picture_is_straight_ahead():
    assert angles_to_pixel(0, 0, 960, 480) == pytest.approx((479.5, 239.5))
    assert angles_to_pixel(180, 90, 960, 480) == pytest.approx((-0.5, -0.5))


@given(st.integers(0, 959), st.integers(0, 479))
def test_pixels_and_angles_undo_each_other(u, v):
    assert angles_to_pixel(*pixel_to_angles(u, v, 960, 480), 960, 480) == pytest.approx((u, v), abs=1e-6)
