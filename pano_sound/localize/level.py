"""The level of a sound over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

RATE = 16_000
_CELL = 160
"""Samples per measurement: 10 ms."""
_DIGITAL_SILENCE = 1e-12


class Level:
    """Measures level. Feed it mono sound at RATE with `add_sound`, end with `end_sound`, then call `at`."""

    context = 1.5

    def __init__(self) -> None:
        self._start = 0.0
        self._waiting = np.zeros(0, np.float32)
        self._cells: list[NDArray[np.float64]] = []

    def start_sound(self, t: float) -> None:
        """The first sample is at `t` seconds."""
        self._start = t

    def add_sound(self, block: NDArray[np.float32]) -> None:
        wave = np.concatenate([self._waiting, block])
        whole = len(wave) // _CELL * _CELL
        self._cells.append(np.square(wave[:whole], dtype=np.float64).reshape(-1, _CELL).mean(axis=1))
        self._waiting = wave[whole:]

    def end_sound(self) -> None:
        if len(self._waiting):
            self._cells.append(np.square(self._waiting, dtype=np.float64).mean(keepdims=True))
        cells = np.concatenate([np.zeros(0), *self._cells])
        self._sums = np.concatenate([[0.0], np.cumsum(cells if len(cells) else np.zeros(1))])
        self._cells = []

    def at(self, times: ArrayLike, window: float) -> NDArray[np.float32]:
        """Loudness in dBFS, (n,) float32, of windows of `window` seconds centred on `times` (n,).

        A full-scale square wave is 0, digital silence -120. Windows are cut at the ends of the sound.
        """
        middle = (np.asarray(times, np.float64) - self._start) * RATE / _CELL
        last = len(self._sums) - 1
        reach = window * RATE / _CELL / 2
        low = np.clip(np.floor(middle - reach), 0, last - 1).astype(int)
        high = np.clip(np.ceil(middle + reach), low + 1, last).astype(int)
        power = (self._sums[high] - self._sums[low]) / (high - low)
        return (10.0 * np.log10(np.maximum(power, _DIGITAL_SILENCE))).astype(np.float32)
