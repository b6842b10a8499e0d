import numpy as np
import pytest
from soundfields import RATE, diffuse, in_room, noise, plane_wave, talker

from pano_sound.localize.cue import GRID
from pano_sound.localize.spatial import SpatialCue
from pano_sound.sphere.convention import angles, directions
from pano_sound.sphere.geometry import angle_between, cell_areas, cell_directions

CELLS, AREAS = cell_directions(*GRID).reshape(-1, 3), cell_areas(*GRID).ravel()


def maps(field, times, block=RATE, begin=0.0):
    cue = SpatialCue()
    cue.start_sound(begin)
    for at in range(0, field.shape[1], block):
        cue.add_sound(field[:, at : at + block])
    cue.end_sound()
    evidence = cue.evidence(times)["spatial"]
    assert not evidence.nothing.any()
    return evidence.maps[:]


def peaks(evidence, count=1, width=20.0):
    """The middles of the highest peaks, unit vectors (count, 3)."""
    density, found = np.exp(evidence.ravel().astype(float)), []
    free = np.ones(len(CELLS), bool)
    for _ in range(count):
        peak = CELLS[np.where(free, density, 0).argmax()]
        for _ in range(3):
            near = CELLS @ peak > np.cos(np.radians(width))
            peak = (CELLS * (density * AREAS * near)[:, None]).sum(axis=0)
            peak /= np.linalg.norm(peak)
        free &= CELLS @ peak < np.cos(np.radians(2 * width))
        found.append(peak)
    return np.array(found)


def test_plane_waves_are_found_in_their_direction():
    """200 directions all over the sphere, two seconds each."""
    n = np.arange(200) + 0.5
    truth = directions(np.degrees(n * np.pi * (1 + 5**0.5)), np.degrees(np.arcsin(1 - n / 100)))
    sound, cue = noise(2), SpatialCue()
    for yaw, pitch in zip(*angles(truth), strict=True):
        cue.add_sound(plane_wave(sound, yaw, pitch))
    cue.end_sound()
    found = [peaks(each)[0] for each in cue.evidence(2 * n)["spatial"].maps[:]]
    assert angle_between(np.array(found), truth).max() < 2


def test_evidence_is_a_likelihood_ratio_sharp_where_direct_and_nothing_where_diffuse_or_silent():
    field = np.concatenate([plane_wave(noise(3), 40, 10), diffuse(3), np.zeros((4, 3 * RATE), np.float32)], axis=1)
    direct, spread, silent, after = maps(field, [1.0, 4.5, 8.0, 100.0])
    assert np.exp([direct, spread, silent]).reshape(3, -1) @ AREAS == pytest.approx(1, abs=1e-3)
    assert direct.max() > 3.5
    assert np.abs(spread).max() < 0.5
    assert not silent.any()
    assert not after.any()


def test_no_sound_at_all_is_no_evidence():
    assert not maps(np.zeros((4, 0), np.float32), [0.0, 1.0]).any()


def test_evidence_does_not_depend_on_blocks_or_on_where_listening_began():
    field = plane_wave(noise(6), 40)
    field[:, 3 * RATE :] = plane_wave(noise(3, seed=1), -100, 20)
    whole = maps(field, [2.0, 3.0, 4.0])
    assert maps(field, [2.0, 3.0, 4.0], block=1234) == pytest.approx(whole, abs=1e-6)
    step = SpatialCue.sound.hop
    assert maps(field[:, 2 * step :], [3.0, 4.0], begin=2 * step / RATE) == pytest.approx(whole[1:], abs=1e-3)


@pytest.mark.parametrize("yaw", [-150, -60, 0, 100, 160])
def test_two_talkers_at_once_are_two_peaks(yaw):
    field = plane_wave(talker(3, 1), yaw, 5) + plane_wave(talker(3, 2), yaw + 60, -5)
    found = peaks(maps(field, [1.5])[0], count=2, width=15)
    truth = directions([yaw, yaw + 60], [5, -5])
    assert min(angle_between(found, order).max() for order in (truth, truth[::-1])) < 10


@pytest.mark.parametrize("yaw", [-170, -80, -20, 35, 110])
def test_in_a_room_of_half_a_second_yaw_is_found(yaw):
    found = angles(peaks(maps(in_room(talker(3, yaw + 200), yaw, 10), [1.5])[0])[0])
    assert abs((found[0] - yaw + 180) % 360 - 180) < 10
    assert abs(found[1] - 10) < 20


def test_without_z_only_yaw_is_found():
    field = plane_wave(noise(2), 70, 25)
    field[2] = 0
    found = maps(field, [1.0])[0]
    yaw, pitch = (angle.reshape(GRID) for angle in angles(CELLS))
    assert yaw.ravel()[found.argmax()] == pytest.approx(70, abs=6)
    column = found[:, found.max(axis=0).argmax()]
    assert np.ptp(column[np.abs(pitch[:, 0]) < 25]) < 0.5


def test_without_w_there_is_no_evidence(caplog):
    field = plane_wave(noise(2), 60, 20)
    field[0] = 0
    assert not maps(field, [1.0]).any()
    assert "W channel is silent" in caplog.text


@pytest.mark.parametrize("yaw", [20, -65, 130, -150])
@pytest.mark.parametrize(
    ("channel", "mirrored", "said"), [(1, lambda yaw: -yaw, "left and right"), (3, lambda yaw: 180 - yaw, "front and")]
)
def test_without_x_or_y_there_are_two_directions(channel, mirrored, said, yaw, caplog):
    field = plane_wave(talker(3, 4), yaw, 10)
    field[channel] = 0
    found = maps(field, [1.5])[0]
    two, truth = peaks(found, count=2, width=10), directions([yaw, mirrored(yaw)], 10)
    assert min(angle_between(two, order).max() for order in (truth, truth[::-1])) < 5
    assert found.max() > 2
    assert f"{said}" in caplog.text
    assert np.abs(maps(diffuse(3) * (np.arange(4) != channel)[:, None], [1.5])).max() < 1.5


@pytest.mark.parametrize(("yaw", "within"), [(0, 15), (30, 5), (60, 5), (90, 5)])
def test_diffuse_sound_does_not_pull_directions_to_the_silent_channel(yaw, within):
    around = diffuse(3)
    sound = talker(3, 4)
    field = plane_wave(sound, yaw) + around * np.sqrt(np.square(sound).mean() / np.square(around[0]).mean())
    field[1] = 0
    found, _ = angles(peaks(maps(field.astype(np.float32), [1.5])[0], count=2, width=10))
    assert np.abs(found) == pytest.approx(yaw, abs=within)


def test_with_w_alone_there_is_no_evidence():
    assert not maps(noise(2) * np.eye(4, dtype=np.float32)[:, :1], [1.0]).any()


def test_without_z_and_x_left_and_right_are_told_apart():
    field = plane_wave(noise(2), 40)
    field[2:] = 0
    yaws, _ = angles(peaks(maps(field, [1.0])[0], count=2, width=10))
    assert sorted(yaws) == pytest.approx([40, 140], abs=5)


@pytest.mark.parametrize(("gain", "said"), [(2**-0.5, "3 dB too soft"), (2**0.5, "3 dB too loud"), (3**-0.5, "N3D")])
def test_a_wrong_level_of_w_is_reported(gain, said, caplog):
    field = plane_wave(noise(2), 40, 10)
    field[0] *= gain
    maps(field, [1.0])
    assert said in caplog.text


def test_a_sound_field_is_not_blamed_for_what_it_does_not_have(caplog):
    maps(in_room(talker(3, 1), 40, 10), [1.0])
    maps(plane_wave(noise(2), 0), [1.0])
    assert [r.message for r in caplog.records] == ["the sound field's Z channel is silent: elevation is unknown"]


@pytest.mark.parametrize("yaw", [0, 90, 180])
def test_made_sound_from_the_very_front_or_side_is_heard_there(yaw):
    assert angle_between(peaks(maps(plane_wave(noise(2), yaw, 20), [1.0])[0])[0], directions(yaw, 20)) < 2


@pytest.mark.parametrize("gains", [(2**0.5, 1, 1, 1), (2**-0.5, 1, 1, 1), (1, 3**0.5, 3**0.5, 3**0.5)])
def test_wrong_levels_do_not_change_directions(gains):
    field = plane_wave(noise(2), -110, 30) * np.array(gains, np.float32)[:, None]
    found = maps(field, [1.0])[0]
    assert angle_between(peaks(found)[0], directions(-110, 30)) < 2
    assert found.max() > 3


def test_wind_in_the_microphones_costs_no_direction_and_is_named(caplog):
    """Loud below 200 Hz, and another noise in each channel."""
    spectrum = np.fft.rfft(np.random.default_rng(3).normal(size=(4, 3 * RATE)))
    spectrum[:, np.fft.rfftfreq(3 * RATE, 1 / RATE) > 200] = 0
    wind = np.fft.irfft(spectrum)
    sound = talker(3, 5)
    found = maps((plane_wave(sound, 130) + wind * 1.5 * sound.std() / wind.std()).astype(np.float32), [1.5])[0]
    assert angle_between(peaks(found)[0], directions(130, 0)) < 5
    assert "wind in the microphones" in caplog.text
