"""Sound features of a whole track, computed once while streaming, and pooled over sliding windows.

The paper recomputes its sound net for every 20 s window. The net is convolutional: its features are computed once,
block by block with the overlap that its receptive field needs. They take 6 KB for a second of sound (`base`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..soundmap import SILENCE_DB
from .network import Network

_FAINT = 1e-7  # weight of a silent step, which only matters if all are silent
_BLOCK = 30.0  # seconds computed at once


class SoundFeatures:
    """Features of one track.

    Feed it with `add(block)`, end with `finish()`, then call `pooled`.

    Args:
        network: the one whose sound net is used.

    Attributes:
        times: float64 (k,), seconds from the first sample to the middle of each feature, after `finish()`.
    """

    def __init__(self, network: Network) -> None:
        self._network, self._sound = network, network.sound
        self.step = network.sound.step
        self._cell = self._sound.hop
        self._lead = self._cell // 2 - self._sound.middle
        self._before = -(-self._sound.field[0] // self._cell)  # features that the start of a block spoils
        self._chunk = round(_BLOCK / self.step)
        self._wave = np.zeros(0, np.float32)  # samples still needed
        self._base = 0  # the feature that starts at self._wave[0]
        self._done = 0  # features computed
        self._samples = 0
        self._energy: NDArray[np.float64] = np.zeros(0)
        self._parts: list[NDArray[np.float16]] = []  # of self._chunk features each, only the last one shorter
        self._silent: dict[tuple[int, int, int], NDArray[np.float16]] = {}
        self._finished = False

    def add(self, block: ArrayLike) -> None:
        """Take the next samples: mono float32 at `network.sound.rate`, any number of them."""
        samples = np.asarray(block, np.float32)
        self._measure(samples)
        self._wave = np.concatenate([self._wave, samples])
        while True:
            needed = (self._done - self._base + self._chunk - 1) * self._cell + self._sound.field[1]
            if len(self._wave) < needed:
                return
            self._compute(self._wave[:needed], self._chunk)

    def finish(self) -> None:
        """Compute the remaining features. A track without samples becomes one silent feature."""
        if self._finished:
            return
        total = self._base + self._sound.count(len(self._wave))
        while total > self._done:
            self._compute(self._wave, min(total - self._done, self._chunk))
        self._finished = True
        self._wave = np.zeros(0, np.float32)
        count = sum(map(len, self._parts))
        edges = np.clip(np.arange(count + 1) * self._cell - self._lead, 0, self._samples)
        edges[0], edges[-1] = 0, self._samples
        energy = np.zeros(count)
        heard = min(count, len(self._energy))
        energy[:heard] = self._energy[:heard]
        energy[-1] += self._energy[heard:].sum()
        sizes = np.maximum(np.diff(edges), 1)
        self.times = np.arange(count) * self.step + self._sound.middle / self._sound.rate
        self._weights = np.where(energy / sizes > 10 ** (SILENCE_DB / 10), 1.0, _FAINT)

    def pooled(self, times: ArrayLike, window: float) -> NDArray[np.float32]:
        """Mean feature over the window (s) centred on each time (s from the first sample): (n,) -> float32 (n, F).

        A window contains the features whose middle is inside by at least the sound encoder's `margin`. Windows are cut
        at the ends of the track and always contain at least the nearest feature. Steps below `SILENCE_DB` have no
        weight unless the whole window is that quiet.
        """
        means = [self._mean(i, j) for i, j in zip(*self._window(times, window), strict=True)]
        return np.array(means, np.float32).reshape(-1, self._parts[0].shape[1])

    def _mean(self, first: int, last: int) -> NDArray[np.float32]:
        """The weighted mean of features `first` to `last` - 1: (F,)."""
        total: NDArray[np.float64] = np.zeros(self._parts[0].shape[1])
        for i in range(first // self._chunk, (last - 1) // self._chunk + 1):
            begin = i * self._chunk
            weights = self._weights[max(first, begin) : min(last, begin + self._chunk)]
            total += weights @ self._parts[i][max(first - begin, 0) : last - begin].astype(np.float64)
        return (total / self._weights[first:last].sum()).astype(np.float32)

    def _window(self, times: ArrayLike, window: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First feature in each window, and the one after its last."""
        if not self._finished:
            raise RuntimeError("finish() has not been called")
        middle = np.atleast_1d(np.asarray(times, np.float64))
        nearest = np.clip(np.rint((middle - self.times[0]) / self.step).astype(int), 0, len(self.times) - 1)
        half = max(0.0, window / 2 - self._sound.margin)
        first = np.searchsorted(self.times, middle - half, "left")
        last = np.searchsorted(self.times, middle + half, "right")
        return np.minimum(first, nearest), np.maximum(last, nearest + 1)

    def _compute(self, wave: NDArray[np.float32], count: int) -> None:
        """Run the sound net over `wave` and keep `count` features from the first one not yet computed."""
        skip = self._done - self._base
        kind = len(wave), skip, count
        # Digital silence is constant: hours of it, from a stalled recorder, take neither time nor memory.
        part = None if wave.any() else self._silent.get(kind)
        if part is None:
            part = self._network.sound_features(wave)[skip : skip + count].astype(np.float16)
        if not wave.any():
            self._silent[kind] = part
        self._parts.append(part)
        self._done += count
        base = max(0, self._done - self._before)
        self._wave = self._wave[(base - self._base) * self._cell :]
        self._base = base

    def _measure(self, samples: NDArray[np.float32]) -> None:
        """Add the energy of each sample to the nearest feature."""
        cells = np.maximum((np.arange(self._samples, self._samples + len(samples)) + self._lead) // self._cell, 0)
        self._samples += len(samples)
        if len(cells):
            sums = np.bincount(cells, np.square(samples, dtype=np.float64), len(self._energy)).astype(np.float64)
            sums[: len(self._energy)] += self._energy
            self._energy = sums
