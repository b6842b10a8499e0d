"""The pictures of a 360° film, each with its own time stamp, in constant memory.

Frames come out as the full equirectangular sphere of one eye, however they are stored (see `unwrap`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .colour import BT709, FULL, LIMITED, Colour, colour_of, matrix_of
from .deinterlace import deinterlaced
from .info import MediaInfo
from .inputs import DecodedPictures, log, open_source
from .shrink import Shrink, StoredPicture
from .unwrap import FilterChain, coverage

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_BEYOND_THE_END = 10
"""A time stamp more than this many seconds after the film's end is damaged."""
_SOME_DAMAGE = 100
"""With this many damaged frames, their share is judged before all of the film is read."""


@dataclass(slots=True)
class Picture:
    """One picture in 4:2:0.

    planes: Y (h, w), U and V (ceil(h/2), ceil(w/2)); uint8, or uint16 holding `bit_depth` bits. Pictures
        from a reader are read-only views of the decoder's memory, valid as long as anything refers to them.
    pts: presentation time in units of `time_base` seconds.
    """

    planes: tuple[Plane, Plane, Plane]
    pts: int
    time_base: Fraction
    bit_depth: int
    colour: Colour

    @property
    def t(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


class NoPictureError(InputError):
    """There was nothing to decode, not even damaged frames."""


class VideoReader:
    """Reads the frames of a probed film. Each iterator starts from the beginning; use one at a time.

    Attributes:
        info: the film.
        corrupt_frames: frames that the latest iterator has skipped so far, because they were damaged or did not advance
            in time.
        end: presentation time (s) until which the last picture is shown, known once it has been read; None: as long as
            any other.
    """

    def __init__(self, info: MediaInfo, *, for_analysis: bool = False, only: DecodedPictures = "all") -> None:
        """
        Args:
            for_analysis: decode faster and not quite exactly: without the loop filter of H.264 and similar codecs.
            only: with `for_analysis`, which frames come out: "all", "reference" or "key". Codecs that cannot tell give
                all of them.

        Raises InputError: the film has no pictures.
        """
        if info.video is None:
            raise InputError("the file has no picture", info.path)
        self.info, self.video = info, info.video
        self.corrupt_frames = 0
        self.end: Fraction | None = None
        self._running: Iterator[Any] | None = None
        self._how = self.info.unwrapping
        self._rough = only if for_analysis else None

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; iterators that are still running end."""
        if self._running is not None:
            with contextlib.suppress(ValueError):  # An abandoned thread is still in it.
                self._running.close()  # type: ignore[attr-defined]
            self._running = None

    def pictures(self) -> Iterator[Picture]:
        """Every picture, at its original size, in order of presentation.

        Other formats are converted to 4:2:0 with 8 or 10 bits (more than 8 bits to 10).

        Raises:
            InputError: no picture can be decoded, or too many are damaged; its subclass NoPictureError: there is none.
        """
        unwrap = FilterChain(self._how.filters)
        for frame, pts, colour in self._frames():
            yield self.to_picture(frame, pts, colour, unwrap)

    def stored(self) -> Iterator[StoredPicture]:
        """Every frame as decoded, which can then be scaled down on demand.

        Raises InputError as `pictures`.
        """
        shrink = Shrink(self.video, self.info.spherical)
        for frame, pts, colour in self._frames():
            yield StoredPicture(pts * self.video.time_base, frame, colour, shrink)

    def coverage(self, rows: int, columns: int) -> NDArray[np.bool_] | None:
        """Which cells of a grid over the sphere hold any picture, (rows, columns); None if all do."""
        return coverage(self._how, (self.video.width, self.video.height), rows, columns)

    def _frames(self) -> Iterator[tuple[Any, int, Colour]]:
        self.close()
        self._running = self._decode()
        return self._running

    def _decode(self) -> Iterator[tuple[Any, int, Colour]]:
        """(frame, PTS, colour). PTS always grow: a frame with an impossible PTS follows the one before."""
        self.corrupt_frames, self.end = 0, None
        dropped = read = 0
        last: int | None = None
        step = 1 if not self.video.fps else max(1, round(1 / (self.video.fps * self.video.time_base)))
        latest: int | None = None
        if self.info.duration > 0:
            end = Fraction(self.info.start) + Fraction(self.info.duration) + _BEYOND_THE_END
            latest = int(end / self.video.time_base)
        with open_source(self.info.footage) as source:
            stream = source.video
            if stream is None:
                raise InputError("the file has no picture", self.info.path)
            stream.thread_type = "AUTO"
            if self._rough is not None:
                source.decode_roughly(stream, self._rough)
            for frame in deinterlaced(source.frames(stream)):
                read += 1
                pts = frame.pts
                if last is not None and latest is not None and pts > latest:
                    pts = last + step  # Otherwise all frames after it would come too early.
                if last is not None and pts <= last:
                    dropped += not source.stretch.left_out  # Pieces joined by an edit list overlap.
                    continue
                last = pts
                self.corrupt_frames = source.damaged + dropped
                if self.corrupt_frames > _SOME_DAMAGE:
                    self._check_damage(read)
                yield frame, pts, self._settled(frame, colour_of(frame, stream))
            self.corrupt_frames = source.damaged + dropped
        if last is None:
            kind = InputError if self.corrupt_frames else NoPictureError
            raise kind("no picture can be decoded", self.info.path, "the file is damaged or cut short")
        self._check_damage(read)
        self.end = self._end_of(last * self.video.time_base, source.last_lasts)
        if self.corrupt_frames:
            log.warning("%s: damaged frames skipped: %d", self.info.path, self.corrupt_frames)

    def _end_of(self, last: Fraction, lasts: Fraction | None) -> Fraction | None:
        """Until when the last picture, which begins at a presentation time (s), is shown, if that is longer than usual.

        `lasts`: its own length (s), because at the film's end pictures may be missing; None: none is.
        """
        left = Fraction(self.info.start) + Fraction(self.info.duration) - last
        longest = left if lasts is None else min(left, lasts)
        return last + longest if self.video.fps and longest > 1 / self.video.fps else None

    def _settled(self, frame: Any, colour: Colour) -> Colour:
        """The colour of a frame with the matrix to read it with, which is also set on the frame.

        If a film states none, players might assume another one for a smaller output.
        """
        if colour.unreadable is not None:
            raise InputError(f"its frames change to {colour.unreadable}, which cannot be converted", self.info.path)
        if not frame.format.is_rgb:
            colour = replace(colour, space=matrix_of(colour, self.video.height))
            frame.colorspace, frame.color_range = colour.space, colour.range
        return colour

    def _check_damage(self, read: int) -> None:
        """Raises InputError if too many of the frames so far were damaged; `read` of them decoded."""
        limit = self.info.footage.max_damage
        if self.corrupt_frames > limit * (self.corrupt_frames + read):
            what = f"{self.corrupt_frames} damaged frames, more than {limit:.0%} of the film"
            raise InputError(what, self.info.path, "copy it again from the camera, or raise `max_damage`")

    def to_picture(self, frame: Any, pts: int, colour: Colour, unwrap: FilterChain) -> Picture:
        """A decoded frame as 4:2:0, of the size and the part of the picture that are read."""
        deep = self.video.bit_depth > 8
        ready = ("yuv420p10le",) if deep else ("yuv420p", "yuvj420p")
        size = (self.video.width, self.video.height)
        if frame.format.name not in ready or (frame.width, frame.height) != size:
            frame, colour = _converted(frame, size, ready[0], colour)
        frame = unwrap(frame)
        width, height = self.info.eye
        kind: type[np.uint8] | type[np.uint16] = np.uint16 if deep else np.uint8
        half = ((height + 1) // 2, (width + 1) // 2)
        shapes = ((height, width), half, half)
        y, u, v = (_view(plane, *shape, kind) for plane, shape in zip(frame.planes, shapes, strict=True))
        return Picture((y, u, v), pts, self.video.time_base, 10 if deep else 8, colour)


def _converted(frame: Any, size: tuple[int, int], pix_fmt: str, colour: Colour) -> tuple[Any, Colour]:
    """A frame converted to `pix_fmt`, in the same range and matrix; RGB becomes limited BT.709."""
    if frame.format.is_rgb:
        target = replace(colour, range=LIMITED, space=BT709)
        source_range: int | None = FULL
    else:
        target, source_range = colour, colour.range or None
    new = frame.reformat(
        width=size[0],
        height=size[1],
        format=pix_fmt,
        dst_colorspace="ITU709" if frame.format.is_rgb else None,
        src_color_range=source_range,
        dst_color_range=target.range or None,
    )
    return new, target


def _view(plane: Any, height: int, width: int, kind: Any) -> Any:
    """The upper left (height, width) of a PyAV plane as a read-only array that keeps the plane alive."""
    rows = np.frombuffer(plane, kind).reshape(plane.height, -1) if plane.line_size > 0 else None
    if rows is None:
        raise InputError("the picture is stored upside down")
    view = rows[:height, :width]
    view.flags.writeable = False
    return view
