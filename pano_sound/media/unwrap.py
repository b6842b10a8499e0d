"""Converting stored frames of any supported kind to one eye's full equirectangular sphere, with FFmpeg's filters.

In this order: the picture is mirrored and turned as the file asks for, the left or upper eye is cropped, cubemaps are
unfolded (v360), parts of a sphere are placed in a black sphere, and a tilted sphere is set upright (v360).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from .tags import Spherical

_TURNS = {
    (90, False): (("transpose", "cclock"),),
    (180, False): (("hflip", ""), ("vflip", "")),
    (270, False): (("transpose", "clock"),),
    (0, True): (("copy", ""), ("vflip", "")),
    (90, True): (("transpose", "clock_flip"),),
    (180, True): (("hflip", ""),),
    (270, True): (("transpose", "cclock_flip"),),
}
"""Filters by display rotation and whether the picture is flipped upside down before. vflip alone gives frames that are
stored upside down; after a filter that makes new frames it does not."""
_CUBES = {"cubemap": "c3x2", "eac": "eac"}
_INTERPOLATION = "cubic"
_LIMITED_BLACK = 16

Filters = tuple[tuple[str, str], ...]
"""(name, arguments) of FFmpeg filters in a row."""


@dataclass(frozen=True)
class Unwrapping:
    """How to make a sphere of a stored frame.

    filters: FFmpeg's; none if the stored frame is the sphere.
    width, height: of the sphere, pixels.
    """

    filters: Filters
    width: int
    height: int


def unwrapping(width: int, height: int, rotation: int, mirrored: bool, spherical: Spherical) -> Unwrapping:
    """How to make a sphere of frames of this size.

    The sphere has the source's pixels if possible. An unfolded cube is as wide as four faces, which keeps all detail.

    Args:
        width, height: size of the stored picture, pixels.
        rotation: display rotation, degrees counter-clockwise, a multiple of 90.
        mirrored: whether the picture is flipped upside down before that.
        spherical: what is known about its projection.
    """
    filters = list(_TURNS.get((rotation % 360, mirrored), ()))
    if rotation % 180 == 90:
        width, height = height, width
    if spherical.stereo != "mono":
        width, height = (width // 2, height) if spherical.stereo == "left-right" else (width, height // 2)
        filters.append(("crop", f"{width}:{height}:0:0:exact=1"))
    if spherical.projection in _CUBES:
        layout = _CUBES[spherical.projection]
        width = 4 * max(0, max(width // 3, height // 2) - 2 * spherical.padding)
        height = width // 2
        filters.append(("v360", f"{layout}:e:w={width}:h={height}:interp={_INTERPOLATION}:fin_pad={spherical.padding}"))
    elif any(spherical.missing):
        left, top, right, bottom = spherical.missing
        whole_width, whole_height = _even_from(width / (1 - left - right)), _even_from(height / (1 - top - bottom))
        x = min(2 * round(left * whole_width / 2), whole_width - width)
        y = min(2 * round(top * whole_height / 2), whole_height - height)
        filters.append(("pad", f"{whole_width}:{whole_height}:{x}:{y}:black"))
        width, height = whole_width, whole_height
    if any(spherical.pose):
        # v360 turns the view, so the sphere is turned back with the inverse: negated angles in reverse order.
        yaw, pitch, roll = spherical.pose
        turned = f"yaw={-yaw}:pitch={-pitch}:roll={-roll}:rorder=rpy"
        filters.append(("v360", f"e:e:w={width}:h={height}:interp={_INTERPOLATION}:{turned}"))
    return Unwrapping(tuple(filters), width, height)


class FilterChain:
    """FFmpeg filters, one frame in, one out. Built for the first frame, and again when the kind of frame changes."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._kind: tuple[int, int, str, int, int] | None = None

    def __call__(self, frame: Any) -> Any:
        """A PyAV VideoFrame passed through the filters; the same frame if there are none."""
        if not self._filters:
            return frame
        kind = (frame.width, frame.height, frame.format.name, frame.color_range, frame.colorspace)
        if kind != self._kind:
            self._build(*kind)
            self._kind = kind
        frame.pts, frame.time_base = 0, Fraction(1, 1000)
        self._source.push(frame)
        return self._sink.pull()

    def _build(self, width: int, height: int, pix_fmt: str, light: int, space: int) -> None:
        graph = av.filter.Graph()
        # The value of black depends on the range.
        kind = f"video_size={width}x{height}:pix_fmt={pix_fmt}:range={light}:colorspace={space}"
        self._source = last = graph.add("buffer", f"{kind}:time_base=1/1000")
        for name, arguments in self._filters:
            following = graph.add(name, arguments)
            last.link_to(following)
            last = following
        self._sink = graph.add("buffersink")
        last.link_to(self._sink)
        graph.configure()
        self._graph = graph


def coverage(how: Unwrapping, stored: tuple[int, int], rows: int, columns: int) -> NDArray[np.bool_] | None:
    """Which cells of a sphere's (rows, columns) grid hold any picture; None if all do.

    Args:
        stored: (width, height) of the stored picture, pixels.
    """
    if not any(name == "pad" for name, _ in how.filters):
        return None
    white = av.VideoFrame.from_ndarray(np.full((stored[1], stored[0]), 255, np.uint8), format="gray")
    whole = FilterChain(how.filters)(white).reformat(width=columns, height=rows, format="gray", interpolation="AREA")
    return np.asarray(whole.to_ndarray() > (_LIMITED_BLACK + 255) / 2)


def _even_from(size: float) -> int:
    """The next even number, ignoring rounding errors."""
    return 2 * math.ceil(size / 2 - 1e-3)
