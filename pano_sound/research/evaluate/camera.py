"""Measures of a camera path: how long the source is in view, how it moves, and how close it is to people's paths.

Every measure is taken on the path at equal steps of EVERY seconds. Angles are degrees of great circle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...camera_path import CameraPath
from ...sphere.convention import directions
from ...sphere.geometry import angle_between
from ...sphere.view import View

Array = NDArray[np.float64]
Truth = Callable[[float], Sequence[tuple[float, float]]]
"""The (yaw, pitch) in degrees of all sources at a time in seconds; none: silence, or off-screen sound."""

EVERY = 0.1
STILL = 1.0
"""Slower than this, in degrees per second, the camera stands still."""
OTHER = 30.0
"""A source this many degrees from all those a moment before is another source."""
PERCENTILES = (50, 95, 99, 100)
OVERLAP_FOV = 65.5
"""Pano2Vid's overlap falls linearly to 0 at this angle (Su et al. 2016, section 5.2)."""


@dataclass(frozen=True)
class Motion:
    """How a path moves. Cuts are no movement, and nothing is measured across them.

    Args:
        share_moving: of the time, 0..1, faster than STILL.
        moves_per_minute: stretches of such movement.
        reversals_per_minute: how often it then turns against the direction that it last moved in.
        speed, acceleration, jerk: their PERCENTILES, degrees per second, s², s³.
        cuts: how many.
    """

    share_moving: float
    moves_per_minute: float
    reversals_per_minute: float
    speed: tuple[float, ...]
    acceleration: tuple[float, ...]
    jerk: tuple[float, ...]
    cuts: int


def motion(path: CameraPath, start: float, end: float) -> Motion:
    """How `path` moves between two times in seconds."""
    runs = _uncut(path, start, end)
    spin = [_spin(path, run) for run in runs]
    minutes = max(end - start, EVERY) / 60
    speeds = np.concatenate([np.linalg.norm(w, axis=1) for w in spin])
    changes = [np.linalg.norm(np.diff(w, axis=0), axis=1) / EVERY for w in spin]
    jerks = [np.linalg.norm(np.diff(w, n=2, axis=0), axis=1) / EVERY**2 for w in spin]
    moves = sum(_stretches(np.linalg.norm(w, axis=1) > STILL) for w in spin)
    reversals = sum(len(turnings(path, run)) for run in runs)
    return Motion(
        float((speeds > STILL).mean()) if len(speeds) else 0.0,
        moves / minutes,
        reversals / minutes,
        _percentiles(speeds),
        _percentiles(np.concatenate(changes)),
        _percentiles(np.concatenate(jerks)),
        sum(start < path.times[i] <= end for i in path.cuts),
    )


def turnings(path: CameraPath, times: Array) -> list[float]:
    """The times of `times` (equal steps, no cut between) at which the camera turns against its last movement."""
    spin = _spin(path, times)
    moving = np.flatnonzero(np.linalg.norm(spin, axis=1) > STILL)
    return [float(times[b]) for a, b in pairwise(moving) if spin[a] @ spin[b] < 0]


def in_view(path: CameraPath, sources: Truth, start: float, end: float) -> float:
    """Proportion of the sounding time with a source in view; nan if nothing sounds."""
    seen = [_sees(path, t, sources(t)) for t in _times(start, end) if sources(t)]
    return float(np.mean(seen)) if seen else float("nan")


def switches(sources: Truth, start: float, end: float) -> list[float]:
    """Times at which another source starts, or the sound returns at another place."""
    found, last = [], sources(start)
    for t in _times(start, end):
        now = sources(t)
        if now and last and min(_apart(a, b) for a in now for b in last) > OTHER:
            found.append(float(t))
        last = now or last
    return found


def delays(path: CameraPath, sources: Truth, start: float, end: float) -> list[float]:
    """Seconds after each switch until the source is in view; infinite if it is not before the next one."""
    starts = switches(sources, start, end)
    found = []
    for a, b in pairwise([*starts, end]):
        seen = [t for t in _times(a, b) if _sees(path, t, sources(t))]
        found.append(seen[0] - a if seen else float("inf"))
    return found


def agreement(path: Array, people: Array, measure: str = "cosine", pool: str = "trajectory") -> float:
    """Pano2Vid's HumanEdit measures (Su et al. 2016, section 5.2) of one path against one or several people's.

    Args:
        path: (n, 3) unit vectors, at the times of `people`.
        people: (m, n, 3).
        measure: 'cosine' of the angle between them, -1..1; or 'overlap', 1 - angle / OVERLAP_FOV, 0..1.
        pool: 'trajectory': the best of the people's means over time; 'frame': the mean over time of the best of them.
    """
    if measure == "cosine":
        like = np.einsum("nk,mnk->mn", path, people)
    else:
        like = np.maximum(1.0 - angle_between(path[None], people) / OVERLAP_FOV, 0.0)
    return float(like.mean(axis=1).max() if pool == "trajectory" else like.max(axis=0).mean())


def sampled(path: CameraPath, times: Array) -> Array:
    """Unit vectors (n, 3) of where a path looks at times (n,)."""
    looks = path.looks(times)
    return directions(looks[:, 0], looks[:, 1])


def _sees(path: CameraPath, t: float, sources: Sequence[tuple[float, float]]) -> bool:
    yaw, pitch, roll, hfov = path.at(t)
    view = View(path.width, path.height, hfov)
    return any(bool(view.contains(directions(*source), yaw, pitch, roll)) for source in sources)


def _apart(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(angle_between(directions(*a), directions(*b)))


def _times(start: float, end: float) -> Array:
    return start + EVERY * np.arange(max(int((end - start) / EVERY + 1e-6), 1), dtype=np.float64)


def _uncut(path: CameraPath, start: float, end: float) -> list[Array]:
    """Times in equal steps, shot by shot."""
    cuts = [float(path.times[i]) for i in sorted(path.cuts) if start < path.times[i] < end]
    return [_times(a, b) for a, b in pairwise([start, *cuts, end])]


def _spin(path: CameraPath, times: Array) -> Array:
    """Angular velocity between times, (n - 1, 3), degrees per second."""
    look = sampled(path, times)
    axis = np.cross(look[:-1], look[1:])
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = angle_between(look[:-1], look[1:])[:, None]
    return np.where(length > 1e-12, axis / np.maximum(length, 1e-12) * angle, 0.0) / EVERY


def _stretches(moving: NDArray[np.bool_]) -> int:
    """The number of runs of True, counting those less than half a second apart as one."""
    at = np.flatnonzero(moving)
    return 0 if not len(at) else 1 + int((np.diff(at) > 0.5 / EVERY).sum())


def _percentiles(values: Array) -> tuple[float, ...]:
    return tuple(float(p) for p in np.percentile(values, PERCENTILES)) if len(values) else (0.0,) * len(PERCENTILES)
