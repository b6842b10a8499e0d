"""An output film while it is being written: its container, sound and tags; complete or not there at all."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, TypeVar

import av

from ..atomic_file import new_partial, output_error, put_in_place, remove_partial
from ..errors import OutputError
from . import threads
from .colour import Colour
from .info import MediaInfo
from .inputs import log
from .metadata import kept
from .output_format import MUXERS, check_output
from .soundtrack import SoundPlan, Soundtrack
from .spherical import tag_mp4

_FINEST_TIME_BASE = Fraction(1, 1_000_000)
_MOST_TICKS = (1 << 31) - 1
"""No packet of mp4 may last longer."""

F = TypeVar("F", bound="OutputFile")


@dataclass(frozen=True)
class VideoFormat:
    """The pictures of an output.

    width, height: pixels, even.
    time_base: seconds per tick of the pictures' time stamps.
    fps: average frames per second, for rate control and the last frame's duration; None: unknown.
    bit_depth: 8 (yuv420p) or 10 (yuv420p10le).
    colour: written as given if the encoder can state it, else converted, like frames of another colour.
    spherical: each is a full equirectangular sphere: tag it so and keep ambisonics; only in mp4 and mov.
    """

    width: int
    height: int
    time_base: Fraction
    fps: Fraction | None
    bit_depth: int = 8
    colour: Colour = Colour()  # noqa: RUF009  (it is frozen)
    spherical: bool = False


class OutputFile(ABC):
    """Writes a film to a temporary file beside the final name, and renames it at the end.

    Leaving the `with` block normally finishes the file; leaving it by any exception, including Ctrl-C, removes it. Time
    stamps of frames and sound are kept, so that they stay in sync. Subclasses add the pictures.

    Attributes:
        path: the final name.
        time_base: seconds per tick of the frames' time stamps in it.
        end: presentation time (s) until which the last frame is shown; None: as long as the frame rate says. At first
            that of a part of a film. It may be set until the file is finished.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        pictures: VideoFormat,
        codec: str,
        sound: SoundPlan | None,
        source: MediaInfo | None,
        overwrite: bool,
    ) -> None:
        """
        Args:
            codec: the video encoder's name.
            sound: None: no sound.
            source: the film that it is made from, for its metadata and its end.

        Raises:
            OutputError: as `check_output`; the size is odd; the encoder does not exist or does not open.
            InputError: the sound cannot be read.
        """
        self.path = os.fspath(path)
        footage = [one for one in (sound.footage if sound else None, source.footage if source else None) if one]
        inputs = [name for one in footage for name in one.files]
        check_output(self.path, inputs, overwrite, pictures.spherical, codec)
        if pictures.width <= 0 or pictures.height <= 0 or pictures.width % 2 or pictures.height % 2:
            what = f"{pictures.width}x{pictures.height} is not a size that can be encoded"
            raise OutputError(what, self.path, "use even numbers")
        self.time_base = max(pictures.time_base, _FINEST_TIME_BASE)
        self._format = pictures
        self._muxer = MUXERS[os.path.splitext(self.path)[1].lower()]
        self._overwrite = overwrite
        self._description = kept(source.metadata) if source else {}
        self.end: float | Fraction | None = _end_of_part(source)
        self._written = 0
        self._shown_until = Fraction(0)  # seconds
        self._partial = ""
        self._container: Any = None
        self._soundtrack: Soundtrack | None = None

    def _open(self, sound: SoundPlan | None) -> None:
        """Open the container with all its streams, or leave nothing behind."""
        try:
            try:
                self._add_streams(sound, may_copy=True)
            except (av.FFmpegError, ValueError):
                if self._soundtrack is None or not self._soundtrack.copied:
                    raise
                # Sound whose description is too damaged for copying may still decode.
                self._discard()
                self._add_streams(sound, may_copy=False)
        except BaseException as error:
            self._discard()
            if isinstance(error, OutputError) or not isinstance(error, (av.FFmpegError, ValueError, OSError)):
                raise
            raise output_error(error, self.path) from None

    def _add_streams(self, sound: SoundPlan | None, may_copy: bool) -> None:
        # Otherwise Matroska shifts the whole film because of the negative times of audio priming.
        options = {"avoid_negative_ts": "disabled"}
        if self._muxer == "matroska":
            # Otherwise it numbers tracks and file at random, and equal films would not be equal files.
            options["fflags"] = "+bitexact"
        else:
            # Puts the index at the front. Edit lists, which hold the first time stamps, use this time scale.
            scale = self.time_base.denominator
            while scale < 10_000:
                scale *= 2
            options |= {"movflags": "+faststart", "movie_timescale": str(scale)}
        self._partial = os.fspath(new_partial(self.path))
        self._container = av.open("file:" + self._partial, "w", format=self._muxer, container_options=options)
        self._container.metadata.update(self._description)
        stream = self._video_stream(self._container)
        if stream.codec_context.codec.canonical_name == "hevc" and self._muxer != "matroska":
            stream.codec_context.codec_tag = "hvc1"  # required by Apple's players
        stream.time_base = self.time_base
        self._stream = stream
        if sound is not None:
            self._soundtrack = Soundtrack(self._container, self._muxer, sound, self._format.spherical, may_copy)
            log.info("%s: sound is %s", self.path, "copied" if self._soundtrack.copied else "encoded")
        with threads.usual_priority():
            self._container.start_encoding()

    @abstractmethod
    def _video_stream(self, container: Any) -> Any:
        """Add the video stream to an open container. Raises OutputError."""

    @abstractmethod
    def _last_packets(self) -> list[Any]:
        """The packets that the encoder still holds."""

    def __enter__(self: F) -> F:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except BaseException as problem:
            self._discard()
            if isinstance(problem, (av.FFmpegError, OSError)):
                raise output_error(problem, self.path) from None
            raise

    def _check_open(self) -> None:
        if self._container is None:
            raise OutputError("the file is closed already", self.path)

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            time_base = Fraction(packet.time_base)
            if self._soundtrack is not None and packet.dts is not None:
                self._soundtrack.mux_until(packet.dts * time_base)
            shown_for = (packet.duration or 0) * time_base or 1 / Fraction(self._format.fps or 30)
            self._shown_until = max(self._shown_until, packet.pts * time_base + shown_for)
            self._container.mux(packet)

    def _show_until_the_end(self, packet: Any) -> None:
        """Let the last frame last until the end, if that is known."""
        if self.end is not None:
            packet.duration = min(max(1, round(Fraction(self.end) / self.time_base) - packet.pts), _MOST_TICKS)

    def _finish(self) -> None:
        if not self._written:
            raise OutputError("no picture was written", self.path)
        self._mux(self._last_packets())
        if self._soundtrack is not None:
            self._soundtrack.finish(self._shown_until)
            self._soundtrack.close()
        self._container.close()
        self._container = None
        spherical = self._format.spherical
        place = self._description.get("location") if self._muxer == "mp4" else None
        # Matroska has its own tag, which the muxer writes.
        field = self._soundtrack.ambisonic if self._soundtrack and self._muxer != "matroska" else None
        if spherical or place or field:
            try:
                tag_mp4(self._partial, field.box if field else None, spherical, place)
            except OutputError as error:
                raise OutputError(error.message, self.path, error.hint) from None
        put_in_place(self._partial, self.path, self._overwrite)

    def _discard(self) -> None:
        """Close everything and leave nothing behind."""
        # First, because closing a long film rewrites it to put its index at the front.
        if self._partial:
            remove_partial(self._partial)
        if self._soundtrack is not None:
            self._soundtrack.close()
        if self._container is not None:
            with contextlib.suppress(Exception):
                self._container.close()
            self._container = None
        if self._partial:
            remove_partial(self._partial)


def _end_of_part(source: MediaInfo | None) -> float | None:
    """The end of a part of a film, presentation time in s; None: a whole film, or unknown."""
    if source is None or not source.duration or (source.footage.start is None and source.footage.end is None):
        return None
    return source.start + source.duration
