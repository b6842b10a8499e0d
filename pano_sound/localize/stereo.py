"""The stereo cue: left or right of the front, from the differences between two channels. It is weak, and counts as far
as the picture agrees.

Of one source, two microphones at one place that look left and right (cardioids) hear amplitudes whose difference
divided by their sum is the source's left component, -1 (right) to 1 (left). Other microphones and mixers are not so
regular, so the likelihood is wide. Microphones apart hear it at different times, found by generalized cross-correlation
(Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE TASSP 1976). Both are the
same for a source in front and one behind, above or below.

A stereo track may also be mixed afterwards, swapped, or one channel twice. Hence `sides_of` compares it with what is
seen over the whole film:

    P(true) ∝ prior(true) · exp(sum over places of log E[likelihood ratio] · looks)

with the mean E over what the visual cues say, against tracks that are swapped or tell nothing. What is known of the
source is the mixture of these three cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..soundmap import CHUNK
from ..sphere.geometry import cell_areas, cell_directions
from ..spool import Spool
from .alignment import LOOK, LOOKS
from .cue import GRID, Evidence, Maps, Sound, normalized
from .zones import BAND, FRAME, LEAST, RATE, STEP, WINDOW, Array, ZonedCue, bins, nearness, spectra, summed

_ONE = 1e-3
"""Power of the channels' difference, relative to that of their sum, below which they are one signal twice."""
_SIDES = 21
"""Bins of the left component."""
_LATEST, _FULL = 0.001, 0.0006
"""Seconds between the channels: the most that is looked for, and that of a source at the side of a head."""
_LOUDNESS, _DIRECTNESS = 0.35, 2.0
"""Exponents of a zone's energy and coherence in its weight."""
_SPREAD = 0.35
"""Standard deviation of the left component."""
_UNIFORM = 0.3
"""Share of the uniform distribution."""
_PRIORS = (0.4, 0.5, 0.1)
"""That a track's sides are those of the picture, that it tells nothing, and that it is swapped."""


class StereoCue(ZonedCue):
    """Evidence from a stereo track, by left and right alone. It needs no pictures, but counts only as `sides_of` says.

    Zero in silence, and everywhere if both channels are nearly the same.
    """

    names: ClassVar[tuple[str, ...]] = ("stereo",)
    sound = Sound(RATE, "stereo", hop=STEP)

    def __init__(self) -> None:
        super().__init__(2)
        self._histograms: list[Array] = []
        self._sums: list[tuple[float, ...]] = []

    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        maps = Spool(GRID, np.float32)
        for first in range(0, len(times), CHUNK):
            maps.extend(self._maps(np.asarray(times[first : first + CHUNK], np.float64)))
        return {"stereo": Evidence(maps, np.zeros(len(times), np.float32))}

    def _maps(self, times: Array) -> Maps:
        """Log-likelihood ratios at a few times; zeros in silence, and where both channels are one signal."""
        maps = np.zeros((len(times), *GRID), np.float32)
        middles = self._middles(len(self._sums))
        first, last = np.searchsorted(middles, [times.min() - WINDOW, times.max() + WINDOW])
        if first == last:
            return maps
        near = nearness(times, middles[first:last])
        energy, both, difference = (near @ np.array(self._sums[first:last])).T
        counts = near @ np.stack(self._histograms[first:last])
        sounds = (energy > near.sum(axis=1) * LEAST) & (difference > _ONE * both)
        counts = counts[sounds] / np.maximum(counts[sounds].sum(axis=1, keepdims=True), 1e-30)
        maps[sounds] = normalized(np.log(_UNIFORM + (1 - _UNIFORM) * counts @ _blur()).reshape(-1, *GRID))
        return maps

    def _add(self, wave: NDArray[np.float32]) -> None:
        """Store the histogram of one step over the left component, and its totals: energy, power of the channels' sum
        and of their difference."""
        first, last = bins(BAND)
        left, right = spectra(wave)[:, :, first:last]
        powers = np.stack([summed(np.abs(left) ** 2), summed(np.abs(right) ** 2)])
        energy = powers.sum(axis=0) / 2
        coherence = np.abs(summed(left * right.conj())) / np.maximum(np.sqrt(powers.prod(axis=0)), 1e-30)
        # One channel alone is as sure a side as two that agree.
        amplitudes = np.sqrt(powers)
        sides = (amplitudes[0] - amplitudes[1]) / np.maximum(amplitudes.sum(axis=0), 1e-15)
        sure = np.maximum(np.clip(coherence, 0, 1), np.abs(sides))
        sides = np.clip(sides + earlier(left, right, first) / _FULL, -1, 1)
        weights = energy**_LOUDNESS * sure**_DIRECTNESS
        at = ((sides + 1) / 2 * (_SIDES - 1)).ravel()
        low = np.minimum(at.astype(int), _SIDES - 2)
        share = (at - low) * weights.ravel()
        counts = np.zeros(_SIDES)
        counts += np.bincount(low, weights.ravel() - share, _SIDES)
        counts += np.bincount(low + 1, share, _SIDES)
        self._histograms.append(counts)
        both, difference = (float(np.square(one).mean()) for one in (wave[0] + wave[1], wave[0] - wave[1]))
        self._sums.append((float(energy.sum()), both, difference))


def earlier(left: NDArray, right: NDArray, first: int) -> float:
    """Seconds by which the left channel is earlier, at most _LATEST, times how clear that is, 0..1.

    Args:
        left, right: (frames, bins) spectra of a step; `first`: the number of the first bin.
    """
    cross = (left * right.conj()).sum(axis=0)
    cross = cross / np.maximum(np.abs(cross), 1e-30)
    delays = np.linspace(-_LATEST, _LATEST, 81)
    hz = (first + np.arange(len(cross))) * RATE / FRAME
    found = (cross[:, None] * np.exp(-2j * np.pi * hz[:, None] * delays)).real.mean(axis=0)
    best = int(found.argmax())
    return float(delays[best] * max(found[best], 0.0))


@dataclass(frozen=True)
class Sides:
    """The probabilities that a stereo track's left and right are those of the picture, that they have nothing to do
    with it, and that they are swapped: together 1."""

    true: float
    unrelated: float
    swapped: float

    def alternatives(self, maps: Maps) -> Iterator[tuple[float, Maps]]:
        """The cue's evidence (n, rows, columns) in each case, with the case's probability."""
        yield self.true, maps
        yield self.unrelated, np.zeros_like(maps)
        yield self.swapped, maps[:, :, ::-1]


def sides_of(maps: NDArray[np.floating], looks: Maps, times: NDArray[np.float64]) -> Sides:
    """Compare a stereo cue's evidence with what the visual cues say.

    Args:
        maps: (n, rows, columns) of the cue; looks: the same by sight, weighted as they should count.
        times: (n,) seconds.
    """
    areas, left = cell_areas(*GRID), cell_directions(*GRID)[..., 1].ravel()
    scores, sides = np.zeros((2, len(maps))), np.zeros(len(maps), int)
    told = np.ptp(maps, axis=(1, 2)) > 0
    for first in range(0, len(maps), CHUNK):
        part = slice(first, first + CHUNK)
        seen, ratios = np.exp(looks[part].astype(np.float64)) * areas, np.exp(maps[part].astype(np.float64))
        # Swapped channels mirror the map: its columns run backwards.
        scores[:, part] = [(one * seen).sum(axis=(1, 2)) for one in (ratios, ratios[:, :, ::-1])]
        scores[:, part] /= seen.sum(axis=(1, 2))
        sides[part] = np.rint(2 * left[ratios.reshape(len(ratios), -1).argmax(axis=1)])
    scores = np.log(np.maximum(scores, 1e-3))
    apart = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    total = np.zeros(2)
    for side in np.unique(sides[told]):
        there = told & (sides == side)
        total += scores[:, there].mean(axis=1) * min(LOOKS, there.sum() * apart / LOOK)
    odds = np.array([total[0], 0.0, total[1]]) + np.log(_PRIORS)
    shares = np.exp(odds - odds.max())
    return Sides(*(shares / shares.sum()).tolist())


def _blur() -> Array:
    """For the left component of each bin (row), the likelihood of each cell (column) relative to a uniform sphere."""
    cells, areas = cell_directions(*GRID)[..., 1].ravel(), cell_areas(*GRID).ravel()
    likelihood = np.exp(-(((np.linspace(-1, 1, _SIDES)[:, None] - cells) / _SPREAD) ** 2) / 2)
    blurred: Array = likelihood / ((likelihood @ areas) / areas.sum())[:, None]
    return blurred
