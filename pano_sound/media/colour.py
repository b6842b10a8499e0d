"""Colour: range, matrix, primaries and transfer of a film; and HDR frames as SDR for the network.

The rendered film keeps the source's colours, including HDR10 and HLG: depth, primaries, transfer, matrix and mastering
data are passed through, so that a player shows it like the source. Only the small pictures for analysis are converted
to SDR, because the network was trained on SDR.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

LIMITED, FULL = 1, 2
RGB, BT709, UNSTATED, FCC, BT601_PAL, BT601_NTSC, SMPTE240M = 0, 1, 2, 4, 5, 6, 7
_RESERVED, _BT2020, _DERIVED = 3, 9, 12
_PQ, _HLG = 16, 18

_MATRIX_NAMES = {
    RGB: "RGB",
    BT709: "BT.709",
    FCC: "FCC",
    BT601_PAL: "BT.601",
    BT601_NTSC: "BT.601",
    SMPTE240M: "SMPTE 240M",
    8: "YCgCo",
    _BT2020: "BT.2020",
    10: "BT.2020 with constant luminance",
    11: "SMPTE ST 2085",
    _DERIVED: "a matrix derived from its primaries",
    13: "a matrix derived from its primaries, with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
LUMA_WEIGHTS = {
    BT709: (0.2126, 0.0722),
    UNSTATED: (0.2126, 0.0722),
    FCC: (0.30, 0.11),
    BT601_PAL: (0.299, 0.114),
    BT601_NTSC: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
}
"""Weights of red and blue in Y, for the matrices that FFmpeg can convert."""
_RANGE_NAMES = {LIMITED: "limited range", FULL: "full range"}
_HDR_NAMES = {_PQ: "HDR10 (PQ)", _HLG: "HDR (HLG)"}

# BT.2087: linear BT.2020 to linear BT.709.
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
_WHITE_NITS = 203.0
"""White paper in HDR (BT.2408). It becomes SDR's white, and what is brighter is clipped."""
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2
_DISPLAY_GAMMA = 2.4
_HD_LINES = 720
_MOST_NITS = 10_000


@dataclass(frozen=True)
class Light:
    """HDR10's mastering data. Each field may be missing.

    primaries: CIE x, y of the display's red, green, blue and white (SMPTE ST 2086).
    luminance: its darkest and brightest, cd/m².
    content: the brightest pixel and the brightest average of a picture, cd/m² (MaxCLL, MaxFALL; CTA-861.3).
    """

    primaries: tuple[float, ...] | None = None
    luminance: tuple[float, float] | None = None
    content: tuple[int, int] | None = None


@dataclass(frozen=True)
class Colour:
    """FFmpeg's colour properties, passed to the writer unchanged (0 or 2: not stated)."""

    range: int = 0
    space: int = UNSTATED
    primaries: int = UNSTATED
    transfer: int = UNSTATED
    light: Light | None = None

    @property
    def hdr(self) -> str | None:
        """'HDR10 (PQ)' or 'HDR (HLG)'; None for SDR."""
        return _HDR_NAMES.get(self.transfer)

    @property
    def unreadable(self) -> str | None:
        """The name of the matrix if it cannot be converted, else None."""
        if self.space == RGB or self.space in LUMA_WEIGHTS:
            return None
        return _MATRIX_NAMES.get(self.space, f"an unknown matrix, number {self.space}")

    def __str__(self) -> str:
        words = [self.hdr, _MATRIX_NAMES.get(self.space), _RANGE_NAMES.get(self.range)]
        if self.light and self.light.luminance:
            words.append(f"mastered for {self.light.luminance[1]:g} cd/m²")
        return ", ".join(w for w in words if w) or "not stated"


def colour_of(frame: Any, stream: Any) -> Colour:
    """The colour of a decoded PyAV VideoFrame. PyAV 16 has primaries and transfer only on the stream."""
    context = stream.codec_context
    transfer = getattr(frame, "color_trc", context.color_trc)
    primaries = getattr(frame, "color_primaries", context.color_primaries)
    space = frame.colorspace
    if space == _RESERVED or (space == RGB and not frame.format.is_rgb):
        space = UNSTATED
    elif space == _DERIVED and primaries in (BT709, _BT2020):
        space = primaries  # Derived from these primaries, it is the matrix of the same number.
    return Colour(
        FULL if frame.format.name.startswith("yuvj") else frame.color_range,
        space,
        primaries,
        transfer,
        _light_of(frame) if transfer == _PQ else None,
    )


def _light_of(frame: Any) -> Light | None:
    """From AVMasteringDisplayMetadata (ten fractions, two flags) and AVContentLightMetadata; None without both."""
    mastering = frame.side_data.get(Type.MASTERING_DISPLAY_METADATA)
    content = frame.side_data.get(Type.CONTENT_LIGHT_LEVEL)
    primaries = luminance = None
    if mastering is not None:
        *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", bytes(mastering))
        values = [n / d if d else 0.0 for n, d in zip(numbers[::2], numbers[1::2], strict=True)]
        if has_primaries and all(0 < v < 1 for v in values[:8]):
            primaries = tuple(values[:8])
        if has_luminance and 0 <= values[8] < values[9] <= _MOST_NITS:
            luminance = (values[8], values[9])
    levels = None if content is None else struct.unpack_from("=2I", bytes(content))
    if levels is not None and not 0 < max(levels) < 1 << 16:
        levels = None
    if primaries is None and luminance is None and levels is None:
        return None
    return Light(primaries, luminance, levels)


def matrix_of(colour: Colour, height: int) -> int:
    """The matrix to read YUV with. If none is stated, BT.709 for HD and BT.601 below, as players do."""
    if colour.space not in (RGB, UNSTATED):
        return colour.space
    return BT709 if height >= _HD_LINES else BT601_PAL


def stated(colour: Colour, full_range: bool, matrices: tuple[int, ...] | None) -> Colour:
    """What to convert pictures to, for files that can state only these matrices (None: all), and full range only if
    `full_range`."""
    if not full_range:
        colour = replace(colour, range=LIMITED)
    if matrices is None or colour.space in (UNSTATED, *matrices):
        return colour
    return replace(colour, space=BT601_NTSC if colour.space == BT601_PAL else BT709)


def to_sdr(rgb: NDArray[np.uint8], colour: Colour) -> NDArray[np.uint8]:
    """An RGB picture (h, w, 3), full range, of the given transfer and primaries, as SDR BT.709 shows it.

    PQ (SMPTE ST 2084) and HLG (BT.2100, its display light on a 1000 nit screen) become light; 203 nits, where white
    paper lies in HDR, become white. Pictures of other transfers are returned as they are.
    """
    if colour.hdr is None:
        return rgb
    light = _light(colour.transfer)[rgb]
    if colour.primaries == _BT2020:
        light = light @ _TO_BT709.T
    if colour.transfer == _HLG:
        luminance = light @ np.array([0.2126, 0.7152, 0.0722], np.float32)
        light *= np.maximum(luminance, 1e-6)[..., None] ** np.float32(_HLG_GAMMA - 1)
        light *= np.float32(_HLG_PEAK_NITS / _WHITE_NITS)
    shown = np.clip(light, 0, 1) ** np.float32(1 / _DISPLAY_GAMMA)
    return np.asarray(np.round(shown * 255), np.uint8)


@lru_cache(maxsize=2)
def _light(transfer: int) -> NDArray[np.float32]:
    """Light of each 8-bit value, (256,): of PQ with white paper as 1, of HLG the scene's with its peak as 1."""
    value = np.arange(256) / 255
    if transfer == _PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = value ** (1 / m2)
        nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
        return np.asarray(nits / _WHITE_NITS, np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.asarray(np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12), np.float32)
