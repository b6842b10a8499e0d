"""What a container says about its tracks, and which video track is the 360° film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import boxes, matroska
from .footage import is_url, open_bytes
from .matroska import VideoTrack
from .tags import ContainerTags, tags_in_index, tags_in_matroska

_TWO_TO_ONE = (1.96, 2.04)


@dataclass(frozen=True)
class ContainerIndex:
    """The parts of a file that describe its tracks.

    moov: the content of the index of an mp4 or mov file; None for others.
    tracks: the video tracks of a Matroska file.
    cut_off: bytes that the file states and lacks, because it ends before. 0 for URLs, where looking takes long.
    """

    moov: bytes | None = None
    tracks: tuple[VideoTrack, ...] = ()
    cut_off: int = 0

    def tags(self, container: Any, stream: Any) -> ContainerTags:
        """The tags of a video stream of an open PyAV container."""
        if self.moov is not None:
            return tags_in_index(self.moov, stream.id)
        # Covers come after the tracks.
        number = sum(other.index < stream.index for other in container.streams.video)
        if number < len(self.tracks):
            return tags_in_matroska(self.tracks[number], stream.metadata, container.metadata)
        return ContainerTags()


def read_container_index(name: str, container: Any) -> ContainerIndex:
    """The index of a file or URL that is open as a PyAV container. Raises InputError if it cannot be read."""
    if "mp4" in container.format.name:
        with open_bytes(name) as file:
            return ContainerIndex(moov=boxes.read_index(file), cut_off=0 if is_url(name) else boxes.bytes_cut_off(file))
    if "matroska" in container.format.name:
        with open_bytes(name) as file:
            tracks = tuple(matroska.video_tracks(file))
            return ContainerIndex(tracks=tracks, cut_off=0 if is_url(name) else matroska.bytes_cut_off(file))
    return ContainerIndex()


def video_streams(container: Any) -> list[Any]:
    """The video tracks of a PyAV container; covers are none."""
    return [stream for stream in container.streams.video if "attached_pic" not in str(stream.disposition)]


def main_stream(container: Any, streams: list[Any]) -> Any | None:
    """FFmpeg's main stream if it is among `streams`, else the first; None if there is none."""
    if not streams:
        return None
    best = container.streams.best(streams[0].type)
    return next((s for s in streams if best is not None and s.index == best.index), streams[0])


def main_picture(name: str, container: Any, streams: list[Any]) -> Any | None:
    """The 360° film among video streams; others may be previews, proxies or screen recordings.

    The largest one tagged as 360°, else the largest 2:1 one, else FFmpeg's main one.
    """
    main = main_stream(container, streams)
    if len(streams) < 2:
        return main
    index = read_container_index(name, container)

    def rank(stream: Any) -> tuple[bool, bool, int, bool]:
        width, height = stream.codec_context.width, stream.codec_context.height
        spherical = index.tags(container, stream).is_spherical
        two_to_one = height > 0 and _TWO_TO_ONE[0] <= width / height <= _TWO_TO_ONE[1]
        size = width * height if spherical or two_to_one else 0
        return spherical, two_to_one, size, stream is main

    return max(streams, key=rank)
