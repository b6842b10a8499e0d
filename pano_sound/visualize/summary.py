"""Summaries of a sound map and of the camera path planned on it, as numbers and in one line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..camera.glimpses import even_directions
from ..camera_path import CameraPath
from ..soundmap import SILENCE_DB, SURE, SoundMap
from ..sphere.convention import directions
from ..sphere.geometry import angle_between, cell_directions
from ..sphere.view import View
from .path import stretches

_FINE, _STEEPEST = 10.0, 60.0
"""Degrees between the still views that are compared, and the steepest of them."""
_TURN = 5.0
"""A move of at least this many degrees is called a turn."""


@dataclass(frozen=True)
class SoundSummary:
    """Of a sound map: its length in seconds; for how many something sounds, and for how many of them it is sure where;
    and names of what is heard."""

    seconds: float
    sounding: float
    sure: float
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.sounding:
            return f"listened to {self.seconds:.0f} s: silent"
        what = f"heard {', '.join(self.names)}; " if self.names else ""
        share = self.sure / self.sounding
        return f"listened to {self.seconds:.0f} s: {what}sure where it comes from {share:.0%} of the time"


@dataclass(frozen=True)
class PathSummary:
    """Of a camera path: turns, cuts, and the expected seconds with the source in view, against those of the best view
    that never turns."""

    turns: int
    cuts: int
    expected: float
    still: float

    def __str__(self) -> str:
        cuts = f", {_count(self.cuts, 'cut')}" if self.cuts else ""
        return f"camera: {_count(self.turns, 'turn')}{cuts}"


def sound_summary(soundmap: SoundMap) -> SoundSummary:
    """Summarise a sound map: how much of the film sounds, and how sure the map is."""
    seconds = _durations(soundmap)
    sounding = soundmap.level_db > SILENCE_DB
    sure = soundmap.sureness() >= SURE
    names = () if soundmap.named is None else tuple(soundmap.named.heard())
    return SoundSummary(
        float(seconds.sum()), float(seconds[sounding].sum()), float(seconds[sounding & sure].sum()), names
    )


def path_summary(soundmap: SoundMap, path: CameraPath) -> PathSummary:
    """Summarise how well a camera path shows the sound map."""
    moves = [part for part in stretches(path) if part.what == "move"]
    turned = [angle_between(directions(*m.first[:2]), directions(*m.last[:2])) >= _TURN for m in moves]
    seconds = _durations(soundmap)
    cells = cell_directions(*soundmap.grid).reshape(-1, 3)
    posterior = soundmap.posterior.reshape(len(soundmap), -1)
    expected, heard_in_all = 0.0, np.zeros(len(cells))
    for t, lasting, row in zip(soundmap.times, seconds, posterior, strict=True):
        yaw, pitch, roll, hfov = path.at(t)
        inside = View(path.width, path.height, hfov).contains(cells, yaw, pitch, roll)
        expected += float(row[inside].sum(dtype=np.float64)) * lasting
        heard_in_all += row.astype(np.float64) * lasting
    view = View(path.width, path.height, float(np.median(path.samples[:, 4])))
    still = max(
        float(heard_in_all[view.contains(cells, yaw, pitch)].sum()) for yaw, pitch in even_directions(_FINE, _STEEPEST)
    )
    return PathSummary(int(sum(turned)), len(path.cuts), expected, still)


def _durations(soundmap: SoundMap) -> NDArray[np.float64]:
    """Seconds for which each time of a sound map stands, (n,)."""
    end = max(float(soundmap.source.get("end") or 0.0), float(soundmap.times[-1]))
    return np.diff(soundmap.times, append=end)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
