"""One film, or one segment of it: fetched, made, and put in place; and what it means if that fails."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from ..atomic_file import output_error
from ..errors import DiskError, InputError, ModelError, OutputError, PanoSoundError, UnsupportedInputError
from ..localize import network_threads
from ..media import threads
from ..media.footage import is_url
from ..pipeline import plan
from ..pipeline.film import Progress, no_progress
from .discover import File
from .film_maker import FilmMaker, collected_warnings, timed
from .job import Job
from .long import LongFilm
from .ownership import put_result
from .records import FilmRecord, OwnFile, RenderResult, file_hashes
from .storage import HIDDEN, Bucket, Stamp, digest, store

_LEAST_ROOM = 50_000_000
_CHECK = f"{HIDDEN}-check"


def prepare_process() -> None:
    """Limit this process to one core, as one of several workers, so that every machine writes the same bytes."""
    network_threads.use(1)
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
        with timed(took, "fetch"):
            local = [_fetched(file, scratch, contents, i) for i, file in enumerate(row.files)]
        film = FilmMaker(replace(job, contents=contents), local, scratch)
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
    if isinstance(error, DiskError | ModelError) or (error.path and error.path == job.settings.get("sound")):
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
                return type(trouble)(trouble.message, place.root, trouble.hint)
        if error.path and Path(job.soundmaps) in Path(error.path).parents:
            return error
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
def _segment(job: Job, scratch: Path) -> Iterator[tuple[FilmMaker, LongFilm, list[str]]]:
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with collected_warnings() as warnings:
            # Read in place: a segment needs only a part of the film.
            film = FilmMaker(job, list(job.row.paths), scratch)
            yield film, film.long, warnings
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
