"""Joining separately encoded segments of a film: packets are copied, and the sound is added as a whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

from ..errors import InputError, OutputError
from ..options.video import OutputSound
from .info import PannableFilm
from .listener import PoseAt
from .output_file import VideoFormat
from .soundtrack import SoundPlan
from .writer import PacketWriter


def join(
    parts: Sequence[tuple[int, str | os.PathLike[str]]],
    dst: str | os.PathLike[str],
    info: PannableFilm,
    codec: str | None,
    pose_at: PoseAt | None = None,
    output_sound: OutputSound | None = None,
) -> None:
    """Write `dst` from what `VideoWriter` made of a film's segments, with the film's sound.

    Args:
        parts: for each segment, in order, its begin in ticks of the film's video clock, and its file, whose times count
            from there.
        info: the film.
        codec: what they are encoded with; None: the default.
        pose_at, output_sound: as of SoundPlan.

    Raises:
        OutputError: `dst` cannot be written; a segment was encoded differently from the others.
        InputError: a segment's file cannot be read; the film's sound cannot.
    """
    with _opened(parts[0][1]) as stream:
        context, video = stream.codec_context, info.video
        pictures = VideoFormat(context.width, context.height, video.time_base, video.fps)
        sound = SoundPlan.of(info, pose_at, output_sound)
        with PacketWriter(dst, stream, pictures, codec, sound=sound, source=info, overwrite=True) as writer:
            clock = writer.time_base
            if writer.end is None:
                writer.end = _end(*parts[-1], info)
            times = np.concatenate(
                [[_ticks(p, begin, info, clock) for p in _packets(path, stream, dst)] for begin, path in parts]
            ).astype(np.int64)
            found = _decoding_times(times).tolist()
            at, latest = 0, int(np.argmax(times))
            for _, path in parts:
                for packet in _packets(path, stream, dst):
                    writer.write(packet, int(times[at]), found[at], last=at == latest)
                    at += 1


def _ticks(packet: Any, begin: int, info: PannableFilm, clock: Fraction) -> int:
    return round((packet.pts * Fraction(packet.time_base) + begin * info.video.time_base) / clock)


def _end(begin: int, path: str | os.PathLike[str], info: PannableFilm) -> Fraction:
    """Until when (s) the film's last picture is shown, by its last segment."""
    with _opened(path) as stream:
        file = stream.container
        stated = Fraction((file.start_time or 0) + file.duration, av.time_base)
        # Either may be too early where the last picture shown is not the last one stored.
        shown = max(packet.pts + (packet.duration or 0) for packet in file.demux(stream) if packet.size)
        return begin * info.video.time_base + max(stated, shown * Fraction(stream.time_base))


def _decoding_times(shown: Any) -> Any:
    """Decoding times for frames with these presentation times, in order of decoding: int64 (n,), growing, none after
    its presentation."""
    in_order = np.sort(shown)
    delay = int(np.max(np.arange(len(shown)) - np.searchsorted(in_order, shown)))
    before = in_order[:delay] - (in_order[delay] - in_order[0])  # like x264
    return np.concatenate([before, in_order[: len(in_order) - delay]])


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    try:
        container = av.open("file:" + os.fspath(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"a segment cannot be read: {error.strerror}", os.fspath(path)) from None
    with container:
        yield container.streams.video[0]


def _packets(path: str | os.PathLike[str], like: Any, dst: str | os.PathLike[str]) -> Iterator[Any]:
    """The packets of a segment. Raises OutputError if a decoder set up for `like` could not decode them."""
    with _opened(path) as stream:
        one, other = stream.codec_context, like.codec_context
        if (one.name, one.extradata, one.pix_fmt) != (other.name, other.extradata, other.pix_fmt):
            what = "its segments were encoded by different encoders"
            raise OutputError(what, os.fspath(dst), "choose one that all machines have, such as `codec='libx264'`")
        for packet in stream.container.demux(stream):
            if packet.size:
                yield packet
