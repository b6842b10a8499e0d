import numpy as np
import pytest
from soundfields import RATE, in_room, noise, plane_wave, talker
from test_ambisonics import wav

from pano_sound.media.ambisonics import Ambisonics
from pano_sound.media.listener import cardioids, turned
from pano_sound.media.probe import probe
from pano_sound.media.soundfield import order_of, waves
from pano_sound.options.input import InputOptions
from pano_sound.sphere.convention import directions, rotation
from pano_sound.sphere.geometry import angle_between

AMBIX, FUMA = Ambisonics(1, (0, 1, 2, 3)), Ambisonics(1, (0, 2, 3, 1), norm="fuma")
OPEN = Ambisonics(1, (0, 1, 2, 3), certain=False)
SPEAKERS = np.array([-45, 45, -135, 135])


def as_fuma(field):
    return field[[0, 3, 1, 2]] * np.array([[2**-0.5], [1], [1], [1]], np.float32)


@pytest.fixture(scope="module")
def room():
    """Three talkers around the microphone."""
    return sum(in_room(talker(4, k), yaw, pitch) for k, (yaw, pitch) in enumerate([(-40, 5), (70, -10), (160, 8)]))


def towards(field, yaw, pitch):
    """What a cardioid microphone hears that looks there."""
    x, y, z = plane_wave(np.ones(1), yaw, pitch)[[3, 1, 2], 0]
    return (field[0] + x * field[3] + y * field[1] + z * field[2]) / 2


def panned(sound, yaw):
    """Between the two of four loudspeakers beside it."""
    gains = np.maximum(np.cos(np.radians(SPEAKERS - yaw)), 0)
    return (gains / np.linalg.norm(gains))[:, None] * sound


@pytest.mark.parametrize("seed", [0, 10, 20])
@pytest.mark.parametrize(
    ("yaws", "sure"), [((0,), False), ((90,), False), ((-30, 150), False), ((-50, 100), True), ((20, -70, 110), True)]
)
def test_the_channel_order_of_recorded_fields_is_detected_or_left_open(yaws, sure, seed):
    """Sources before the microphone alone, or beside it, may be either."""
    field = sum(in_room(talker(4, seed + k), yaw, 5 - 4 * k) for k, yaw in enumerate(yaws))
    assert order_of(waves(field)) in ((AMBIX,) if sure else (AMBIX, OPEN))
    assert order_of(waves(as_fuma(field))) in ((FUMA,) if sure else (FUMA, OPEN))


@pytest.mark.parametrize("lost", ["quiet", "flat", "W loud", "W soft", "wind"])
def test_damaged_fields_are_still_recognised(room, lost):
    field = room.copy()
    if lost == "quiet":
        field *= 1e-3
    elif lost == "flat":
        field[2] = 0
    elif lost == "wind":
        spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=field.shape))
        spectrum[:, np.fft.rfftfreq(field.shape[1], 1 / RATE) > 120] = 0
        field += (np.fft.irfft(spectrum) * 3 * field.std()).astype(np.float32)
    else:
        field[0] *= 2 ** (0.5 if lost == "W loud" else -0.5)
    assert order_of(waves(field)) == AMBIX


def test_plain_channels_are_not_taken_for_a_field(room):
    left, right = towards(room, -45, 0), towards(room, 45, 0)
    plain = {
        "four directions": [towards(room, yaw, 0) for yaw in SPEAKERS],
        "a tetrahedron, raw": [
            towards(room, yaw, pitch) for yaw, pitch in zip(SPEAKERS, (35, -35, -35, 35), strict=True)
        ],
        "stereo twice": [left, right, left, right],
        "stereo and silence": [left, right, 0 * left, 0 * left],
        "mono": [room[0]] * 4,
        "one channel": [room[0], *[0 * left] * 3],
        "loudspeakers": sum(panned(talker(4, k), yaw) for k, yaw in enumerate((-20, 80, 170))),
        "tracks": [talker(4, k) for k in range(4)],
        "noise": [noise(4, k) for k in range(4)],
        "silence": np.zeros((4, RATE)),
        "too short": room[:, :700],
        "nothing": room[:, :0],
    }
    found = {name: order_of(waves(np.asarray(channels, np.float32))) for name, channels in plain.items()}
    assert found == dict.fromkeys(plain)


def test_an_order_that_stays_open_is_said_and_can_be_decided_later(tmp_path):
    """Before the microphone, as far up and down as to the left and right."""
    field = sum(in_room(talker(4, k), yaw, pitch) for k, (yaw, pitch) in enumerate([(0, 9), (9, -8), (-9, 9)]))
    info = probe(wav(tmp_path / "a.wav", as_fuma(field) / np.abs(field).max() / 2, RATE))
    assert info.audio.ambisonic == OPEN
    assert "an order that is not clear" in info.audio.assumed
    assert info.in_order("fuma").audio.ambisonic == FUMA
    assert info.in_order("ambix").audio.ambisonic == AMBIX
    assert info.in_order(None) is info
    known = info.in_order("ambix")
    assert known.in_order("fuma") is known


@pytest.mark.parametrize(("channels", "order"), [(4, 1), (9, 2), (16, 3)])
def test_a_file_without_a_tag_is_read_as_it_sounds_and_says_so(tmp_path, room, channels, order):
    sound = np.zeros((channels, room.shape[1]), np.float32)
    sound[:4] = room / np.abs(room).max() / 2
    path = wav(tmp_path / "a.wav", sound, RATE)
    audio = probe(path).audio
    assert (audio.ambisonic.order, audio.ambisonic.channels) == (order, (0, 1, 2, 3))
    assert "taken for ambisonics, W, Y, Z, X (AmbiX), by their sound" in audio.assumed
    sound[:4] = as_fuma(sound[:4])
    assert "W, X, Y, Z (FuMa)" in probe(wav(path, sound, RATE)).audio.assumed
    assert probe(path, InputOptions(ambisonics="none")).audio.assumed is None


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("norm", ["sn3d", "n3d", "fuma"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_stored_channels_of_any_kind_become_the_direction_they_were_made_with(order, norm, shuffled):
    """200 plane waves; channels above the first order, and their order in the file, do not matter."""
    n = np.arange(200) + 0.5
    truth = directions(np.degrees(n * np.pi * (1 + 5**0.5)), np.degrees(np.arcsin(1 - n / 100)))
    x, y, z = truth.T
    count, rng = (order + 1) ** 2, np.random.default_rng(order)
    gains = {"sn3d": (1, 1), "n3d": (1, 3**0.5), "fuma": (2**-0.5, 1)}[norm]
    first = [gains[0] * np.ones(200), *(gains[1] * axis for axis in ((x, y, z) if norm == "fuma" else (y, z, x)))]
    stored = np.concatenate([first, rng.normal(size=(count - 4, 200))])
    at = rng.permutation(count) if shuffled else np.arange(count)
    file = np.empty_like(stored)
    file[at] = stored
    named = (0, 2, 3, 1) if norm == "fuma" else (0, 1, 2, 3)
    field = Ambisonics(order, tuple(int(at[channel]) for channel in named), norm=norm)
    found = field.matrix("4.0", count) @ file
    assert found[0] == pytest.approx(1, abs=1e-6)
    assert angle_between(found[[3, 1, 2]].T, truth).max() < 0.01


@pytest.mark.parametrize("camera", [0, 50, -120, 180])
@pytest.mark.parametrize("source", [-60, -25, 0, 40, 70])
def test_the_output_is_heard_where_the_camera_sees_the_source(camera, source):
    """The direction, measured again in left and right, is the source's relative to the camera."""
    field = np.concatenate([plane_wave(noise(1), camera + source), np.zeros((2, RATE))]).astype(np.float32)
    blocks = [field[:, at : at + 1024] for at in range(0, RATE, 1024)]
    left, right = np.concatenate(list(cardioids(turned(blocks, lambda t: rotation(camera), 0, RATE))), axis=1)
    side = ((right - left) @ (left + right)) / ((left + right) @ (left + right))
    assert np.degrees(np.arcsin(np.clip(side, -1, 1))) == pytest.approx(source, abs=3)


def test_the_output_follows_a_camera_that_turns_without_clicks():
    """A source that stays while the camera turns by 90° in a second moves from the middle to the left."""
    sound = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE) * 0.5
    field = np.concatenate([plane_wave(sound, 0), np.zeros((2, RATE))]).astype(np.float32)
    blocks = [field[:, at : at + 1024] for at in range(0, RATE, 1024)]
    left, right = np.concatenate(list(cardioids(turned(blocks, lambda t: rotation(90 * t), 0, RATE))), axis=1)
    loud = np.abs(sound) > 0.1
    heard = np.degrees(np.arcsin(np.clip(((right - left) / (left + right + 1e-9))[loud], -1, 1)))
    assert np.abs(heard + 90 * np.arange(RATE)[loud] / RATE).max() < 3
    assert np.abs(np.diff(left)).max() < 0.5 * 2 * np.pi * 200 / RATE * 1.1
