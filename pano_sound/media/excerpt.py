"""Single frames, and the sound around a time, without reading the rest of a film."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .colour import FULL
from .deinterlace import deinterlaced
from .footage import Footage
from .inputs import open_source
from .samples import rechunked, timeline

_EARLY = Fraction(1, 10_000)
"""Seconds by which a frame may come too early: people write rounded times."""


def picture_at(path: str | os.PathLike[str], t: float) -> NDArray[np.uint8]:
    """The frame at presentation time t (s): the first one at or after it, else the last one.

    Returns:
        RGB uint8 (H, W, 3), of the film's size.

    Raises:
        InputError: the file cannot be read, or no picture of it.
    """
    name = os.fspath(path)
    start = Fraction(t) - _EARLY
    found = None
    for footage in (Footage((name,), start=start if start > 0 else None, opening=False), Footage((name,))):
        with open_source(footage) as source:
            stream = source.video
            if stream is None:
                raise InputError("the file has no picture", name)
            stream.thread_type = "AUTO"
            for found in deinterlaced(source.frames(stream)):
                if footage.start is not None or found.pts * stream.time_base >= start:
                    break
        if found is not None:
            return found.to_ndarray(format="rgb24", dst_color_range=FULL)
    raise InputError("no picture can be decoded", name, "the file is damaged or cut short")


def sound_around(path: str | os.PathLike[str], t: float, seconds: float, rate: int) -> NDArray[np.float32]:
    """The sound of a file from t - seconds / 2 to t + seconds / 2 (presentation time, s), cut at its ends.

    Returns:
        mono float32 (samples,) in [-1, 1] at `rate` Hz. All channels are mixed down; ambisonics are not recognised.

    Raises:
        InputError: the file cannot be read, has no sound, or none there.
    """
    begin = Fraction(max(0.0, t - seconds / 2)).limit_denominator(10**6)
    count = round((Fraction(t + seconds / 2) - begin) * rate)
    with open_source(Footage((os.fspath(path),), start=begin or None)) as source:
        if source.audio is None:
            raise InputError("the file has no sound", path)
        blocks = rechunked((piece[0] for piece in timeline(source, rate, "mono", Fraction(0))), count)
        wave = next(blocks, None)
    if wave is None:
        raise InputError(f"there is no sound around {t:.1f} s", path)
    return wave
