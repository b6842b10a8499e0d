"""Candidate directions of the camera, what a view in each of them holds, and where in the view the source is.

There are three signals:

    glimpse     probability inside each view. Right for one source and for several: it never prefers the gap between
                two. Views that hold the same probability are told apart by centring only.
    mean        vector mean on the sphere. Exact for one source, also at the seam and near the poles. Of several it
                points between them; its length, which weighs the map's probability, is small then: the camera holds.
    centroid    mean of pixel positions, weighted by saliency (Senocak et al., section 6). Good for one source near
                the middle of the picture. A source at the seam is drawn to the middle (180° becomes 0°), so is any
                by a floor of saliency, and several become the place between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..sphere.convention import angles, angles_to_pixel, directions
from ..sphere.geometry import cell_areas, cell_directions, vector_mean
from ..sphere.view import View

PITCHES = (0, 10, -10, 20, -20, 30, -30, 45, -45, 75, -75)
COARSE = (30, 60)
"""Finer maps are pooled to this grid: cells of 6° are fine enough, half the width of a typical source."""


def autocam_directions() -> NDArray[np.float64]:
    """AUTOCAM's 198 (yaw, pitch) in degrees, (198, 2): every 20° in yaw (Su et al. 2016, section 3.2)."""
    return np.array([(yaw, pitch) for pitch in PITCHES for yaw in np.arange(0.0, 360.0, 20.0)])


def even_directions(every: float, steepest: float) -> NDArray[np.float64]:
    """(yaw, pitch) in degrees, (n, 2), about `every` degrees apart, up to `steepest`; the first is straight ahead."""
    rows = np.arange(0.0, steepest + 1e-6, every)
    looks = []
    for pitch in sorted({*rows, *-rows}, key=lambda p: (abs(p), -p)):
        count = max(round(360.0 / every * np.cos(np.radians(pitch))), 1)
        looks += [(360.0 * i / count, pitch) for i in range(count)]
    return np.array(looks)


def pool(posterior: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps (n, rows, columns), pooled to at most COARSE cells by summing blocks."""
    n, rows, columns = posterior.shape
    down, across = max(rows // COARSE[0], 1), max(columns // COARSE[1], 1)
    if rows % down or columns % across or down * across == 1:
        return posterior
    # Adding strided slices is several times as fast as summing over block axes.
    blocks = np.zeros((n, rows // down, columns // across), np.float32)
    for i in range(down):
        for k in range(across):
            blocks += posterior[:, i::down, k::across]
    return blocks


def glimpse_weights(
    looks: NDArray[np.float64], view: View, cells: NDArray[np.float64], centring: float
) -> NDArray[np.float32]:
    """How much each cell of a map counts in each glimpse: (n, rows * columns) float32, 0..1.

    A cell counts with its share inside the view (of 3 x 3 points), weighted from 1 in the middle of the view to 1 -
    `centring` at its corners.

    Args:
        looks: (n, 2) yaw and pitch, degrees.
        cells: (3 * rows, 3 * columns, 3), unit vectors to those points.
    """
    high, wide = cells.shape[:2]
    points = cells.reshape(-1, 3)
    corner = np.arctan(np.hypot(view.width, view.height) / 2 / view.focal)
    weights = np.empty((len(looks), high * wide // 9), dtype=np.float32)
    for i, (yaw, pitch) in enumerate(looks):
        worth = view.contains(points, yaw, pitch).astype(np.float32)
        if centring:
            off_centre = np.arccos(np.clip(points @ directions(yaw, pitch), -1.0, 1.0)) / corner
            worth *= 1.0 - centring * np.minimum(off_centre, 1.0)
        weights[i] = worth.reshape(high // 3, 3, wide // 3, 3).mean(axis=(1, 3)).ravel()
    return weights


def mean_direction(saliency: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vector mean on the sphere of maps (n, rows, columns) -> yaw and pitch (n, 2) in degrees, length (n,) 0..1.

    Only the peaks of a map count: half its maximum is subtracted first.
    """
    rows, columns = saliency.shape[1:]
    above = np.maximum(saliency - 0.5 * saliency.max(axis=(1, 2), keepdims=True), 0.0)
    weights = (above * cell_areas(rows, columns)).reshape(len(saliency), -1)
    mean, length = vector_mean(cell_directions(rows, columns).reshape(-1, 3), weights)
    return np.stack(angles(mean), axis=1), length


def centroid_direction(saliency: NDArray[np.float32]) -> NDArray[np.float64]:
    """The paper's planar mean of pixel positions of maps (n, rows, columns) -> yaw and pitch (n, 2) in degrees."""
    rows, columns = saliency.shape[1:]
    share = saliency / np.maximum(saliency.sum(axis=(1, 2), keepdims=True), 1e-30)
    u = (share.sum(axis=1) * (np.arange(columns) + 0.5)).sum(axis=1) / columns
    v = (share.sum(axis=2) * (np.arange(rows) + 0.5)).sum(axis=1) / rows
    return np.stack([(u - 0.5) * 360.0, (0.5 - v) * 180.0], axis=1)


def as_points(looks: NDArray[np.float64], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Maps (n, rows, columns) with all their saliency in the cell at yaw and pitch (n, 2)."""
    rows, columns = grid
    u, v = angles_to_pixel(looks[:, 0], looks[:, 1], columns, rows)
    maps = np.zeros((len(looks), rows, columns), np.float32)
    column = np.floor(u + 0.5).astype(int) % columns
    maps[np.arange(len(looks)), np.clip(np.floor(v + 0.5).astype(int), 0, rows - 1), column] = 1.0
    return maps


def refine(
    posterior: NDArray[np.float32], weights: NDArray[np.float32], cells: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Locate each map's probability within its glimpse, by one step of mean shift on the sphere.

    Args:
        posterior: (n, rows, columns) float32, probability of each cell.
        weights: (n, rows * columns), of each map's glimpse.
        cells: (rows * columns, 3), unit vectors.

    Returns:
        Unit vectors (n, 3), and the root mean square distance from them, (n,) degrees. For a map that is empty inside
        its glimpse, x forward and 0.
    """
    areas = cell_areas(*posterior.shape[1:]).ravel().astype(np.float32)
    seen = posterior.reshape(len(posterior), -1) / areas * weights
    # A quarter of the peak is subtracted: an even floor around the look would pull the result to the look.
    # Above half the peak all values count the same, because of two similar sources now one is stronger and now the
    # other.
    seen = np.clip(seen / np.maximum(seen.max(axis=1, keepdims=True), 1e-30), 0.25, 0.5) - 0.25
    seen *= areas
    mean, length = vector_mean(cells, seen)
    spread = np.degrees(np.sqrt(np.maximum(2.0 * (1.0 - length), 0.0)))
    return mean, np.where(seen.any(axis=1), spread, 0.0)
