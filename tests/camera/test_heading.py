"""Paths through films whose own camera turns."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import soundmap

from pano_sound.camera.heading import Heading
from pano_sound.camera.planner import plan
from pano_sound.constraints import Mask, Pin
from pano_sound.options.camera import PlanOptions
from pano_sound.sphere.convention import directions, wrap_degrees
from pano_sound.sphere.geometry import angle_between

SPEED = 8.0
CLOCK = np.arange(0.5, 29.5, 0.1)


def turning(seconds, sources, speed=SPEED, **more):
    """A film of sources that stand still in the world (yaw, pitch), by a camera that turns to the right."""
    made = soundmap(seconds, lambda t: [(yaw - speed * t, pitch) for yaw, pitch in sources(t)], **more)
    return replace(made, turned=np.append(0.0, speed * np.diff(made.times)).astype(np.float32))


def heading(turned, every=0.5, bounds=None, pins=()):
    made = soundmap(len(turned) * every, lambda t: [], every=every)
    made = replace(made, turned=np.array(turned, np.float32))
    return Heading.of(made, bounds or [0.0, len(turned) * every], pins)


def test_small_turns_to_and_fro_are_not_followed():
    assert not heading(4 * np.sin(np.arange(200))).degrees.any()


def test_a_turn_is_followed_smoothly_within_five_degrees():
    found = heading(np.where(np.arange(120) < 60, 4.0, 0.0)).at(CLOCK)
    true = np.minimum(np.floor(CLOCK / 0.5) * 4.0, 59 * 4.0)
    assert np.abs(found - true - np.mean(found - true)).max() < 10
    assert np.abs(np.diff(found)).max() < 0.1 * 8.5


def test_each_shot_begins_anew():
    found = heading(np.full(120, 4.0), bounds=[0.0, 30.0, 60.0])
    assert found.at(np.array([29.9]))[0] > 200
    assert found.at(np.array([30.0]))[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seconds", [0.04, 0.1, 0.25, 1.9])
def test_a_short_shot_has_no_heading(seconds):
    found = heading(np.full(400, 20.0), every=0.02, bounds=[0.0, 1.0, 1.0 + seconds, 8.0])
    assert (found.at(np.linspace(1.0, 1.0 + seconds, 5)[:-1]) == 0).all()
    assert found.at(np.array([7.9]))[0] > 100


def test_it_rests_during_a_pin():
    found = heading(np.full(120, 4.0), pins=[Pin(10.0, 15.0, 40.0, 0.0)])
    during = found.at(np.arange(10.0, 15.01, 0.1))
    assert np.ptp(during) < 1e-9
    assert found.at(np.array([25.0]))[0] > during[0] + 50


def test_a_source_that_stands_still_is_held_and_the_world_stands_still_on_screen():
    path = plan(turning(30, lambda t: [(70.0, 5.0)]))
    looks = path.looks(CLOCK)
    in_world = wrap_degrees(looks[:, 0] + SPEED * CLOCK)
    assert np.abs(wrap_degrees(in_world - 70.0)).max() < 10
    assert np.abs(np.diff(in_world)).max() < 0.05  # Half a degree per second.
    assert np.abs(looks[:, 1]).max() < 12


def test_a_switch_between_two_sources_of_a_turning_camera():
    path = plan(turning(30, lambda t: [(60.0 if t < 15 else -90.0, 0.0)]))
    for t, yaw in ((8.0, 60.0), (25.0, -90.0)):
        assert abs(wrap_degrees(path.at(t)[0] + SPEED * t - yaw)) < 15


def test_pins_and_masks_are_those_of_the_picture():
    pin = Pin(12.0, 16.0, 100.0, 10.0)
    film = turning(30, lambda t: [(70.0, 0.0)])
    path = plan(film, pins=[pin])
    for t in (12.0, 14.0, 16.0):
        assert angle_between(directions(*path.looks(np.array([t]))[0, :2]), directions(100.0, 10.0)) < 0.1
    # At 10 s the source is at -10; the mask hides it for as long as it lies there.
    hidden = plan(turning(30, lambda t: [(70.0, 0.0), (-120.0, 0.0)]), masks=[Mask((-60.0, 90.0), (-90.0, 90.0))])
    looked = hidden.looks(CLOCK)[:, 0]
    assert np.mean((looked > -60) & (looked < 90)) < 0.35  # Only on the way, and where both are hidden.


def test_a_pin_over_a_cut_holds_on_both_sides():
    """The heading begins anew there."""
    path = plan(turning(30, lambda t: [(60, 0)], cuts=[10.0]), pins=[Pin(8.0, 12.0, 40.0, 10.0)])
    for t in (8.0, 9.9, 10.0, 12.0):
        assert path.at(t)[:2] == pytest.approx((40, 10), abs=1e-3)


def test_after_a_long_silence_the_camera_looks_to_the_front_of_the_picture():
    path = plan(turning(60, lambda t: [(70.0, 0.0)] if t < 10 else []), PlanOptions(home_after=10.0))
    assert np.abs(path.looks(np.arange(40.0, 59.0, 1.0))[:, 0]).max() < 6


def test_the_paper_preset_plans_in_the_picture():
    film = turning(20, lambda t: [(70.0, 0.0)])
    options = PlanOptions(preset="paper")
    still = replace(film, turned=np.zeros(len(film), np.float32))
    np.testing.assert_array_equal(plan(film, options).samples, plan(still, options).samples)
