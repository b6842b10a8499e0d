"""Recognising unstitched footage of 360° cameras by its name, its tracks and its look."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .info import EXPORT

_RAW = {
    ".360": ("GoPro's own 360° format", "GoPro Player or GoPro Quik"),
    ".insv": ("Insta360's own 360° format", "Insta360 Studio"),
    ".osv": ("DJI's own 360° format", "DJI Studio"),
    ".qoo": ("Kandao's own 360° format", "QooCam Studio"),
}
_HALF_EAC = (3.02, 3.12)
"""Width by height of each of the two tracks of GoPro's .360."""

_WIDTH = 512
"""Frames are scaled to this width to look for lens images."""
_SHAPES = (1.6, 2.1)
"""Width by height of pictures that hold two of them side by side: 16:9 (Theta S) to 2:1 (Gear 360, Theta V)."""
_RADII = np.arange(0.86, 1.1, 0.03)
"""Radii of the circles to try, in quarters of the width."""
_SHIFTS = (-0.03, 0.0, 0.03)
"""Shifts of their centres towards each other to try, in the same unit."""
_SECTORS = 96
_INSIDE, _OUTSIDE = (0.88, 0.92, 0.96), (1.04, 1.07, 1.11)
"""At which shares of its radius a circle's inside and outside are compared."""
_LEVELS = 5
"""Least brightness above black, of 255, of what is lit, and most of what is dark."""
_BLACK = 40
"""Of 255; if the darkest parts are brighter than this, there is no black around lenses."""
_ENOUGH = 0.18
"""Share of the rim at which light must end in black. Real spheres, also at night or with black poles, stay below
0.13."""
_LEAST_SECTORS = 20


def raw_format(path: str) -> str | None:
    """What kind of raw file this is and what to do with it, for a film-maker; None for others."""
    what = _RAW.get(os.path.splitext(path)[1].lower())
    if what is None:
        return None
    return f"this is {what[0]}, not stitched yet: export it with {what[1]} as a 360° video (equirectangular, 2:1)"


def raw_tracks(sizes: Sequence[tuple[int, int]]) -> str | None:
    """What kind of raw file has video tracks of these (width, height), and what to do with it; None for others."""
    shapes = [width / max(height, 1) for width, height in sizes]
    if any(_HALF_EAC[0] <= shape <= _HALF_EAC[1] for shape in shapes):
        what = f"these are halves of {_RAW['.360'][0]}, not stitched yet"
        return f"{what}: export it with {_RAW['.360'][1]} as a 360° video (equirectangular, 2:1)"
    if len(sizes) > 1 and len(set(sizes)) == 1 and 0.95 <= shapes[0] <= 1.05:
        return f"each lens has a video track of its own, not stitched yet: {EXPORT}"
    return None


def looks_like_two_fisheyes(frame: Any) -> bool:
    """Whether a frame shows two round lens images side by side on black, as unstitched files do.

    All around a lens image light ends in black at the same distance from its centre; a sphere goes on there, also at
    night and with black poles. Circles of several sizes and places are tried. In a frame without light nothing is
    found.
    """
    shape = frame.width / max(frame.height, 1)
    if not _SHAPES[0] <= shape <= _SHAPES[1]:
        return False
    rows = round(_WIDTH / shape)
    grey = frame.reformat(width=_WIDTH, height=rows, format="gray", interpolation="AREA").to_ndarray()
    black = int(np.percentile(grey, 2))
    if black > _BLACK:
        return False
    places, inside = _rims(rows)
    level = grey.ravel()[places].astype(np.float32)
    within, beyond = inside[..., :3, :], inside[..., 3:, :]
    lit = np.where(within, level[..., :3, :], 255).min(-2) > black + _LEVELS
    dark = np.where(beyond, level[..., 3:, :], 0).max(-2) < black + _LEVELS
    seen = (beyond.sum(-2) >= 2) & within.any(-2)
    sectors = seen.sum(-1)
    ends, goes_on = (seen & lit & dark).sum(-1), (seen & ~dark).sum(-1)
    share = np.where(sectors >= _LEAST_SECTORS, (ends - 3 * goes_on) / np.maximum(sectors, 1), -1)
    return bool(share.min(axis=1).max() > _ENOUGH)


@functools.lru_cache
def _rims(rows: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where to compare: (pairs of circles, 2, radii, sectors) places in a flattened picture, and whether they are in
    that lens's half of it."""
    half, angle = _WIDTH // 2, (np.arange(_SECTORS) + 0.5) / _SECTORS * 2 * np.pi
    heights = {rows / 2} if rows <= 1.05 * half else {rows / 2, half / 2, rows - half / 2}
    places, inside = [], []
    for radius in _RADII * half / 2:
        rim = radius * np.array(_INSIDE + _OUTSIDE)[:, None]
        for y_middle in heights:
            for shift in _SHIFTS:
                for lens in (0, 1):
                    x_middle = (lens + 0.5) * half + (1 - 2 * lens) * shift * half / 2
                    x = np.floor(x_middle + rim * np.cos(angle)).astype(np.int64)
                    y = np.floor(y_middle - rim * np.sin(angle)).astype(np.int64)
                    inside.append((x >= lens * half) & (x < (lens + 1) * half) & (y >= 0) & (y < rows))
                    places.append(np.clip(y, 0, rows - 1) * _WIDTH + np.clip(x, 0, _WIDTH - 1))
    shape = (-1, 2, len(_INSIDE + _OUTSIDE), _SECTORS)
    return np.array(places).reshape(shape), np.array(inside).reshape(shape)
