"""Opening media files and decoding them past damage. The other modules of this folder share it.

Only regular files are opened, only with the demuxers below and only through FFmpeg's file protocol: playlists
and text files, which FFmpeg would also "play", cannot make it read anything else.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from ..errors import InputError

log = logging.getLogger("pano_sound")

_DEMUXERS = (
    "mov,matroska,mpegts,mpeg,avi,flv,asf,mxf,nut,ogg,ivf,obu,h264,hevc,dv,gif,rm,"
    "wav,w64,mp3,flac,aac,ac3,eac3,aiff,au,caf,amr"
)
_CLOCK_STARTS_ANYWHERE = {"mpegts", "mpeg"}
_DAMAGED_READS_IN_A_ROW = 100

# PyAV 19 always replaces bytes of metadata that are not UTF-8; the ones before have to be told.
_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@dataclass
class Source:
    """An open input file. Close it with `close()`, or use it as a context manager.

    `shift` (s) is what to subtract from every time stamp: 0, but for MPEG streams, whose clocks start
    anywhere.
    `tracks`: all its sound tracks.
    `damaged` counts the packets that could not be read or decoded and were skipped.
    """

    path: str
    container: Any
    video: Any | None
    audio: Any | None
    shift: Fraction
    tracks: list[Any] = field(default_factory=list)
    damaged: int = field(default=0)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.container.close()

    def ticks(self, stream: Any) -> int:
        """`shift` in the stream's time base."""
        return round(self.shift / stream.time_base)

    def packets(self, stream: Any) -> Iterator[Any]:
        """The stream's packets in file order; those without data and those that cannot be read are left out."""
        failures = 0
        while failures < _DAMAGED_READS_IN_A_ROW:
            try:
                for packet in self.container.demux(stream):
                    if packet.size:
                        failures = 0
                        yield packet
                return
            except av.FFmpegError:
                failures += 1
                self.damaged += 1

    def frames(self, stream: Any) -> Iterator[Any]:
        """The stream's decoded frames in presentation order; packets that do not decode are skipped."""
        for packet in itertools.chain(self.packets(stream), [None]):
            try:
                decoded = stream.codec_context.decode(packet)
            except (av.FFmpegError, ValueError):
                self.damaged += 1
                continue
            yield from decoded


def fraction(value: Any) -> Fraction | None:
    """A rational of PyAV, which has its own kind from version 19 on, as a Fraction; None for none and for 0."""
    return Fraction(value.numerator, value.denominator) if value else None


def open_source(path: str | os.PathLike[str], audio_track: int | None = None) -> Source:
    """Open a media file for reading.

    Args:
        audio_track: its sound track to be read, counted from 1; None: the main one.

    Raises:
        InputError: the file is missing, a folder, empty, unreadable, or not media; it has no such track.
    """
    name = os.fspath(path)
    try:
        status = os.stat(name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise InputError("no such file", name) from None
        raise InputError(f"cannot be read: {error.strerror}", name) from None
    except ValueError:
        raise InputError("not a valid file name", name.replace("\0", "\\0")) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a folder", name, "give a video file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a regular file", name, "save the stream to a file first")
    if status.st_size == 0:
        raise InputError("the file is empty", name, "was the copy or the recording interrupted?")

    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
    try:
        # The prefix keeps names such as "concat:a" or "take 1:30.mp4" from being taken for protocols.
        container = av.open("file:" + name, container_options=options, **_TOLERANT)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise InputError("cannot be read: permission denied", name) from None
        hint = "if it is a recording that was cut short, repair it with its camera's software"
        raise InputError("not a media file that can be read, or damaged beyond use", name, hint) from None

    shift = Fraction(0)
    if container.format.name in _CLOCK_STARTS_ANYWHERE and container.start_time is not None:
        shift = Fraction(container.start_time, av.time_base)
    pictures = [s for s in container.streams.video if not _is_cover(s) and s.codec_context is not None]
    sounds = [s for s in container.streams.audio if s.codec_context is not None]
    for s in sounds:
        _settle_layout(s.codec_context)
    tracks = list(container.streams.audio)
    if audio_track is None:
        sound = _pick(container, sounds)
    elif audio_track <= len(tracks) and tracks[audio_track - 1] in sounds:
        sound = tracks[audio_track - 1]
    else:
        container.close()
        what = "cannot be decoded" if audio_track <= len(tracks) else "is not there"
        raise InputError(f"sound track {audio_track} {what}", name, f"it has {len(tracks)}, counted from 1")
    return Source(name, container, _pick(container, pictures), sound, shift, tracks)


def _settle_layout(context: Any) -> None:
    """Give a decoder that is not open yet an equal layout that owns no memory, before anything else reads it.

    PyAV copies layouts without what they point to and frees that with each copy: with a layout of FFmpeg's
    custom order, as some mov files have, it crashes.
    """
    layout = context.layout
    name = f"{layout.nb_channels} channels" if "channels (" in layout.name else layout.name
    try:
        context.layout = name
    except ValueError:
        context.layout = f"{layout.nb_channels} channels"


def _is_cover(stream: Any) -> bool:
    return "attached_pic" in str(stream.disposition)


def _pick(container: Any, streams: list[Any]) -> Any | None:
    """The stream that FFmpeg holds for the main one if it is among `streams`, else the first."""
    if not streams:
        return None
    best = container.streams.best(streams[0].type)
    return next((s for s in streams if best is not None and s.index == best.index), streams[0])
