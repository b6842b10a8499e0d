"""Onsets of a sound: when something starts or gets louder, in some frequency band."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
STEP = 0.01
"""Seconds from one value to the next."""
_WINDOW, _HOP = 512, 160  # samples
_BANDS, _LOWEST, _HIGHEST = 8, 790.0, 7800.0  # number, Hz, Hz
_NEAR = 20.0
"""Seconds around a time over which the mean energy is taken, as the reference for 'quiet'."""
_FLOOR = 1e-3
"""Share of that mean below which changes of energy do not count."""


class Onsets:
    """Onset strength of a mono sound at RATE, streamed: `add` its blocks, then ask `strength`.

    The spectral flux of the field (Bello et al. 2005): the mean over logarithmic bands of the growth of log energy.
    """

    def __init__(self) -> None:
        edges = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1)
        frequencies = np.fft.rfftfreq(_WINDOW, 1 / RATE)
        self._bands = [np.flatnonzero((frequencies >= a) & (frequencies < b)) for a, b in pairwise(edges)]
        self._window = np.hanning(_WINDOW).astype(np.float32)
        # So that value i belongs to the sound around i * STEP seconds.
        self._waiting = np.zeros(_WINDOW // 2, np.float32)
        self._energy: list[NDArray[np.float32]] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """The next samples, float32 (n,)."""
        wave = np.concatenate([self._waiting, block])
        count = max(0, (len(wave) - _WINDOW) // _HOP + 1)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP][:count]
            power = np.abs(np.fft.rfft(frames * self._window, axis=1)) ** 2
            self._energy.append(
                np.stack([power[:, band].sum(axis=1) for band in self._bands], axis=1).astype(np.float32)
            )
        self._waiting = wave[count * _HOP :]

    def strength(self) -> NDArray[np.float32]:
        """Onset strength each STEP seconds from the first sample on, (n,) float32, >= 0."""
        from scipy.ndimage import gaussian_filter1d, uniform_filter1d

        self.add(np.zeros(_WINDOW, np.float32))
        energy = np.concatenate(self._energy)
        near = min(round(_NEAR / STEP), len(energy))
        total = np.zeros(len(energy))
        for band in energy.T:  # one by one: together, an hour's take 140 MB
            band = band.astype(np.float64)
            usual = uniform_filter1d(band, near, mode="nearest")
            log = gaussian_filter1d(np.log(band + _FLOOR * usual + 1e-12), 1)
            total += np.maximum(np.diff(log, prepend=log[:1]), 0)
        return (total / _BANDS).astype(np.float32)
