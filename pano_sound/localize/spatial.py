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

Of damaged fields only that is lost which is not there. The component of a direction whose channel is silent follows
from the others, because they have length 1 together; its sign does not, so that there are two directions: left and
right, or in front and behind. How much of the sound is direct, which makes the others shorter, follows from their
powers. Elevation is never known without Z.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..sphere.convention import angles, wrap_degrees
from ..sphere.geometry import cell_areas, cell_directions
from ..spool import Spool
from .cue import GRID, Evidence, Maps, Sound, normalized
from .zones import BAND, LEAST, RATE, STEP, WINDOW, Array, ZonedCue, bins, nearness, spectra, summed

log = logging.getLogger("pano_sound")

_CHUNK = 64
_SILENT = 1e-6
"""Share of the power below which a channel is silent. No recorded source is so exactly in the plane that it has
none."""
_LACKING = 0.9
"""Power of X, Y and Z relative to W below which a silent one of them is missing."""
_OFF_DB = 2.8
"""dB by which X, Y and Z in direct sound may be louder or softer than W. In 13 real films they were by up to 2.7."""
_LOW = (30.0, 130.0)  # Hz
_RUMBLE, _ROUGH = 0.3, 2.0
"""Wind is at least this loud below 150 Hz, relative to what is above, and X, Y and Z together are that much stronger
than W there, relative to direct sound, because each microphone has its own noise."""
_WINDY = 0.2
"""Share of the time with wind from which it is reported."""

# Chosen near the least error in yaw in simulated rooms (RT60 0.5 s): docs/spatial.md says what others give.
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
_MIRRORED = 2.0
"""By how much both are larger if a component is derived from the others. Seven damaged real scenes were as likely with
1.75 and 2.5, less with 1."""
_UNIFORM = (0.05, 0.25)
"""Share of the uniform distribution for direct sound, and what is added for diffuse sound."""
_TALLEST = 30.0
"""Standard deviation of pitch, degrees, if it is unknown: few sources are overhead or underfoot."""


class SpatialCue(ZonedCue):
    """Evidence from the direction of the sound. It needs no pictures.

    Zero in silence, and near zero for diffuse sound. Without height (a silent Z) it tells only yaw; with a silent X or
    Y two directions; with a silent W nothing. It warns of each fault of the field.

    Args:
        path: the film, as warnings name it.
    """

    names: ClassVar[tuple[str, ...]] = ("spatial",)
    sound = Sound(RATE, "field", hop=STEP)

    def __init__(self, path: str | None = None) -> None:
        super().__init__(4)
        self._path = path
        self._before: Array | None = None
        self._histograms: list[NDArray[np.float16]] = []
        self._sums: list[Array] = []

    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        nothing = np.zeros(len(times), np.float32)
        if not (self._sums and len(times)):
            return {"spatial": Evidence(np.zeros((len(times), *GRID), np.float32), nothing)}
        sums = np.stack(self._sums)
        silent = _lost(sums[:, 3:7].sum(axis=0))
        for fault in _faults(sums, silent):
            log.warning("%s%s", f"{self._path}: " if self._path else "", fault)
        maps = Spool(GRID, np.float32)
        for first in range(0, len(times), _CHUNK):
            maps.extend(self._maps(np.asarray(times[first : first + _CHUNK], np.float64), sums, silent))
        return {"spatial": Evidence(maps, nothing)}

    def _add(self, wave: NDArray[np.float32]) -> None:
        """Store the histogram of one step, and its totals: weight, energy, flow, power of each channel, dB of X, Y and
        Z over W, and whether there is wind."""
        powers, intensity, low = zones(wave)
        channels = np.square(wave).mean(axis=1)
        lost = _lost(channels)
        w, directional = powers[..., 0], powers[..., 1:].sum(axis=-1)
        if lost[0]:
            intensity[:] = 0
        elif lost[[1, 3]].any():
            energy, directness, intensity = _without(lost[[3, 1, 2]], powers, intensity)
        if lost[0] or not lost[[1, 3]].any():
            energy = (w + directional) / 2
            directness = np.linalg.norm(intensity, axis=-1) / np.maximum(energy, 1e-30)
        before = np.concatenate([energy[:1] if self._before is None else self._before, energy[:-1]])
        self._before = energy[-1:]
        rise = energy / np.maximum(energy + before, 1e-30)
        weights = energy**_LOUDNESS * directness**_DIRECTNESS * rise**_RISE
        if lost[[1, 3]].any():
            mirrored = intensity * np.where(lost[[3, 1, 2]] & [True, True, False], -1, 1)
            counts = histogram(intensity, weights) + histogram(mirrored, weights)
            # What goes with W nowhere else may be diffuse as well as from where nothing is heard.
            direct = (energy * directness).sum() / max(energy.sum(), 1e-30)
            counts = direct * counts / max(counts.sum(), 1e-30) + (1 - direct) * cell_areas(*GRID).ravel()
            counts *= weights.sum()
        else:
            counts = histogram(intensity, weights)
        self._histograms.append((counts / max(counts.sum(), 1e-30)).astype(np.float16))
        louder = 10 * np.log10(np.maximum(directional, 1e-30) / np.maximum(w, 1e-30))
        level = float((weights * louder).sum() / max(weights.sum(), 1e-30))
        rough = low[1:].sum() > _ROUGH * max(1.0, 10 ** (level / 10)) * low[0]
        windy = rough and low.sum() > _RUMBLE * powers.sum() / len(powers)
        totals = (weights.sum(), energy.sum(), (energy * directness).sum())
        self._sums.append(np.array([*totals, *channels, level, windy]))

    def _maps(self, times: Array, sums: Array, silent: NDArray[np.bool_]) -> Maps:
        """Log-likelihood ratios at a few times; zeros in silence."""
        middles = self._middles(len(sums))
        first, last = np.searchsorted(middles, [times.min() - WINDOW, times.max() + WINDOW])
        maps = np.zeros((len(times), *GRID), np.float32)
        if first == last:
            return maps
        sums = sums[first:last]
        near = nearness(times, middles[first:last])
        weight, energy, flow = (near @ sums[:, :3]).T
        sounds = (energy > near.sum(axis=1) * LEAST) & (weight > 0)
        near, energy, flow = near[sounds], energy[sounds, None], flow[sounds, None]
        shares = (near * sums[:, 0] / weight[sounds, None]).astype(np.float32)
        counts = shares @ np.stack(self._histograms[first:last]).astype(np.float32)
        direct = np.clip((flow / energy - _CHANCE) / (1 - _CHANCE), 0, 1)
        factor = _MIRRORED if silent[[1, 3]].any() else 1.0
        sharp, wide = (counts @ blur(factor * yaw, factor * pitch, bool(silent[2])) for yaw, pitch in _BLUR)
        uniform = _UNIFORM[0] + _UNIFORM[1] * (1 - direct) ** 2
        density = uniform + (1 - uniform) * (direct * sharp + (1 - direct) * wide)
        maps[sounds] = normalized(np.log(density).reshape(-1, *GRID))
        return maps


def zones(wave: NDArray[np.float32]) -> tuple[Array, Array, Array]:
    """Power and intensity in zones of a first-order field.

    Args:
        wave: (4, samples) W, Y, Z, X in SN3D at 16 kHz; an incomplete zone at the end is left out.

    Returns:
        (times, bands, 4) power of W, Y, Z, X; (times, bands, 3) x, y, z of the intensity, as long as the power of W in
        a plane wave, towards its source; (4,) mean power of the channels in zones of all low frequencies.
    """
    whole = spectra(wave)
    first, last = bins(BAND)
    w, y, z, x = spectrum = whole[:, :, first:last]
    powers = np.stack([summed(np.abs(channel) ** 2) for channel in spectrum], axis=-1)
    intensity = np.stack([summed((w.conj() * channel).real) for channel in (x, y, z)], axis=-1)
    first, last = bins(_LOW)
    low = (np.abs(whole[:, :, first : last + 1]) ** 2).sum(axis=(1, 2), dtype=np.float64) / max(len(powers), 1)
    return powers, intensity, low


def _lost(powers: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of W, Y, Z, X are missing, (4,), by the channels' powers."""
    silent = np.asarray(powers < _SILENT * powers.sum())
    # Synthetic sound may come from exactly in front; then X, Y and Z together are as strong as W.
    return silent if powers[1:].sum() < _LACKING * powers[0] or silent[0] else silent & [True, False, True, False]


def _without(lost: NDArray[np.bool_], powers: Array, intensity: Array) -> tuple[Array, Array, Array]:
    """Energy, directness and intensity of zones in which X or Y is missing, perhaps Z as well.

    Args:
        lost: which of x, y, z are missing, (3,).
        powers, intensity: of `zones`.

    Returns:
        (times, bands) energy and directness; (times, bands, 3) intensity, the missing component of it positive. It is
        divided among X and Y as if both were in front, and Z is taken for zero, if more are missing. All zero if all
        are.
    """
    w = np.maximum(powers[..., 0], 1e-30)
    if lost.all():
        return w, np.zeros_like(w), np.zeros_like(intensity)
    known = np.where(lost, 0.0, intensity)
    flow, seen = (known**2).sum(axis=-1), np.where(lost, 0.0, powers[..., [3, 1, 2]]).sum(axis=-1)
    # Of W's power, d is direct and each known component's share of the rest a third: two equations, for the flow d·u
    # and the power d·u² + (w - d)·n/3 of the n known components u of the direction.
    diffuse = (~lost).sum() / 3
    half = (diffuse * w - seen) / 2
    direct = np.clip((half + np.sqrt(half**2 + diffuse * flow)) / diffuse, 1e-30, w)
    unit = known / direct[..., None]
    unit /= np.maximum(np.linalg.norm(unit, axis=-1, keepdims=True), 1.0)
    unit[..., 0 if lost[0] else 1] = np.sqrt(np.maximum(1 - (unit**2).sum(axis=-1), 0))
    return w, direct / w, unit * w[..., None]


def _faults(sums: Array, silent: NDArray[np.bool_]) -> list[str]:
    """What is wrong with a field, in words, by its totals (see `SpatialCue._add`) and its silent channels."""
    found = []
    if silent[0]:
        return ["the sound field's W channel is silent: no directions are known"]
    if silent[1]:
        found.append("the sound field's Y channel is silent: left and right cannot be told apart")
    if silent[3]:
        found.append("the sound field's X channel is silent: front and back cannot be told apart")
    if silent[2]:
        found.append("the sound field's Z channel is silent: elevation is unknown")
    if not silent.any():
        off = float(np.average(sums[:, 7], weights=np.maximum(sums[:, 0], 1e-30)))
        if abs(off) > _OFF_DB:
            what = "soft, as in N3D or by a fault" if off > 0 else "loud"
            found.append(f"the sound field's W channel is {abs(off):.0f} dB too {what}: directions are not affected")
    windy = float(sums[:, 8].mean())
    if windy > _WINDY:
        found.append(f"wind in the microphones in {windy:.0%} of the time: below 150 Hz directions are not used")
    return found


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
