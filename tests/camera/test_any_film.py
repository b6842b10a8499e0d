"""Whatever the film, a path is planned, and keeps its limits."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import soundmap

from pano_sound.camera.planner import plan
from pano_sound.constraints import Pin
from pano_sound.options.camera import PlanOptions
from pano_sound.soundmap import SoundMap

SHOTS = ["calm", "default", "lively"]
PLACES = st.lists(st.one_of(st.none(), st.floats(-180, 180)), min_size=1, max_size=5)
"""The yaw of the only source in each part of a film; None is silence."""


def film_of(places, seconds, cuts=(), turn=0.0, covers=None):
    """A film whose own camera turns by `turn` degrees per second in its last third."""

    def sources(t):
        yaw = places[min(int(t / seconds * len(places)), len(places) - 1)]
        return [] if yaw is None else [(yaw, 0.0)]

    made = soundmap(seconds, sources, cuts=cuts)
    turned = np.where(made.times > seconds * 2 / 3, turn * 0.25, 0.0).astype(np.float32)
    return replace(made, turned=turned, source={**made.source, **({"covers": covers} if covers else {})})


@settings(max_examples=30)
@given(
    PLACES,
    st.lists(st.integers(1, 240), unique=True, max_size=6),
    st.sampled_from([0.0, 10.0, 40.0]),
    st.sampled_from([None, [-140.0, 140.0, -90.0, 90.0], [-90.0, 90.0, -90.0, 90.0]]),
    st.sampled_from(SHOTS),
)
def test_a_camera_turns_no_faster_than_it_may_and_the_film_does(places, cuts, turn, covers, preset):
    at = sorted(cut / 10 for cut in cuts)
    path = plan(film_of(places, 25.0, at, turn, covers), PlanOptions(preset=preset, home_after=5.0))
    assert path.times[0] == 0.0
    assert path.times[-1] < 25.0
    assert path.speed().max(initial=0.0) <= path.settings["max_speed"] + 1.3 * turn + 1.0
    assert {round(float(path.times[i]), 6) for i in path.cuts} >= set(at)


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60])
def test_shots_between_any_two_pictures(fps):
    cuts = [(n - 0.5) / fps for n in range(fps, 9 * fps, 3 * fps // 10)]
    path = plan(film_of([30.0], 10.0, cuts))
    assert [path.times[i] for i in sorted(path.cuts)] == pytest.approx(cuts, abs=1e-6)


def test_going_home_does_not_hurry_because_the_film_turns_later():
    made = soundmap(90.0, lambda t: [(100.0, 0.0)] if t < 10 else [])
    turned = np.where((made.times >= 60) & (made.times < 64), 10.0, 0.0).astype(np.float32)
    path = plan(replace(made, turned=turned), PlanOptions(preset="calm"))
    going_home = path.times[1:] < 55
    assert path.speed()[going_home].max() < 30.1
    assert abs(path.at(55.0)[0]) < 1.0


def test_a_map_without_duration_has_a_path():
    one = soundmap(0.25, lambda t: [(60.0, 0.0)])
    path = plan(SoundMap(**{**one.__dict__, "source": {"width": 3840}}))
    assert abs(path.at(0.0)[0] - 60.0) < 10


@pytest.mark.parametrize("signal", ["mean", "centroid"])
def test_a_silent_film_has_a_path_by_any_signal(signal):
    film = soundmap(10.0, lambda t: [(60.0, 0.0)] if t < 5 else [], noise=0.0)
    film.posterior[film.times >= 5] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(plan(film, PlanOptions(signal=signal)).samples)


@pytest.mark.parametrize(
    ("step", "pins"),
    [
        (0.5, [Pin(10.1, 10.1, -60.0, 0.0), Pin(10.4, 10.4, 60.0, 0.0)]),
        (0.5, [Pin(10.1, 10.1, -60.0, 0.0), Pin(10.2, 10.2, 0.0, 0.0), Pin(10.4, 10.4, 60.0, 0.0)]),
        (5.0, [Pin(10.5, 11.5, -60.0, 0.0), Pin(13.0, 14.0, 60.0, 0.0)]),
        (5.0, [Pin(8.0, 11.0, -60.0, 0.0), Pin(11.5, 14.0, 60.0, 0.0), Pin(14.2, 16.0, 0.0, 0.0)]),
    ],
)
def test_each_pin_is_seen_though_several_share_a_step(step, pins):
    path = plan(soundmap(25.0, lambda t: [(120.0, 0.0)]), PlanOptions(step=step), pins=pins)
    for pin in pins:
        for t in np.linspace(pin.start, pin.end, 5):
            assert path.at(t)[0] == pytest.approx(pin.yaw, abs=1.0)
