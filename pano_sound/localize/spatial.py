"""The spatial cue: the direction of arrival in ambisonic sound, from the flow of energy in short zones of time and
frequency.

The active intensity of a first-order field points to its source (Tervo, "Direction estimation based on sound intensity
vectors", EUSIPCO 2009). If it is small relative to the energy, sound comes from everywhere, or from several sources at
once: this is the diffuseness of directional audio coding (Pulkki, "Spatial sound reproduction with directional audio
coding", JAES 2007). In zones with a single source it is large, and a histogram of their directions has a peak for each
source (Pavlidi et al., "3D localization of multiple sound sources with intensity vector estimates in single source
zones", EUSIPCO 2015). Zones in which the sound rises weigh more, because direct sound arrives before its reflections.

The histogram is blurred by the error of its directions, more in elevation and more where the sound is diffuse, and
mixed with a uniform sphere.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..soundmap import SILENCE_DB
from ..sphere.convention import angles, wrap_degrees
from ..sphere.geometry import cell_areas, cell_directions
from .cue import GRID, Cue, Evidence, Maps, Sound, normalized

log = logging.getLogger("pano_sound")

Array = NDArray[np.float64]

_RATE = 16000
_FRAME, _HOP = 512, 256  # samples; speech is stationary for 32 ms
_BAND = (150.0, 6000.0)
"""Hz. Wind and handling noise lie below; above, the microphones of most cameras are too far apart for directions."""
_FRAMES, _BINS = 3, 2
"""Frames and bins of a zone."""
_ZONES = 10
"""Zones in time per histogram: about half a second."""
_STEP = _ZONES * _FRAMES * _HOP
_LEAST = _ZONES * _FRAMES * 10 ** (SILENCE_DB / 10)
"""Energy of a silent step."""
_WINDOW = 0.75
"""Seconds before and after a time up to which sound counts."""
_CHUNK = 64
_SILENT = 1e-6
"""Share of the power below which a channel is silent. No recorded source is so exactly in the plane that it has
none."""
_LACKING = 0.9
"""Power of X, Y and Z relative to W below which a silent one of them is missing."""

# Chosen for the least error in yaw in simulated rooms (RT60 0.5 s).
_LOUDNESS, _DIRECTNESS, _RISE = 0.35, 2.0, 2.0
"""The weight of a zone is the product of its energy, its directness and its share of the energy of itself and the zone
before, with these exponents."""
_CHANCE = 0.32
"""Directness of zones in a diffuse field by chance, because zones are small."""
# Chosen near the highest likelihood of the published directions of 13 real scenes, to within 7 degrees. Those
# directions were computed from the same ambisonics and do not show how far from its sound a source is seen, so some
# doubt is left in.
_BLUR = ((7.0, 8.0), (9.0, 12.0))
"""Standard deviation of the error in yaw and pitch, degrees, for direct and for diffuse sound."""
_UNIFORM = (0.05, 0.25)
"""Share of the uniform distribution for direct sound, and what is added for diffuse sound."""
_TALLEST = 30.0
"""Standard deviation of pitch, degrees, if it is unknown: few sources are overhead or underfoot."""


class SpatialCue(Cue):
    """Evidence from the direction of the sound. It needs no pictures.

    Zero in silence, and near zero for diffuse sound. Without height (a silent Z) it tells only yaw; if X or Y is
    silent, nothing.
    """

    names: ClassVar[tuple[str, ...]] = ("spatial",)
    sound = Sound(_RATE, "field", hop=_STEP)
    context = _WINDOW + _STEP / _RATE

    def __init__(self) -> None:
        self._begin = 0.0
        self._waiting = np.zeros((4, 0), np.float32)
        self._before: Array | None = None
        self._histograms: list[NDArray[np.float16]] = []
        self._sums: list[Array] = []

    def start_sound(self, t: float) -> None:
        self._begin = t

    def add_sound(self, block: NDArray[np.float32]) -> None:
        waiting = np.concatenate([self._waiting, block], axis=1)
        whole = max(0, (waiting.shape[1] - (_FRAME - _HOP)) // _STEP)
        for n in range(whole):
            self._add(waiting[:, n * _STEP : (n + 1) * _STEP + _FRAME - _HOP])
        self._waiting = waiting[:, whole * _STEP :].copy()

    def end_sound(self) -> None:
        missing = _STEP + _FRAME - _HOP - self._waiting.shape[1]
        self.add_sound(np.zeros((4, missing), np.float32))

    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        maps = np.zeros((len(times), *GRID), np.float32)
        if self._sums and len(times):
            sums = np.stack(self._sums)
            w, y, z, x = powers = sums[:, 3:].sum(axis=0)
            silent = powers < _SILENT * powers.sum()
            # Synthetic sound may come from exactly in front; then X, Y and Z together are as strong as W.
            if (silent[1] or silent[3]) and x + y + z < _LACKING * w:
                log.warning(
                    "the sound field's %s channel is silent: no direction can be told", "Y" if silent[1] else "X"
                )
                return {"spatial": Evidence(maps, np.zeros(len(times), np.float32))}
            flat = bool(silent[2])
            for first in range(0, len(times), _CHUNK):
                part = slice(first, first + _CHUNK)
                maps[part] = self._maps(np.asarray(times[part], np.float64), sums, flat)
        return {"spatial": Evidence(maps, np.zeros(len(times), np.float32))}

    def _add(self, wave: NDArray[np.float32]) -> None:
        """Store the histogram of one step, and its totals: weight, energy, flow, power of each channel."""
        energy, intensity = zones(wave)
        before = np.concatenate([energy[:1] if self._before is None else self._before, energy[:-1]])
        self._before = energy[-1:]
        flow = np.linalg.norm(intensity, axis=-1)
        directness = flow / np.maximum(energy, 1e-30)
        rise = energy / np.maximum(energy + before, 1e-30)
        weights = energy**_LOUDNESS * directness**_DIRECTNESS * rise**_RISE
        counts = histogram(intensity, weights)
        self._histograms.append((counts / max(counts.sum(), 1e-30)).astype(np.float16))
        self._sums.append(np.array([counts.sum(), energy.sum(), flow.sum(), *np.square(wave).mean(axis=1)]))

    def _maps(self, times: Array, sums: Array, flat: bool) -> Maps:
        """Log-likelihood ratios at a few times; zeros in silence."""
        middles = self._begin + (np.arange(len(sums)) + 0.5) * _STEP / _RATE
        first, last = np.searchsorted(middles, [times.min() - _WINDOW, times.max() + _WINDOW])
        maps = np.zeros((len(times), *GRID), np.float32)
        if first == last:
            return maps
        sums = sums[first:last]
        near = np.maximum(1 - np.abs(times[:, None] - middles[first:last]) / _WINDOW, 0)
        weight, energy, flow = (near @ sums[:, :3]).T
        sounds = (energy > near.sum(axis=1) * _LEAST) & (weight > 0)
        near, energy, flow = near[sounds], energy[sounds, None], flow[sounds, None]
        shares = (near * sums[:, 0] / weight[sounds, None]).astype(np.float32)
        counts = shares @ np.stack(self._histograms[first:last]).astype(np.float32)
        direct = np.clip((flow / energy - _CHANCE) / (1 - _CHANCE), 0, 1)
        sharp, wide = (counts @ blur(*widths, flat) for widths in _BLUR)
        uniform = _UNIFORM[0] + _UNIFORM[1] * (1 - direct) ** 2
        density = uniform + (1 - uniform) * (direct * sharp + (1 - direct) * wide)
        maps[sounds] = normalized(np.log(density).reshape(-1, *GRID))
        return maps


def zones(wave: NDArray[np.float32]) -> tuple[Array, Array]:
    """Energy and intensity in zones of a first-order field.

    Args:
        wave: (4, samples) W, Y, Z, X in SN3D at 16 kHz; an incomplete zone at the end is left out.

    Returns:
        (times, bands) energy, the mean square of W for a plane wave; (times, bands, 3) x, y, z of the intensity, as
        long as that in a plane wave, towards its source.
    """
    frames = np.lib.stride_tricks.sliding_window_view(wave, _FRAME, axis=1)[:, ::_HOP]
    window = np.hanning(_FRAME + 1)[:_FRAME].astype(np.float32)
    first, last = (round(hz * _FRAME / _RATE) for hz in _BAND)
    spectrum = np.fft.rfft(frames * (window * np.sqrt(2 / (_FRAME * (window**2).sum()))), axis=2)[:, :, first:last]
    times, bands = spectrum.shape[1] // _FRAMES, spectrum.shape[2] // _BINS

    def summed(bins: NDArray) -> Array:
        of_zones = bins[: times * _FRAMES, : bands * _BINS].reshape(times, _FRAMES, bands, _BINS)
        return of_zones.sum(axis=(1, 3), dtype=np.float64)

    energy = np.sum([summed(np.abs(channel) ** 2) for channel in spectrum], axis=0) / 2
    w, y, z, x = spectrum
    return energy, np.stack([summed((w.conj() * channel).real) for channel in (x, y, z)], axis=-1)


def histogram(vectors: ArrayLike, weights: ArrayLike) -> Array:
    """Weights (...) of vectors (..., 3) summed by direction, each spread over the four nearest cells: (rows *
    columns,)."""
    rows, columns = GRID
    weight = np.asarray(weights, np.float64).ravel()
    yaw, pitch = (angle.ravel() for angle in angles(vectors))
    u, v = (yaw / 360 + 0.5) * columns - 0.5, (0.5 - pitch / 180) * rows - 0.5
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    counts = np.zeros(rows * columns)
    for column, across in ((left, left + 1 - u), (left + 1, u - left)):
        for row, down in ((top, top + 1 - v), (top + 1, v - top)):
            cells = np.clip(row, 0, rows - 1) * columns + column % columns
            counts += np.bincount(cells, weight * across * down, len(counts))
    return counts


@cache
def blur(yaw: float, pitch: float, flat: bool = False) -> NDArray[np.float32]:
    """For a direction found in each cell (row), the likelihood of each cell (column) relative to a uniform sphere.

    Args:
        yaw, pitch: standard deviations of the error, degrees.
        flat: whether only yaw is known.
    """
    cells, areas = cell_directions(*GRID).reshape(-1, 3), cell_areas(*GRID).ravel()
    if flat:
        yaws, pitches = angles(cells)
        exponent = (wrap_degrees(yaws - yaws[:, None]) / yaw) ** 2 + (pitches / _TALLEST) ** 2
    else:
        left = np.stack([-cells[:, 1], cells[:, 0], np.zeros(len(cells))], axis=1)
        left /= np.linalg.norm(left, axis=1, keepdims=True)
        apart = np.arccos(np.clip(cells @ cells.T, -1, 1))
        scale = np.degrees(apart) / np.maximum(np.sin(apart), 1e-9)
        exponent = (left @ cells.T * scale / yaw) ** 2 + (np.cross(cells, left) @ cells.T * scale / pitch) ** 2
        # The opposite side of the sphere is far in any direction.
        exponent = np.where(apart < np.pi / 2, exponent, (np.degrees(apart) / max(yaw, pitch)) ** 2)
    likelihood = np.exp(-exponent / 2)
    return (likelihood / (likelihood @ areas)[:, None]).astype(np.float32)
