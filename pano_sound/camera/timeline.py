"""A sound map as the planner sees it: step by step, level, and silent where it is not sure or a person says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..constraints import Mask
from ..settings import PlanSettings
from ..soundmap import CHUNK, SILENCE_DB, SoundMap
from ..sphere.convention import rotation
from ..sphere.geometry import cell_directions
from ..sphere.view import View
from . import glimpses


@dataclass(frozen=True)
class Evidence:
    """What sounds where, in steps of equal length.

    Args:
        edges: (t + 1,) seconds, where the steps begin and the last one ends.
        maps: (t, rows, columns) float32, saliency on the picture's grid.
        sure: (t,) float32, 0..1, confidence; 0 where the camera is to hold.
        level: (3, 3), the matrix that turns level directions into those of the picture.
        home: (t,) bool, where it has been silent for so long that the camera is to return to the front.
    """

    edges: NDArray[np.float64]
    maps: NDArray[np.float32]
    sure: NDArray[np.float32]
    level: NDArray[np.float64]
    home: NDArray[np.bool_]

    def cells(self, finer: int = 1) -> NDArray[np.float64]:
        """Level unit vectors to the cells, `finer` times as many each way."""
        rows, columns = self.maps.shape[1:]
        vectors: NDArray[np.float64] = cell_directions(finer * rows, finer * columns) @ self.level
        return vectors

    def part(self, begin: int, end: int) -> Evidence:
        """Steps from `begin` up to `end`."""
        steps = slice(begin, end)
        return Evidence(self.edges[begin : end + 1], self.maps[steps], self.sure[steps], self.level, self.home[steps])

    def weights(self, looks: NDArray[np.float64], view: View, centring: float) -> NDArray[np.float32]:
        """As `glimpses.glimpse_weights`, of level looks (n, 2)."""
        return glimpses.glimpse_weights(looks, view, self.cells(3), centring)

    def shown(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much of what sounds each glimpse of `weights` shows, (t, n) float32: the best 1, the worst 0."""
        shown = np.empty((len(self.maps), len(weights)), np.float32)
        for begin in range(0, len(shown), CHUNK):
            part = slice(begin, begin + CHUNK)
            shown[part] = glimpses.glimpse_mass(self.maps[part], weights)
        shown -= shown.min(axis=1, keepdims=True)
        shown /= np.maximum(shown.max(axis=1, keepdims=True), 1e-9)
        return shown


def gather(soundmap: SoundMap, settings: PlanSettings, edges: NDArray[np.float64], masks: Sequence[Mask]) -> Evidence:
    """The evidence of a sound map between `edges`; a step without a picture takes the nearest one."""
    middles = (edges[1:] + edges[:-1]) / 2
    first = np.searchsorted(soundmap.times, edges)
    counts = np.diff(first)
    confidence = soundmap.confidence().astype(np.float64)
    rows, columns = soundmap.grid
    shape = glimpses.pool(np.empty((1, rows, columns), np.float32)).shape[1:]
    maps, sure = np.empty((len(middles), *shape), np.float32), np.empty(len(middles), np.float32)
    nearest = np.clip(np.searchsorted(soundmap.times, middles), 1, max(len(soundmap) - 1, 1))
    if len(soundmap) > 1:
        before, after = soundmap.times[nearest - 1], soundmap.times[nearest]
        nearest = np.where(middles - before <= after - middles, nearest - 1, nearest)
    else:
        nearest[:] = 0
    begins = np.where(counts > 0, first[:-1], nearest)
    ends = np.where(counts > 0, first[1:], nearest + 1)
    steps_at_once = max(int(CHUNK * len(middles) / len(soundmap)), 1)
    for begin in range(0, len(middles), steps_at_once):
        these = slice(begin, min(begin + steps_at_once, len(middles)))
        low, high = begins[these], ends[these]
        part = slice(int(low[0]), int(high[-1]))
        saliency, certain = _signal(soundmap, settings, part, confidence[part])
        maps[these] = _means(saliency, low - part.start, high - part.start)
        sure[these] = _means(certain, low - part.start, high - part.start)
    level = rotation(settings.yaw, settings.pitch, settings.roll)
    _hide(maps, sure, masks, middles)
    sure[sure < (settings.sure or 0.0)] = 0.0
    loud = _means((soundmap.level_db > SILENCE_DB).astype(np.float32), begins, ends) > 0
    return Evidence(edges, maps, sure, level, _long_silence(edges, loud, settings.home_after or np.inf))


def _means(values: NDArray[Any], low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[Any]:
    """Means of values (n, ...) from `low` up to `high`, each (m,), low < high: (m, ...)."""
    if (high - low == 1).all():
        return values[low]
    ends = np.stack([low, high], axis=1).ravel()
    sums = np.add.reduceat(np.concatenate([values, values[:1]]), ends)[::2]
    count = (high - low).astype(values.dtype)
    means: NDArray[Any] = sums / count.reshape(-1, *[1] * (values.ndim - 1))
    return means


def _signal(
    soundmap: SoundMap, settings: PlanSettings, part: slice, confidence: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Coarse maps of part of a film by the chosen signal, and how sure each is."""
    saliency = glimpses.pool(soundmap.saliency(settings.mechanism, part))
    if settings.signal == "mean":
        looks, length = glimpses.mean_direction(saliency)
        return glimpses.as_points(looks, saliency.shape[1:]), confidence * length
    if settings.signal == "centroid":
        return glimpses.as_points(glimpses.centroid_direction(saliency), saliency.shape[1:]), confidence
    return saliency, confidence


def _hide(
    maps: NDArray[np.float32], sure: NDArray[np.float32], masks: Sequence[Mask], times: NDArray[np.float64]
) -> None:
    """Take what masks cover out of maps, and the confidence that it brought."""
    cells = cell_directions(*maps.shape[1:])
    for mask in masks:
        inside, when = mask.covers(cells), np.flatnonzero(mask.at(times))
        peak = maps[when].max(axis=(1, 2))
        maps[np.ix_(when, *[np.arange(n) for n in inside.shape])] *= ~inside
        sure[when] *= maps[when].max(axis=(1, 2)) / np.maximum(peak, 1e-30)


def _long_silence(edges: NDArray[np.float64], loud: NDArray[np.bool_], after: float) -> NDArray[np.bool_]:
    """In which steps it has been silent for `after` seconds, and was `loud` (t,) before."""
    last = np.maximum.accumulate(np.where(loud, np.arange(len(loud)), -1))
    return (last >= 0) & (edges[:-1] - edges[last + 1] >= after)
