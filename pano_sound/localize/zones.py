"""Sound in zones: short pieces of time and frequency, in most of which one source is heard alone."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from ..soundmap import SILENCE_DB
from .cue import Cue

Array = NDArray[np.float64]

RATE = 16000
FRAME, HOP = 512, 256  # samples; speech is stationary for 32 ms
FRAMES, BINS = 3, 2
"""Frames and bins of a zone."""
ZONES = 10
"""Zones in time per step: about half a second."""
STEP = ZONES * FRAMES * HOP
"""Samples of a step."""
LEAST = ZONES * FRAMES * 10 ** (SILENCE_DB / 10)
"""Energy of a silent step."""
WINDOW = 0.75
"""Seconds before and after a time up to which sound counts."""
BAND = (150.0, 6000.0)
"""Hz. Wind and handling noise lie below; above, the microphones of most cameras are too far apart for directions."""


class ZonedCue(Cue):
    """The base of cues that measure sound step by step.

    Args:
        channels: of the sound.
    """

    context = WINDOW + STEP / RATE

    def __init__(self, channels: int) -> None:
        self._begin = 0.0
        self._waiting = np.zeros((channels, 0), np.float32)

    def start_sound(self, t: float) -> None:
        self._begin = t

    def add_sound(self, block: NDArray[np.float32]) -> None:
        waiting = np.concatenate([self._waiting, block], axis=1)
        whole = max(0, (waiting.shape[1] - (FRAME - HOP)) // STEP)
        for n in range(whole):
            self._add(waiting[:, n * STEP : (n + 1) * STEP + FRAME - HOP])
        self._waiting = waiting[:, whole * STEP :].copy()

    def end_sound(self) -> None:
        missing = STEP + FRAME - HOP - self._waiting.shape[1]
        self.add_sound(np.zeros((len(self._waiting), missing), np.float32))

    @abstractmethod
    def _add(self, wave: NDArray[np.float32]) -> None:
        """Measure one step, (channels, samples)."""

    def _middles(self, steps: int) -> Array:
        """The middles of the first steps in seconds, (steps,)."""
        return self._begin + (np.arange(steps) + 0.5) * STEP / RATE


def nearness(times: Array, middles: Array) -> Array:
    """The weight of each step at `times` (n,): 1 at its middle, 0 from WINDOW seconds on, (n, steps)."""
    return np.maximum(1 - np.abs(times[:, None] - middles) / WINDOW, 0)


def spectra(wave: NDArray[np.float32]) -> NDArray[np.complexfloating]:
    """Spectra of the frames of sound (channels, samples): (channels, frames, bins), as powerful as the sound."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME, axis=1)[:, ::HOP]
    window = np.hanning(FRAME + 1)[:FRAME].astype(np.float32)
    return np.fft.rfft(frames * (window * np.sqrt(2 / (FRAME * (window**2).sum()))), axis=2)


def bins(band: tuple[float, float]) -> tuple[int, int]:
    """The bins of the lowest and the highest frequency of a band in Hz."""
    first, last = (round(hz * FRAME / RATE) for hz in band)
    return first, last


def summed(spectrum: NDArray) -> NDArray:
    """Sums over zones of (frames, bins): (times, bands); incomplete zones are left out."""
    times, bands = spectrum.shape[0] // FRAMES, spectrum.shape[1] // BINS
    zones = spectrum[: times * FRAMES, : bands * BINS].reshape(times, FRAMES, bands, BINS)
    return np.asarray(zones.sum(axis=(1, 3), dtype=np.complex128 if np.iscomplexobj(spectrum) else np.float64))
