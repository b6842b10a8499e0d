"""Opening a media file safely.

Only regular files and URLs that the user names are opened, only with the demuxers below and only through FFmpeg's file
protocol (URLs through fsspec). So playlists and text files, which FFmpeg would also "play", cannot make it read
anything else.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2

from ..errors import InputError
from . import threads
from .clock import Clock
from .containers import main_picture, main_stream, video_streams
from .footage import Footage, is_url, open_bytes
from .sample_tables import check_sample_tables

_DEMUXERS = (
    "mov,matroska,mpegts,mpeg,avi,flv,asf,mxf,nut,ogg,ivf,obu,yuv4mpegpipe,h264,hevc,dv,gif,rm,"
    "wav,w64,mp3,flac,aac,ac3,eac3,aiff,au,caf,amr"
)
_CLOCK_STARTS_ANYWHERE = {"mpegts", "mpeg"}
BUFFER_SIZE = 1 << 18
"""Bytes that are read at once from a URL."""

# PyAV 19 always replaces metadata bytes that are not UTF-8; earlier versions have to be told.
_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@dataclass
class MediaFile:
    """One open file of the footage. `shift` (s) makes its clock start at 0, because MPEG's may start anywhere."""

    container: Any
    video: Any | None
    audio: Any | None
    video_tracks: list[Any]
    audio_tracks: list[Any]
    shift: Fraction
    handle: Any = None
    clock: Clock | None = None

    def close(self) -> None:
        self.container.close()
        if self.handle is not None:
            self.handle.close()


def open_file(name: str, footage: Footage) -> MediaFile:
    """Open a file of the footage, with the tracks it asks for. Raises InputError as `inputs.open_source`."""
    handle = open_bytes(name) if is_url(name) else None
    with open_bytes(name) if handle is None else contextlib.nullcontext(handle) as file:
        check_sample_tables(name, file, fragments=handle is None)
        file.seek(0)
    # Both while FFmpeg analyses the file and later.
    limits = {"max_pixels": str(footage.max_pixels)}
    try:
        container = av.open(
            # The prefix keeps names such as "concat:a" or "take 1:30.mp4" from being taken for protocols.
            handle or "file:" + name,
            container_options={"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"},
            options=limits,
            buffer_size=BUFFER_SIZE,
            **_TOLERANT,
        )
    except (av.FFmpegError, ValueError) as error:
        if handle is not None:
            handle.close()
        if isinstance(error, PermissionError):
            raise InputError("cannot be read: permission denied", name) from None
        if handle is None and cv2.haveImageReader(name):
            raise InputError("a photo, not a film", name, "give a video with sound") from None
        hint = "if it is a recording that was cut short, repair it with its camera's software"
        raise InputError("not a media file that can be read, or damaged beyond use", name, hint) from None

    shift = Fraction(0)
    if container.format.name in _CLOCK_STARTS_ANYWHERE and container.start_time is not None:
        shift = Fraction(container.start_time, av.time_base)
    tracks = video_streams(container)
    pictures = [s for s in tracks if s.codec_context is not None]
    sounds = [s for s in container.streams.audio if s.codec_context is not None]
    for s in pictures:
        s.codec_context.options = limits
        threads.limit(s.codec_context)
    for s in sounds:
        _settle_layout(s.codec_context)
    sound_tracks = list(container.streams.audio)
    try:
        if footage.video_track is None:
            picture = main_picture(name, container, pictures)
        else:
            picture = _chosen("video", footage.video_track, tracks, pictures, name)
        # A chapter may have no sound at all.
        if footage.audio_track is None or not sound_tracks:
            sound = main_stream(container, sounds)
        else:
            sound = _chosen("sound", footage.audio_track, sound_tracks, sounds, name)
    except InputError:
        container.close()
        if handle is not None:
            handle.close()
        raise
    return MediaFile(container, picture, sound, tracks, sound_tracks, shift, handle)


def _chosen(what: str, number: int, tracks: list[Any], usable: list[Any], name: str) -> Any:
    """The track of that number, from 1. Raises InputError where it is not there or cannot be decoded."""
    if number <= len(tracks) and tracks[number - 1] in usable:
        return tracks[number - 1]
    why = "cannot be decoded" if number <= len(tracks) else "is not there"
    raise InputError(
        f"{what} track {number} {why}",
        name,
        f"it has {len(tracks)} {what} track{'' if len(tracks) == 1 else 's'}, counted from 1",
    )


def _settle_layout(context: Any) -> None:
    """Give a decoder that is not open yet an equal channel layout that owns no memory, before anything reads it.

    PyAV copies layouts shallowly and frees their memory with each copy, so it crashes with layouts of custom order,
    which some mov files have.
    """
    layout = context.layout
    if not layout.nb_channels:
        return
    name = f"{layout.nb_channels} channels" if "channels (" in layout.name else layout.name
    try:
        context.layout = name
    except ValueError:
        context.layout = f"{layout.nb_channels} channels"
