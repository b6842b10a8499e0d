"""One picture of a film, and the sound around it, without reading the rest."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .inputs import Source, open_source
from .sound import rechunked, timeline

_FULL_RANGE = 2
_BEFORE = 1
"""Seconds that sound is read from before it is wanted: codecs need a few packets to settle."""


def picture_at(path: str | os.PathLike[str], t: float) -> NDArray[np.uint8]:
    """The picture of a film at presentation time t (s): the first one at or after it, else the last one.

    Returns:
        RGB uint8 (H, W, 3), of the film's size.

    Raises:
        InputError: the file cannot be read, or no picture of it.
    """
    with open_source(path) as source:
        stream = source.video
        if stream is None:
            raise InputError("the file has no picture", path)
        stream.thread_type = "AUTO"
        _seek(source, stream, Fraction(t))
        found = None
        for found in source.frames(stream):
            if found.pts is not None and (found.pts - source.ticks(stream)) * stream.time_base >= t - 1e-4:
                break
        if found is None:
            raise InputError("no picture can be decoded", path, "the file is damaged or cut short")
        return found.to_ndarray(format="rgb24", dst_color_range=_FULL_RANGE)


def sound_around(path: str | os.PathLike[str], t: float, seconds: float, rate: int) -> NDArray[np.float32]:
    """The sound of a file from t - seconds / 2 to t + seconds / 2 (presentation time, s), cut at its ends.

    Returns:
        mono float32 (samples,) in [-1, 1] at `rate` Hz. All channels are mixed down, as ordinary films want it;
        ambisonics are not told apart.

    Raises:
        InputError: the file cannot be read, has no sound, or none there.
    """
    begin = Fraction(max(0.0, t - seconds / 2)).limit_denominator(10**6)
    count = round((Fraction(t + seconds / 2) - begin) * rate)
    with open_source(path) as source:
        if source.audio is None:
            raise InputError("the file has no sound", path)
        _seek(source, source.audio, begin - _BEFORE)
        blocks = rechunked((piece[0] for piece in timeline(source, rate, "mono", begin)), count)
        wave = next(blocks, None)
    if wave is None:
        raise InputError(f"there is no sound around {t:.1f} s", path)
    return wave


def _seek(source: Source, stream: Any, t: Fraction) -> None:
    """Go on reading at or before presentation time t; from the beginning where the file does not allow it."""
    if t <= 0:
        return
    try:
        source.container.seek(int((t + source.shift) / stream.time_base), stream=stream)
    except av.FFmpegError:
        source.container.seek(0)
