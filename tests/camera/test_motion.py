import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pano_sound.camera.motion import ease_seconds, glide, glide_seconds, linear, middle, slew, smooth, steady, thin


@given(st.floats(0.5, 180), st.floats(5, 120), st.floats(10, 300), st.floats(20, 2000))
def test_a_glide_keeps_to_its_limits_and_arrives(way, speed, acceleration, jerk):
    ease = ease_seconds(speed, acceleration, jerk)
    seconds = glide_seconds(way, speed, ease)
    t = np.linspace(-0.1 * seconds, 1.1 * seconds, 4001)
    angle = way * glide(t, seconds, ease)
    step = t[1] - t[0]
    v, a, j = (np.diff(angle, n) / step**n for n in (1, 2, 3))
    assert (angle[0], angle[-1]) == (0, pytest.approx(way))
    assert v.min() > -1e-6 * speed
    assert v.max() <= speed * 1.001
    assert np.abs(a).max() <= acceleration * 1.01
    assert np.abs(j).max() <= jerk * 1.02 + 1e-6 / step**3
    assert seconds == pytest.approx(max(way / speed, ease) + ease)


tracks = st.lists(st.floats(-50, 50), min_size=1, max_size=40).map(np.array)


@given(tracks, st.floats(0.5, 20))
def test_a_steady_line_stays_within_reach_and_bends_only_where_it_must(track, reach):
    line = steady(track, np.full(len(track), reach))
    assert np.abs(line - track).max() <= reach + 1e-6
    bends = np.flatnonzero(np.abs(np.diff(line, 2)) > 1e-6) + 1
    assert np.abs(np.abs(line - track)[bends] - reach).max(initial=0) < 1e-6  # on the wall of the tube
    assert np.abs(np.diff(line)).sum() <= np.abs(np.diff(track)).sum() + 1e-6


def test_a_range_that_can_be_held_is_held_in_the_middle():
    track = np.array([10, 12, 9, 11, 10, 8.0])
    line = steady(track, np.full(6, 3.0))
    assert np.ptp(line) == 0
    assert line[0] == pytest.approx(10)


def test_a_moving_source_is_followed_at_constant_speed():
    line = steady(10.0 * np.arange(20) + np.tile([2, -2], 10), np.full(20, 5.0))
    assert np.ptp(np.diff(line)[1:-1]) < 0.5


def test_movement_to_and_fro_is_removed_and_steady_movement_kept():
    swing = np.tile([0.0, 40.0], 20)[:, None]
    assert np.ptp(middle(swing, 4, np.array([45.0]))[1:-1]) == 0
    ramp = 3.0 * np.arange(30)[:, None]
    assert middle(ramp, 4, np.array([45.0])) == pytest.approx(ramp)
    assert middle(ramp[:1], 4, np.array([45.0])) == pytest.approx(ramp[:1])


def test_what_goes_too_far_to_and_fro_to_be_in_view_from_the_middle_is_kept():
    swing = np.stack([np.tile([0.0, 100.0], 20), np.tile([0.0, 40.0], 20)], axis=1)
    found = middle(swing, 4, np.array([45.0, 25.0]))
    assert found[1:-1, 0] == pytest.approx(swing[1:-1, 0])
    assert found[1:-1, 1] == pytest.approx(np.full(38, 20.0))


def test_a_source_that_is_too_fast_is_chased():
    track = np.stack([np.where(np.arange(60) < 20, 0.0, 80.0), np.zeros(60)], axis=1)
    chased = slew(track, 30.0)
    assert np.abs(np.diff(chased[:, 0])).max() == pytest.approx(3.0)
    assert chased[-1, 0] == 80
    assert slew(chased, 30.1) is chased


@given(tracks, st.floats(0.2, 3))
def test_smoothing_makes_nothing_faster(track, seconds):
    smoothed = smooth(track, seconds)
    assert smoothed.shape == track.shape
    assert np.abs(np.diff(smoothed)).max(initial=0) <= np.abs(np.diff(track)).max(initial=0) + 1e-6


def test_autocams_line_crosses_the_seam_the_short_way_and_is_held_at_its_ends():
    looks = np.array([[170.0, 0.0], [-170.0, 10.0]])
    found = linear(np.array([1.0, 2.0]), looks, np.array([0.0, 1.25, 1.5, 5.0]))
    assert found == pytest.approx(np.array([[170, 0], [175, 2.5], [180, 5], [-170, 10]]))


def test_holds_take_two_samples():
    samples = np.array([[t, 10.0 if t < 5 else 12.0, 0, 0, 90] for t in range(10)])
    assert samples[thin(samples), 0].tolist() == [0, 4, 5, 9]
