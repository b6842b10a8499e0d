"""Stereo modes and projections of Matroska and WebM files (RFC 9559) that FFmpeg does not know and silently ignores.

An element is its name, its size and its content. The first byte of name and size tells their length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_STEREO_MODE, _PROJECTION, _PROJECTION_TYPE = 0x53B8, 0x7670, 0x7671
_VIDEO_TYPE = 1
_TOP_LEVEL_ELEMENTS = 10_000
_TRACKS_BYTES = 1 << 24
_HEAD = 12
"""The longest name and size together, bytes."""


@dataclass(frozen=True)
class VideoTrack:
    """StereoMode of a track, and its ProjectionType; None: not stated."""

    stereo_mode: int | None = None
    projection: int | None = None


def video_tracks(file: BinaryIO) -> list[VideoTrack]:
    """The video tracks of a Matroska file, in order; none if its list of tracks is damaged or missing."""
    try:
        return [_video_track(content) for content in _track_entries(file)]
    except (OSError, ValueError, OverflowError):
        return []


def bytes_cut_off(file: BinaryIO) -> int:
    """How many bytes a Matroska file states and lacks, because it ends before."""
    try:
        end, at = file.seek(0, os.SEEK_END), 0
        for _ in range(_TOP_LEVEL_ELEMENTS):
            file.seek(at)
            name, size, length = _element_head(file.read(_HEAD))
            if size is None:
                return 0
            at += length + size
            if name == _SEGMENT:
                return max(0, at - end)
    except (OSError, ValueError, OverflowError):
        pass
    return 0


def _track_entries(file: BinaryIO) -> list[bytes]:
    """The content of each entry of a video track."""
    tracks = b""
    for _ in range(_TOP_LEVEL_ELEMENTS):
        head = file.read(_HEAD)
        if not head:
            break
        name, size, length = _element_head(head)
        file.seek(length - len(head), 1)
        if name == _SEGMENT:
            continue
        if name == _TRACKS and size is not None and size <= _TRACKS_BYTES:
            tracks = file.read(size)
            break
        if size is None:
            break
        file.seek(size, 1)
    entries = [content for name, content in _elements(tracks) if name == _TRACK]
    return [entry for entry in entries if _number(entry, _TYPE) == _VIDEO_TYPE]


def _video_track(entry: bytes) -> VideoTrack:
    video = _first(entry, _VIDEO)
    if video is None:
        return VideoTrack()
    projection = _first(video, _PROJECTION)
    kind = None if projection is None else _number(projection, _PROJECTION_TYPE) or 0
    return VideoTrack(_number(video, _STEREO_MODE), kind)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(name, content) of each element in `data`. Raises ValueError: the sizes do not add up."""
    at = 0
    while at < len(data):
        name, size, length = _element_head(data[at : at + _HEAD])
        end = len(data) if size is None else at + length + size
        if end > len(data):
            raise ValueError("an element is longer than what holds it")
        yield name, data[at + length : end]
        at = end


def _element_head(data: bytes) -> tuple[int, int | None, int]:
    """Name, size of the content (None: unknown) and own length of the element that begins with `data`."""
    name_length = 9 - data[0].bit_length() if data else 9
    size_length = 9 - data[name_length].bit_length() if name_length < len(data) else 9
    length = name_length + size_length
    if name_length > 4 or size_length > 8 or length > len(data):
        raise ValueError("no element begins here")
    all_ones = (1 << 7 * size_length) - 1
    size = int.from_bytes(data[name_length:length], "big") & all_ones
    return int.from_bytes(data[:name_length], "big"), None if size == all_ones else size, length


def _first(data: bytes, wanted: int) -> bytes | None:
    return next((content for name, content in _elements(data) if name == wanted), None)


def _number(data: bytes, wanted: int) -> int | None:
    content = _first(data, wanted)
    return None if content is None else int.from_bytes(content, "big")
