"""Long films, made in segments. Sound maps and pictures of segments are kept beside the results until the film is
complete, so that several workers can share a film, and an interruption loses little."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..camera_path import CameraPath
from ..media.info import PannableFilm
from ..media.joining import join
from ..media.reader import NoPictureError
from ..media.segments import Segment
from ..options.listening import ListeningOptions
from ..options.video import FlatVideoOptions
from ..pipeline import render_segment
from ..pipeline.analyse import analyse_segment, joined
from ..pipeline.film import Progress
from ..pipeline.render import pose_of
from ..soundmap import SoundMap
from .storage import SEGMENTS, Bucket, Store, digest


class LongFilm:
    """A film in the making. Some of its segments may be there already.

    Attributes:
        count: how many segments it has.
    """

    def __init__(
        self, info: PannableFilm, segments: Sequence[Segment], key: str, ending: str, out: Store, scratch: Path
    ) -> None:
        """
        Args:
            key: stable hash of the film and the settings.
            ending: the result's ending, such as '.mp4'.
            out: the store of the results.
            scratch: a folder for incomplete files.
        """
        self.count = len(segments)
        self._info, self._segments, self._out, self._scratch = info, segments, out, scratch
        self._folder = f"{SEGMENTS}/{key}"
        self._ending, self._part_ending = ending, ".mov" if ending == ".mov" else ".mp4"

    def analyse_segment(self, number: int, options: ListeningOptions, progress: Progress) -> None:
        """Analyse a segment and keep its sound map, unless it is there."""
        name = self._soundmap_name(number)
        if self._out.stamp(name) is not None:
            return
        found = analyse_segment(self._info, options, self._film_progress(number, progress), self._segments[number])
        if len(found):
            made = self._scratch / os.path.basename(name)
            found.save(made)
            self._out.put(made, name, overwrite=True)
        else:
            self._out.write(name, b"")

    def soundmap(self, options: ListeningOptions, progress: Progress) -> SoundMap:
        """The film's sound map. Segments without one are analysed."""
        parts = []
        for number in range(len(self._segments)):
            self.analyse_segment(number, options, progress)
            if (local := self._local(self._soundmap_name(number))) is not None:
                parts.append(SoundMap.load(local))
        return joined(parts)

    def render_segment(self, number: int, path: CameraPath, options: FlatVideoOptions, progress: Progress) -> None:
        """Render a segment and keep its video, unless it is there."""
        name = self._video_name(number)
        if self._out.stamp(name) is not None:
            return
        made = self._scratch / os.path.basename(name)
        try:
            render_segment(
                self._info, self._segments[number], path, made, options, self._film_progress(number, progress)
            )
        except NoPictureError:  # Films of variable rate may have no picture for a long time.
            self._out.write(name, b"")
        else:
            self._out.put(made, name, overwrite=True)

    def render(self, path: CameraPath, dst: Path, options: FlatVideoOptions, progress: Progress) -> None:
        """Join the film. Segments that are missing are rendered."""
        parts = []
        for number, segment in enumerate(self._segments):
            self.render_segment(number, path, options, progress)
            if (local := self._local(self._video_name(number))) is not None:
                parts.append((segment.begin or 0, local))
        info = self._info.in_order(path.source.get("channel_order"))
        join(parts, dst, info, options.codec, pose_of(path, info), options.output_sound)

    def remove_segments(self) -> None:
        """Remove all segments."""
        self._out.clear(self._folder)

    def _soundmap_name(self, number: int) -> str:
        return f"{self._folder}/{number}.soundmap.npz"

    def _video_name(self, number: int) -> str:
        return f"{self._folder}/{number}{self._part_ending}"

    def _local(self, name: str) -> Path | None:
        """A segment's file on this machine; None if it is empty."""
        stamp = self._out.stamp(name)
        if stamp is not None and stamp[0] == 0:
            return None
        if not isinstance(self._out, Bucket):
            return Path(self._out.name(name))
        copy = self._scratch / os.path.basename(name)
        digest(self._out.name(name), copy_to=copy)
        return copy

    def _film_progress(self, number: int, progress: Progress) -> Progress:
        """Convert a segment's progress into the film's."""
        start, length, base = self._info.start, self._info.duration, float(self._info.video.time_base)
        segment = self._segments[number]
        begin = 0.0 if segment.begin is None else segment.begin * base - start
        end = length if segment.end is None else segment.end * base - start

        def report(stage: str, done: float, total: float) -> None:
            progress(stage, begin + (end - begin) * (done / total if total else 1.0), length)

        return report
