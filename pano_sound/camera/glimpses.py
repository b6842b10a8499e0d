"""Glimpses: the directions a camera may take, and how much each of them would show at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..sphere.convention import angles, directions
from ..sphere.geometry import angle_between, cell_areas, cell_directions, vector_mean
from ..sphere.view import View

PITCHES = (0, 10, -10, 20, -20, 30, -30, 45, -45, 75, -75)


def glimpse_directions(every: float, steepest: float = 75.0) -> NDArray[np.float64]:
    """(yaw, pitch) in degrees of all directions, (n, 2); the first is straight ahead.

    `every` is the distance in yaw. 20° with all pitches gives AUTOCAM's 198 (Su et al. 2016, section 3.2).
    """
    yaws = np.arange(0.0, 360.0, every)
    return np.array([(yaw, pitch) for pitch in PITCHES if abs(pitch) <= steepest for yaw in yaws])


def glimpse_weights(
    looks: NDArray[np.float64], view: View, grid: tuple[int, int], centring: float
) -> NDArray[np.float32]:
    """How much each cell of a map counts in each glimpse: (n, rows * columns) float32, 0..1.

    A cell counts by the share of it that is inside the view (of 3 x 3 points), and by where: 1 in the middle of
    the view, falling to 1 - `centring` at its corners.

    Args:
        looks: (n, 2) yaw and pitch, degrees.
        grid: (rows, columns) of the equirectangular map.
    """
    rows, columns = grid
    points = cell_directions(3 * rows, 3 * columns)
    corner = np.degrees(np.arctan(np.hypot(view.width, view.height) / 2 / view.focal))
    weights = np.empty((len(looks), rows * columns), dtype=np.float32)
    for i, (yaw, pitch) in enumerate(looks):
        off_centre = angle_between(points, directions(yaw, pitch)) / corner if centring else 0.0
        worth = view.contains(points, yaw, pitch) * (1.0 - centring * np.minimum(off_centre, 1.0))
        weights[i] = worth.reshape(rows, 3, columns, 3).mean(axis=(1, 3)).ravel()
    return weights


def glimpse_mass(saliency: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Saliency inside each glimpse: maps (n, rows, columns) and weights (m, cells) -> (n, m) float32.

    Each cell counts by the area of sphere it covers. Right for one source and for several: it never prefers the
    gap between two. It cannot tell apart views that show the same mass; `centring` in the weights does.
    """
    areas = cell_areas(*saliency.shape[1:]).ravel()
    mass = saliency.reshape(len(saliency), -1) * areas.astype(np.float32)
    return mass / mass.sum(axis=1, keepdims=True) @ weights.T


def mean_direction(saliency: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vector mean on the sphere of maps (n, rows, columns) -> yaw and pitch (n, 2) in degrees, length (n,) 0..1.

    Only what stands out of a map counts: half its peak is taken off first. Fails for several sources: it
    points between them (its length then is small).
    """
    rows, columns = saliency.shape[1:]
    above = np.maximum(saliency - 0.5 * saliency.max(axis=(1, 2), keepdims=True), 0.0)
    weights = (above * cell_areas(rows, columns)).reshape(len(saliency), -1)
    mean, length = vector_mean(cell_directions(rows, columns).reshape(-1, 3), weights)
    return np.stack(angles(mean), axis=1), length


def centroid_direction(saliency: NDArray[np.float32]) -> NDArray[np.float64]:
    """The paper's planar mean of pixel positions of maps (n, rows, columns) -> yaw and pitch (n, 2) in degrees.

    Kept for comparison: a source near the seam is drawn towards the middle, and so is any source by a floor.
    """
    rows, columns = saliency.shape[1:]
    share = saliency / saliency.sum(axis=(1, 2), keepdims=True)
    u = (share.sum(axis=1) * (np.arange(columns) + 0.5)).sum(axis=1) / columns
    v = (share.sum(axis=2) * (np.arange(rows) + 0.5)).sum(axis=1) / rows
    return np.stack([(u - 0.5) * 360.0, (0.5 - v) * 180.0], axis=1)
