"""Estimate what a run would make, how long it would take and how much space it would need.

The cost model is described in docs/research/scale.md and measured by benchmarks/scale.py. Once some films are made,
their times and sizes are used instead.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..camera.planner import plan
from ..errors import PanoSoundError, printable
from ..localize.semantic import PICTURE_EVERY
from ..media.info import MediaInfo, PannableFilm
from ..media.probe import probe
from ..options.batch import BatchOptions
from ..options.camera import PlanOptions
from ..options.input import InputOptions
from ..options.listening import ListeningOptions
from ..options.steps import PanOptions
from ..soundmap import SoundMap
from .intake import Library
from .lease import ManifestLease
from .locations import manifest_path
from .manifest import Manifest
from .pool import fitting_workers
from .records import FilmRecord
from .storage import Bucket, store

# Seconds of one core: per decoded megapixel, per picture and per minute of sound that the network analyses, per
# rendered megapixel. Of a film with a camera's noise: clean ones take less.
DECODE, LOOK, LISTEN, DRAW = 0.0029, 0.58, 1.7, 0.079
BITS_A_PIXEL = 0.245
SOUND_BYTES = 24_000
_ENOUGH = 3
"""With this many finished films, the estimate is based on them."""


@dataclass(frozen=True)
class Estimate:
    """What a run would do, by films, hours and bytes.

    Args:
        films: to be made; the other counts are of films that are not.
        film_hours, core_hours: length of the films, and work of one core. hours: until the run ends, with `workers`.
        bytes: size of the results. free: free space for them in bytes, None if unknown.
        refused: files that will fail or be skipped, with the reason.
    """

    films: int
    skipped: int
    failed: int
    finished: int
    duplicate: int
    film_hours: float
    core_hours: float
    workers: int
    hours: float
    bytes: int
    free: int | None
    refused: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        enough = "" if self.free is None else f" of {_bytes(self.free)} free"
        if self.free is not None and self.free < self.bytes:
            enough += ": too little"
        cores = "" if self.workers == 1 else f"{self.workers} cores, {_hours(self.core_hours)} on "
        lines = [
            f"to be made     {self.films} {'film' if self.films == 1 else 'films'}, {_hours(self.film_hours)} long",
            f"left alone     {self.finished} finished, {self.duplicate} copies of others, {self.skipped} not 360°",
            f"will fail      {self.failed}",
            f"time           about {_hours(self.hours)} on {cores}one core",
            f"disk space     about {_bytes(self.bytes)}{enough}",
            *(printable(f"{path}: {why}") for path, why in self.refused.items()),
        ]
        return "\n".join(lines)


def estimate(
    sources: Sequence[str],
    listed: Iterable[str],
    out: str,
    batch: BatchOptions,
    options: PanOptions,
    overwrite: bool = False,
    inputs: Iterable[str] = (),
) -> Estimate:
    """Estimate a run. Raises what `Library.take_in` raises."""
    with tempfile.TemporaryDirectory(prefix="pano-sound-") as folder:
        copy = Path(folder) / "manifest.sqlite"
        results = store(out)
        at = manifest_path(results, batch.manifest)
        if isinstance(results, Bucket):
            ManifestLease(results, at).fetch()
        if at.is_file():
            with Manifest(at, create=False) as before:
                before.copy_to(copy)
        with Library.open(out, replace(batch, manifest=str(copy)), rehearsal=True) as library:
            library.take_in(sources, listed, options, overwrite, inputs)
            return _estimate(library, options)


def _estimate(library: Library, options: PanOptions) -> Estimate:
    rows = list(library.manifest.rows(library.run))
    waiting = [row for row in rows if row.state == "waiting"]
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        probed = list(pool.map(lambda row: _probed(row, options), waiting))
    infos = [None if isinstance(found, PanoSoundError) else found for found in probed]
    good = [film for info in infos if info is not None and (film := info.pannable) is not None]
    refused = {row.paths[0]: _why(row, found) for row, found in zip(waiting, probed, strict=True)}
    cores, sizes = _costs(good, options, rows)
    workers = min(library.options.workers or fitting_workers(), max(1, len(good)))
    count = library.manifest.count(library.run)
    return Estimate(
        films=len(good),
        skipped=count["skipped"] + sum(info is not None and info.problem is not None for info in infos),
        failed=count["failed"] + sum(info is None for info in infos),
        finished=count["done"],
        duplicate=count["duplicate"],
        film_hours=sum(info.duration for info in good) / 3600,
        core_hours=sum(cores) / 3600,
        workers=workers,
        hours=max([sum(cores) / workers, *cores]) / 3600,
        bytes=round(sum(sizes)),
        free=library.out.free(),
        refused={path: why for path, why in refused.items() if why},
    )


def _probed(row: FilmRecord, options: InputOptions) -> MediaInfo | PanoSoundError:
    try:
        return probe(row.paths, options)
    except PanoSoundError as error:
        return error


def _why(row: FilmRecord, found: MediaInfo | PanoSoundError) -> str:
    """Why a film will not be made; '' if it will."""
    if isinstance(found, PanoSoundError):
        return str(found).removeprefix(f"{row.paths[0]}: ")
    return found.problem or ""


def _costs(infos: list[PannableFilm], options: PanOptions, rows: list[FilmRecord]) -> tuple[list[float], list[float]]:
    """Each film's work in core seconds, and its result's size in bytes."""
    done = [row for row in rows if row.state == "done" and row.made]
    if len(done) >= _ENOUGH:
        seconds = sum(row.made["seconds"] for row in done)
        time = sum(sum(row.made["took"].values()) for row in done) / seconds
        room = sum(row.made["bytes"] for row in done) / seconds
        return [time * info.duration for info in infos], [room * info.duration for info in infos]
    cores, sizes = [], []
    for info in infos:
        fps = float(info.video.fps or 30)
        width, height = _frame(info.eye[0], options.part(PlanOptions))
        cores.append(core_seconds(info.video.width, info.video.height, fps, info.duration, options))
        sizes.append(BITS_A_PIXEL * width * height * fps * info.duration / 8 + info.duration * SOUND_BYTES)
    return cores, sizes


def core_seconds(width: int, height: int, fps: float, duration: float, options: PanOptions) -> float:
    """The cost model: seconds of one core for a film of this size (pixels), frame rate and duration (s)."""
    across, down = _frame(width, options.part(PlanOptions))
    frames = fps * duration
    decoded, drawn = 2 * width * height * frames / 1e6, across * down * frames / 1e6
    look = LOOK / 4 if options.every == 0 else LOOK  # in a quarter of the pixels
    return DECODE * decoded + look * looks(fps, duration, options) + LISTEN * duration / 60 + DRAW * drawn


def looks(fps: float, duration: float, options: ListeningOptions) -> float:
    """How many pictures of a film of this frame rate and duration (s) go through the network."""
    return duration * fps if options.every == 0 else duration / max(options.every, PICTURE_EVERY)


@lru_cache
def _frame(source_width: int, options: PlanOptions) -> tuple[int, int]:
    """The output size for a source of this width."""
    nothing = np.zeros((2, 2, 4), np.float16), np.ones(2, np.float32), np.full(2, -120.0, np.float32)
    soundmap = SoundMap(np.array([0.0, 1.0]), *nothing, {"width": source_width, "end": 1.0})
    path = plan(soundmap, options)
    return path.width, path.height


def _hours(hours: float) -> str:
    minutes = round(hours * 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{hours * 60:.1f} min"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
