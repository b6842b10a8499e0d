"""How the camera turns: estimated from small grey pictures of the sphere, and undone.

Nothing here changes with a camera that stands still: its orientation is then the identity, exactly.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..sphere.convention import angles
from ..sphere.geometry import cell_directions

_ITERATIONS = 3
_STEEPEST = 63.0
"""Degrees of latitude up to which pixels count; beyond, they are too distorted."""
_LARGEST = 0.25
"""Largest plausible rotation about each axis between two pictures, in radians."""
_MARGIN = 16
"""Pixels by which a picture is continued across its seam."""
_STILL = 0.75
"""Below this median change, in grey levels, the camera is assumed to be still."""
_EXPLAINED = 0.97
"""Share of the median change that a rotation may leave and still be believed. Across a cut, none leaves so little."""
_REFERENCE_FOR = 0.5
"""Seconds for which a picture is the one that later ones are compared with. A shorter time lets errors add up: with 0.2
seconds, one of 13 films that turned by 60° was off by 18°, with 0.5 by 3°, the others by 1°."""

_IDENTITY = np.eye(3)

Grey = NDArray[np.float32]
Matrix = NDArray[np.float64]


class Orientation:
    """How a camera is turned over time.

    A matrix M (3, 3) turns a direction, as a camera that never turned would see it, into the one in the picture:
    `seen = M @ steady`. It holds from its time on. Errors add up, so compare only times that are seconds apart.
    """

    def __init__(self) -> None:
        self._times, self._matrices = array("d"), array("d")

    def add(self, t: float, matrix: Matrix) -> None:
        """Note the orientation from `t` seconds on; later than all before."""
        self._times.append(t)
        self._matrices.extend(matrix.ravel())

    def at(self, t: float) -> Matrix:
        """The orientation at `t` seconds; the identity before the first one noted."""
        return self._matrix(bisect_right(self._times, t) - 1)

    def between(self, begin: float, end: float) -> Matrix:
        """The matrix that turns directions in the picture at `begin` into those at `end`."""
        i, j = (bisect_right(self._times, t) - 1 for t in (begin, end))
        return np.eye(3) if i == j else self._matrix(j) @ self._matrix(i).T

    def _matrix(self, i: int) -> Matrix:
        return np.eye(3) if i < 0 else np.array(self._matrices[9 * i : 9 * i + 9]).reshape(3, 3)


def turned_map(values: NDArray[np.floating], matrix: Matrix) -> Grey:
    """A map of the sphere (rows, columns) whose directions are turned by a matrix: `new = matrix @ old`."""
    if is_identity(matrix):
        return np.asarray(values, np.float32)
    u, v = _turned_cells(*values.shape, matrix.astype(np.float32).tobytes())
    wide = np.concatenate([values[:, -_MARGIN:], values, values[:, :_MARGIN]], axis=1).astype(np.float32)
    return np.asarray(cv2.remap(wide, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def is_identity(matrix: Matrix) -> bool:
    """Whether a matrix (3, 3) turns nothing."""
    return bool((matrix == _IDENTITY).all())


@lru_cache(maxsize=2)
def _turned_cells(rows: int, columns: int, matrix: bytes) -> tuple[Grey, Grey]:
    """Where the cells of a turned map lie in the map as it was, with margins: columns and rows. `matrix`: the bytes of
    a float32 array, because float64 takes three times as long.

    The matrix of a picture is tried on the next one first: the latest two are kept."""
    x, y, z = (_rays(rows, columns) @ np.frombuffer(matrix, np.float32).reshape(3, 3)).T
    u = (np.arctan2(-y, x) / (2 * np.pi) + 0.5) * columns - 0.5 + _MARGIN
    v = (0.5 - np.arcsin(np.clip(z, -1, 1)) / np.pi) * rows - 0.5
    return u.reshape(rows, columns), v.reshape(rows, columns)


def yaw_turned(matrix: Matrix) -> float:
    """By how many degrees a camera turned to the right between two pictures, from the matrix between them."""
    return -float(angles(matrix[:, 0])[0])


@cache
def _rays(rows: int, columns: int) -> Grey:
    """The directions of the cells of a grid, (rows * columns, 3)."""
    return cell_directions(rows, columns).reshape(-1, 3).astype(np.float32)


class Stabilizer:
    """Turns each picture of a film back, so that what stands still in the world stands still in the pictures.

    Args:
        height, width: of the pictures.
        orientation: is filled in with what is found.
    """

    def __init__(self, height: int, width: int, orientation: Orientation) -> None:
        self._derotation = Derotation(height, width)
        self._orientation = orientation
        self.matrix: Matrix = np.eye(3)
        self._latest: Grey | None = None
        # The picture that later ones are compared with: its time, as it came, and turned back.
        self._reference: tuple[float, Grey, Grey] | None = None

    def steady(self, t: float, picture: Grey) -> Grey:
        """The picture at `t` seconds as a camera that never turned would have seen it."""
        before, self._latest = self._latest, picture
        if before is None or self._reference is None:
            self._reference = t, picture, picture
            return picture
        since, as_it_came, reference = self._reference
        change = _change(picture, as_it_came)
        steady = turned_map(picture, self.matrix.T)
        if max(change, _change(picture, before)) > _STILL:
            rotation = self._derotation.fit(reference, steady)
            turn = self.matrix @ cv2.Rodrigues(rotation)[0]
            found = turned_map(picture, turn.T)
            if _change(found, reference) < _EXPLAINED * change:
                self.matrix, steady = turn, found
                self._orientation.add(t, turn)
        if t - since >= _REFERENCE_FOR - 1e-3:
            self._reference = t, picture, steady
        return steady


def _change(a: Grey, b: Grey) -> float:
    """The median change between two pictures, in grey levels."""
    return median(np.abs(a[::2, ::2] - b[::2, ::2]))


def median(values: Grey) -> float:
    """`np.median` of a few thousand numbers, without its checks: they would take longer than the median itself."""
    middle, some_sorted = values.size // 2, values.flatten()
    some_sorted.partition((middle - 1, middle))
    if values.size % 2:
        return float(some_sorted[middle])
    return float((some_sorted[middle - 1] + some_sorted[middle]) / 2)


def slope_down(picture: Grey) -> Grey:
    """`np.gradient` along the columns, without its checks."""
    slope = np.empty_like(picture)
    np.subtract(picture[2:], picture[:-2], out=slope[1:-1])
    slope[1:-1] /= 2
    slope[0], slope[-1] = picture[1] - picture[0], picture[-1] - picture[-2]
    return slope


class Derotation:
    """Estimates rotations between grey pictures of (height, width) pixels, and undoes them.

    The rotation is the robust least-squares fit (Huber weights) of the brightness differences to the flow of a
    rotating sphere, refined in a few Gauss-Newton steps.
    """

    def __init__(self, height: int, width: int) -> None:
        ray = cell_directions(height, width)
        level = np.hypot(ray[..., 0], ray[..., 1])
        usable = level > np.cos(np.radians(_STEEPEST))
        safe = np.maximum(level, 0.2)
        # A small rotation w moves the point p by w x p: in yaw (to the right) and pitch (up), radians per radian.
        x, y, z = ray[..., 0], ray[..., 1], ray[..., 2]
        east = np.stack([y, -x, np.zeros_like(x)], axis=-1) / safe[..., None]
        up = np.stack([-x * z, -y * z, level**2], axis=-1) / safe[..., None]
        moved = np.stack([np.cross(axis, ray) for axis in np.eye(3)])  # (3 axes, h, w, 3)
        yaw = (moved * east).sum(-1) / safe
        pitch = (moved * up).sum(-1)
        # (3 axes, h * w); for the fit, of every other row and column.
        across = (yaw * width / (2 * np.pi)).astype(np.float32)
        down = (-pitch * height / np.pi).astype(np.float32)
        self._across, self._down = across.reshape(3, -1), down.reshape(3, -1)
        self._across_fitted, self._down_fitted = (np.ascontiguousarray(one[:, ::2, ::2]) for one in (across, down))
        self._weight = np.where(usable, level, 0.0).astype(np.float32)[::2, ::2]
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._columns, self._rows = columns + _MARGIN, rows

    def undo(self, picture: Grey, rotation: NDArray[np.float64]) -> Grey:
        """A picture with a rotation undone, radians about each axis (3,)."""
        w = rotation.astype(np.float32)
        wide = np.concatenate([picture[:, -_MARGIN:], picture, picture[:, :_MARGIN]], axis=1)
        return np.asarray(
            cv2.remap(
                wide,
                self._columns + (w @ self._across).reshape(picture.shape),
                self._rows + (w @ self._down).reshape(picture.shape),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def fit(self, before: Grey, after: Grey) -> NDArray[np.float64]:
        """The rotation from one picture to the next, radians about each axis (3,)."""
        rotation = np.zeros(3)
        for iteration in range(_ITERATIONS):
            upright = self.undo(after, rotation) if iteration else after
            odd = upright[::2, -1:], upright[::2, 1::2]
            right = np.concatenate([odd[1][:, :1] - odd[0], np.diff(odd[1], axis=1)], axis=1) / 2
            below = slope_down(upright[:, ::2])[::2]
            change = upright[::2, ::2] - before[::2, ::2]
            change = change - np.float32(median(change))
            slope = (right * self._across_fitted + below * self._down_fitted).reshape(3, -1)
            scale = 1.5 * median(np.abs(change)) + 1
            weight = (self._weight / np.maximum(np.abs(change) / scale, 1)).ravel()
            weighted = slope * weight
            normal = weighted @ slope.T + 1e-3 * weight.sum() * _IDENTITY
            rotation = np.clip(rotation - np.linalg.solve(normal, weighted @ change.ravel()), -_LARGEST, _LARGEST)
        return rotation
