"""The camera's promise: on no map is its path worse than the best still view, and without evidence it rests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import CELLS

from pano_sound.camera.expected import GIVEN, StillViews, of_path
from pano_sound.camera.planner import plan
from pano_sound.camera.timeline import resample
from pano_sound.options.camera import PlanOptions
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between
from pano_sound.sphere.view import View

CHOSEN = PlanOptions().resolved()
SOURCE = {"path": "made.mp4", "width": 3840, "height": 1920}


def random_map(seed, blobs, sharpness, seconds=12.0, every=0.5):
    """Blobs that jump about, appear and fade, on a floor."""
    rng = np.random.default_rng(seed)
    times = np.arange(0.0, seconds, every)
    mass = np.full((len(times), 30, 60), 0.02)
    for _ in range(blobs):
        place, turn = rng.uniform([-180, -50], [180, 50]), rng.uniform(-40, 40)
        jumps = rng.uniform(-180, 180) * (times > rng.uniform(0, seconds))
        for i, t in enumerate(times):
            off = angle_between(CELLS, directions(place[0] + turn * t + jumps[i], place[1]))
            mass[i] += rng.random() * np.exp(-((off / sharpness) ** 2))
    present = rng.random(len(times))
    mass *= (present / mass.sum(axis=(1, 2)))[:, None, None]
    level = np.full(len(times), -20.0, np.float32)
    source = {**SOURCE, "end": seconds}
    return SoundMap(times, mass.astype(np.float16), (1 - present).astype(np.float32), level, source)


@settings(max_examples=5)
@given(st.integers(0, 10_000), st.integers(0, 3), st.sampled_from([8.0, 25.0]))
@pytest.mark.slow
def test_no_still_view_is_expected_to_hold_the_source_for_longer(seed, blobs, sharpness):
    soundmap = random_map(seed, blobs, sharpness)
    path = plan(soundmap)
    view = View(path.width, path.height, path.samples[0, 4])
    timeline = resample(soundmap, CHOSEN, np.arange(0.0, 12.01, CHOSEN.step), [])
    looks = path.looks(timeline.middles)
    ours = of_path(timeline, view, looks[:, :2], looks[:, 3])
    stills = StillViews(timeline, view, CHOSEN)
    best = max(
        of_path(timeline, view, np.repeat(look[None], len(looks), axis=0), np.full(len(looks), view.hfov))
        for look in stills.looks[:: 1 + seed % 7]
    )
    # Paths are sampled more coarsely than steps: as much as they move meanwhile.
    assert ours >= (1 - GIVEN) * best - 0.05


@pytest.mark.parametrize("why", ["silence", "elsewhere"])
@pytest.mark.parametrize("preset", ["calm", "default", "lively", "paper"])
def test_it_rests_where_nothing_in_the_picture_sounds(preset, why):
    times = np.arange(0.0, 20.0, 0.5)
    level = np.full(len(times), -120.0 if why == "silence" else -20.0, np.float32)
    none = SoundMap(times, np.zeros((len(times), 30, 60), np.float16), np.ones(len(times), np.float32), level, SOURCE)
    assert plan(none, PlanOptions(preset=preset)).speed().max(initial=0.0) == 0


def test_the_expected_time_is_the_probability_inside_the_view():
    times = np.arange(0.0, 4.0, 0.5)
    posterior = np.zeros((8, 30, 60), np.float16)
    posterior[:4, 15, 30], posterior[4:, 15, 0] = 0.5, 0.25
    level = np.full(8, -20.0, np.float32)
    elsewhere = np.repeat([0.5, 0.75], 4).astype(np.float32)
    soundmap = SoundMap(times, posterior, elsewhere, level, {**SOURCE, "end": 4.0})
    timeline = resample(soundmap, CHOSEN, np.arange(0.0, 4.01, 0.5), [])
    view, wide = View(640, 360, 90.0), np.full(8, 90.0)
    for yaw, seconds in ((0.0, 1.0), (180.0, 0.5), (90.0, 0.0)):
        looks = np.repeat([[yaw, 0.0]], 8, axis=0)
        assert of_path(timeline, view, looks, wide) == pytest.approx(seconds, abs=1e-3)
