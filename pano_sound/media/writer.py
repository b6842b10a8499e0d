"""Output films: frames are encoded with their own time stamps, or copied if they are encoded already."""

from __future__ import annotations

import os
from typing import Any

import av
import numpy as np

from ..atomic_file import output_error
from ..encoders import ENCODERS, bits_per_second, default_encoder
from ..errors import OutputError
from ..options.video import VideoOptions
from . import threads
from .colour import BT601_NTSC, BT601_PAL, LIMITED, UNSTATED, stated
from .hardware import usable
from .info import MediaInfo
from .inputs import log
from .output_file import OutputFile, VideoFormat
from .reader import Picture
from .soundtrack import SoundPlan

_DEFAULTS = VideoOptions()
_BICUBIC, _FULL_CHROMA, _ACCURATE_ROUNDING = 0x4, 0x2000, 0x40000  # FFmpeg's; PyAV 16 lacks names for the last two
_EXACT = _BICUBIC | _FULL_CHROMA | _ACCURATE_ROUNDING
"""Without them FFmpeg rounds down at each step from one matrix to another: Y comes out 1 or 2 levels too dark."""


class VideoWriter(OutputFile):
    """Encodes pictures (see `OutputFile`)."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        pictures: VideoFormat,
        options: VideoOptions = _DEFAULTS,
        *,
        sound: SoundPlan | None = None,
        source: MediaInfo | None = None,
        overwrite: bool = False,
    ) -> None:
        """
        Args:
            options: the encoder and its quality. A hardware encoder that does not work here is replaced by a software
                encoder with its default quality.
            sound, source, overwrite: as of OutputFile.

        Raises what OutputFile raises.
        """
        codec = options.codec or default_encoder(pictures.bit_depth)
        super().__init__(path, pictures, codec, sound, source, overwrite)
        self._codec = usable(codec, pictures.width, pictures.height, pictures.bit_depth)
        encoder = ENCODERS[self._codec]
        crf, preset = (options.crf, options.encoder_preset) if self._codec == codec else (None, None)
        self._pix_fmt = encoder.pix_fmts[pictures.bit_depth > 8]
        self._colour = stated(pictures.colour, encoder.full_range, encoder.matrices)
        bitrate = None if options.bitrate is None else bits_per_second(options.bitrate)
        self._encoder_options = encoder.options(crf, bitrate, preset) | self._private_options()
        self._waiting: Any = None  # The latest frame: its duration is only known when the next one comes.
        self._open(sound)

    def write(self, picture: Picture) -> None:
        """Encode one frame, of the writer's size and depth, at its own time stamp. Time stamps must grow.

        Raises:
            OutputError: the file cannot be written, for example because the disk is full.
            ValueError: the picture is of another size or depth.
        """
        self._check_open()
        frame, self._waiting = self._waiting, self._frame(picture)
        self._written += 1
        try:
            self._mux(self._stream.encode(frame) if frame is not None else [])
        except (av.FFmpegError, OSError) as error:
            raise output_error(error, self.path) from None

    def _private_options(self) -> dict[str, str]:
        """The encoder's private options, with HDR10's mastering data."""
        light, encoder = self._colour.light, ENCODERS[self._codec]
        if self._codec == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # Errors only; FFmpeg has no option for this.
        if light is None:
            return encoder.private_options()
        if encoder.light is None:
            what = "%s: %s does not keep HDR10's mastering data: players take their defaults"
            log.warning(what, self.path, self._codec)
        return encoder.private_options(light.primaries, light.luminance, light.content)

    def _video_stream(self, container: Any) -> Any:
        try:
            stream = container.add_stream(self._codec, rate=self._format.fps or 30, options=self._encoder_options)
        except (av.FFmpegError, ValueError, TypeError):
            raise OutputError(f"the encoder '{self._codec}' is missing", self.path, "use libx264") from None
        context = stream.codec_context
        context.width, context.height = self._format.width, self._format.height
        context.pix_fmt = self._pix_fmt
        context.time_base = self.time_base
        context.color_range, context.colorspace = self._colour.range, self._colour.space
        context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
        context.thread_type = "AUTO"
        threads.limit(context)
        return stream

    def _frame(self, picture: Picture) -> Any:
        width, height, deep = self._format.width, self._format.height, self._format.bit_depth > 8
        if picture.planes[0].shape != (height, width) or (picture.bit_depth > 8) != deep:
            raise ValueError("the picture does not have the writer's size and depth")
        frame = av.VideoFrame(width, height, "yuv420p10le" if deep else "yuv420p")
        for target, plane in zip(frame.planes, picture.planes, strict=True):
            rows: Any = np.frombuffer(memoryview(target), plane.dtype).reshape(target.height, -1)
            rows[:, : target.width] = plane
        frame.time_base = self.time_base
        frame.pts = picture.pts
        if picture.time_base != self.time_base:
            frame.pts = round(picture.pts * picture.time_base / self.time_base)
        wanted, source = self._colour, self._format.colour
        light = picture.colour.range or source.range or LIMITED
        space = source.space if picture.colour.space == UNSTATED else picture.colour.space
        frame.color_range, frame.colorspace = light, space
        if (frame.format.name, light, space) != (self._pix_fmt, wanted.range or LIMITED, wanted.space):
            frame = frame.reformat(
                format=self._pix_fmt,
                src_colorspace=space,
                # PyAV knows BT.601 by one number alone, and does not convert to the other.
                dst_colorspace=BT601_PAL if wanted.space == BT601_NTSC else wanted.space,
                src_color_range=light,
                dst_color_range=wanted.range or LIMITED,
                interpolation=None if space == wanted.space else _EXACT,
            )
        # Some encoders state the frames' properties, not the stream's.
        frame.color_range, frame.colorspace = wanted.range, wanted.space
        if hasattr(frame, "color_primaries"):  # from PyAV 17 on
            frame.color_primaries, frame.color_trc = wanted.primaries, wanted.transfer
        return frame

    def _last_packets(self) -> list[Any]:
        last = self._stream.encode(self._waiting) + self._stream.encode(None)
        for packet in last:
            if packet.pts == self._waiting.pts:
                self._show_until_the_end(packet)
        if self._written < 3:
            for packet in last:
                packet.dts = packet.pts  # x265 invents decoding times if there are fewer frames than its delay.
        return last


class PacketWriter(OutputFile):
    """Writes pictures that are encoded already (see `OutputFile`)."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        encoded: Any,
        pictures: VideoFormat,
        codec: str | None,
        *,
        sound: SoundPlan | None = None,
        source: MediaInfo | None = None,
        overwrite: bool = False,
    ) -> None:
        """
        Args:
            encoded: an open PyAV stream of pictures that are encoded in the same way.
            codec: the encoder's name; None: a default encoder.
            sound, source, overwrite: as of OutputFile.

        Raises what OutputFile raises.
        """
        super().__init__(path, pictures, codec or default_encoder(pictures.bit_depth), sound, source, overwrite)
        self._encoded = encoded
        self._open(sound)

    def write(self, packet: Any, pts: int, dts: int, last: bool = False) -> None:
        """Write one encoded frame, in order of decoding; times in ticks of `time_base`.

        `last`: whether it is the last one shown.

        Raises OutputError: the file cannot be written, for example because the disk is full.
        """
        self._check_open()
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

    def _video_stream(self, container: Any) -> Any:
        try:
            stream = container.add_stream_from_template(self._encoded, opaque=True)
        except ValueError as error:
            raise OutputError(str(error), self.path) from None
        stream.codec_context.framerate = self._format.fps or 30
        return stream

    def _last_packets(self) -> list[Any]:
        return []
