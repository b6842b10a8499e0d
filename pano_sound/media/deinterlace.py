"""Deinterlacing with FFmpeg's bwdif filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import av

_FILTER = "mode=send_frame:deint=interlaced"
"""One frame for two fields, and only for frames marked as interlaced."""


def deinterlaced(frames: Iterable[Any]) -> Iterator[Any]:
    """The same PyAV VideoFrames, deinterlaced. Progressive frames pass untouched.

    Interlaced frames come out one frame late, because bwdif needs the next one, too. Each keeps its PTS.
    """
    graph: _Bwdif | None = None
    for frame in frames:
        if graph is not None and graph.kind != _kind(frame):
            yield from graph.finish()
            graph = None
        if graph is None and frame.interlaced_frame:
            graph = _Bwdif(frame)
        if graph is None:
            yield frame
        else:
            yield from graph.push(frame)
    if graph is not None:
        yield from graph.finish()


def _kind(frame: Any) -> tuple[int, int, str, int, int]:
    return frame.width, frame.height, frame.format.name, frame.color_range, frame.colorspace


class _Bwdif:
    def __init__(self, frame: Any) -> None:
        self.kind = _kind(frame)
        self._time_base = frame.time_base
        width, height, pix_fmt, light, space = self.kind
        self._graph = av.filter.Graph()
        size = f"video_size={width}x{height}:pix_fmt={pix_fmt}"
        self._source = self._graph.add("buffer", f"{size}:time_base={frame.time_base}:range={light}:colorspace={space}")
        bwdif = self._graph.add("bwdif", _FILTER)
        self._sink = self._graph.add("buffersink")
        self._source.link_to(bwdif)
        bwdif.link_to(self._sink)
        self._graph.configure()

    def push(self, frame: Any) -> Iterator[Any]:
        frame.time_base = self._time_base
        self._source.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[Any]:
        self._source.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Any]:
        while True:
            try:
                frame: Any = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            # bwdif counts in half ticks, as if each field became a frame.
            frame.pts = round(frame.pts * frame.time_base / self._time_base)
            frame.time_base = self._time_base
            yield frame
