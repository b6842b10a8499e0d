"""Keeping the view on the picture where footage covers only a part of the sphere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def kept_inside(samples: NDArray[np.float64], covers: Any, aspect: float) -> tuple[NDArray[np.float64], frozenset[int]]:
    """Keep the view of a camera path inside the picture's edges, if the picture is wide and high enough.

    Otherwise the view is centred. Exact for the middles of the view's sides; when it looks up or down, corners can
    reach further.

    Args:
        samples: (n, 5) t, yaw, pitch, roll, hfov; degrees.
        covers: yaw of the left and right edge, pitch of the lower and upper one, degrees; None for a whole sphere.
        aspect: width of the view divided by its height.

    Returns:
        The samples, and the indices of those to cut to: where the path goes through what is not filmed, from one edge
        of the picture to the other.
    """
    if not (isinstance(covers, list) and len(covers) == 4 and all(_is_angle(c) for c in covers)):
        return samples, frozenset()
    left, right, bottom, top = covers
    inside, jumps = samples.copy(), np.empty(0, int)
    wide = inside[:, 4] / 2
    high = np.degrees(np.arctan(np.tan(np.radians(wide)) / aspect))
    if right - left < 360:
        inside[:, 1] = _between(inside[:, 1], left + wide, right - wide)
        jumps = 1 + np.flatnonzero((np.abs(np.diff(samples[:, 1])) > 180.0) & (np.diff(inside[:, 1]) != 0.0))
    lowest = bottom + high if bottom > -90 else np.full_like(high, -90.0)
    highest = top - high if top < 90 else np.full_like(high, 90.0)
    inside[:, 2] = _between(inside[:, 2], lowest, highest)
    return inside, frozenset(jumps.tolist())


def _is_angle(value: Any) -> bool:
    return isinstance(value, (int, float)) and -180 <= value <= 180


def _between(angle: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = (low + high) / 2
    return np.clip(angle, np.where(low > high, middle, low), np.where(low > high, middle, high))
