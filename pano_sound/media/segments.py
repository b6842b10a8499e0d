"""Dividing long films into segments, so that several workers can analyse and render one film.

Boundaries depend on the film alone and are whole ticks of its video clock, so that frames keep the time stamps that
they have in the whole film.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from ..errors import InputError
from .info import MediaInfo, PannableFilm
from .reader import VideoReader

M = TypeVar("M", bound=MediaInfo)

SECONDS = 120.0
"""Approximate length of a segment."""


@dataclass(frozen=True)
class Segment:
    """The part between two presentation times, in ticks of the video clock; None: the film's own beginning or end."""

    begin: int | None = None
    end: int | None = None

    def holds(self, ticks: int) -> bool:
        return (self.begin is None or ticks >= self.begin) and (self.end is None or ticks < self.end)


WHOLE = Segment()


def segments(info: PannableFilm, seconds: float = SECONDS) -> list[Segment]:
    """A film in segments of about this many seconds (> 0). It stays whole if it is not longer than two, or if nothing
    can be read near its end."""
    if info.duration <= 2 * seconds:
        return [WHOLE]
    base, count = info.video.time_base, round(info.duration / seconds)
    length = Fraction(info.duration) / count
    # Even numbers: a clock that has to be rounded to ticks is then rounded the same in the film and in a segment.
    edges = [2 * round((Fraction(info.start) + length * i) / base / 2) for i in range(1, count)]
    try:
        with VideoReader(part(info, edges[-1] * base, None)) as reader:
            next(reader.pictures())
    except InputError:
        return [WHOLE]
    return [Segment(a, b) for a, b in zip([None, *edges], [*edges, None], strict=True)]


def part(info: M, begin: Fraction | None, end: Fraction | None, opening: bool = False) -> M:
    """What to read for the part of a film between two of its presentation times (s); None: its own beginning or end.

    With `begin`, times of the part count from there; else they are those of the film.

    `opening`: whether the frame on the screen at `begin`, which belongs to the part before, is read, too.
    """
    footage = info.footage
    stop = info.start + info.duration if end is None else min(float(end), info.start + info.duration)
    if begin is None:
        new = replace(footage, end=footage.end if end is None else footage.origin + end)
        return replace(info, duration=max(0.0, stop - info.start), footage=new)
    new = replace(
        footage,
        start=footage.origin + begin,
        end=footage.end if end is None else footage.origin + end,
        opening=opening,
    )
    return replace(info, start=0.0, duration=max(0.0, stop - float(begin)), footage=new)
