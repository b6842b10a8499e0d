"""Whatever the film, a path is planned, and keeps its limits."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scenes import soundmap

from pano_sound.camera.planner import plan
from pano_sound.constraints import Pin
from pano_sound.options.camera import PlanOptions
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import wrap_degrees

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
@example([90.0], [163, 196, 239], 10.0, None, "calm")
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


@settings(max_examples=30)
@given(
    PLACES,
    st.lists(st.tuples(st.floats(2.0, 5.0), st.sampled_from([0.0, 0.2, 2.0]), st.floats(-180, 180)), max_size=4),
    st.lists(st.integers(1, 240), unique=True, max_size=2),
)
@example([152.0, 101.0, -70.0, 46.0], [(3.5, 0.0, 43.0), (3.6, 0.0, 118.0), (4.2, 2.0, -35.0), (3.8, 2.0, -13.0)], [])
@example([-102.0, -76.0, -16.0, -19.0], [(3.2, 0.2, -157.0), (4.5, 0.2, -152.0), (8.0, 0.0, -15.0)], [])
def test_pins_that_are_apart_are_seen_wherever_the_sources_are(places, parts, cuts):
    pins, t = [], 0.0
    for apart, seconds, yaw in parts:
        pins.append(Pin(t + apart, t + apart + seconds, yaw, 0.0))
        t = pins[-1].end
    pins = [pin for pin in pins if pin.end < 25.0]
    path = plan(film_of(places, 25.0, sorted(cut / 10 for cut in cuts)), pins=pins)
    for pin in pins:
        for t in np.linspace(pin.start, pin.end, 3):
            assert abs(wrap_degrees(path.at(t)[0] - pin.yaw)) < 1.0


def test_a_pin_that_ends_where_a_shot_begins_does_not_hold_that_shot():
    path = plan(film_of([120.0], 25.0, [10.0]), pins=[Pin(8.0, 10.0, -60.0, 0.0)])
    assert abs(path.at(15.0)[0] - 120.0) < 10


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
