"""The output film: frames with their own time stamps, and the source's sound; complete or not there at all."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from functools import partial
from types import TracebackType
from typing import Any

import av
import numpy as np

from ..atomic_file import new_partial, output_error, put_in_place, remove_partial
from ..encoders import ENCODERS, default_encoder
from ..errors import OutputError
from . import threads
from .colour import LIMITED, UNSTATED, Colour, stated
from .footage import Footage
from .hardware import usable
from .info import MediaInfo
from .inputs import log
from .metadata import kept
from .output_format import MUXERS, check_output
from .reader import Picture
from .soundtrack import LeftAt, Soundtrack
from .spherical import tag_mp4

_FINEST_TIME_BASE = Fraction(1, 1_000_000)
# Seconds of sound after the picture's end that are kept; later time stamps are damaged.
_SOUND_BEYOND = 10.0


def _end_of_part(source: MediaInfo | None) -> float | None:
    """The end of a part of a film, presentation time in s; None: a whole film, or unknown."""
    if source is None or not source.duration or (source.footage.start is None and source.footage.end is None):
        return None
    return source.start + source.duration


class VideoWriter:
    """Writes a film to a temporary file beside the final name, and renames it at the end.

    Leaving the `with` block normally finishes the file; leaving it by any exception, including Ctrl-C, removes it. Time
    stamps of frames and sound are kept, so that they stay in sync.

    Attributes:
        time_base: seconds per tick of the frames' time stamps in it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        time_base: Fraction,
        fps: Fraction | None,
        source: MediaInfo | None = None,
        bit_depth: int = 8,
        colour: Colour | None = None,
        sound_from: str | os.PathLike[str] | None = None,
        codec: str | None = None,
        crf: float | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        overwrite: bool = False,
        spherical: bool = False,
        encoded: Any = None,
        left_at: LeftAt | None = None,
    ) -> None:
        """
        Args:
            width, height: picture size in pixels, even.
            time_base: seconds per tick of the pictures' time stamps.
            fps: average frames per second, for rate control and the last frame's duration; None: unknown.
            source: the input, for its kind of sound and its metadata.
            bit_depth: 8 (yuv420p) or 10 (yuv420p10le).
            colour: written as given if the encoder can state it, else converted, like frames of another colour; None:
                not stated.
            sound_from: file whose sound goes into the output: copied if the output's format and ordinary players can
                take it, else encoded to AAC (see `soundtrack`). None: no sound.
            codec: one of `encoders.ENCODERS`; None: `default_encoder`. A hardware encoder that does not work here is
                replaced.
            crf, bitrate, preset: quality or bits per second, and effort, in the encoder's own terms; None: its
                defaults.
            spherical: the picture is a full equirectangular sphere: tag it so and keep ambisonics; only in
                mp4 and mov.
            encoded: an open PyAV stream of frames that are encoded already; they are passed to `copy` instead of
                `write`.
            left_at: the camera's left, for ambisonics that become stereo (see `soundtrack`).

        Raises:
            OutputError: as `check_output`; the size is odd; the encoder does not exist or does not open.
            InputError: `sound_from` cannot be read.
        """
        self.path = os.fspath(path)
        codec = codec or default_encoder(bit_depth)
        recording = sound_from.recording if isinstance(sound_from, Footage) else None
        others = (source.path if source else None, recording.path if recording else None)
        inputs = [one for one in (sound_from, *others) if one is not None]
        check_output(self.path, inputs, overwrite, spherical, codec)
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            what = f"{width}x{height} is not a size that can be encoded"
            raise OutputError(what, self.path, "use even numbers")
        self._muxer = MUXERS[os.path.splitext(self.path)[1].lower()]
        self._overwrite = overwrite
        self._partial = ""
        self._size = (width, height)
        self._bit_depth = bit_depth
        self.time_base = max(time_base, _FINEST_TIME_BASE)
        self._spherical = spherical
        self._left_at = left_at
        self._written = 0
        self._waiting: Any = None  # The latest frame: its duration is only known when the next one comes.
        self._end = _end_of_part(source)
        self._container: Any = None
        self._soundtrack: Soundtrack | None = None
        self._colour = self._source_colour = colour or Colour()
        self._description = kept(source.metadata) if source else {}
        self._encoded = encoded
        working = codec if encoded is not None else usable(codec, width, height, bit_depth)
        if working != codec:
            crf = preset = None
        self._pix_fmt = ENCODERS[working].pix_fmts[bit_depth > 8]
        self._colour = stated(self._source_colour, ENCODERS[working].full_range, ENCODERS[working].matrices)
        choices = ENCODERS[working].options(crf, bitrate, preset) | self._private_options(working)
        open_it = partial(self._open, fps, working, choices, source, sound_from)
        try:
            try:
                open_it(may_copy=True)
            except (av.FFmpegError, ValueError):
                if self._soundtrack is None or not self._soundtrack.copied:
                    raise
                # Sound whose description is too damaged for copying may still decode.
                self._discard()
                open_it(may_copy=False)
        except BaseException as error:
            self._discard()
            if isinstance(error, OutputError) or not isinstance(error, (av.FFmpegError, ValueError, OSError)):
                raise
            raise output_error(error, self.path) from None

    def _private_options(self, codec: str) -> dict[str, str]:
        """The encoder's private options, with HDR10's mastering data."""
        light, encoder = self._colour.light, ENCODERS[codec]
        if codec == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # Errors only; FFmpeg has no option for this.
        if light is None:
            return encoder.private_options()
        if encoder.light is None:
            log.warning("%s: %s does not keep HDR10's mastering data: players take their defaults", self.path, codec)
        return encoder.private_options(light.primaries, light.luminance, light.content)

    def _open(
        self,
        fps: Fraction | None,
        codec: str,
        choices: dict[str, str],
        source: MediaInfo | None,
        sound_from: str | os.PathLike[str] | None,
        may_copy: bool,
    ) -> None:
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
        stream = self._add_encoder(fps, codec, choices) if self._encoded is None else self._add_copy(fps)
        if stream.codec_context.codec.canonical_name == "hevc" and self._muxer != "matroska":
            stream.codec_context.codec_tag = "hvc1"  # required by Apple's players
        stream.time_base = self.time_base
        self._stream = stream
        if sound_from is not None:
            audio = source.audio if source else None
            end = source.start + source.duration + _SOUND_BEYOND if source and source.duration else None
            self._soundtrack = Soundtrack(
                self._container, self._muxer, sound_from, audio, self._spherical, may_copy, end, self._left_at
            )
            log.info("%s: sound is %s", self.path, "copied" if self._soundtrack.copied else "encoded to AAC")
        self._container.start_encoding()

    def _add_encoder(self, fps: Fraction | None, codec: str, choices: dict[str, str]) -> Any:
        try:
            stream = self._container.add_stream(codec, rate=fps or 30, options=choices)
        except (av.FFmpegError, ValueError, TypeError):
            raise OutputError(f"the encoder '{codec}' is missing", self.path, "use libx264") from None
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = self._pix_fmt
        context.time_base = self.time_base
        context.color_range, context.colorspace = self._colour.range, self._colour.space
        context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
        context.thread_type = "AUTO"
        threads.limit(context)
        return stream

    def _add_copy(self, fps: Fraction | None) -> Any:
        try:
            stream = self._container.add_stream_from_template(self._encoded, opaque=True)
        except ValueError as error:
            raise OutputError(str(error), self.path) from None
        stream.codec_context.framerate = fps or 30
        return stream

    def __enter__(self) -> VideoWriter:
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

    def write(self, picture: Picture) -> None:
        """Encode one frame, of the writer's size and depth, at its own time stamp. Time stamps must grow.

        Raises:
            OutputError: the file cannot be written, for example because the disk is full.
            ValueError: the picture is of another size or depth.
        """
        if self._container is None:
            raise OutputError("the file is closed already", self.path)
        frame, self._waiting = self._waiting, self._frame(picture)
        self._written += 1
        try:
            self._mux(self._stream.encode(frame) if frame is not None else [])
        except (av.FFmpegError, OSError) as error:
            raise output_error(error, self.path) from None

    def copy(self, packet: Any, pts: int, dts: int, last: bool = False) -> None:
        """Write one encoded frame, in order of decoding; times in ticks of `time_base`.

        `last`: whether it is the last one shown.

        Raises:
            OutputError: as `write`.
        """
        if self._container is None:
            raise OutputError("the file is closed already", self.path)
        # Without a duration, as from an encoder: each frame lasts until the next one, the last one by the film's rate.
        packet.time_base, packet.pts, packet.dts, packet.duration = self.time_base, pts, dts, 0
        if last:
            self._show_until_the_end(packet)
        packet.stream = self._stream
        self._written += 1
        try:
            self._mux([packet])
        except (av.FFmpegError, OSError) as error:
            raise output_error(error, self.path) from None

    def _frame(self, picture: Picture) -> Any:
        if picture.planes[0].shape != self._size[::-1] or (picture.bit_depth > 8) != (self._bit_depth > 8):
            raise ValueError("the picture does not have the writer's size and depth")
        frame = av.VideoFrame(*self._size, "yuv420p10le" if self._bit_depth > 8 else "yuv420p")
        for target, plane in zip(frame.planes, picture.planes, strict=True):
            rows: Any = np.frombuffer(memoryview(target), plane.dtype).reshape(target.height, -1)
            rows[:, : target.width] = plane
        frame.time_base = self.time_base
        frame.pts = picture.pts
        if picture.time_base != self.time_base:
            frame.pts = round(picture.pts * picture.time_base / self.time_base)
        wanted = self._colour
        light = picture.colour.range or self._source_colour.range or LIMITED
        space = self._source_colour.space if picture.colour.space == UNSTATED else picture.colour.space
        frame.color_range, frame.colorspace = light, space
        if (frame.format.name, light, space) != (self._pix_fmt, wanted.range or LIMITED, wanted.space):
            frame = frame.reformat(
                format=self._pix_fmt,
                src_colorspace=space,
                dst_colorspace=wanted.space,
                src_color_range=light,
                dst_color_range=wanted.range or LIMITED,
            )
        # Some encoders state the frames' properties, not the stream's.
        frame.color_range, frame.colorspace = wanted.range, wanted.space
        if hasattr(frame, "color_primaries"):  # from PyAV 17 on
            frame.color_primaries, frame.color_trc = wanted.primaries, wanted.transfer
        return frame

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self._soundtrack is not None and packet.dts is not None:
                self._soundtrack.mux_until(packet.dts * Fraction(packet.time_base))
            self._container.mux(packet)

    def _finish(self) -> None:
        if not self._written:
            raise OutputError("no picture was written", self.path)
        last = self._stream.encode(self._waiting) + self._stream.encode(None) if self._encoded is None else []
        for packet in last:
            if packet.pts == self._waiting.pts:
                self._show_until_the_end(packet)
        if self._written < 3:
            for packet in last:
                packet.dts = packet.pts  # x265 invents decoding times if there are fewer frames than its delay.
        self._mux(last)
        if self._soundtrack is not None:
            self._soundtrack.mux_until(None)
            self._soundtrack.close()
        self._container.close()
        self._container = None
        place = self._description.get("location") if self._muxer == "mp4" else None
        if self._spherical or place:
            try:
                field = self._soundtrack.ambisonic if self._soundtrack else None
                tag_mp4(self._partial, field.box if field else None, self._spherical, place)
            except OutputError as error:
                raise OutputError(error.message, self.path, error.hint) from None
        put_in_place(self._partial, self.path, self._overwrite)

    def _show_until_the_end(self, packet: Any) -> None:
        """Let the last frame of a part of a film last until the cut."""
        if self._end is not None:
            packet.duration = max(1, round(Fraction(self._end) / self.time_base) - packet.pts)

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
