"""Does the planned camera look at the source? On real and made 360° scenes, with their own and with another scene's
sound.

The evidence for each film is computed once and kept; fusing, planning and judging take seconds.
"""

from __future__ import annotations

import collections
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...camera.planner import plan
from ...camera_path import CameraPath
from ...errors import DataFileError, InputError
from ...library.settings import full_settings, settings_key
from ...localize.cue import Evidence
from ...localize.fusion import Fusion
from ...media.probe import probe
from ...options.camera import PlanOptions
from ...options.input import InputOptions
from ...options.listening import ListeningOptions
from ...pipeline.analyse import Cues, Observed, make_cues, observe
from ...pipeline.film import no_progress, pannable
from ...pipeline.passes import FilmPart, feed_pictures, feed_sound
from ...soundmap import SILENCE_DB, SoundMap
from ...sphere.convention import angles, directions, rotation, wrap_degrees
from ...sphere.geometry import angle_between
from ..datasets.labelled import place_of, read_directions, short_names
from .cube_saliency import CubeSaliency, picture_only
from .made_scenes import HEIGHT, MOTIONS, RATE, WIDTH, Sources, make_scenes, move_camera, write_film

NEAR, IN_VIEW = 25.0, 45.0
"""Degrees in yaw from the middle of the view."""


@dataclass(frozen=True)
class LabelledScene:
    """A film with its true sources.

    kind: 'A', 'B' or 'C' (how clear a real scene's direction is), or 'made'.
    place: scenes of one place count as one.
    """

    film: Path
    kind: str
    place: str
    truth: Sources


@dataclass(frozen=True)
class Heard:
    """A scene with the evidence for its film.

    sound_of: the scene whose sound it has; None: its own.
    """

    scene: LabelledScene
    times: NDArray[np.float64]
    level_db: NDArray[np.float32]
    cuts: NDArray[np.float64]
    turned: NDArray[np.float32]
    evidence: dict[str, Evidence]
    sound_of: LabelledScene | None = None

    @property
    def places(self) -> set[str]:
        """The places of its picture and its sound."""
        return {one.place for one in (self.scene, self.sound_of) if one is not None}

    def truth(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Of each judged time the nearest analysed one, (m,), and the yaw of what is heard then, (m,) degrees."""
        t, yaw, _ = np.array(self.scene.truth).T
        start = self.times[0]
        return np.abs(self.times - start - t[:, None]).argmin(axis=1), yaw

    def soundmap(self, fusion: Fusion, without: Sequence[str] = ()) -> SoundMap:
        """The evidence fused, perhaps without some of the cues."""
        kept = {name: one for name, one in self.evidence.items() if name not in without}
        posterior, elsewhere = fusion.posterior(kept)
        silent = self.level_db <= SILENCE_DB
        posterior[silent], elsewhere[silent] = 0.0, 1.0
        end = float(2 * self.times[-1] - self.times[-2])
        source = {"path": self.scene.film.name, "width": WIDTH, "height": HEIGHT, "end": end}
        return SoundMap(
            self.times,
            posterior.astype(np.float16),
            elsewhere,
            self.level_db,
            source,
            cuts=self.cuts,
            turned=self.turned,
        )


def real_scenes(data: Path, folder: Path, motion: str = "still") -> list[LabelledScene]:
    """The real scenes of DATA/pano as mono films, each turned by a fixed random yaw.

    Their places are those of the table's column `place`, if it has one.

    Raises:
        DataFileError: as `read_directions`.
        InputError: a film cannot be read, or has no sound.
    """
    rows, found = read_directions(data), []
    pano = data / "pano"
    called = dict(zip(rows, short_names([pano / name for name in rows], pano), strict=True))
    for name, truth in sorted(rows.items()):
        turn = random.Random(name).uniform(-180, 180)
        film = folder / f"{called[name]}{'' if motion == 'still' else '-' + motion}.mp4"
        if not film.exists():
            _turned(pano / name, film, turn, motion)
        seen = []
        for row in truth:
            t, yaw, pitch = (float(row[key]) for key in ("t_s", "yaw_deg", "pitch_deg"))
            there = angles(directions(yaw - turn, pitch) @ rotation(*MOTIONS[motion](t)))
            seen.append((t, float(there[0]), float(there[1])))
        found.append(LabelledScene(film, truth[0]["tier"], place_of(truth[0]), seen))
    return found


def of_another_place(scenes: Sequence[LabelledScene]) -> list[LabelledScene]:
    """For each scene the next one of another place. Raises DataFileError if all are of one place."""
    found = []
    for i, scene in enumerate(scenes):
        rest = [*scenes[i + 1 :], *scenes[:i]]
        other = next((one for one in rest if one.place != scene.place), None)
        if other is None:
            hint = "each scene also hears the sound of another place; pano/directions.csv names it in the column place"
            raise DataFileError(f"all scenes are of one place, {scene.place}", hint=hint)
        found.append(other)
    return found


def composed_scenes(
    data: Path, folder: Path, split: str, count: int, seed: int, motion: str = "still"
) -> list[LabelledScene]:
    """Made scenes of DATA's clips and stills, see `made_scenes`."""
    films = make_scenes(data, folder, split, count, seed, motion)
    return [LabelledScene(film, "made", film.stem.removesuffix(f"-{motion}"), truth) for film, truth in films.items()]


def collect_evidence(
    scene: LabelledScene, sound_of: LabelledScene | None, options: ListeningOptions, cache: Path
) -> Heard:
    """The evidence of a scene, with its own sound or another one's; kept in a folder for these options and weights
    and this version of the program."""
    other = sound_of or scene
    cache = cache / settings_key({**full_settings(options), "version": __version__})[:12]
    kept = cache / f"{scene.film.stem}{'' if other is scene else '~' + other.film.stem}.npz"
    if not kept.exists():
        info = pannable(str(scene.film), InputOptions())
        cues = make_cues(info, options)
        if other is scene:
            observed = observe(info, options, cues, no_progress)
        else:
            observed = _observe_two(scene, other, options, cues)
        parts = {
            "times": np.array(observed.times),
            "level_db": observed.level_db,
            "cuts": np.array(observed.cuts, np.float64),
            "turned": observed.turned,
            **{f"maps/{name}": one.maps[:].astype(np.float16) for name, one in observed.evidence.items()},
            **{f"nothing/{name}": one.nothing for name, one in observed.evidence.items()},
        }
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial.npz")
        np.savez_compressed(partial, **parts)  # type: ignore[arg-type]
        partial.rename(kept)
    with np.load(kept) as archive:
        names = [name.removeprefix("maps/") for name in archive.files if name.startswith("maps/")]
        evidence = {
            name: Evidence(archive[f"maps/{name}"].astype(np.float32), archive[f"nothing/{name}"]) for name in names
        }
        turned = archive.get("turned", np.zeros(len(archive["times"]), np.float32))
        return Heard(scene, archive["times"], archive["level_db"], archive["cuts"], turned, evidence, sound_of)


def _observe_two(scene: LabelledScene, other: LabelledScene, options: ListeningOptions, cues: Cues) -> Observed:
    """The pictures of one film with the sound of another."""
    pictures, sound = (FilmPart(pannable(str(one.film), InputOptions())) for one in (scene, other))
    level = feed_sound(sound, cues.all, no_progress)
    found = feed_pictures(pictures, cues.all, options.every, no_progress)
    levels = level.at(found.times, options.window)
    return Observed(found.times, found.cuts, levels, found.turned(cues.orientation), found.evidence(cues.all))


@dataclass(frozen=True)
class Figures:
    """Shares of the judged time of one scene, 0..1, and how fast the camera turns, degrees per second."""

    near: float
    in_view: float
    near_on_sphere: float
    best_still: float
    stated: float
    """Probability, as the sound map states it, that the view holds the source."""
    elsewhere: float
    """Probability, as the sound map states it, that nothing in the picture makes the sound."""
    travel: float
    likelihood: float
    """Nats gained over a uniform sphere."""


def judge(heard: Heard, fusion: Fusion, without: Sequence[str] = ()) -> Figures:
    """How good the planned camera is on a scene."""
    return judge_map(heard, heard.soundmap(fusion, without))


def picture_map(heard: Heard, fusion: Fusion, saliency: CubeSaliency, cache: Path) -> SoundMap:
    """The sound map of a scene by pictures alone; what it takes is kept in a folder."""
    soundmap = heard.soundmap(fusion)
    kept = cache / f"{heard.scene.film.stem}.picture.npz"
    if not kept.exists():
        film = pannable(str(heard.scene.film), InputOptions())
        cache.mkdir(parents=True, exist_ok=True)
        picture_only(film, soundmap, saliency, no_progress).save(kept)
    return SoundMap.load(kept)


def judge_map(heard: Heard, soundmap: SoundMap, options: PlanOptions | None = None) -> Figures:
    """The same for a sound map, perhaps one that somebody else made of the scene."""
    path = plan(soundmap, options)
    t, yaw, pitch = np.array(heard.scene.truth).T
    looks = path.looks(t + heard.times[0])
    off = np.abs(wrap_degrees(looks[:, 0] - yaw))
    apart = angle_between(directions(looks[:, 0], looks[:, 1]), directions(yaw, pitch))
    still = max(float(np.mean(np.abs(wrap_degrees(yaw - c)) <= IN_VIEW)) for c in range(-180, 180, 5))
    posterior = soundmap.posterior.astype(np.float32)
    at, _ = heard.truth()
    around = np.abs(wrap_degrees(_middles(posterior.shape[2]) - looks[:, :1])) <= IN_VIEW
    return Figures(
        near=float(np.mean(off <= NEAR)),
        in_view=float(np.mean(off <= IN_VIEW)),
        near_on_sphere=float(np.mean(apart <= NEAR)),
        best_still=still,
        stated=float(np.mean((posterior.sum(axis=1)[at] * around).sum(axis=1))),
        elsewhere=float(np.mean(soundmap.elsewhere[at])),
        travel=turning_speed(path, t[0] + heard.times[0], t[-1] + heard.times[0]),
        likelihood=float(np.mean(log_likelihood(heard, posterior))),
    )


def turning_speed(path: CameraPath, begin: float, end: float) -> float:
    """How fast a camera turns on average, degrees per second; cuts are left out."""
    clock = np.append(np.arange(begin, end, 0.25), end)
    look = directions(*path.looks(clock)[:, :2].T)
    uncut = np.diff(np.searchsorted(path.times[sorted(path.cuts)], clock, side="right")) == 0
    seconds = float(np.diff(clock)[uncut].sum())
    return float(angle_between(look[1:], look[:-1])[uncut].sum()) / seconds if seconds else 0.0


def _middles(columns: int) -> NDArray[np.float64]:
    """The yaw of each column's middle, degrees."""
    return (np.arange(columns) + 0.5) / columns * 360 - 180


_KERNEL = 12.0
"""Degrees by which the truth is uncertain in yaw."""
_LEAST = 1e-3


def log_likelihood(heard: Heard, posterior: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log of how much more probable the true yaw is than by chance, at each judged time, (m,) nats."""
    at, yaw = heard.truth()
    columns = posterior.shape[2]
    kernel = np.exp(-0.5 * (wrap_degrees(_middles(columns) - yaw[:, None]) / _KERNEL) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    return np.asarray(np.log((posterior.sum(axis=1)[at] * kernel).sum(axis=1) * columns + _LEAST))


def reliability(judged: Sequence[tuple[Heard, Fusion]], bins: int = 10) -> tuple[NDArray[np.float64], float]:
    """The reliability of the stated probabilities that a view of 90° holds the source, over twelve views around.

    Returns:
        (k, 3): mean stated probability, share in which it was true, and number of cases, of each bin that has any;
        and the expected calibration error, nan without scenes.
    """
    if not judged:
        return np.zeros((0, 3)), float("nan")
    stated: list[NDArray[np.float64]] = []
    true: list[NDArray[np.float64]] = []
    for heard, fusion in judged:
        at, yaw = heard.truth()
        posterior = heard.soundmap(fusion).posterior.astype(np.float64).sum(axis=1)[at]
        middles = _middles(posterior.shape[1])
        for centre in range(-180, 180, 30):
            stated.append(posterior[:, np.abs(wrap_degrees(middles - centre)) <= IN_VIEW].sum(axis=1))
            true.append((np.abs(wrap_degrees(yaw - centre)) <= IN_VIEW).astype(np.float64))
    p, hit = np.concatenate(stated), np.concatenate(true)
    place = np.minimum((p * bins).astype(int), bins - 1)
    rows = np.array([[p[place == b].mean(), hit[place == b].mean(), (place == b).sum()] for b in np.unique(place)])
    return rows, float((np.abs(rows[:, 0] - rows[:, 1]) * rows[:, 2]).sum() / rows[:, 2].sum())


def over_places(
    rows: Sequence[tuple[LabelledScene, Figures]], seed: int = 0
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Means over places of each figure, by kind, with 90 % bootstrap intervals over places: (mean, low, high)."""
    by_kind: dict[str, dict[str, list[list[float]]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for scene, figures in rows:
        by_kind[scene.kind][scene.place].append(list(vars(figures).values()))
    rng = np.random.default_rng(seed)
    names = list(Figures.__annotations__)
    found = {}
    for kind, places in sorted(by_kind.items()):
        means = np.array([np.mean(values, axis=0) for values in places.values()])
        drawn = means[rng.integers(len(means), size=(2000, len(means)))].mean(axis=1)
        low, high = np.percentile(drawn, [5, 95], axis=0)
        found[kind] = {name: (float(means[:, i].mean()), float(low[i]), float(high[i])) for i, name in enumerate(names)}
    return found


def _turned(source: Path, film: Path, turn: float, motion: str) -> None:
    """A real scene with another direction in its middle, W alone as its sound, its camera moved."""
    shift = round(turn / 360 * WIDTH) % WIDTH
    probe(source)  # names what is missing or damaged
    with av.open(str(source), metadata_errors="ignore") as file:
        if not file.streams.audio:
            raise InputError("the scene has no sound", source)
        resampler = av.AudioResampler("fltp", None, RATE)
        wave = [out.to_ndarray()[0] for f in file.decode(audio=0) for out in resampler.resample(f)]
        fps = float(file.streams.video[0].average_rate or 25)

    def frames() -> Iterator[NDArray[np.uint8]]:
        with av.open(str(source), metadata_errors="ignore") as file:
            for n, frame in enumerate(file.decode(video=0)):
                picture = frame.reformat(width=WIDTH, height=HEIGHT, format="bgr24").to_ndarray().astype(np.uint8)
                yield move_camera(np.roll(picture, -shift, axis=1), MOTIONS[motion](n / fps))

    write_film(film, frames(), fps, np.concatenate(wave))
