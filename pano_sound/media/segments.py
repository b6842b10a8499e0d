"""Long films in segments, so that several workers can analyse and render one film.

Where they begin and end depends on the film alone, not on who works on it, and is at whole ticks of its pictures'
clock: so that a segment's pictures keep the time stamps that they have in the whole film.
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
"""About how long a segment is."""


@dataclass(frozen=True)
class Segment:
    """What lies between two presentation times of a film, in ticks of its pictures' clock; None: its very begin or
    end, wherever that is."""

    begin: int | None = None
    end: int | None = None

    def holds(self, ticks: int) -> bool:
        return (self.begin is None or ticks >= self.begin) and (self.end is None or ticks < self.end)


WHOLE = Segment()


def segments(info: PannableFilm, seconds: float = SECONDS) -> list[Segment]:
    """A film in segments of about so many seconds (> 0) each; it is whole when it is not longer than two of them, or
    when there is nothing to be read where it should end."""
    if info.duration <= 2 * seconds:
        return [WHOLE]
    base, count = info.video.time_base, round(info.duration / seconds)
    length = Fraction(info.duration) / count
    # Even numbers: a clock that has to be rounded to ticks is then rounded alike in the whole film and in a segment.
    edges = [2 * round((Fraction(info.start) + length * i) / base / 2) for i in range(1, count)]
    try:
        with VideoReader(info.path, part(info, edges[-1] * base, None)) as reader:
            next(reader.pictures())
    except InputError:
        return [WHOLE]
    return [Segment(a, b) for a, b in zip([None, *edges], [*edges, None], strict=True)]


def part(info: M, begin: Fraction | None, end: Fraction | None) -> M:
    """What to read for the part of a film between two of its presentation times (s); None: its very begin or end.

    With a begin, that is time 0 of the part; else times are those of the film.
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
        opening=False,  # What is on the screen then belongs to the part before.
    )
    return replace(info, start=0.0, duration=max(0.0, stop - float(begin)), footage=new)
