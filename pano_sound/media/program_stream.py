"""Times of the pictures of MPEG program streams.

A packet of such a stream states the time of the first picture that begins in it; FFmpeg guesses those of the others.
Where a packet ends in the headers before a picture, FFmpeg gives that picture the time of another, and guesses wrongly
from there on. So pictures are counted here from one stated time to the next.
"""

from __future__ import annotations

from typing import Any

_FORMATS = {"mpeg"}
_CODECS = {"mpeg1video", "mpeg2video"}
_NEAR = 8
"""A stated time that is at most this many pictures off may be another picture's."""
_CONFIRMED = 2
"""So many further times that are as far off confirm one."""


def is_counted(format_name: str, codec: str) -> bool:
    """Whether FFmpeg guesses times of the pictures of such files."""
    return format_name in _FORMATS and codec in _CODECS


class PictureCount:
    """Settles the times of a stream's pictures, in order of presentation. Each lasts as long as FFmpeg says.

    A stated time that is a few pictures off is believed once the next two confirm it; one that is far away at once.
    """

    def __init__(self) -> None:
        self._next: int | None = None
        self._off = self._alike = 0

    def forget_guess(self, packet: Any) -> None:
        """Remove the times of a packet if they are guessed. The first ones are kept: nothing else is known then."""
        if self._next is not None and (packet.pos is None or packet.pos < 0):
            packet.pts = packet.dts = None

    def settle(self, frame: Any) -> None:
        """Set the time of the next picture."""
        if self._next is not None:
            frame.pts = self._settled(frame.pts, frame.duration or 0, self._next)
        if frame.pts is not None:
            self._next = frame.pts + frame.duration if frame.duration else None

    def _settled(self, stated: int | None, length: int, counted: int) -> int:
        if stated is None:
            return counted
        off = stated - counted
        doubtful = length < 2 * abs(off) <= 2 * _NEAR * length
        self._alike = self._alike + 1 if 2 * abs(off - self._off) <= length else 0
        self._off = off
        return counted if doubtful and self._alike < _CONFIRMED else stated
