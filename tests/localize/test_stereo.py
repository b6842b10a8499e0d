import sys
from types import SimpleNamespace

import numpy as np
import pytest
from soundfields import RATE, diffuse, in_room, noise, plane_wave, talker

from pano_sound.localize import fusion
from pano_sound.localize.cue import GRID, Evidence, normalized
from pano_sound.localize.spatial import blur
from pano_sound.localize.stereo import StereoCue, sides_of
from pano_sound.options.listening import ListeningOptions
from pano_sound.pipeline.analyse import compared, make_cues
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import angles, directions
from pano_sound.sphere.geometry import cell_areas, cell_directions

CELLS, AREAS = cell_directions(*GRID), cell_areas(*GRID).ravel()
LEFT = CELLS[..., 1]
YAW, PITCH = (angle.reshape(GRID) for angle in angles(CELLS.reshape(-1, 3)))


def cardioids(field):
    """Two microphones at one place that look left and right."""
    return np.stack([field[0] + field[1], field[0] - field[1]]) / 2


def apart(sound, samples):
    """Heard later on the right by whole samples."""
    return np.stack([sound, np.roll(sound, samples)])


def maps(stereo, times, block=RATE, begin=0.0):
    cue = StereoCue()
    cue.start_sound(begin)
    for at in range(0, stereo.shape[1], block):
        cue.add_sound(stereo[:, at : at + block].astype(np.float32))
    cue.end_sound()
    evidence = cue.evidence(times)["stereo"]
    assert not evidence.nothing.any()
    return evidence.maps[:]


def most_likely_left(evidence):
    return LEFT.ravel()[evidence.argmax()]


@pytest.mark.parametrize("yaw", [-90, -60, -30, 30, 60, 90, 120, 150])
def test_a_source_is_as_far_to_the_left_or_right_as_it_is(yaw):
    (found,) = maps(cardioids(plane_wave(noise(2), yaw)), [1.0])
    assert most_likely_left(found) == pytest.approx(directions(yaw, 0)[1], abs=0.1)
    assert np.exp(found).ravel() @ AREAS / AREAS.sum() == pytest.approx(1, abs=1e-3)


def test_front_and_back_above_and_below_are_alike():
    (found,) = maps(cardioids(plane_wave(noise(2), 40)), [1.0])
    assert found == pytest.approx(found[::-1], abs=1e-4)
    assert found == pytest.approx(np.roll(found[:, ::-1], GRID[1] // 2, axis=1), abs=1e-4)
    assert 0.5 < found.max() < 1.5


@pytest.mark.parametrize(("samples", "side"), [(8, 1), (4, 1), (-8, -1), (-4, -1)])
def test_what_is_heard_earlier_on_one_side_is_there(samples, side):
    (found,) = maps(apart(noise(2), samples), [1.0])
    assert side * most_likely_left(found) > 0.3


def test_a_talker_in_a_room_is_on_the_right_side():
    for yaw in (-70, 60):
        found = maps(cardioids(in_room(talker(3, 2), yaw, 5)), [1.5])[0]
        assert np.sign(most_likely_left(found)) == np.sign(directions(yaw, 0)[1])


@pytest.mark.parametrize("difference", [0.0, 0.02])
def test_one_signal_in_both_channels_tells_nothing(difference):
    sound = talker(3, 1)
    assert not maps(np.stack([sound, sound * (1 + difference)]), [1.0, 2.0]).any()


def test_silence_diffuse_sound_and_no_sound_tell_nothing():
    assert not maps(np.zeros((2, 2 * RATE)), [1.0, 50.0]).any()
    assert not maps(np.zeros((2, 0)), [0.0]).any()
    (spread,) = maps(cardioids(diffuse(2)), [1.0])
    assert spread.max() - np.median(spread) < 0.7


def test_evidence_does_not_depend_on_blocks_or_on_where_listening_began():
    stereo = cardioids(plane_wave(noise(6), 40))
    stereo[:, 3 * RATE :] = cardioids(plane_wave(noise(3, seed=1), -100))
    whole = maps(stereo, [2.0, 3.0, 4.0])
    assert maps(stereo, [2.0, 3.0, 4.0], block=1234) == pytest.approx(whole, abs=1e-6)
    step = StereoCue.sound.hop
    assert maps(stereo[:, 2 * step :], [3.0, 4.0], begin=2 * step / RATE) == pytest.approx(whole[1:], abs=1e-3)


PLACES = [-80, 60, -30, 100]
"""Where something sounds in turn, for four seconds each."""
TIMES = np.arange(8 * len(PLACES)) * 0.5


def shown(yaws):
    """What is seen, surely there."""
    nearest = (directions(yaws, 0) @ CELLS.reshape(-1, 3).T).argmax(axis=1)
    return normalized(np.log(0.1 + 0.9 * blur(15.0, 15.0)[nearest]).reshape(-1, *GRID)).repeat(8, axis=0)


def heard(yaws):
    return maps(np.concatenate([cardioids(plane_wave(noise(4), yaw)) for yaw in yaws], axis=1), list(TIMES))


def test_sides_are_compared_with_the_picture():
    for yaws, case in ((PLACES, "true"), ([-yaw for yaw in PLACES], "swapped"), ([8, 172, -8, -172], "unrelated")):
        sides = sides_of(heard(yaws), shown(PLACES), TIMES)
        assert getattr(sides, case) > 0.75
        assert sides.true + sides.swapped + sides.unrelated == pytest.approx(1)


def test_with_nothing_to_see_or_to_hear_nobody_knows_whether_sides_are_true():
    told, nothing = heard(PLACES), np.zeros((len(TIMES), *GRID), np.float32)
    for one, seen in ((told, nothing), (nothing, shown(PLACES)), (nothing[:0], nothing[:0])):
        sides = sides_of(one, seen, TIMES[: len(one)])
        assert [sides.true, sides.unrelated, sides.swapped] == pytest.approx([0.4, 0.5, 0.1], abs=0.01)


def of_whole_film(told):
    """The sound map of a film before and after its stereo is compared with its picture."""
    zero = np.zeros(len(TIMES), np.float32)
    seen = shown(PLACES) / 4
    posterior, elsewhere = fusion.learnt().posterior({"motion": Evidence(seen, zero)})
    cues = {"motion": seen.astype(np.float16), "stereo": told.astype(np.float16)}
    before = SoundMap(TIMES, posterior.astype(np.float16), elsewhere, zero - 20, {"path": "a.mp4"}, cues=cues)
    return before, compared(before)


def right(soundmap):
    """The probability within 45° of what sounds."""
    near = np.cos(np.radians(YAW - np.repeat(PLACES, 8)[:, None, None])) > np.cos(np.pi / 4)
    return (soundmap.posterior.astype(float) * near).sum(axis=(1, 2)).mean()


def test_a_film_s_map_is_surer_by_stereo_that_agrees_or_is_swapped_and_nearly_unchanged_by_what_does_not():
    for sign in (1, -1):
        before, after = of_whole_film(heard([sign * yaw for yaw in PLACES]))
        assert right(after) > right(before) + 0.03
        assert np.sign((after.cues["stereo"][4::8] * LEFT).sum(axis=(1, 2))).tolist() == [1, -1, 1, -1]
    before, after = of_whole_film(heard([8, 172, -8, -172]))
    assert right(after) == pytest.approx(right(before), abs=0.04)
    before, after = of_whole_film(np.zeros((len(TIMES), *GRID)))
    assert (after.posterior == before.posterior).all()


@pytest.mark.parametrize(
    ("channels", "listen", "used"), [(1, "auto", False), (2, "auto", True), (2, "mono", False), (6, "auto", False)]
)
def test_two_channels_are_heard_as_stereo(channels, listen, used, monkeypatch):
    monkeypatch.setattr(sys.modules[make_cues.__module__], "_network", lambda *_: None)
    film = SimpleNamespace(audio=SimpleNamespace(channels=channels, ambisonic=None))
    cues = make_cues(film, ListeningOptions(listen=listen)).all
    assert any(isinstance(cue, StereoCue) for cue in cues) == used
