"""What four channels are, by their sound: ambisonics in which order, or plain channels; and what is wrong with them.

In a sound field W hears everything alike and X, Y and Z hear each direction with a sign of its own, so that sources on
opposite sides differ in sign. Microphones that look four ways, and channels for four loudspeakers, do not. Where
nearly all energy of a zone of time and frequency is one wave, the four channels stand in one real ratio: this is what
is looked at. Of X, Y and Z the one that hears least is Z: most sounds come from near the horizon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .ambisonics import FIRST_ORDER, Ambisonics
from .footage import Footage
from .inputs import open_source
from .samples import timeline

Array = NDArray[np.float64]

_RATE = 16000
_SECONDS = 20.0
"""How much of a film's beginning is listened to."""
_FRAME, _HOP = 512, 256  # samples
_BAND = (150.0, 6000.0)  # Hz
_FRAMES, _BINS = 3, 2
"""Frames and bins of a zone."""
_ONE_WAVE = 0.9
"""Share of a zone's energy that one wave has where there is one source."""
_FEWEST = 50
"""Zones with one source without which nothing can be said."""
_SILENT = 1e-6
"""Power, beside that of the loudest channel, at which a channel is silent."""
_OPPOSITE = 0.04
"""Share of the waves that some channel of a field hears with the opposite sign, at least."""
_ALIKE = 0.22
"""Share of the waves of a field in which X, Y and Z together are as loud beside W as in most, at least."""
_EXACT = 0.9
"""The same, of waves that were made, not recorded: X, Y and Z together are then as loud as W, in FuMa twice as loud."""
_RATIO = 14.0
"""dB between W and the others in most waves of a field, at most."""
_LOUDEST = 3.6
"""X, Y and Z together are at most so strong (power) beside W in a field."""
_FLATTER, _MUCH_FLATTER = 1.25, 5.0
"""How many times as strong (amplitude) as Z the channel must be in whose place Z is in the other order; and where most
sound is on the axis of the channel that has its place in both, and reflections are all that the others hear."""
_ALONE = 0.8
"""Amplitude, beside X, Y and Z together, from which a channel hears most sound."""


@dataclass(frozen=True)
class Waves:
    """The single waves in four channels.

    power: (4,) mean squares of the channels.
    parts: (n, 4) each wave's amplitude in the channels, of length 1, the first not negative.
    weights: (n,) of sum 1.
    """

    power: Array
    parts: Array
    weights: Array


def recognized(footage: Footage) -> Ambisonics | None:
    """Which ambisonics the first four channels of a film's sound are by their sound; None: none, or it cannot be told.

    Raises:
        InputError: the file cannot be read.
    """
    return order_of(waves(np.concatenate(list(_beginning(footage)), axis=1)))


def order_of(found: Waves) -> Ambisonics | None:
    """Which ambisonics four channels are in which these waves were found; None: none, or it cannot be told."""
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
    # No plain sound is ever so regular, nor has a channel that is silent just where fields so often have a silent Z.
    exact = alike > _EXACT and min(abs(usual), abs(usual - 3.01)) < 0.5
    flat = bool(silent[2]) and opposite >= _OPPOSITE
    if (plain and not exact and not flat) or louder > _LOUDEST:
        return None
    strength = np.sqrt(found.weights @ (others**2 / np.maximum((others**2).sum(axis=1, keepdims=True), 1e-30)))
    lower, higher = sorted(strength[1:])
    if higher < (_FLATTER if strength[0] < _ALONE else _MUCH_FLATTER) * lower:
        return None
    return FIRST_ORDER if strength[2] > strength[1] else Ambisonics(1, (0, 2, 3, 1), norm="fuma")


def waves(channels: NDArray[np.float32]) -> Waves:
    """The single waves in the louder half of the zones of four channels at 16 kHz, (4, samples)."""
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
