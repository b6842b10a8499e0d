"""Recognising untagged ambisonics, and their channel order, by sound.

In ambisonics, W picks up all directions equally, while X, Y and Z pick up opposite directions with opposite signs. Four
cardioids, or channels for four loudspeakers, do not. In zones of time and frequency where one wave has nearly all the
energy, the four channels have one real ratio, which is examined here. Of X, Y and Z the weakest is Z, because most
sounds come from near the horizon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .ambisonics import FIRST_ORDER, FUMA, Ambisonics
from .footage import Footage
from .inputs import open_source
from .samples import timeline

Array = NDArray[np.float64]

_RATE = 16000
_SECONDS = 20.0
"""Seconds of the film's beginning that are used."""
_FRAME, _HOP = 512, 256  # samples
_BAND = (150.0, 6000.0)  # Hz
_FRAMES, _BINS = 3, 2
"""Size of a zone in frames and bins."""
_ONE_WAVE = 0.9
"""Share of a zone's energy in one wave that counts as a single source."""
_FEWEST = 50
"""Least number of zones with a single source for a decision."""
_SILENT = 1e-6
"""Power, relative to the loudest channel, below which a channel is silent."""
_OPPOSITE = 0.04
"""In ambisonics, some channel has at least this share of the waves with the opposite sign."""
_ALIKE = 0.22
"""In ambisonics, X, Y and Z together have a typical level relative to W in at least this share of the waves."""
_EXACT = 0.9
"""The same for synthetic sound: X, Y and Z together are exactly as loud as W, in FuMa twice as loud."""
_RATIO = 14.0
"""Most dB between W and the others in a typical wave of ambisonics."""
_LOUDEST = 3.6
"""Most power of X, Y and Z together relative to W in ambisonics."""
_FLATTER, _MUCH_FLATTER = 1.25, 5.0
"""How much stronger (amplitude) than Z the channel must be that has Z's place in the other order; and the same if most
sound is on the axis that both orders share, so that the others have only reflections."""
_ALONE = 0.8
"""Amplitude, relative to X, Y and Z together, above which a channel has most of the sound."""


@dataclass(frozen=True)
class Waves:
    """Single waves found in four channels.

    power: (4,) mean squares of the channels.
    parts: (n, 4) each wave's amplitude in the channels, of length 1, the first not negative.
    weights: (n,) of sum 1.
    """

    power: Array
    parts: Array
    weights: Array


def recognized(footage: Footage) -> Ambisonics | None:
    """The ambisonics of a film's first four channels, by their sound, AmbiX if the order stays open; None: plain
    channels.

    Raises:
        InputError: the file cannot be read.
    """
    return order_of(waves(np.concatenate(list(_beginning(footage)), axis=1)))


def order_of(found: Waves) -> Ambisonics | None:
    """The ambisonics of four channels in which these waves were found, AmbiX if the order stays open; None: plain
    channels."""
    silent = found.power <= _SILENT * found.power.max()
    if len(found.weights) < _FEWEST or silent[0] or silent.sum() > 1:
        return None
    others = found.parts[:, 1:]
    ratios = 10 * np.log10(np.maximum((others**2).sum(axis=1), 1e-9) / np.maximum(found.parts[:, 0] ** 2, 1e-9))
    usual = float(np.median(ratios))
    opposite = (found.weights @ (others < -0.1)).max()
    alike = found.weights @ (np.abs(ratios - usual) < 3)
    louder = found.power[1:].sum() / found.power[0]
    plain = opposite < _OPPOSITE or alike < _ALIKE or abs(usual) > _RATIO
    # Plain channels are never so regular, and never have silence just where ambisonics often have a silent Z.
    exact = alike > _EXACT and min(abs(usual), abs(usual - 3.01)) < 0.5
    flat = bool(silent[2]) and opposite >= _OPPOSITE
    if (plain and not exact and not flat) or louder > _LOUDEST:
        return None
    strength = np.sqrt(found.weights @ (others**2 / np.maximum((others**2).sum(axis=1, keepdims=True), 1e-30)))
    lower, higher = sorted(strength[1:])
    if higher < (_FLATTER if strength[0] < _ALONE else _MUCH_FLATTER) * lower:
        return replace(FIRST_ORDER, certain=False)
    return FIRST_ORDER if strength[2] > strength[1] else FUMA


def waves(channels: NDArray[np.float32]) -> Waves:
    """Find single waves in the louder half of the zones of four channels at 16 kHz, (4, samples)."""
    power = np.square(channels, dtype=np.float64).mean(axis=1) if channels.shape[1] else np.zeros(4)
    nothing = Waves(power, np.zeros((0, 4)), np.zeros(0))
    if channels.shape[1] < _FRAME + _FRAMES * _HOP or not power.any():
        return nothing
    frames = np.lib.stride_tricks.sliding_window_view(channels, _FRAME, axis=1)[:, ::_HOP]
    first, last = (round(hz * _FRAME / _RATE) for hz in _BAND)
    spectrum = np.fft.rfft(frames * np.hanning(_FRAME + 1)[:_FRAME].astype(np.float32), axis=2)[:, :, first:last]
    times, bands = spectrum.shape[1] // _FRAMES, spectrum.shape[2] // _BINS
    zones = spectrum[:, : times * _FRAMES, : bands * _BINS].reshape(4, times, _FRAMES, bands, _BINS)
    zones = zones.transpose(1, 3, 0, 2, 4).reshape(times * bands, 4, _FRAMES * _BINS)
    energy = (np.abs(zones) ** 2).sum(axis=(1, 2), dtype=np.float64)
    zones = zones[(energy > np.median(energy)) & (energy > 0)]
    covariance = (zones @ zones.conj().transpose(0, 2, 1)).real
    shares, vectors = np.linalg.eigh(covariance)
    total = shares.sum(axis=1)
    single = shares[:, -1] > _ONE_WAVE * total
    if not single.any():
        return nothing
    parts = vectors[single, :, -1].astype(np.float64)
    weights = total[single].astype(np.float64) ** 0.35
    return Waves(power, np.where(parts[:, :1] < 0, -parts, parts), weights / weights.sum())


def _beginning(footage: Footage) -> Iterator[NDArray[np.float32]]:
    """The first four channels of the beginning of a film's sound."""
    yield np.zeros((4, 0), np.float32)
    with open_source(footage) as source:
        left = round(_SECONDS * _RATE)
        if source.audio is None:
            return
        begin = source.begin(source.audio)
        for piece in timeline(source, _RATE, "4.0", begin, begin + Fraction(_SECONDS), FIRST_ORDER):
            yield piece[:, :left]
            left -= piece.shape[1]
            if left <= 0:
                return
