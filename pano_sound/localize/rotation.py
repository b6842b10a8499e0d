"""Estimating the camera's rotation between two small grey pictures of the sphere, and undoing it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..sphere.geometry import cell_directions

_ITERATIONS = 3
_STEEPEST = 63.0
"""Degrees of latitude up to which pixels count; beyond, they are too distorted."""
_LARGEST = 0.25
"""Largest plausible rotation about each axis between two pictures, in radians."""
_MARGIN = 16
"""Pixels by which a picture is continued across its seam."""

Grey = NDArray[np.float32]


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
        self._across = np.moveaxis(yaw * width / (2 * np.pi), 0, -1).astype(np.float32)
        self._down = np.moveaxis(-pitch * height / np.pi, 0, -1).astype(np.float32)
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
                self._columns + self._across @ w,
                self._rows + self._down @ w,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def fit(self, before: Grey, after: Grey) -> tuple[NDArray[np.float64], Grey]:
        """The rotation from one picture to the next, radians about each axis (3,), and the second without it."""
        rotation, upright = np.zeros(3), after
        across, down = self._across[::2, ::2], self._down[::2, ::2]
        for _ in range(_ITERATIONS):
            right = (np.roll(upright, -1, 1) - np.roll(upright, 1, 1))[::2, ::2] / 2
            below = np.gradient(upright, axis=0)[::2, ::2]
            change = (upright - before)[::2, ::2]
            change = change - np.median(change)
            slope = (right[..., None] * across + below[..., None] * down).reshape(-1, 3)
            scale = 1.5 * np.median(np.abs(change)) + 1
            weight = (self._weight / np.maximum(np.abs(change) / scale, 1)).ravel()
            weighted = slope * weight[:, None]
            normal = weighted.T @ slope + 1e-3 * weight.sum() * np.eye(3)
            rotation = np.clip(rotation - np.linalg.solve(normal, weighted.T @ change.ravel()), -_LARGEST, _LARGEST)
            upright = self.undo(after, rotation)
        return rotation, upright
