"""How the camera turns is measured to within a few degrees, and undone; a still camera is left alone."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pano_sound.localize.rotation import (
    Derotation,
    Orientation,
    Stabilizer,
    median,
    slope_down,
    turned_map,
    yaw_turned,
)
from pano_sound.sphere.convention import rotation

HEIGHT, WIDTH = 60, 120
TIMES = np.arange(0.0, 6.0, 1 / 15)


def textured(seed=1):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH)), 2.5, mode=("nearest", "wrap"))
    return (120 + 40 * noise / noise.std()).clip(0, 255).astype(np.float32)


def stabilized(pictures):
    orientation = Orientation()
    stabilizer = Stabilizer(HEIGHT, WIDTH, orientation)
    return orientation, [stabilizer.steady(t, picture) for t, picture in zip(TIMES, pictures, strict=False)]


def degrees_apart(a, b):
    return float(np.degrees(np.linalg.norm(cv2.Rodrigues(a @ b.T)[0])))


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.04), (0.02, 0.0, 0.0), (0.01, -0.02, 0.03)])
def test_a_known_rotation_is_found(turn):
    picture = textured()
    found = Derotation(HEIGHT, WIDTH).fit(picture, turned_map(picture, cv2.Rodrigues(np.array(turn))[0]))
    assert found == pytest.approx(turn, abs=0.003)


@pytest.mark.parametrize(("yaw", "columns"), [(90.0, -30), (-6.0, 2), (180.0, 60)])
def test_a_camera_that_turns_to_the_right_sees_things_move_to_the_left(yaw, columns):
    picture = textured()
    seen = turned_map(picture, rotation(yaw).T)
    np.testing.assert_allclose(seen, np.roll(picture, columns, axis=1), atol=0.05)
    assert yaw_turned(rotation(yaw).T) % 360 == pytest.approx(yaw % 360)


@pytest.mark.parametrize(
    "attitude",
    [
        lambda t: (6.0 * t, 0.0, 0.0),
        lambda t: (-30.0 * t, 0.0, 0.0),
        lambda t: (0.0, 4.0 * t, 5.0 * t),
        lambda t: (3 * np.sin(6 * t), 2 * np.sin(9 * t), 2 * np.sin(7 * t)),
    ],
    ids=["slowly", "fast", "pitch and roll", "shaking"],
)
def test_a_camera_that_turns_is_followed(attitude):
    picture = textured()
    orientation, steady = stabilized([turned_map(picture, rotation(*attitude(t)).T) for t in TIMES])
    for t in TIMES[::10]:
        assert degrees_apart(orientation.at(t), rotation(*attitude(t)).T) < 1.5
    middle = slice(10, 50)  # Rows that are sampled well.
    assert np.abs(steady[-1] - picture)[middle].mean() < 0.1 * np.abs(picture - picture.mean()).mean()


def test_the_pictures_of_a_still_camera_are_left_alone():
    random = np.random.default_rng(0)
    pictures = [textured() + random.normal(0, 0.5, (HEIGHT, WIDTH)).astype(np.float32) for _ in TIMES]
    orientation, steady = stabilized(pictures)
    assert all(one is picture for one, picture in zip(steady, pictures, strict=True))
    assert (orientation.between(TIMES[3], TIMES[-1]) == np.eye(3)).all()


def test_a_cut_is_no_turn():
    before, after = textured(1), textured(2)
    orientation, _ = stabilized([before] * 30 + [after] * 60)
    assert degrees_apart(orientation.at(TIMES[-1]), np.eye(3)) < 0.1


@pytest.mark.parametrize("shape", [(1,), (2,), (5, 7), (30, 60)])
def test_the_median_is_numpys(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert median(values) == np.median(values)
    assert median(values[::-1]) == np.median(values)


def test_the_slope_is_numpys_gradient() -> None:
    picture = (30 * np.random.default_rng(8).standard_normal((12, 7))).astype(np.float32)
    assert np.array_equal(slope_down(picture), np.gradient(picture, axis=0))
    assert np.array_equal(slope_down(picture[:, ::2]), np.gradient(picture[:, ::2], axis=0))


def test_a_map_is_turned_by_its_own_matrix_whatever_was_turned_before() -> None:
    values = np.random.default_rng(9).uniform(0, 100, (18, 36)).astype(np.float32)
    for columns in (1, 2, 5, 1):
        turned = turned_map(values, rotation(10.0 * columns))
        assert np.abs(turned - np.roll(values, columns, axis=1)).max() < 0.1
