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
        x, y, z = np.moveaxis(vectors @ rotation(yaw, pitch, roll), -1, 0)
        inside_x = np.abs(y) * self.focal <= self.width / 2 * x
        return (x > 0) & inside_x & (np.abs(z) * self.focal <= self.height / 2 * x)


def sampling_map(
    view: View,
    yaw: float,
    pitch: float,
    roll: float,
    source_width: int,
    source_height: int,
    *,
    first: tuple[float, float] = (0.0, 0.0),
    pitch_px: int = 1,
) -> tuple[Plane, Plane]:
    """Where each pixel of the view lies in a `source_width` x `source_height` equirectangular picture.

    Samples lie at output pixel coordinates `first + pitch_px * (column, row)`: the default is every pixel;
    chroma planes start elsewhere and go in steps of 2.

    Returns:
        (u, v), float32, (rows, columns) in source pixel coordinates (0 = centre of the first pixel). u may lie
        outside 0..source_width - 1 by up to a turn: columns wrap round. v lies in [-0.5, source_height - 0.5].
    """
    columns, rows = -(-view.width // pitch_px), -(-view.height // pitch_px)
    half_diagonal = np.degrees(np.arctan(np.hypot(view.width, view.height) / 2 / view.focal))
    from_pole = 90.0 - abs(pitch) - half_diagonal
    grid = COARSE_GRID if from_pole > FAR_FROM_POLE and view.focal >= LONG_FOCAL * pitch_px else GRID
    if from_pole < NEAR_POLE:
        grid = 1
    x = first[0] + pitch_px * _grid_points(columns, grid) - (view.width - 1) / 2
    y = first[1] + pitch_px * _grid_points(rows, grid) - (view.height - 1) / 2
    r = (rotation(yaw, pitch, roll) @ np.diag([view.focal, -1.0, -1.0])).astype(np.float32)
    across, down = x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]
    forward, left, up = (r[i, 0] + r[i, 1] * across + r[i, 2] * down for i in range(3))
    # Turns are taken relative to the middle of the view, so that none of them jumps inside it.
    middle = np.radians(yaw)
    cos, sin = np.float32(np.cos(middle)), np.float32(np.sin(middle))
    turn = np.arctan2(-left * cos - forward * sin, forward * cos - left * sin)
    lift = np.arctan2(up, np.hypot(forward, left))
    u = (turn + np.float32(middle + np.pi)) * np.float32(source_width / (2 * np.pi)) - np.float32(0.5)
    v = np.float32(source_height / 2 - 0.5) - lift * np.float32(source_height / np.pi)
    if grid == 1:
        return u, v
    full = (u.shape[1] * grid, u.shape[0] * grid)
    inner = np.s_[grid : grid + rows, grid : grid + columns]
    return cv2.resize(u, full)[inner], cv2.resize(v, full)[inner]


def _grid_points(length: int, grid: int) -> NDArray[np.float64]:
    """Every `grid`-th of `length` positions, where cv2.resize by `grid` expects them, and one beyond each end."""
    if grid == 1:
        return np.arange(length, dtype=np.float64)
    cells = np.arange(-1, -(-length // grid) + 1, dtype=np.float64)
    return grid * (cells + 0.5) - 0.5


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
    luma_map, chroma_map = _maps(view, *(round(angle, SAME_ANGLE) for angle in (yaw, pitch, roll)), width, height)
    luma = sample(planes[0], *luma_map)
    if luma.dtype == np.uint16:
        np.minimum(luma, np.uint16((1 << bit_depth) - 1), out=luma)
    return luma, sample(planes[1], *chroma_map, smooth=False), sample(planes[2], *chroma_map, smooth=False)


@lru_cache(maxsize=1)
def _maps(
    view: View, yaw: float, pitch: float, roll: float, width: int, height: int
) -> tuple[tuple[Plane, Plane], tuple[Plane, Plane]]:
    """Where luma and chroma samples of the view lie in the source's planes; kept while the camera stands still."""
    u, v = sampling_map(view, yaw, pitch, roll, width, height, first=(0.0, 0.5), pitch_px=2)
    return sampling_map(view, yaw, pitch, roll, width, height), (u / 2, (v - np.float32(0.5)) / 2)
