"""An ordinary (rectilinear) view into an equirectangular picture: where each output pixel lies in the source,
and the picture sampled there with a correct seam and correct poles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .convention import rotation

Plane = NDArray[Any]
Planes = tuple[Plane, Plane, Plane]

# The map from output to source is smooth, so it is computed at every 4th pixel and interpolated; at every 8th where it
# bends least, far from the poles in a view of many pixels; at every pixel near a pole. Tested to a tenth of a pixel.
COARSE_GRID, GRID = 8, 4
LONG_FOCAL = 300.0
"""Focal length in pixels of a view of many pixels."""
FAR_FROM_POLE, NEAR_POLE = 30.0, 12.0
"""Degrees from a pole."""
SAME_ANGLE = 4
"""Decimals of a degree to which the camera's angles count: a few thousandths of a pixel of an 8K source."""


@dataclass(frozen=True)
class View:
    """A flat picture of `width` x `height` square pixels with a horizontal field of view `hfov` in degrees."""

    width: int
    height: int
    hfov: float

    @classmethod
    def of_longer_side(cls, width: int, height: int, fov: float) -> View:
        """A view whose longer side, across or down, has a field of view of `fov` degrees."""
        if width >= height:
            return cls(width, height, fov)
        return cls(width, height, float(np.degrees(2 * np.arctan(np.tan(np.radians(fov) / 2) * width / height))))

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / float(np.tan(np.radians(self.hfov) / 2))

    @property
    def vfov(self) -> float:
        """Vertical field of view, degrees."""
        return float(np.degrees(2 * np.arctan(self.height / 2 / self.focal)))

    def contains(self, vectors: NDArray[np.floating], yaw: float, pitch: float, roll: float = 0.0) -> NDArray[np.bool_]:
        """Which unit vectors (..., 3) lie inside the picture of this view, (...), when it looks to (yaw, pitch)."""
        seen, focal = vectors @ rotation(yaw, pitch, roll), self.focal
        x, y, z = seen[..., 0], seen[..., 1], seen[..., 2]
        return (x > 0) & (np.abs(y) * focal <= self.width / 2 * x) & (np.abs(z) * focal <= self.height / 2 * x)


Map = tuple[Plane, Plane]
"""Where samples lie: (u, v), float32, (rows, columns), in pixels of a plane of the source (0 = centre of the first
one). u may lie outside the plane by up to a turn: columns wrap round. v reaches half a pixel beyond it."""


def sampling_maps(view: View, yaw: float, pitch: float, roll: float, width: int, height: int) -> tuple[Map, Map]:
    """Where the luma and the chroma samples of the view lie in the planes of a 4:2:0 equirectangular picture with
    `width` x `height` luma samples. Chroma samples lie beside every second luma column, between two luma rows."""
    look, source, grid = (yaw, pitch, roll), (width, height), _grid(view, pitch)
    columns, rows = _grid_points(view.width, grid), _grid_points(view.height, grid)
    half = -(-view.height // 2), -(-view.width // 2)
    if grid == 1:
        luma = _located(view, look, source, columns, rows)
        u, v = _located(view, look, source, columns[::2], rows[::2] + 0.5)
        return luma, (u / 2, (v - np.float32(0.5)) / 2)
    # The points of the chroma plane's grid lie half a luma pixel to the left of those of the luma plane's.
    u, v = _located(view, look, source, np.concatenate([columns[:1] - grid, columns]), rows)
    share = np.float32(0.5 / grid)
    chroma_u, chroma_v = (one[:, 1:] + share * (one[:, :-1] - one[:, 1:]) for one in (u, v))
    return (
        (_spread(u[:, 1:], grid, view.height, view.width), _spread(v[:, 1:], grid, view.height, view.width)),
        (_spread(chroma_u / 2, grid // 2, *half), _spread((chroma_v - np.float32(0.5)) / 2, grid // 2, *half)),
    )


def _grid(view: View, pitch: float) -> int:
    """Every how many pixels the map is computed."""
    half_diagonal = np.degrees(np.arctan(np.hypot(view.width, view.height) / 2 / view.focal))
    from_pole = 90.0 - abs(pitch) - half_diagonal
    if from_pole < NEAR_POLE:
        return 1
    return COARSE_GRID if from_pole > FAR_FROM_POLE and view.focal >= LONG_FOCAL else GRID


def _located(
    view: View,
    look: tuple[float, float, float],
    source: tuple[int, int],
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> Map:
    """Where these columns and rows of the view lie in a plane of (width, height) pixels."""
    (yaw, pitch, roll), (width, height) = look, source
    # Turns are taken relative to the middle of the view, so that none of them jumps inside it.
    r = rotation(0.0, pitch, roll) @ np.diag([view.focal, -1.0, -1.0])
    across, down = columns - (view.width - 1) / 2, rows - (view.height - 1) / 2
    forward, left, up = (
        (r[i, 0] + r[i, 1] * across).astype(np.float32)[None, :] + (r[i, 2] * down).astype(np.float32)[:, None]
        for i in range(3)
    )
    turn = np.arctan2(-left, forward)
    lift = np.arctan2(up, np.sqrt(forward * forward + left * left))
    u = turn * np.float32(width / (2 * np.pi)) + np.float32((yaw / 360.0 + 0.5) * width - 0.5)
    return u, np.float32(height / 2 - 0.5) - lift * np.float32(height / np.pi)


def _grid_points(length: int, grid: int) -> NDArray[np.float64]:
    """Every `grid`-th of `length` positions, where cv2.resize by `grid` expects them, and one beyond each end."""
    if grid == 1:
        return np.arange(length, dtype=np.float64)
    cells = np.arange(-1, -(-length // grid) + 1, dtype=np.float64)
    return grid * (cells + 0.5) - 0.5


def _spread(values: Plane, grid: int, rows: int, columns: int) -> Plane:
    """Values at `_grid_points`, more than one pixel apart -> at every pixel, (rows, columns)."""
    full = cv2.resize(values, (values.shape[1] * grid, values.shape[0] * grid))
    return full[grid : grid + rows, grid : grid + columns]


def sample(plane: Plane, u: Plane, v: Plane, *, smooth: bool = True) -> Plane:
    """One plane of an equirectangular picture at source coordinates (u, v) -> plane of the shape of u.

    Columns wrap round; above the top row the picture goes on half a turn away, as it does on the sphere.
    `smooth` interpolates bicubically, otherwise linearly. uint8, uint16 or float32; one or more channels.
    """
    height, width = plane.shape[:2]
    lowest, highest, _, _ = cv2.minMaxLoc(v)
    if lowest < 1 or highest > height - 3:
        across = np.roll(plane, width // 2, axis=1)
        plane = np.concatenate([across[1::-1], plane, across[:-3:-1]])
        v = v + np.float32(2)
    how = cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    return cv2.remap(plane, u, v, how, borderMode=cv2.BORDER_WRAP)


def render_planes(
    planes: Sequence[Plane], view: View, yaw: float, pitch: float, roll: float = 0.0, bit_depth: int = 8
) -> Planes:
    """A 4:2:0 equirectangular picture seen through `view` -> the planes (Y, U, V) of the flat picture.

    Works on the planes as they are, so colours and bit depth pass through untouched. Chroma samples are taken
    as MPEG-2 and later place them: beside every second luma column, between two luma rows. A source much finer
    than the view is averaged down first, so that nothing aliases.

    Args:
        planes: luma (H, W) and two chroma (ceil(H / 2), ceil(W / 2)), uint8 or uint16.
        bit_depth: how many bits of uint16 are used: a cubic overshoots at sharp edges and is cut there.
    """
    height, width = planes[0].shape
    shrink = int(width / (2 * np.pi) / view.focal)
    if shrink > 1:
        width, height = width // shrink // 2 * 2, height // shrink // 2 * 2
        small = [(width, height), (width // 2, height // 2), (width // 2, height // 2)]
        planes = [cv2.resize(p, s, interpolation=cv2.INTER_AREA) for p, s in zip(planes, small, strict=True)]
    look = (round(angle, SAME_ANGLE) for angle in (yaw, pitch, roll))
    of_luma, of_chroma = _maps_of_latest_look(view, *look, width, height)
    luma = sample(planes[0], *of_luma)
    if luma.dtype == np.uint16:
        np.minimum(luma, np.uint16((1 << bit_depth) - 1), out=luma)
    return luma, sample(planes[1], *of_chroma, smooth=False), sample(planes[2], *of_chroma, smooth=False)


_maps_of_latest_look = lru_cache(maxsize=1)(sampling_maps)
"""Kept while the camera stands still."""
