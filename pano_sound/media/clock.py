"""Clocks that restart or jump inside a file: concatenated transport streams, discontinuities of live streams, recorders
that stalled.

The film goes on where it stopped. Each jump has a shift to add to later times, the same for pictures and sound, and a
byte from which on it applies, which differs between them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

_BACK = 1.0
"""A clock that goes back by more than this many seconds has restarted; less is a repetition or damage."""
_STALL = 10.0
"""The clock has jumped if neither picture nor sound comes for this many seconds."""
_RARE = 10.0
"""In a film without sound, a jump must be this many times longer than any pause before."""
_ALIKE = 5.0
"""Seconds by which the jumps of sound and picture may differ."""
_CONFIRMED = 3
"""At least this many packets must follow the new clock; fewer are damaged time stamps."""
_REORDERED = 64
"""The first or last picture shown is among this many packets in order of decoding."""
_ALWAYS_READ = 64_000_000
"""In files up to this many bytes all times are read; in larger ones only if something is suspicious."""
_LOOKS = 100
_DAMAGED_READS = 100
_RESTARTING = ("mpegts", "mpeg")


@dataclass(frozen=True)
class Jump:
    """Where a clock jumps.

    shift: s to add to a file's times from there on.
    places: (number of a stream, byte from which on its packets are meant).
    since: for a jump forward, times below this one (s) still belong to the old clock, because encoders let decoding
        times follow later; None: a jump back.
    """

    shift: Fraction
    places: tuple[tuple[int, int], ...]
    since: Fraction | None


@dataclass(frozen=True)
class Clock:
    """A file's clock that jumps at least once.

    end: end of the last picture, s by the corrected clock; `pictures`: their number.
    """

    jumps: tuple[Jump, ...]
    end: Fraction
    pictures: int

    def jumps_before(self, stream: int, position: int) -> int:
        """The number of jumps before a stream's packet at this byte of the file."""
        return bisect_right(self._places.get(stream, []), position)

    @cached_property
    def _places(self) -> dict[int, list[int]]:
        places: dict[int, list[int]] = {}
        for jump in self.jumps:
            for stream, position in jump.places:
                places.setdefault(stream, []).append(position)
        return places

    def shift(self, jumps: int, t: Fraction) -> Fraction:
        """The shift (s) of a packet after this many jumps."""
        while jumps:
            since = self.jumps[jumps - 1].since
            if since is None or t >= since:
                return self.jumps[jumps - 1].shift
            jumps -= 1
        return Fraction(0)


@dataclass(frozen=True)
class _Track:
    """A stream's packets in the order of the file: int64 (n,) each, times in ticks of `time_base`."""

    index: int
    time_base: Fraction
    order: NDArray[np.int64]
    position: NDArray[np.int64]
    dts: NDArray[np.int64]
    pts: NDArray[np.int64]

    @property
    def seconds(self) -> NDArray[np.float64]:
        return np.asarray(self.dts * float(self.time_base))

    @property
    def step(self) -> int:
        """Ticks from one packet to the next."""
        steps = np.diff(self.dts)
        return max(1, int(np.median(steps[steps > 0]))) if (steps > 0).any() else 1


def read_clock(container: Any, video: Any, audio: Any | None, size: int) -> Clock | None:
    """The clock of an open, unread PyAV container; None if it never jumps.

    Args:
        video, audio: the streams that are read.
        size: bytes of the file.
    """
    if not _suspicious(container, video, size):
        return None
    tracks = _tracks(container, [stream for stream in (video, audio) if stream is not None])
    picture, sound = tracks[video.index], tracks.get(audio.index) if audio is not None else None
    if sound is not None and len(sound.dts) == 0:
        sound = None
    heard = [] if sound is None else _jumps(sound)
    found = [place for place in _jumps(picture) if _is_one(picture, sound, place, heard)]
    if not found:
        return None
    jumps: list[Jump] = []
    shift = 0
    for begin, place, end in zip([0, *found], found, [*found[1:], len(picture.dts)], strict=False):
        since, first, start = None, place, max(begin, place - _REORDERED)
        before, after = picture.pts[start:place], picture.pts[place : min(end, place + _REORDERED)]
        if _size(picture, place) > 0:
            since = int(picture.dts[place - 1] + picture.dts[place]) // 2
            near = np.concatenate([before, after])
            first = start + int(np.argmax(near >= since))
            before, after = near[near < since], near[near >= since]
        shift += int(before.max()) + picture.step - int(after.min())
        places = [(picture.index, int(picture.position[first]))]
        if sound is not None:
            with_it = _partner(picture, sound, place, heard)
            number = np.searchsorted(sound.order, picture.order[place]) if with_it is None else with_it
            if number < len(sound.position):
                places.append((sound.index, int(sound.position[number])))
        jumps.append(
            Jump(shift * picture.time_base, tuple(places), None if since is None else since * picture.time_base)
        )
    last = int(picture.pts[found[-1] :].max()) + shift + picture.step
    return Clock(tuple(jumps), last * picture.time_base, len(picture.pts))


def _suspicious(container: Any, video: Any, size: int) -> bool:
    """Whether a file's times look suspicious, so that all have to be read."""
    if container.format.name.startswith("mov"):
        entries = getattr(video, "index_entries", ())  # since PyAV 17
        times = np.array([entry.timestamp for entry in entries], np.int64) * float(video.time_base)
        return bool((np.diff(times) > _STALL).any())
    if size <= _ALWAYS_READ:
        return True
    if container.format.name not in _RESTARTING:
        return False
    times = np.array(list(_looked_at(container, video, size)))
    steps = np.diff(times)
    container.seek(0)
    return bool((steps < 0).any() or (steps > _STALL + 4 * np.median(steps)).any())


def _looked_at(container: Any, video: Any, size: int) -> Iterator[float]:
    """Samples of the clock all over the file, s."""
    for place in range(_LOOKS):
        container.seek(place * size // _LOOKS, unsupported_byte_offset=True)
        for packet in _packets(container, [video]):
            if packet.dts is not None:
                yield float(packet.dts * video.time_base)
                break


def _packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    failures = 0
    while failures < _DAMAGED_READS:
        try:
            yield from (packet for packet in container.demux(streams) if packet.size)
            return
        except IndexError:
            continue  # PyAV does not know tracks that begin inside a transport stream.
        except av.FFmpegError:
            failures += 1


def _tracks(container: Any, streams: list[Any]) -> dict[int, _Track]:
    rows: dict[int, list[tuple[int, int, int, int]]] = {stream.index: [] for stream in streams}
    for order, packet in enumerate(_packets(container, streams)):
        track = rows[packet.stream_index]
        # Without decoding times, presentation times do not show jumps.
        dts = packet.dts
        if dts is None:
            continue
        # Of several frames in one packet, only the first has a position.
        position = packet.pos if packet.pos is not None and packet.pos >= 0 else track[-1][1] if track else 0
        track.append((order, position, dts, packet.pts if packet.pts is not None else dts))
    found = {}
    for stream in streams:
        columns = np.array(rows[stream.index], np.int64).reshape(-1, 4).T
        found[stream.index] = _Track(stream.index, Fraction(stream.time_base), *columns)
    return found


def _jumps(track: _Track) -> list[int]:
    """Indices of the packets at which a track's clock jumps and stays."""
    t = track.seconds
    steps = np.diff(t)
    if not ((steps < -_BACK) | (steps > _STALL)).any():
        return []
    found: list[int] = []
    last = 0
    for i in range(1, len(t)):
        if not -_BACK <= t[i] - t[last] <= _STALL:
            following = t[i : i + 1 + _CONFIRMED]
            steps = np.diff(following)
            goes_back = abs(following[-1] - t[last]) <= abs(following[-1] - t[i])
            if goes_back or len(steps) == 0 or ((steps < -_BACK) | (steps > _STALL)).any():
                continue  # a damaged time stamp
            found.append(i)
        last = i
    return found


def _is_one(picture: _Track, sound: _Track | None, place: int, heard: list[int]) -> bool:
    """Whether a jump of the picture is the clock's, not a picture that is shown for long."""
    size = _size(picture, place)
    if size < 0:
        return True
    if sound is not None and sound.order[0] < picture.order[place] < sound.order[-1]:
        return _partner(picture, sound, place, heard) is not None
    before = np.diff(picture.seconds[:place])
    before = before[(before > 0) & (before <= _STALL)]
    return bool(len(before) and size > _RARE * before.max())


def _size(track: _Track, place: int) -> float:
    return float(track.seconds[place] - track.seconds[place - 1])


def _partner(picture: _Track, sound: _Track, place: int, heard: list[int]) -> int | None:
    """The sound's jump that belongs to a jump of the picture: the nearest of about its size."""
    alike = [i for i in heard if abs(_size(sound, i) - _size(picture, place)) < _ALIKE]
    return min(alike, key=lambda i: abs(int(sound.order[i]) - int(picture.order[place])), default=None)
