"""One film's work: footage in, the video and its camera path out; what was heard is kept for the next time."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ..camera.path import CameraPath
from ..errors import DataFileError, InputError, OutputError, PanoSoundError, UnsupportedInputError
from ..localize.soundmap import FORMAT as SOUNDMAP_FORMAT
from ..localize.soundmap import SoundMap
from ..media import threads
from ..media.footage import is_url
from ..media.probe import probe
from ..media.reader import VideoReader
from ..pipeline import analyse, plan, render
from ..settings import AnalyseSettings, InputSettings, PlanSettings, RenderSettings, Settings
from .discover import PATH_ENDING, File, path_name
from .intake import key_of
from .manifest import Made, Row
from .storage import HIDDEN, Bucket, Stamp, Store, digest

Progress = Callable[[str, float, float], None]

_LOOKS, _LOOK_SIZE = 3, (160, 90)
_CURVE_POINTS = 200
_LEAST_ROOM = 50_000_000


@dataclass(frozen=True)
class Result:
    """A video and its camera path, not yet in their place."""

    video: Path
    path: Path
    made: Made


def prepare_process() -> None:
    """Make this process one of several workers: each uses one core, and so writes the same bytes on every machine."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threads.use(1)
    os.environ.setdefault("SVT_LOG", "1")


@dataclass(frozen=True)
class Outcome:
    """What became of one film: 'done', 'skipped', 'failed', 'again' (worth another try) or 'broken' (no film can be
    written). `contents`: SHA-256 of its files, by path."""

    state: str
    contents: dict[str, str]
    error: str = ""
    exit_code: int = 0
    made: Made | None = None
    stamp: Stamp | None = None


def attempt(
    row: Row,
    settings: dict[str, Any],
    out: Store,
    soundmaps: Store,
    scratch: Path,
    contents: dict[str, str],
    progress: Progress,
    intend: Callable[[Made], None] | None = None,
) -> Outcome:
    """Make one film and put it into its place; what goes wrong is said in the outcome.

    Args:
        scratch: a folder for what is not complete yet; it is removed.
        contents: SHA-256 of files that are known.
        intend: called with what the result will be, before it gets its final name.
    """
    contents = dict(contents)

    def ended(state: str, error: str = "", exit_code: int = 1) -> Outcome:
        return Outcome(state, contents, error, exit_code)

    try:
        scratch.mkdir(parents=True, exist_ok=True)
        result = make(row.files, row.output, settings, scratch, soundmaps, contents, progress)
        if intend is not None:
            intend(result.made)
        out.put(result.path, path_name(row.output))
        stamp = out.put(result.video, row.output)
        return Outcome("done", contents, made=result.made, stamp=stamp)
    except UnsupportedInputError as error:
        return ended("skipped", _reason(error, row), error.exit_code)
    except PanoSoundError as error:
        if isinstance(error, OutputError) and (trouble := _trouble(out)):
            return ended("broken", trouble, error.exit_code)
        remote = isinstance(out, Bucket) or any(map(is_url, row.paths))
        return ended("again" if remote else "failed", _reason(error, row), error.exit_code)
    except MemoryError:
        return ended("again", "out of memory")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _reason(error: PanoSoundError, row: Row) -> str:
    """An error in one line, without the name of the film's file."""
    if error.path in row.paths[:1]:
        error = type(error)(error.message, None, error.hint)
    return str(error)


def _trouble(out: Store) -> str:
    """Why no film's result could be written just now; '' when one could."""
    free = out.free()
    if free is not None and free < _LEAST_ROOM:
        return f"{out.root}: there is no room left on the disk"
    try:
        out.write(f"{HIDDEN}/check", b"pano-sound")
    except OutputError as error:
        return str(error)
    return ""


def make(
    files: tuple[File, ...],
    output: str,
    settings: dict[str, Any],
    scratch: Path,
    soundmaps: Store,
    contents: dict[str, str],
    progress: Progress,
) -> Result:
    """Make one film's video and camera path, in `scratch`.

    Args:
        output: what the result is called; only its ending matters.
        settings: those of `full_settings`.
        soundmaps: where sound maps are kept, by content and settings.
        contents: SHA-256 of files that are known; those that have to be read are added.

    Raises:
        PanoSoundError: as `pipeline.pan`.
    """
    took: dict[str, float] = {}
    with _timed(took, "fetch"):
        local = [_fetched(file, scratch, contents, i) for i, file in enumerate(files)]
    names = dict(zip(local, (file.path for file in files), strict=True))
    with _heard_warnings() as warnings, _own_names(names):
        reading = _options(settings, InputSettings)
        with _timed(took, "analyse"):
            soundmap = _soundmap(local, files, settings, soundmaps, contents, scratch, progress)
        with _timed(took, "plan"):
            path = plan(soundmap, **_options(settings, PlanSettings))
        video = scratch / ("result" + os.path.splitext(output)[1])
        with _timed(took, "render"):
            how = _options(settings, RenderSettings)
            render(local, path, video, overwrite=True, progress=progress, **reading, **how)
        path_file = scratch / ("result" + PATH_ENDING)
        path.save(path_file)
        with _timed(took, "finish"):
            made = Made(
                size_bytes=video.stat().st_size,
                sha256=digest(video),
                seconds=round(float(soundmap.source["end"] - soundmap.times[0]), 3),
                size=(path.width, path.height),
                took=took,
                warnings=tuple(_renamed(line, names) for line in warnings),
                jpeg=_strip(video),
                curve=_curve(path, float(soundmap.times[0]), float(soundmap.source["end"])),
            )
    return Result(video, path_file, made)


def _fetched(file: File, scratch: Path, contents: dict[str, str], number: int) -> str:
    """A file on this machine, its content's hash known."""
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
    """Errors speak of the films' own names, not of their copies'."""
    try:
        yield
    except PanoSoundError as error:
        error.path = names.get(error.path or "", error.path)
        raise


def _renamed(line: str, names: dict[str, str]) -> str:
    for copy, own in names.items():
        line = line.replace(copy, own)
    return line


def _soundmap(
    local: list[str],
    files: tuple[File, ...],
    settings: dict[str, Any],
    kept: Store,
    contents: dict[str, str],
    scratch: Path,
    progress: Progress,
) -> SoundMap:
    """The film's sound map: as it was heard before, or heard now and kept."""
    reading, listening = _options(settings, InputSettings), _options(settings, AnalyseSettings)
    about = {**reading, **listening, "model": settings["weights"], "format": SOUNDMAP_FORMAT}
    name = key_of([about, [contents[file.path] for file in files]])
    name = f"{name[:2]}/{name}.soundmap.npz"
    copy = scratch / "kept.soundmap.npz"
    found = None
    if kept.stamp(name) is not None:
        with contextlib.suppress(DataFileError, InputError):
            digest(kept.name(name), copy_to=copy)
            found = SoundMap.load(copy)
    if found is None:
        found = analyse(local, progress=progress, **reading, **listening)
        found.save(copy)
        kept.put(copy, name)
    # Another copy of the film, which has another name, may have been heard.
    return replace(found, source={**found.source, "path": os.path.basename(local[0])})


def _options(settings: dict[str, Any], kind: type[Settings]) -> dict[str, Any]:
    return {f.name: settings[f.name] for f in fields(kind)}


def _strip(video: Path) -> bytes:
    """A few pictures of a video side by side, as JPEG."""
    length = probe(video).duration
    pictures = []
    for i in range(_LOOKS):
        info = probe(video, start=f"{length * (i + 0.5) / _LOOKS:.3f}" if length > 1 else None)
        with VideoReader(video, info) as reader:
            pictures.append(next(reader.analysis_pictures(0, *_look_size(info.eye)))[1])
    _, jpeg = cv2.imencode(".jpg", np.hstack(pictures)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return jpeg.tobytes()


def _look_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    across, down = _LOOK_SIZE
    scale = max(across, down) / max(width, height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _curve(path: CameraPath, start: float, end: float) -> list[list[float]]:
    """[time, yaw, width of view], for a small plot; time from the film's start in seconds."""
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
    """What is logged as a warning within the block."""
    collector, log = _Collector(), logging.getLogger("pano_sound")
    log.addHandler(collector)
    try:
        yield collector.lines
    finally:
        log.removeHandler(collector)
