"""The made scenes of `pano-sound evaluate camera`, and how a good camera moves in them."""

import numpy as np
import pytest

from pano_sound.camera.planner import plan
from pano_sound.options.camera import PlanOptions
from pano_sound.options.presets import PRESETS
from pano_sound.research.evaluate import camera
from pano_sound.research.evaluate.camera_scenes import made_scenes

SCENES = {scene.name: scene for scene in made_scenes()}
OURS = [name for name in PRESETS if name != "paper"]
# The default always, the others with -m slow.
CHOSEN = [pytest.param(name, marks=() if name == "default" else pytest.mark.slow) for name in OURS]
# As heard in an instant always, within three seconds with -m slow.
WINDOWS = (0.0, pytest.param(3.0, marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def planned():
    """The path of a scene, planned once."""
    paths = {}

    def plan_once(name, preset="default", window=0.0):
        key = (name, preset, window)
        if key not in paths:
            paths[key] = plan(SCENES[name].soundmap(window=window), PlanOptions(preset=preset))
        return SCENES[name], paths[key]

    return plan_once


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    "name",
    ["single", "single at the seam", "moving, 5°/s", "moving, 20°/s", "to and fro, 15°/s", "high up", "deep down"],
)
@pytest.mark.parametrize("preset", CHOSEN)
def test_a_single_source_is_in_view(planned, name, preset, window):
    scene, path = planned(name, preset, window)
    assert camera.in_view(path, scene.sources, 0, scene.seconds) >= 0.95


@pytest.mark.parametrize("window", [0.0, 3.0])
@pytest.mark.parametrize("preset", ["default", pytest.param("lively", marks=pytest.mark.slow)])
def test_after_a_switch_the_new_source_is_in_view(planned, preset, window):
    scene, path = planned("alternating, 6 s", preset, window)
    delays = camera.delays(path, scene.sources, 0, scene.seconds)
    assert len(delays) == 9
    assert max(delays) <= 1.5


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("preset", CHOSEN)
@pytest.mark.parametrize("name", ["alternating, 1 s", "alternating, 3 s"])
def test_no_ping_pong(planned, name, preset, window):
    scene, path = planned(name, preset, window)
    assert camera.motion(path, 0, scene.seconds).moves_per_minute <= 20


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("preset", CHOSEN)
@pytest.mark.parametrize("name", SCENES)
def test_no_reversal_without_a_change_of_source(planned, name, preset, window):
    scene, path = planned(name, preset, window)
    changes = np.array([*camera.switches(scene.sources, 0, scene.seconds), -100.0])
    if name == "to and fro, 15°/s":
        changes = np.arange(8, 60, 8)
    turns = camera.turnings(path, np.arange(0, scene.seconds, camera.EVERY))
    # A move is half over at its change of source, and may last for four seconds.
    assert all(np.abs(changes - t).min() < 4.5 for t in turns)
    assert len(turns) <= len(changes)


@pytest.mark.parametrize("preset", CHOSEN)
@pytest.mark.parametrize("name", SCENES)
def test_it_moves_within_its_limits_and_never_jumps(planned, name, preset):
    scene, path = planned(name, preset)
    limit = PRESETS[preset]
    moved = camera.motion(path, 0, scene.seconds)
    assert moved.speed[-1] <= limit.max_speed * 1.01
    assert moved.acceleration[-1] <= limit.max_acceleration * 1.05
    assert moved.jerk[-1] <= limit.max_jerk * 1.1
    assert moved.speed[-2] <= 60.01
    assert moved.cuts == 0 or "alternating" in name


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", ["two at once", "two in one view"])
def test_of_two_sources_one_is_always_in_view(planned, name, preset):
    scene, path = planned(name, preset)
    assert camera.in_view(path, scene.sources, 0, scene.seconds) == 1


@pytest.mark.parametrize("preset", CHOSEN)
@pytest.mark.parametrize("name", ["silence", "off-screen"])
def test_nothing_moves_in_silence_or_without_anything_to_see(planned, name, preset):
    _, path = planned(name, preset)
    assert camera.motion(path, 0, 60).speed[-1] == 0
    assert len(path.samples) == 2


def test_a_move_after_a_pause_ends_when_the_new_source_starts(planned):
    scene, path = planned("with pauses of 5 s")
    for start in camera.switches(scene.sources, 0, scene.seconds):
        before, after = camera.sampled(path, np.array([start - 0.6, start]))
        assert camera.angle_between(before, after) > 0.1
        rest = camera.sampled(path, np.arange(start, start + 3, 0.1))
        assert camera.angle_between(rest, rest[0]).max() < 0.5
    assert camera.in_view(path, scene.sources, 0, scene.seconds) == 1
