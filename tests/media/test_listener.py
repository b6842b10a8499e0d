import numpy as np
import pytest
from soundfields import RATE, noise, plane_wave, talker

from pano_sound.media.listener import cardioids, turned
from pano_sound.sphere.convention import rotation


def stereo(field, camera, locked=None):
    """What a camera hears that looks at camera(t) = (yaw, pitch, roll) degrees: (2, samples)."""
    whole = np.concatenate([field, np.zeros_like(field[:2]) if locked is None else locked])
    blocks = (whole[:, n : n + 1024] for n in range(0, whole.shape[1], 1024))
    return np.concatenate(list(cardioids(turned(blocks, lambda t: rotation(*camera(t)), 0, RATE))), axis=1)


@pytest.mark.parametrize(
    ("source", "camera", "sides"),
    [
        ((40, 0), (40, 0, 0), (0.5, 0.5)),
        ((40, 0), (130, 0, 0), (1, 0)),
        ((40, 0), (-50, 0, 0), (0, 1)),
        ((40, 0), (100, 0, 0), (0.933, 0.067)),
        ((0, 60), (0, 0, 0), (0.5, 0.5)),
        ((0, 60), (-90, 60, 0), (0.25, 0.75)),
        ((0, 90), (0, 0, 90), (1, 0)),
    ],
)
def test_the_field_turns_with_the_camera(source, camera, sides):
    sound = noise(0.3)
    heard = stereo(plane_wave(sound, *source), lambda t: camera)
    assert heard == pytest.approx(np.outer(sides, sound), abs=1e-3)


def test_a_moving_camera_hears_a_source_where_it_sees_it():
    """Within 3 degrees of left and right, all the way round."""
    sound = noise(9)
    heard = stereo(plane_wave(sound, 70), lambda t: (40 * t - 170, 0, 0))
    for n in range(0, len(sound) - 1600, 1600):
        left, right = (np.vdot(heard[side, n : n + 1600], sound[n : n + 1600]) for side in (0, 1))
        aside = np.degrees(np.arcsin(np.clip((right - left) / (right + left), -1, 1)))
        expected = 70 - (40 * (n + 800) / RATE - 170)
        assert np.sin(np.radians(aside)) == pytest.approx(np.sin(np.radians(expected)), abs=np.sin(np.radians(3)))


def test_level_stays_as_it_is_and_nothing_clicks_where_the_camera_jumps():
    field = plane_wave(0.3 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE), 20)
    heard = stereo(field, lambda t: (-70, 0, 0) if t < 0.5 else (110, 0, 0))
    assert heard.sum(axis=0) == pytest.approx(field[0], abs=1e-5)
    steps, before = np.abs(np.diff(heard)).max(), np.abs(np.diff(field[0])).max()
    assert steps < 1.2 * before
    assert [np.abs(heard[:, :7000]).max(axis=1), np.abs(heard[:, 9000:]).max(axis=1)] == [
        pytest.approx([0.0, 0.3], abs=1e-3),
        pytest.approx([0.3, 0.0], abs=1e-3),
    ]


def test_sound_locked_to_the_head_does_not_turn():
    locked = np.stack([noise(0.5, 1), noise(0.5, 2)]).astype(np.float32)
    heard = stereo(plane_wave(0 * talker(0.5, 1), 0), lambda t: (300 * t, 0, 0), locked)
    assert heard == pytest.approx(locked)
