"""Scaling stored frames down to the sizes that analysis needs: the whole sphere, equirectangular."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from .colour import BT601_PAL, BT709, FULL, Colour, matrix_of, to_sdr
from .info import VideoInfo
from .tags import Spherical
from .unwrap import FilterChain, unwrapping

_ROWS_EACH = 4
"""Source rows averaged per row of a grey picture; more would only cost time."""


class Shrink:
    """Scales frames of one film down."""

    def __init__(self, video: VideoInfo, spherical: Spherical) -> None:
        self._video, self._spherical = video, spherical
        self._how = unwrapping(video.width, video.height, video.rotation, video.mirrored, spherical)
        self._unwrap = FilterChain(self._how.filters)
        self._unwrap_small: dict[tuple[int, int], FilterChain] = {}
        # A frame's own `reformat` would compute the tables of scaling again for each frame.
        self._scale = VideoReformatter()

    def rgb(self, frame: Any, colour: Colour, width: int, height: int) -> NDArray[np.uint8]:
        """uint8 RGB (height, width, 3), as SDR shows it."""
        stored = self._video.width, self._video.height
        if self._how.filters and (frame.width, frame.height) != stored:
            frame = frame.reformat(width=stored[0], height=stored[1])
        matrix = matrix_of(colour, self._how.height)
        small: Any = self._scale.reformat(
            self._unwrap(frame),
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=None if frame.format.is_rgb else matrix,
            # Irrelevant for RGB, but if nothing differs PyAV 16 ignores the source's matrix and range.
            dst_colorspace=None if frame.format.is_rgb else BT601_PAL if matrix == BT709 else BT709,
            src_color_range=colour.range or None,
            dst_color_range=FULL,
        )
        rows = np.frombuffer(small.planes[0], np.uint8).reshape(height, -1)
        return to_sdr(rows[:, : width * 3].reshape(height, width, 3), colour)

    def grey(self, frame: Any, width: int, height: int) -> NDArray[np.uint8]:
        """uint8 (height, width): luma, as it is stored."""
        if not self._how.filters:
            return _luma(frame, width, height)
        # Small first, then unwrapped: a cube that nobody looks at closely need not be unfolded at full size.
        scale = 2 * width / self._how.width
        small = max(2, round(frame.width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)
        if small not in self._unwrap_small:
            how = unwrapping(*small, self._video.rotation, self._video.mirrored, self._spherical)
            self._unwrap_small[small] = FilterChain(how.filters)
        import av

        shrunk = av.VideoFrame.from_ndarray(_luma(frame, *small), format="gray")
        return _luma(self._unwrap_small[small](shrunk), width, height)


class StoredPicture:
    """A picture of a film as the decoder gave it.

    t: presentation time in seconds.
    frame: PyAV's.
    """

    __slots__ = ("_colour", "_shrink", "frame", "t")

    def __init__(self, t: Fraction, frame: Any, colour: Colour, shrink: Shrink) -> None:
        self.t, self.frame = t, frame
        self._colour, self._shrink = colour, shrink

    def rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        """The sphere of one eye as RGB, uint8 (height, width, 3); of HDR films as SDR shows it."""
        return self._shrink.rgb(self.frame, self._colour, width, height)

    def grey(self, width: int, height: int) -> NDArray[np.uint8]:
        """The sphere of one eye in luma, uint8 (height, width)."""
        return self._shrink.grey(self.frame, width, height)


def luma(frame: Any) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], int]:
    """A frame's luma as it is stored, (height, width), and by how many bits its values are longer than 8 bits."""
    plane, component = frame.planes[0], frame.format.components[0]
    packed = frame.format.is_rgb or (len(frame.planes) == 1 and len(frame.format.components) > 1)
    if packed or plane.line_size <= 0 or component.bits > 16:
        return luma(frame.reformat(format="gray"))
    kind = np.uint8 if component.bits <= 8 else np.uint16
    rows: Any = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
    # Semi-planar formats such as p010 keep their bits at the top.
    at_the_top = frame.format.name[:2] in ("p0", "p2", "p4")
    return rows, 0 if component.bits <= 8 else 8 if at_the_top else component.bits - 8


def _luma(frame: Any, width: int, height: int) -> NDArray[np.uint8]:
    """The luma of a frame, scaled."""
    rows, shift = luma(frame)
    skip = max(1, len(rows) // (height * _ROWS_EACH))
    small: Any = cv2.resize(np.asarray(rows[skip // 2 :: skip]), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small >> shift, np.uint8)
