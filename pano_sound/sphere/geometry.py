"""Distances, interpolation, means and cell grids on the unit sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .convention import directions, pixel_to_angles

Array = NDArray[np.float64]


def angle_between(a: ArrayLike, b: ArrayLike) -> Array:
    """Great-circle angle in degrees, 0..180, between unit vectors (..., 3), broadcast together.

    Uses atan2 of cross and dot products: arccos of the dot product loses 0.02° near 0 and 180.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    ax, ay, az, bx, by, bz = (v[..., i] for v in (a, b) for i in range(3))
    # Written out: np.cross takes several times as long for single vectors, of which there are many.
    across = np.sqrt((ay * bz - az * by) ** 2 + (az * bx - ax * bz) ** 2 + (ax * by - ay * bx) ** 2)
    return np.degrees(np.arctan2(across, ax * bx + ay * by + az * bz))


def slerp(a: ArrayLike, b: ArrayLike, share: ArrayLike) -> Array:
    """Point at `share` (0..1, (...)) of the great circle from `a` to `b`, unit vectors (..., 3).

    Between opposite points, where every great circle is shortest, the one through the horizon's turn
    to the right is taken.
    """
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    share = np.asarray(share, dtype=np.float64)[..., None]
    omega = np.radians(angle_between(a, b))[..., None]
    side = b - np.sum(a * b, axis=-1, keepdims=True) * a
    length = np.linalg.norm(side, axis=-1, keepdims=True)
    right = np.stack([a[..., 1], -a[..., 0], np.zeros_like(a[..., 0])], axis=-1)
    right = np.where(np.linalg.norm(right, axis=-1, keepdims=True) > 1e-9, right, [0.0, -1.0, 0.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    # Where a and b coincide the direction of the side does not matter, omega is 0.
    side = np.where(length > 1e-9, side / np.maximum(length, 1e-12), right)
    return np.cos(share * omega) * a + np.sin(share * omega) * side


def vector_mean(vectors: ArrayLike, weights: ArrayLike) -> tuple[Array, Array]:
    """Weighted mean of unit vectors (n, 3) with weights (..., n) >= 0 -> (unit vectors (..., 3), length (...)).

    The length, 0..1, is a confidence: 1 when all weight lies in one direction, 0 when it is spread evenly
    (the direction then is x forward).
    """
    weights = np.asarray(weights, dtype=np.float64)
    total = np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
    mean = weights @ np.asarray(vectors, dtype=np.float64) / total
    length = np.linalg.norm(mean, axis=-1)
    unit = np.where(length[..., None] > 1e-9, mean / np.maximum(length, 1e-12)[..., None], [1.0, 0.0, 0.0])
    return unit, length


def cell_directions(height: int, width: int) -> Array:
    """Centres of the cells of an equirectangular grid as unit vectors, (height, width, 3), float64."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    return directions(*pixel_to_angles(u, v, width, height))


def cell_areas(height: int, width: int) -> Array:
    """Share of the sphere that each cell of an equirectangular grid covers, (height, width), sums to 1."""
    edges = np.sin(np.radians(90.0 - 180.0 * np.arange(height + 1) / height))
    return np.repeat((edges[:-1] - edges[1:])[:, None] / (2 * width), width, axis=1)
