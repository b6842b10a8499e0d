"""Reading footage: one or several files in a row, on one clock, past damage."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import av

from .clock import Clock
from .footage import Footage
from .opening import MediaFile, open_file
from .program_stream import PictureCount, is_counted

log = logging.getLogger("pano_sound")

_DAMAGED_READS_IN_A_ROW = 100
_ORDER_OF_STORAGE = {"avi"}
"""Formats without presentation times: FFmpeg numbers frames in the order of storage."""
_DECODING_TIMES_ONLY = {"asf"}
"""Formats whose presentation times FFmpeg takes for decoding times. From these it guesses others, wrongly."""
_ONE_PICTURE_A_PACKET = ("h264", "hevc", "mpeg2video", "prores", "mjpeg")
"""Decoders for which a packet without a frame is damaged; some drop frames silently."""
_SKIPPED = {"all": "DEFAULT", "reference": "NONREF", "key": "NONKEY"}
_BEYOND_IN_A_ROW = 30
"""This many frames, or packets, in a row beyond the end are the end, not damaged time stamps."""
_BEFORE = Fraction(1)
"""Decoding begins this many seconds before the start: audio codecs need a few packets to settle."""
_SEEKING_PAYS = 2
_AT_A_CUT = Fraction(1, 1000)
"""A frame that begins within this time (s) after a cut counts as the one at the cut: containers and people round
times."""

DecodedPictures = Literal["all", "reference", "key"]
"""Which frames are decoded: all, reference frames, or key frames."""


class Stretch(NamedTuple):
    """The number of a file, how many of its packets its edit list has left out, and how often its clock has jumped."""

    file: int = 0
    left_out: int = 0
    jumps: int = 0


class Source:
    """Open footage. Close it with `close()`, or use it as a context manager.

    Attributes:
        path, container: of its first file.
        video, audio: the streams of its first file that are read; None if there is none.
        video_tracks, audio_tracks: all of its first file; covers are left out.
        damaged: packets skipped so far because they could not be read or decoded.
        stretch: what `frames` is reading. Sound of another stretch does not go on where the one before ended.
        last_lasts: once `frames` has read a file to its end, how long its last frame lasts (s); None: until the file's
            end, because nothing is missing; 0: not known.
    """

    def __init__(self, footage: Footage) -> None:
        """Raises InputError as `open_source`."""
        self.footage = footage
        self.path = footage.paths[0]
        self._first = open_file(self.path, footage)
        self._first.clock = self._clock(0)
        self.container = self._first.container
        self.video_tracks, self.audio_tracks = self._first.video_tracks, self._first.audio_tracks
        self.video, self.audio = self._first.video, self._first.audio
        self.damaged = 0
        self.stretch = Stretch()
        self.last_lasts: Fraction | None = Fraction(0)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._first.close()

    @property
    def offset(self) -> Fraction:
        """Added to the first file's own times (s), this gives presentation times."""
        return self._offset(0, self._first)

    def begin(self, stream: Any) -> Fraction:
        """Presentation time (s) at which a stream of the first file begins."""
        t = (stream.start_time or 0) * Fraction(stream.time_base) + self.offset
        return t if self.footage.start is None else max(t, Fraction(0))

    def decode_roughly(self, stream: Any, pictures: DecodedPictures) -> None:
        """Skip the loop filter, which smooths block borders, and unwanted frames. Call this before the first frame."""
        stream.codec_context.options = stream.codec_context.options | {"skip_loop_filter": "all"}
        stream.codec_context.skip_frame = _SKIPPED[pictures]

    def packets(self, stream: Any) -> Iterator[Any]:
        """A stream's packets in file order, with presentation times in its time base; those without data and those
        that cannot be read are left out. Where the footage has a start, they begin one packet before the one that is
        heard then, because decoders of most sound need that to decode it rightly."""
        base = Fraction(stream.time_base)
        for number, file, track in self._files(stream):
            own, ticks = Fraction(track.time_base), round(self._offset(number, file) / base)
            beyond = 0
            for packet in self._from_start(number, file, track, self._demuxed):
                packet.pts, packet.dts = (
                    None if t is None else round(t * own / base) + ticks for t in (packet.pts, packet.dts)
                )
                packet.time_base = base
                t = packet.pts if packet.pts is not None else packet.dts
                if t is None or self._inside(t * base, 2 * (packet.duration or 0) * own):
                    beyond = 0
                    yield packet
                elif t > 0:
                    beyond += 1
                    if beyond > _BEYOND_IN_A_ROW:
                        break

    def frames(self, stream: Any) -> Iterator[Any]:
        """A stream's decoded frames in presentation order, with presentation times in its time base (pictures always
        have one); packets that do not decode are skipped. Where the footage has a start, the picture that is on the
        screen then comes first, at time 0."""
        base, is_sound = Fraction(stream.time_base), stream.type == "audio"
        rate = fraction(stream.average_rate) if not is_sound else None
        step = 1 if not rate else max(1, round(1 / (rate * base)))
        last: int | None = None
        opening = self.footage.start is not None and self.footage.opening and not is_sound
        on_screen: Any = None
        for number, file, track in self._files(stream):
            own, ticks = Fraction(track.time_base), round(self._offset(number, file) / base)
            beyond = 0
            for frame in self._from_start(number, file, track, self._decoded):
                if frame.pts is not None:
                    frame.pts = round(frame.pts * own / base) + ticks
                elif not is_sound:
                    frame.pts = ticks if last is None else last + step
                frame.time_base = base
                last = frame.pts
                if last is None:
                    yield frame
                    continue
                if opening and last < 0:
                    on_screen = frame
                    continue
                if opening:
                    opening = False
                    if last * base <= _AT_A_CUT:
                        frame.pts = last = 0
                    elif on_screen is not None:
                        on_screen.pts = 0
                        yield on_screen
                length = Fraction(frame.samples, frame.sample_rate or 1) if is_sound else Fraction(0)
                if self._inside(last * base, length):
                    beyond = 0
                    yield frame
                elif last > 0:
                    beyond += 1
                    if beyond > _BEYOND_IN_A_ROW:
                        break
        if opening and on_screen is not None:
            on_screen.pts = 0
            yield on_screen

    def _inside(self, t: Fraction, length: Fraction) -> bool:
        """Whether what begins at presentation time t (s) is, in part, between the footage's start and end."""
        footage = self.footage
        if footage.end is not None and t >= footage.end - footage.origin:
            return False
        return footage.start is None or (t + length > 0 if length else t >= 0)

    def _clock(self, number: int) -> Clock | None:
        return self.footage.clocks[number] if self.footage.clocks else None

    def _offset(self, number: int, file: MediaFile) -> Fraction:
        """Added to the times of a file (s), this gives presentation times."""
        return self.footage.begins[number] - file.shift - self.footage.origin

    def _files(self, stream: Any) -> Iterator[tuple[int, MediaFile, Any]]:
        """(number, file, its stream like `stream`) of all files between start and end."""
        end = None if self.footage.end is None else self.footage.end - self.footage.origin
        for number, path in enumerate(self.footage.paths):
            first, last = self.footage.extent(number)
            if last is not None and last <= 0:
                continue
            if first is not None and end is not None and first >= end:
                return
            self.stretch = Stretch(number)
            file = open_file(path, self.footage) if number else self._first
            file.clock = self._clock(number)
            try:
                track = stream if number == 0 else file.audio if stream.type == "audio" else file.video
                if track is not None:
                    track.thread_type = stream.thread_type
                    track.codec_context.options = stream.codec_context.options
                    track.codec_context.skip_frame = stream.codec_context.skip_frame
                    yield number, file, track
            finally:
                if number:
                    file.close()

    def _from_start(self, number: int, file: MediaFile, track: Any, read: Any) -> Iterator[Any]:
        """Read a track from the last point before the footage's start at which reading can begin."""
        wanted = -self._offset(number, file) - _BEFORE
        first_time = (track.start_time or 0) * Fraction(track.time_base)
        if self.footage.start is None or wanted - first_time < _SEEKING_PAYS or file.clock is not None:
            yield from read(file, track)
            return
        damaged = self.damaged
        file.container.seek(int(wanted / track.time_base), stream=track)
        found = read(file, track)
        first = next(found, None)
        if first is None or first.pts is None or first.pts * Fraction(track.time_base) > wanted + _BEFORE:
            # The file's index is wrong.
            file.container.seek(min(0, file.container.start_time or 0))
            found, first = read(file, track), None
        self.damaged = damaged
        if first is not None:
            yield first
        yield from found

    def _demuxed(self, file: MediaFile, track: Any) -> Iterator[Any]:
        """A track's non-empty packets, with corrected times."""
        if file.clock is None:
            yield from self._stored(file, track)
            return
        base, position = Fraction(track.time_base), 0
        for packet in self._stored(file, track):
            position = packet.pos if packet.pos is not None and packet.pos >= 0 else position
            jumps = file.clock.jumps_before(track.index, position)
            self.stretch = self.stretch._replace(jumps=jumps)
            if jumps:
                packet.pts, packet.dts = (
                    None if t is None else t + round(file.clock.shift(jumps, t * base) / base)
                    for t in (packet.pts, packet.dts)
                )
            yield packet

    def _stored(self, file: MediaFile, track: Any) -> Iterator[Any]:
        failures = 0
        while failures < _DAMAGED_READS_IN_A_ROW:
            try:
                for packet in file.container.demux(track):
                    if packet.size:
                        failures = 0
                        yield packet
                return
            except IndexError:
                # PyAV does not know tracks that begin inside a transport stream. Each such packet is used up by this.
                continue
            except av.FFmpegError:
                failures += 1
                self.damaged += 1

    def _decoded(self, file: MediaFile, track: Any) -> Iterator[Any]:
        missing = read = lasts = 0
        stored, guessed = (
            track.type == "video" and file.container.format.name in names
            for names in (_ORDER_OF_STORAGE, _DECODING_TIMES_ONLY)
        )
        first: int | None = None
        late: int | None = None
        all_come_out = track.codec_context.skip_frame == _SKIPPED["all"]
        count = (
            PictureCount()
            if all_come_out and is_counted(file.container.format.name, track.codec_context.name)
            else None
        )
        counts = all_come_out and track.codec_context.name in _ONE_PICTURE_A_PACKET and self.footage.start is None
        for packet in itertools.chain(self._demuxed(file, track), [None]):
            if packet is not None and packet.is_discard:
                self.stretch = self.stretch._replace(left_out=self.stretch.left_out + 1)
            else:
                missing += packet is not None
            if packet is not None:
                read += 1
                if first is None:
                    first = packet.dts
                if count is not None:
                    count.forget_guess(packet)
            try:
                decoded = track.codec_context.decode(packet)
            except (av.FFmpegError, ValueError):
                self.damaged += 1
                missing -= 1
                continue
            missing -= len(decoded)
            # Two field packets make one frame.
            counts = counts and not any(frame.interlaced_frame for frame in decoded)
            for frame in decoded:
                if stored and first is not None:
                    # Pictures come out as late as the decoder needs to put them in order; the last ones without times.
                    if late is None and frame.dts is not None:
                        late = frame.dts - first
                    frame.pts = None if frame.dts is None or late is None else frame.dts - late
                elif guessed:
                    frame.pts = frame.dts
                if count is not None:
                    count.settle(frame)
                lasts = frame.duration
                yield frame
        self.last_lasts = None if 0 < track.frames <= read else (lasts or 0) * Fraction(track.time_base)
        if counts:
            self.damaged += max(0, missing)


def fraction(value: Any) -> Fraction | None:
    """A rational of PyAV (a class of its own from version 19 on) as a Fraction; None for None and for 0."""
    return Fraction(value.numerator, value.denominator) if value else None


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a media file, or Footage, for reading.

    Raises InputError: a file is missing, a folder, empty, unreadable, or not media; it has no such track.
    """
    return Source(path if isinstance(path, Footage) else Footage((os.fspath(path),)))
