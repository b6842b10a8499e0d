"""A sound map resampled for the planner: in steps, coarse, with masks applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..constraints import Mask
from ..options.presets import CameraSettings
from ..soundmap import CHUNK, SILENCE_DB, SoundMap
from ..sphere.convention import rotation
from ..sphere.geometry import cell_areas, cell_directions
from ..sphere.view import View
from . import glimpses
from .heading import Heading


@dataclass(frozen=True)
class Timeline:
    """The sound map in steps of equal length.

    Args:
        edges: (t + 1,) seconds, where the steps begin and the last one ends.
        maps: (t, rows, columns) float32, the probability of each cell of the picture.
        present: (t,) float32, 0..1, the probability that anything in the picture makes the sound.
        level: (3, 3), the matrix that turns level directions into those of the picture.
        home: (t,) bool, where silence has lasted so long that the camera should return to the front.
        heading: (t,) degrees that the camera of the film has turned to the right. The maps are as if it had not.
    """

    edges: NDArray[np.float64]
    maps: NDArray[np.float32]
    present: NDArray[np.float32]
    level: NDArray[np.float64]
    home: NDArray[np.bool_]
    heading: NDArray[np.float64]

    @property
    def middles(self) -> NDArray[np.float64]:
        """(t,) seconds, the middle of each step."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def cells(self, finer: int = 1) -> NDArray[np.float64]:
        """Level unit vectors to the cells, `finer` times as many in each direction."""
        return level_cells(self.maps.shape[1:], self.level, finer)

    def part(self, begin: int, end: int) -> Timeline:
        """Steps from `begin` up to `end`."""
        steps = slice(begin, end)
        here = self.maps[steps], self.present[steps], self.level, self.home[steps], self.heading[steps]
        return Timeline(self.edges[begin : end + 1], *here)

    def covered(self, mask: Mask, vectors: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a mask covers directions (..., 3) of a camera that had not turned, in each step: (t, ...).

        It holds in steps whose middle is in its time; if there are none, in those that it touches.
        """
        holds = mask.at(self.middles)
        if not holds.any():
            start, end = -np.inf if mask.start is None else mask.start, np.inf if mask.end is None else mask.end
            holds = (self.edges[1:] > start) & (self.edges[:-1] < max(end, start + 1e-6))
        headings, step = np.unique(self.heading, return_inverse=True)
        covered = np.stack([mask.covers(vectors @ rotation(float(turn))) for turn in headings])
        return covered[step] & holds[(...,) + (None,) * (vectors.ndim - 1)]

    def weights(self, looks: NDArray[np.float64], view: View, centring: float) -> NDArray[np.float32]:
        """As `glimpses.glimpse_weights`, of level looks (n, 2)."""
        return _weights(looks.tobytes(), view, self.maps.shape[1:], self.level.tobytes(), centring)

    def held(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability that each glimpse of `weights` (n, cells) holds the source, (t, n) float32."""
        return np.asarray(self.maps.reshape(len(self.maps), -1) @ weights.T)


def level_cells(grid: tuple[int, ...], level: NDArray[np.float64], finer: int = 1) -> NDArray[np.float64]:
    """Level unit vectors to the cells of a grid (rows, columns), `finer` times as many in each direction."""
    rows, columns = grid
    vectors: NDArray[np.float64] = cell_directions(finer * rows, finer * columns) @ level
    return vectors


@lru_cache(maxsize=4)  # A batch plans many films for the same view.
def _weights(looks: bytes, view: View, grid: tuple[int, ...], level: bytes, centring: float) -> NDArray[np.float32]:
    cells = level_cells(grid, np.frombuffer(level).reshape(3, 3), finer=3)
    found = glimpses.glimpse_weights(np.frombuffer(looks).reshape(-1, 2), view, cells, centring)
    found.setflags(write=False)
    return found


def resample(
    soundmap: SoundMap,
    settings: CameraSettings,
    edges: NDArray[np.float64],
    masks: Sequence[Mask],
    conditional: bool = False,
    home_after: float = 0.0,
    heading: Heading | None = None,
) -> Timeline:
    """Resample a sound map to steps between `edges`, (t + 1,) seconds. A step without a map takes the nearest one.

    Args:
        conditional: normalise each map before averaging, so that maps count alike however probable it is that anything
            sounds.
        home_after: seconds of silence after which the camera returns to the front; 0: it does not.
        heading: of the film's camera, whose turn is undone.
    """
    middles = (edges[1:] + edges[:-1]) / 2
    first = np.searchsorted(soundmap.times, edges)
    counts = np.diff(first)
    rows, columns = soundmap.grid
    shape = glimpses.pool(np.empty((1, rows, columns), np.float32)).shape[1:]
    maps, present = np.empty((len(middles), *shape), np.float32), np.empty(len(middles), np.float32)
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
        posterior = soundmap.posterior[part].astype(np.float32)
        if heading is not None:
            posterior = _turned_right(posterior, heading.at(soundmap.times[part]))
        posterior = _signal(glimpses.pool(posterior), settings)
        sounding = soundmap.present()[part]
        if conditional:
            posterior /= np.maximum(posterior.sum(axis=(1, 2), keepdims=True), 1e-30)
        maps[these] = _means(posterior, low - part.start, high - part.start)
        present[these] = _means(sounding, low - part.start, high - part.start)
    level = rotation(settings.yaw, settings.pitch, settings.roll)
    loud = _means((soundmap.level_db > SILENCE_DB).astype(np.float32), begins, ends) > 0
    home = _long_silence(edges, loud, home_after or np.inf)
    turned = np.zeros(len(middles)) if heading is None else heading.at(middles)
    timeline = Timeline(edges, maps, present, level, home, turned)
    for mask in masks:
        maps *= ~timeline.covered(mask, cell_directions(*shape))
    return timeline


def _turned_right(maps: NDArray[np.float32], degrees: NDArray[np.float64]) -> NDArray[np.float32]:
    """Maps of probability (n, rows, columns), each turned to the right about the vertical; their sums stay."""
    if not degrees.any():
        return maps
    found, columns = np.empty_like(maps), maps.shape[2]
    for i, turn in enumerate(degrees / 360 * columns):
        whole, share = int(np.floor(turn)), np.float32(turn - np.floor(turn))
        here = np.roll(maps[i], whole, axis=1)
        found[i] = here + share * (np.roll(here, 1, axis=1) - here)
    return found


def _means(values: NDArray[Any], low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[Any]:
    """Means of values (n, ...) from `low` up to `high`, each (m,), low < high: (m, ...)."""
    if (high - low == 1).all():
        return values[low]
    ends = np.stack([low, high], axis=1).ravel()
    sums = np.add.reduceat(np.concatenate([values, values[:1]]), ends)[::2]
    count = (high - low).astype(values.dtype)
    means: NDArray[Any] = sums / count.reshape(-1, *[1] * (values.ndim - 1))
    return means


def _signal(posterior: NDArray[np.float32], settings: CameraSettings) -> NDArray[np.float32]:
    """The chosen signal of coarse maps (n, rows, columns): the map itself, or all of its probability in one point."""
    if settings.signal == "glimpse":
        return posterior
    grid = posterior.shape[1], posterior.shape[2]
    density = np.asarray(posterior / cell_areas(*grid), np.float32)
    present = posterior.sum(axis=(1, 2))
    if settings.signal == "mean":
        looks, length = glimpses.mean_direction(density)
        present = present * length.astype(np.float32)
    else:
        looks = glimpses.centroid_direction(density)
    return np.asarray(glimpses.as_points(looks, grid) * present[:, None, None])


def _long_silence(edges: NDArray[np.float64], loud: NDArray[np.bool_], after: float) -> NDArray[np.bool_]:
    """In which steps it has been silent for `after` seconds after a `loud` (t,) step."""
    last = np.maximum.accumulate(np.where(loud, np.arange(len(loud)), -1))
    return (last >= 0) & (edges[:-1] - edges[last + 1] >= after)
