"""Footage straight from a 360° camera, before any software has made a sphere of it: told by name and by look."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RAW = {
    ".360": ("GoPro's own 360° format", "GoPro Player or GoPro Quik"),
    ".insv": ("Insta360's own 360° format", "Insta360 Studio"),
    ".osv": ("DJI's own 360° format", "DJI Studio"),
    ".qoo": ("Kandao's own 360° format", "QooCam Studio"),
}
_ROWS = 128
_DARK, _LIT = 24, 40
_OUTSIDE, _INSIDE = 1.08, 0.85
"""Radii, of the circle that fits into a half of the picture, beyond which a fisheye is dark and within which not."""


def raw_format(path: str) -> str | None:
    """What kind of raw file this is and what to do with it, for a film-maker; None for others."""
    what = _RAW.get(os.path.splitext(path)[1].lower())
    if what is None:
        return None
    return f"this is {what[0]}, not stitched yet: export it with {what[1]} as a 360° video (equirectangular, 2:1)"


def looks_like_two_fisheyes(frame: Any) -> bool:
    """Whether a decoded 2:1 picture shows two round lens pictures side by side on black, as raw files do.

    Lenses leave everything outside their circles dark. A stitched sphere has no such shape in it: also with black
    poles there is picture near the half's upright edges.
    """
    if abs(frame.width / max(frame.height, 1) - 2) > 0.1:
        return False
    grey = frame.reformat(width=2 * _ROWS, height=_ROWS, format="gray", interpolation="AREA").to_ndarray()
    return all(_one_lens(half) for half in (grey[:, :_ROWS], grey[:, _ROWS:]))


def _one_lens(grey: NDArray[np.uint8]) -> bool:
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    middle = (_ROWS - 1) / 2
    radius = np.hypot(x - middle, y - middle) / (_ROWS / 2)
    outside, inside = grey[radius > _OUTSIDE], grey[radius < _INSIDE]
    ring = grey[(radius > _INSIDE - 0.1) & (radius < _INSIDE)]
    return bool(np.percentile(outside, 95) < _DARK and np.median(inside) > _LIT and np.median(ring) > _LIT)
