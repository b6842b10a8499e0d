"""Making one film: footage in, video and camera path out. Sound maps are kept for the next time."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ..atomic_file import output_error
from ..camera_path import CameraPath
from ..errors import DataFileError, DiskError, InputError, OutputError, PanoSoundError, UnsupportedInputError
from ..media import threads
from ..media.footage import is_url
from ..media.probe import probe
from ..media.reader import VideoReader
from ..media.segments import segments
from ..options.input import InputOptions
from ..options.steps import AnalyseOptions, PanOptions
from ..pipeline import pannable, plan, render
from ..pipeline.analyse import analyse_segment, warn_if_uncertain
from ..pipeline.film import Progress, no_progress
from ..soundmap import FORMAT as SOUNDMAP_FORMAT
from ..soundmap import SoundMap
from ..visualize.report import write_report
from .discover import File, path_name, report_name
from .intake import key_of, settings_key
from .job import Job
from .long import LongFilm
from .ownership import put_result
from .records import FilmRecord, OwnFile, RenderResult, file_hashes
from .storage import HIDDEN, Bucket, Stamp, digest, store

_THUMBNAILS, _THUMBNAIL_SIZE = 3, (160, 90)
_CURVE_POINTS = 200
_LEAST_ROOM = 50_000_000
_CHECK = f"{HIDDEN}-check"


@dataclass(frozen=True)
class _NewFiles:
    """A film's files in the scratch folder, by the names of its results."""

    files: dict[str, Path]
    made: RenderResult


def prepare_process() -> None:
    """Limit this process to one core, as one of several workers, so that every machine writes the same bytes."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threads.use(1)
    os.environ.setdefault("SVT_LOG", "1")


@dataclass(frozen=True)
class Outcome:
    """How one film ended: 'done', 'skipped', 'failed', 'again' (worth another attempt), 'broken' (by `trouble`, which
    affects every film) or 'long' (others may help).

    contents: SHA-256 of the film's files, by path. stamps: of its results, by name.
    """

    state: str
    contents: dict[str, str]
    error: str = ""
    exit_code: int = 0
    made: RenderResult | None = None
    stamps: dict[str, Stamp] = field(default_factory=dict)
    segments: int = 1
    trouble: PanoSoundError | None = None


def attempt(
    job: Job,
    scratch: Path,
    progress: Progress,
    record_pending: Callable[[RenderResult], None] | None = None,
    *,
    split: bool = False,
    said: Sequence[str] = (),
) -> Outcome:
    """Make one film and put it in place. Errors are returned in the outcome.

    Args:
        scratch: a folder for incomplete files; its parent exists. It is removed at the end.
        record_pending: called with the result before it gets its final name.
        split: return at once if the film is long.
        said: warnings from making its segments.
    """
    row, out, contents = job.row, store(job.out), dict(job.contents)

    def ended(state: str, error: str = "", exit_code: int = 1) -> Outcome:
        return Outcome(state, contents, error, exit_code)

    try:
        scratch.mkdir(exist_ok=True)
        took: dict[str, float] = {}
        with _timed(took, "fetch"):
            local = [_fetched(file, scratch, contents, i) for i, file in enumerate(row.files)]
        film = _FilmWork(replace(job, contents=contents), local, scratch)
        if split and film.is_long:
            return Outcome("long", contents, segments=film.long.count)
        result = film.make(took, progress, said)
        if record_pending is not None:
            record_pending(result.made)
        stamps = {}
        for name, sha256 in file_hashes(row.output, result.made.to_json()).items():
            file = result.files[name]
            # An earlier attempt may have put this very file there.
            own = [*job.own.get(name, ()), OwnFile(sha256, None)]
            stamps[name] = put_result(out, file, name, own)
        if film.is_long:
            film.long.remove_segments()
        return Outcome("done", contents, made=result.made, stamps=stamps)
    except UnsupportedInputError as error:
        return ended("skipped", _reason(error, row), error.exit_code)
    except OSError as error:
        trouble: PanoSoundError | None = output_error(error, error.filename or job.out)
        if not isinstance(trouble, DiskError):
            raise
        return Outcome("broken", contents, trouble=trouble)
    except PanoSoundError as error:
        if trouble := _trouble(error, job):
            return Outcome("broken", contents, trouble=trouble)
        remote = isinstance(out, Bucket) or any(map(is_url, row.paths))
        return ended("again" if remote else "failed", _reason(error, row), error.exit_code)
    except MemoryError:
        return ended("again", "out of memory")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _reason(error: PanoSoundError, row: FilmRecord) -> str:
    """An error in one line, without the film's name."""
    if error.path in row.paths[:1]:
        error = type(error)(error.message, None, error.hint)
    return str(error)


def _trouble(error: PanoSoundError, job: Job) -> PanoSoundError | None:
    """The cause of an error, if it affects every film and not just this one; else None."""
    if isinstance(error, DiskError):
        return error
    if isinstance(error, OutputError):
        for place in (store(job.out), store(job.soundmaps)):
            free = place.free()
            if free is not None and free < _LEAST_ROOM:
                return DiskError("there is no room left on the disk", place.root)
            try:
                place.write(_CHECK, b"pano-sound")
                place.remove(_CHECK)
            except OutputError as trouble:
                return trouble
    elif isinstance(error, InputError):
        for file in job.row.files:
            folder = os.path.dirname(file.path)
            if file.stamp is not None and not is_url(file.path) and not os.path.isdir(folder):
                return InputError("the folder has vanished", folder, "was it moved or removed, or the disk unplugged?")
    return None


def analyse_part(job: Job, scratch: Path, number: int) -> list[str]:
    """Analyse a segment of a long film and keep its sound map, unless the film's is known. Returns warnings. Raises
    what `pipeline.analyse` raises."""
    with _segment(job, scratch) as (film, long, warnings):
        if film.kept() is None:
            long.analyse_segment(number, film.options, no_progress)
    return warnings


def render_part(job: Job, scratch: Path, number: int) -> list[str]:
    """Render a segment of a long film and keep it. Returns warnings. Raises what `pipeline.pan` raises."""
    with _segment(job, scratch) as (film, long, warnings):
        path = plan(film.soundmap(no_progress), film.options)
        long.render_segment(number, path, film.options, no_progress)
    return warnings


@contextlib.contextmanager
def _segment(job: Job, scratch: Path) -> Iterator[tuple[_FilmWork, LongFilm, list[str]]]:
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with _heard_warnings() as warnings:
            # Read in place: a segment needs only a part of the film.
            film = _FilmWork(job, list(job.row.paths), scratch)
            yield film, film.long, warnings
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _FilmWork:
    """One film in the making.

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
        with _own_names(self._names), _heard_warnings() as self._said:
            self._info = pannable(local, self.options)
        parts = segments(self._info)
        self.is_long = len(parts) > 1
        key = key_of([settings_key(settings), self._content, row.output])
        self.long = LongFilm(self._info, parts, key, self._ending, self._out, scratch)

    def make(self, took: dict[str, float], progress: Progress, said: Sequence[str] = ()) -> _NewFiles:
        """Make the film's files in the scratch folder. Raises what `pipeline.pan` raises."""
        with _heard_warnings() as warnings, _own_names(self._names):
            with _timed(took, "analyse"):
                soundmap = self.soundmap(progress)
            warn_if_uncertain(self._info, soundmap)
            with _timed(took, "plan"):
                path = plan(soundmap, self.options)
            video = self._scratch / f"result{self._ending}"
            with _timed(took, "render"):
                if self.is_long:
                    self.long.render(path, video, self.options, progress)
                else:
                    render(self._local, path, video, self.options, overwrite=True, progress=progress)
            path_file = self._scratch / path_name("result")
            path.save(path_file)
            page: Path | None = None
            files = {path_name(self._output): path_file, self._output: video}
            if self._reports:
                with _timed(took, "report"):
                    files[report_name(self._output)] = page = self._page(soundmap, path, progress)
            with _timed(took, "finish"):
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
                    jpeg=_strip(video),
                    curve=_curve(path, start, end),
                    report_sha256=digest(page) if page else "",
                )
        return _NewFiles(files, made)

    def _page(self, soundmap: SoundMap, path: CameraPath, progress: Progress) -> Path:
        page = self._scratch / report_name("result")
        write_report(
            page,
            soundmap,
            path,
            film=self._info,
            source=next(iter(self._names.values())),
            result=self._out.name(self._output),
            at=self._out.name(report_name(self._output)),
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
                found = analyse_segment(self._info, self.options, progress)
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
        about = {**heard, "weights": self._settings["weights"], "format": SOUNDMAP_FORMAT}
        name = key_of([settings_key(about), self._content])
        return f"{name[:2]}/{name}.soundmap.npz"


def _fetched(file: File, scratch: Path, contents: dict[str, str], number: int) -> str:
    """A local copy of a file, with its SHA-256 in `contents`."""
    if not is_url(file.path):
        if file.path not in contents:
            contents[file.path] = digest(file.path)
        return file.path
    local = scratch / f"source-{number}" / (os.path.basename(file.path.partition("?")[0])[-100:] or "film")
    local.parent.mkdir(exist_ok=True)
    contents[file.path] = digest(file.path, copy_to=local)
    return str(local)


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


def _strip(video: Path) -> bytes:
    """Thumbnails of a video side by side, as JPEG."""
    length = probe(video).duration
    pictures = []
    for i in range(_THUMBNAILS):
        info = probe(video, InputOptions(start=f"{length * (i + 0.5) / _THUMBNAILS:.3f}" if length > 1 else None))
        with VideoReader(info) as reader:
            pictures.append(next(reader.stored()).rgb(*_thumbnail_size(info.eye)))
    _, jpeg = cv2.imencode(".jpg", np.hstack(pictures)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return jpeg.tobytes()


def _thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    across, down = _THUMBNAIL_SIZE
    scale = max(across, down) / max(width, height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _curve(path: CameraPath, start: float, end: float) -> list[list[float]]:
    """[time, yaw, width of view] for a small plot; time in seconds from the film's start."""
    times = np.linspace(start, max(end, start + 0.1), _CURVE_POINTS)
    looks = path.looks(times)
    return [[round(float(v), 2) for v in (t - start, look[0], look[3])] for t, look in zip(times, looks, strict=True)]


@contextlib.contextmanager
def _timed(took: dict[str, float], stage: str) -> Iterator[None]:
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
def _heard_warnings() -> Iterator[list[str]]:
    """Collect the warnings logged within the block."""
    collector, log = _Collector(), logging.getLogger("pano_sound")
    log.addHandler(collector)
    try:
        yield collector.lines
    finally:
        log.removeHandler(collector)
