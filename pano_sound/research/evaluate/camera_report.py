"""The camera's measures for every preset, on made scenes and on real ones whose ambisonics tell the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...camera.planner import plan
from ...camera_path import CameraPath
from ...options.camera import PlanOptions
from ...options.presets import Preset
from ...soundmap import SoundMap
from ...sphere.convention import directions
from ..datasets.labelled import read_directions
from . import camera
from .camera_scenes import MadeScene, Place, made_scenes

HumanEdits = Mapping[tuple[str, str, str], NDArray[np.float64]]

CLEAR = ("A", "B")
"""Tiers of directions.csv whose films have a true direction."""
AHEAD = "ahead"
COLUMNS = (
    f"{'film':<28}{'preset':<9}{'in view':>8}{'delay, worst':>14}{'moves':>7}{'reversals':>11}{'moving':>8}"
    f"{'speed 95/99':>13}{'acc. 99':>9}{'jerk 99':>9}{'cosine':>13}{'overlap':>13}"
)


@dataclass(frozen=True)
class PathMeasures:
    """The measures of one preset's path in one film; `preset` AHEAD is a camera that looks straight ahead.

    Args:
        in_view: share of the sounding time with a source in view; nan where nothing sounds.
        delays: seconds after each switch until the new source is in view; infinite if it never is.
        motion: how it moves.
        cosine, overlap: Pano2Vid's, by trajectory and by frame; nan without people's paths.
    """

    film: str
    preset: str
    in_view: float
    delays: tuple[float, ...]
    motion: camera.Motion
    cosine: tuple[float, float]
    overlap: tuple[float, float]

    def __str__(self) -> str:
        delay = f"{np.median(self.delays):.1f}, {max(self.delays):.1f}" if self.delays else "-"
        moved = self.motion
        speeds = f"{moved.speed[1]:.0f}/{moved.speed[2]:.0f}"
        both = [f"{a:.2f}/{b:.2f}" if np.isfinite(a) else "-" for a, b in (self.cosine, self.overlap)]
        share = f"{100 * self.in_view:.1f} %" if np.isfinite(self.in_view) else "-"
        return (
            f"{self.film[:27]:<28}{self.preset:<9}{share:>8}{delay:>14}{moved.moves_per_minute:>7.1f}"
            f"{moved.reversals_per_minute:>11.1f}{100 * moved.share_moving:>6.0f} %{speeds:>13}"
            f"{moved.acceleration[2]:>9.0f}{moved.jerk[2]:>9.0f}{both[0]:>13}{both[1]:>13}"
        )


@dataclass(frozen=True)
class CameraReport:
    """Rows, film by film."""

    rows: Sequence[PathMeasures]

    def __str__(self) -> str:
        return "\n".join([COLUMNS, *map(str, self.rows)])

    def as_json(self) -> dict[str, Any]:
        return {"percentiles": camera.PERCENTILES, "rows": [asdict(row) for row in self.rows]}


def made(presets: Iterable[Preset], window: float, scenes: Sequence[MadeScene] | None = None) -> CameraReport:
    """Measure on made scenes. Ideal viewers each look at one source, or at whichever sounds.

    Args:
        window: sound window of the maps in seconds, as in `analyse`.
    """
    rows = []
    for scene in made_scenes() if scenes is None else scenes:
        soundmap = scene.soundmap(window=window)
        times = np.arange(0.0, scene.seconds, camera.EVERY)
        people = _who_look_at(scene.sources, times)
        for name, path in _paths(soundmap, presets):
            rows.append(_row(scene.name, name, path, scene.sources, people, 0.0, scene.seconds))
    return CameraReport(rows)


def real(
    folder: Path,
    presets: Iterable[Preset],
    analyse: Callable[[Path], SoundMap],
    progress: Callable[[str], None],
    edits: HumanEdits | None = None,
) -> CameraReport:
    """Measure on the scenes of `folder`/pano/directions.csv. An ideal viewer looks in the direction that the ambisonics
    tell; diffuse films have none.

    Args:
        edits: the result of `read_humanedit`; films that it names, without their ending, are compared with those paths.

    Raises DataFileError for a table that cannot be read, and what `analyse` raises.
    """
    rows = []
    for name, at in read_directions(folder).items():
        progress(name)
        soundmap = analyse(folder / "pano" / name)
        start, end = float(soundmap.times[0]), float(max(soundmap.times[-1], soundmap.source.get("end", 0.0)))
        truth = _nearest(at, start) if at[0]["tier"] in CLEAR else _nothing
        times = np.arange(start, end, camera.EVERY)
        people = _who_edited(edits or {}, Path(name).stem, len(times))
        if not len(people):
            people = _who_look_at(truth, times)
        for preset, path in _paths(soundmap, presets):
            rows.append(_row(f"{at[0]['tier']} {name}", preset, path, truth, people, start, end))
    return CameraReport(rows)


def _paths(soundmap: SoundMap, presets: Iterable[Preset]) -> Iterator[tuple[str, CameraPath]]:
    """What each preset plans, and before them a camera that looks straight ahead, to compare with."""
    yield AHEAD, CameraPath(1280, 720, np.array([[soundmap.times[0], 0.0, 0.0, 0.0, 90.0]]))
    for preset in presets:
        yield preset, plan(soundmap, PlanOptions(preset=preset))


def _row(
    film: str, preset: str, path: CameraPath, truth: camera.Truth, people: NDArray[np.float64], start: float, end: float
) -> PathMeasures:
    times = np.arange(start, end, camera.EVERY)
    looks = camera.sampled(path, times)
    like = {
        measure: tuple(camera.agreement(looks, people, measure, pool) for pool in ("trajectory", "frame"))
        if len(people)
        else (float("nan"), float("nan"))
        for measure in ("cosine", "overlap")
    }
    return PathMeasures(
        film,
        preset,
        camera.in_view(path, truth, start, end),
        tuple(camera.delays(path, truth, start, end)),
        camera.motion(path, start, end),
        (like["cosine"][0], like["cosine"][1]),
        (like["overlap"][0], like["overlap"][1]),
    )


def _who_look_at(truth: camera.Truth, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ideal viewers' paths, as many as sources ever sound at once, (m, n, 3); each keeps looking at the last place that
    sounded."""
    sounding = [list(truth(float(t))) for t in times]
    people = []
    for k in range(max(map(len, sounding), default=0)):
        last = next(places[min(k, len(places) - 1)] for places in sounding if places)
        looks = []
        for places in sounding:
            last = places[min(k, len(places) - 1)] if places else last
            looks.append(last)
        people.append(directions(*np.array(looks).T))
    return np.array(people)


def _who_edited(edits: HumanEdits, film: str, count: int) -> NDArray[np.float64]:
    """The edited paths of a film, (m, count, 3), at equal steps: a path's rows last as long as the film."""
    paths = [rows for (video, _, _), rows in edits.items() if video == film]
    picked = [rows[np.arange(count) * len(rows) // count] for rows in paths]
    return np.array([directions(rows[:, 0], rows[:, 1]) for rows in picked])


def _nearest(rows: Sequence[dict[str, str]], start: float) -> camera.Truth:
    """The row of a table that is nearest in time."""
    times = start + np.array([float(row["t_s"]) for row in rows])
    places = [(float(row["yaw_deg"]), float(row["pitch_deg"])) for row in rows]
    return lambda t: [places[int(np.abs(times - t).argmin())]]


def _nothing(t: float) -> Sequence[Place]:
    return ()
