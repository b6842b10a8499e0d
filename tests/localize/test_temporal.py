"""The temporal cue on made pictures, fed directly: what moves, what moves with the sound, and what only seems to."""

import numpy as np
import pytest

from pano_sound.localize.level import Level
from pano_sound.localize.rotation import Orientation, turned_map
from pano_sound.localize.temporal import HEIGHT, PICTURES_A_SECOND, WIDTH, TemporalCue
from pano_sound.sphere.convention import rotation

SECONDS = 12.0
TIMES = np.arange(0.0, SECONDS, 1 / PICTURES_A_SECOND)
BEATS = np.cumsum(np.random.default_rng(3).uniform(0.6, 1.6, 9))
OTHERS = np.cumsum(np.random.default_rng(8).uniform(0.6, 1.6, 9)) + 0.35


def clicks():
    sound = 1e-3 * np.random.default_rng(0).standard_normal(int(SECONDS * 16000)).astype(np.float32)
    for t in BEATS[BEATS < SECONDS - 0.2]:
        at = int(t * 16000)
        sound[at : at + 1600] += np.random.default_rng(at).standard_normal(1600).astype(np.float32) * 0.3
    return sound


def textured(seed=1):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH)), 2.5, mode=("nearest", "wrap"))
    return (120 + 40 * noise / noise.std()).clip(0, 255).astype(np.float32)


def evidence(picture_at, cuts=(), times=TIMES):
    cue = TemporalCue(Orientation())
    cue.start_sound(0.0)
    for block in np.array_split(clicks(), 7):
        cue.add_sound(block)
    cue.end_sound()
    requested = []
    for i, t in enumerate(times):
        for cut in cuts:
            if times[i - 1] < cut <= t:
                cue.add_cut(cut)
        cue.add_picture(t, np.clip(picture_at(t), 0, 255).astype(np.uint8))
        if t % 1.0 >= 0.45 and (not requested or t - requested[-1] > 0.6):
            cue.request(t)
            requested.append(t)
    cue.end_pictures()
    found = cue.evidence(requested)
    return found["motion"].maps[:], found["synchrony"].maps[:]


def hop(t, beats, row, column):
    """A patch that changes brightness for a moment after each beat."""
    since = t - beats[beats <= t].max(initial=-9.0)
    picture = np.zeros((HEIGHT, WIDTH))
    picture[row : row + 6, column : column + 6] = 60.0 * max(0.0, 1.0 - since / 0.25)
    return picture


def test_synchrony_is_where_it_moves_with_the_sound_and_motion_where_it_moves():
    still = textured()
    motion, synchrony = evidence(lambda t: still + hop(t, BEATS, 28, 20) + hop(t, OTHERS, 28, 80))
    middle = synchrony[len(synchrony) // 2]
    row, column = np.unravel_index(middle.argmax(), middle.shape)
    assert abs(row - 15) <= 2
    assert abs(column - 11) <= 2
    assert middle.max() > 2 * middle[13:18, 39:44].max()
    steady = motion.mean(axis=0)
    ordered = np.sort(steady.ravel())
    for place in (steady[13:18, 9:14].max(), steady[13:18, 39:44].max()):
        assert place > ordered[-40]


@pytest.mark.parametrize("what", ["still", "flicker", "exposure", "cut"])
def test_a_change_of_the_whole_picture_is_not_evidence(what):
    one, two = textured(1), textured(2)

    def picture(t):
        if what == "cut":
            return one if t < 6 else two
        return one + {"still": 0, "flicker": 6 * np.sin(40 * t), "exposure": 12 * (int(t / 3) % 2)}[what]

    motion, synchrony = evidence(picture, cuts=[5.98] if what == "cut" else [])
    # Of chance alone the best of some lags is above 0 everywhere; no direction must stand out.
    assert (synchrony.max(axis=(1, 2)) - synchrony.mean(axis=(1, 2))).max() < 0.15
    assert motion.max() < 1.0


@pytest.mark.parametrize("rate", [2.0, PICTURES_A_SECOND, 30.0])
def test_what_a_cut_changes_does_not_move(rate):
    times = np.arange(0.0, SECONDS, 1 / rate)
    cut = times[np.searchsorted(times, BEATS[5])] - 0.5 / rate  # With the sound.
    one, two = textured(1), textured(1)
    two[:, : WIDTH // 2] = textured(2)[:, : WIDTH // 2]
    motion, synchrony = evidence(lambda t: one if t < cut else two, [cut], times)
    for maps in (motion, synchrony):
        assert np.abs(maps[:, :, 5:25].mean(axis=(1, 2)) - maps[:, :, 35:55].mean(axis=(1, 2))).max() < 0.03


def test_what_moves_is_found_where_a_turning_camera_sees_it():
    picture, speed = textured(), 9.0

    def seen(t):
        patch = np.zeros((HEIGHT, WIDTH), np.float32)
        patch[28:34, 60:66] = 50.0 * np.sin(9.0 * t)
        return turned_map(picture + patch, rotation(speed * t).T)

    motion, _ = evidence(seen)
    times = TIMES[7::15]
    for t, one in zip(times[3:-3], motion[3:-3], strict=True):
        most = np.argwhere(one > one.max() - 0.1)
        expected = 31.0 - speed * t / 6.0  # The patch is at the front at first, and passes to the left.
        assert np.abs(most[:, 0] - 15).max() <= 3
        assert abs((most[:, 1] - expected + 30) % 60 - 30).max() <= 4
        assert abs(((most[:, 1] - expected + 30) % 60 - 30).mean()) <= 1.2


def test_loudness_is_that_of_the_window_around_a_time():
    level = Level()
    level.start_sound(10.0)
    wave = np.concatenate([np.zeros(16000), np.full(16000, 0.5), np.zeros(16000)]).astype(np.float32)
    for block in np.array_split(wave, 5):
        level.add_sound(block)
    level.end_sound()
    found = level.at([10.2, 11.5, 12.0, 12.8], 0.2)
    assert found == pytest.approx([-120, -6.02, -9.03, -120], abs=0.3)
    assert level.at([5.0, 99.0], 0.2) == pytest.approx([-120, -120])


@pytest.mark.parametrize("samples", [16000, 1270, 533, 100])
def test_loudness_at_the_end_is_that_of_the_sound_until_then(samples):
    level = Level()
    level.add_sound(np.full(samples, 0.5, np.float32))
    level.end_sound()
    assert level.at([0.0, samples / 16000], 0.5) == pytest.approx([-6.02] * 2, abs=0.01)


@pytest.mark.parametrize("blocks", [0, 1])
def test_no_sound_is_silent(blocks):
    level = Level()
    for _ in range(blocks):
        level.add_sound(np.zeros(0, np.float32))
    level.end_sound()
    assert level.at([0.0, 1.0], 0.5).tolist() == [-120, -120]
