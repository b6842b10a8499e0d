import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pano_sound.camera.motion import ease, interpolate, thin, to_samples
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between


def test_the_seam_is_crossed_the_short_way():
    times = np.linspace(0, 1, 11)
    path = interpolate(np.array([0.0, 1.0]), np.array([[170.0, 0.0], [-170.0, 0.0]]), times)
    assert angle_between(path[1:], path[:-1]) == pytest.approx(2)
    assert to_samples(times, path, 90)[5, 1] == pytest.approx(180)


def test_held_before_the_first_and_after_the_last_key_point():
    path = interpolate(np.array([1.0, 2.0]), np.array([[10.0, 0.0], [20.0, 0.0]]), np.array([0.0, 5.0]))
    assert path == pytest.approx(directions([10, 20], [0, 0]))


@settings(deadline=None)
@given(
    st.floats(-180, 180),
    st.lists(st.tuples(st.floats(0, 50), st.floats(-15, 15)), min_size=2, max_size=8),
    st.floats(0.2, 3),
)
def test_easing_hardly_makes_it_faster(begin, looks, seconds):
    looks = [(begin + yaw, pitch) for yaw, pitch in looks]
    keys = np.arange(len(looks), dtype=float)
    sharp = interpolate(keys, np.array(looks), np.arange(0, len(looks), 0.1))
    eased = ease(sharp, 0.1, seconds)
    assert np.linalg.norm(eased, axis=1) == pytest.approx(1)
    fastest = angle_between(sharp[1:], sharp[:-1]).max()
    assert angle_between(eased[1:], eased[:-1]).max() <= fastest * 1.2 + 1e-6


def test_holds_take_two_samples():
    samples = np.array([[t, 10.0 if t < 5 else 12.0, 0, 0, 90] for t in range(10)])
    assert thin(samples)[:, 0].tolist() == [0, 4, 5, 9]
