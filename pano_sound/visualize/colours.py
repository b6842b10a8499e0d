"""Colours for drawing into a film: in its own matrix, range and depth, and no brighter than white paper in HDR."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media.colour import FULL, LUMA_WEIGHTS, Colour
from ..sphere.view import Plane

# SDR's white has this value in HDR (BT.2408); more would dazzle.
_HDR_WHITE = {"HDR10 (PQ)": 0.58, "HDR (HLG)": 0.75}


def heat_colours() -> NDArray[np.uint8]:
    """256 colours from improbable to probable, BGR (256, 3)."""
    # From violet over pink to yellow: little footage is so coloured. Without the dark end, which would read as shadow.
    shades = np.linspace(70, 255, 256).round().astype(np.uint8)[None]
    colours: NDArray[np.uint8] = cv2.applyColorMap(shades, cv2.COLORMAP_PLASMA)[0]
    return colours


def in_film(bgr: NDArray[np.uint8], bit_depth: int, colour: Colour) -> tuple[Plane, ...]:
    """BGR (..., 3), 0..255, as a film's Y, U and V, each (...): uint8, or uint16 of `bit_depth` bits."""
    white = _HDR_WHITE.get(colour.hdr or "", 1.0)
    b, g, r = np.moveaxis(bgr.astype(np.float32) / 255 * white, -1, 0)
    red, blue = LUMA_WEIGHTS[colour.space]
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    luma, chroma, base = (255, 255, 0) if colour.range == FULL else (219, 224, 16)
    scale = 1 << (bit_depth - 8)
    kind: Any = np.uint8 if bit_depth == 8 else np.uint16
    planes = (base + luma * y, 128 + chroma * u, 128 + chroma * v)
    return tuple(np.clip(np.round(plane * scale), 0, 256 * scale - 1).astype(kind) for plane in planes)
