"""Pictures straight from two fisheye lenses, made of spheres without the code under test."""

from __future__ import annotations

import numpy as np
import spheres

from pano_sound.sphere.convention import angles, angles_to_pixel

LAYOUTS = {
    # (width, height), diameter of a lens picture, height of its middle, in a picture 512 pixels wide.
    "2:1, as Gear 360": ((512, 256), 250, 128),
    "2:1, smaller circles": ((512, 256), 228, 128),
    "2:1, cut at the sides": ((512, 256), 272, 128),
    "16:9, above, as Theta S": ((512, 288), 254, 128),
    "16:9, in the middle": ((512, 288), 248, 144),
}


def scene(kind: str, height: int = 128) -> np.ndarray:
    """A sphere (height, 2 height, 3) uint8: something bright and smooth, a night, water."""
    rng = np.random.default_rng(5)
    vectors = spheres.sphere(2 * height, height)
    day = spheres.colours(vectors).astype(float)
    if kind == "night":  # A dark sky, lamps along the horizon, grey ground.
        up = vectors[..., 2:]
        lamps = np.exp(-((up / 0.15) ** 2)) * (60 + 40 * np.sin(9 * np.arctan2(vectors[..., 1:2], vectors[..., :1])))
        day = lamps + np.where(up < 0, 14.0, 3.0) * np.ones(3) + rng.normal(0, 1, day.shape)
    elif kind == "water":  # Blue, of little contrast, darker below.
        day = np.array([6.0, 40, 62]) * (0.7 + 0.3 * vectors[..., 2:]) + 0.03 * day
    elif kind == "black poles":
        day[: height // 5] = day[-height // 4 :] = 0
    elif kind == "black seam":
        day[:, :8] = day[:, -8:] = 0
    return np.clip(day, 0, 255).astype(np.uint8)


def two_lenses(sphere: np.ndarray, layout: str, field: float = 195.0, turned: float = 0.0) -> np.ndarray:
    """What two lenses with a field of view of `field` degrees, `turned` about their axes, see of a sphere, on black."""
    (width, height), diameter, middle = LAYOUTS[layout]
    picture = np.zeros((height, width, 3), np.uint8)
    y, x = np.mgrid[:height, : width // 2]
    right, down = (x + 0.5 - width / 4) / (diameter / 2), (y + 0.5 - middle) / (diameter / 2)
    radius = np.hypot(right, down)
    off_axis, about = radius * np.radians(field / 2), np.arctan2(-down, right) + np.radians(turned)
    left, up = -np.sin(off_axis) * np.cos(about), np.sin(off_axis) * np.sin(about)
    for lens, ahead in enumerate((1, -1)):
        rays = np.stack([ahead * np.cos(off_axis), ahead * left, up], axis=-1)
        u, v = angles_to_pixel(*angles(rays), sphere.shape[1], sphere.shape[0])
        rows = np.clip(np.round(v).astype(int), 0, sphere.shape[0] - 1)
        seen = sphere[rows, np.round(u).astype(int) % sphere.shape[1]]
        half = slice(lens * width // 2, (lens + 1) * width // 2)
        picture[:, half] = np.where(radius[..., None] < 1, seen, 0)
    return picture
