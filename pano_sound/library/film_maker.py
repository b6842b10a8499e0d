"""The files of one film: its video, camera path and page. Sound maps are kept for the next time."""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..camera_path import CameraPath
from ..errors import DataFileError, InputError, PanoSoundError
from ..media.segments import segments
from ..options.steps import AnalyseOptions, PanOptions
from ..pipeline import pannable, plan
from ..pipeline.analyse import analyse_segment, compared, warn_if_uncertain
from ..pipeline.film import Progress
from ..pipeline.render import render_path
from ..soundmap import FORMAT as SOUNDMAP_FORMAT
from ..soundmap import SoundMap
from ..visualize.curve import camera_curve
from ..visualize.report import write_report
from .discover import path_name, report_name
from .job import Job
from .long import LongFilm
from .records import RenderResult
from .settings import key_of, settings_key
from .storage import digest, store
from .thumbnails import thumbnails

_CURVE_POINTS = 200


@dataclass(frozen=True)
class NewFiles:
    """A film's files in the scratch folder, by the names of its results."""

    files: dict[str, Path]
    made: RenderResult


class FilmMaker:
    """Makes the files of one film.

    Attributes:
        options: how it is made.
        long: the film in segments. is_long: whether it has several and is made so.
    """

    def __init__(self, job: Job, local: list[str], scratch: Path) -> None:
        """
        Args:
            job: one that has the SHA-256 of all files.
            local: local copies of the film's files, or their paths.

        Raises InputError, UnsupportedInputError.
        """
        row, settings, contents = job.row, job.settings, job.contents
        self._local, self._settings, self._scratch = local, settings, scratch
        self.options = PanOptions.from_json(settings)
        self._soundmaps = store(job.soundmaps)
        self._out, self._output, self._reports = store(job.out), row.output, job.reports
        self._names = dict(zip(local, row.paths, strict=True))
        self._ending = os.path.splitext(row.output)[1].lower()
        self._content = [contents[path] for path in row.paths]
        with _own_names(self._names), collected_warnings() as self._said:
            self._info = pannable(local, self.options)
        parts = segments(self._info)
        self.is_long = len(parts) > 1
        key = key_of([settings_key(settings), self._content, row.output])
        self.long = LongFilm(self._info, parts, key, self._ending, self._out, scratch)

    def make(self, took: dict[str, float], progress: Progress, said: Sequence[str] = ()) -> NewFiles:
        """Make the film's files in the scratch folder. Raises what `pipeline.pan` raises."""
        with collected_warnings() as warnings, _own_names(self._names):
            with timed(took, "analyse"):
                soundmap = self.soundmap(progress)
            warn_if_uncertain(self._info, soundmap)
            with timed(took, "plan"):
                path = plan(soundmap, self.options)
            video = self._scratch / f"result{self._ending}"
            with timed(took, "render"):
                if self.is_long:
                    self.long.render(path, video, self.options, progress)
                else:
                    render_path(self._info, path, video, self.options, True, progress)
            path_file = self._scratch / path_name("result")
            path.save(path_file)
            page: Path | None = None
            files = {path_name(self._output): path_file, self._output: video}
            if self._reports:
                with timed(took, "report"):
                    files[report_name(self._output)] = page = self._page(soundmap, path, progress)
            with timed(took, "finish"):
                start, end = float(soundmap.times[0]), float(soundmap.source["end"])
                lines = [_renamed(line, self._names) for line in (*self._said, *said, *warnings)]
                made = RenderResult(
                    size_bytes=video.stat().st_size,
                    sha256=digest(video),
                    path_sha256=digest(path_file),
                    seconds=round(end - start, 3),
                    size=(path.width, path.height),
                    took=took,
                    warnings=tuple(dict.fromkeys(lines)),
                    jpeg=thumbnails(video),
                    curve=camera_curve(path, start, end, _CURVE_POINTS),
                    report_sha256=digest(page) if page else "",
                )
        return NewFiles(files, made)

    def _page(self, soundmap: SoundMap, path: CameraPath, progress: Progress) -> Path:
        page = self._scratch / report_name("result")
        write_report(
            page,
            soundmap,
            path,
            film=self._info,
            options=self.options,
            source=list(self._names.values()),
            result=self._out.name(self._output),
            at=self._out.name(report_name(self._output)),
            stem=posixpath.basename(os.path.splitext(self._output)[0]),  # Films in one folder may have equal names.
            progress=progress,
        )
        return page

    def soundmap(self, progress: Progress) -> SoundMap:
        """The film's sound map: a kept one, or else analysed now and kept."""
        found = self.kept()
        if found is None:
            if self.is_long:
                found = self.long.soundmap(self.options, progress)
            else:
                found = compared(analyse_segment(self._info, self.options, progress))
            made = self._scratch / "new.soundmap.npz"
            found.save(made)
            self._soundmaps.put(made, self._kept_as(), overwrite=True)
        # It may be that of a copy with another name.
        return replace(found, source={**found.source, "path": os.path.basename(self._local[0])})

    def kept(self) -> SoundMap | None:
        """The kept sound map; None if there is none."""
        name, copy = self._kept_as(), self._scratch / "kept.soundmap.npz"
        if self._soundmaps.stamp(name) is not None:
            with contextlib.suppress(DataFileError, InputError):
                digest(self._soundmaps.name(name), copy_to=copy)
                return SoundMap.load(copy)
        return None

    def _kept_as(self) -> str:
        heard = self.options.part(AnalyseOptions).to_json()
        read = {what: self._settings[what] for what in ("weights", "recording") if what in self._settings}
        about = dict(heard, **read, format=SOUNDMAP_FORMAT)
        name = key_of([settings_key(about), self._content])
        return f"{name[:2]}/{name}.soundmap.npz"


@contextlib.contextmanager
def _own_names(names: dict[str, str]) -> Iterator[None]:
    """Make errors name the films, not their local copies."""
    try:
        yield
    except PanoSoundError as error:
        error.path = names.get(error.path or "", error.path)
        raise


def _renamed(line: str, names: dict[str, str]) -> str:
    for copy, own in names.items():
        line = line.replace(copy, own)
    return line


@contextlib.contextmanager
def timed(took: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took[stage] = time.perf_counter() - began


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the warnings logged within the block."""
    collector, log = _Collector(), logging.getLogger("pano_sound")
    log.addHandler(collector)
    try:
        yield collector.lines
    finally:
        log.removeHandler(collector)
