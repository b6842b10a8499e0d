"""Binaural sound: a sound field as heard with the ears of a measured head.

The head is KEMAR (Gardner and Martin, "HRTF measurements of a KEMAR", JASA 1995; MIT Media Lab), from the data of the
package slab. Each ear hears W, Y, Z and X through a filter. Up to 1.5 kHz the four filters are the least-squares fit to
the head's responses from all directions. Above, where four channels cannot have their phases, it is the magnitudes that
are fitted, with the phase that continues the one below (Schörkhuber, Zaunschirm and Höldrich, "Binaural rendering of
Ambisonic signals via magnitude least squares", DAGA 2018). All filters are then equalised so that diffuse sound keeps
its colour, and is as loud as in two cardioids.
"""

from __future__ import annotations

import bz2
import importlib.util
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PanoSoundError
from .samples import Samples

Array = NDArray[np.float64]

TAPS, BEFORE = 512, 96
"""Samples of a filter at 48 kHz, and how many of them are before the sound arrives at the middle of the head."""
_USUAL_RATE = 48000
_FINEST = 1024
"""Samples for which filters are made."""
_PHASES = 1500.0
"""Hz above which the phases of responses are not fitted."""
_LOWEST, _HIGHEST = 120.0, 20000.0
"""Hz between which measured responses are used. Below, magnitudes stay the same and phases grow with the frequency."""
_DIFFUSE = np.array([1, 1 / 3, 1 / 3, 1 / 3])
"""Power of W, Y, Z, X in diffuse sound."""
_CARDIOID = 1 / 3
"""Power of a cardioid in diffuse sound."""


@dataclass(frozen=True)
class Head:
    """Measured head-related responses.

    Args:
        directions: (n, 3) unit vectors.
        responses: (n, 2, samples), of the left and the right ear.
        rate: samples per second.
    """

    directions: Array
    responses: Array
    rate: float


def check_installed() -> None:
    """Raises PanoSoundError if the data of a head is not installed."""
    _data_file()


@cache
def kemar() -> Head:
    """KEMAR's responses. Raises PanoSoundError if they are not installed."""
    with bz2.open(_data_file()) as file:
        measured = _Reader(file).load()
    azimuth, elevation = np.radians(np.asarray(measured.sources)[:, :2]).T
    across = np.cos(elevation)
    directions = np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)], axis=1)
    responses = np.stack([one.data.T for one in measured.data])
    return Head(directions, responses, float(measured.samplerate))


@cache
def ears(rate: int) -> NDArray[np.float32]:
    """KEMAR's filters at a rate: (2, 4, samples) from W, Y, Z, X to the left and the right ear.

    Raises PanoSoundError if its data is not installed.
    """
    return filters(kemar(), rate)


def filters(head: Head, rate: int) -> NDArray[np.float32]:
    """Filters (2, 4, samples) from W, Y, Z, X (SN3D) to the two ears of a head; sound arrives at `before(rate)`."""
    size = 1 << round(np.log2(_FINEST * rate / _USUAL_RATE))
    hz = np.arange(size // 2 + 1) * rate / size
    times = np.arange(head.responses.shape[2]) / head.rate
    waves = np.exp(-2j * np.pi * np.clip(hz, _LOWEST, _HIGHEST)[:, None] * times)
    responses = np.tensordot(waves, head.responses, (1, 2)).transpose(0, 2, 1)  # frequencies, ears, directions
    x, y, z = head.directions.T
    field = np.stack([np.ones_like(x), y, z, x], axis=1)
    shares = np.sqrt(_areas(head.directions))[:, None]
    fit = (np.linalg.pinv(field * shares) * shares.T).T
    found = responses @ fit
    # The loudspeaker's phase, and the time that sound took to the head, are in W as well.
    found *= np.exp(-1j * np.angle(found[..., 0].sum(axis=1)))[:, None, None]
    for k in np.flatnonzero(hz > _PHASES):
        phase = np.angle(found[k - 1] @ field.T)
        found[k] = (np.abs(responses[k]) * np.exp(1j * phase)) @ fit
    power = (np.abs(found) ** 2 @ _DIFFUSE).mean(axis=1)
    found *= np.sqrt(_CARDIOID / power)[:, None, None]
    found.imag *= np.minimum(hz / _LOWEST, 1)[:, None, None]
    found[-1] = found[-1].real
    early, length = before(rate), TAPS * size // _FINEST
    wave = np.roll(np.fft.irfft(found, axis=0), early, axis=0)[:length]
    rise, fall = early // 3, length // 4
    wave[:rise] *= np.sin(np.linspace(0, np.pi / 2, rise))[:, None, None] ** 2
    wave[-fall:] *= np.cos(np.linspace(0, np.pi / 2, fall))[:, None, None] ** 2
    return wave.transpose(1, 2, 0).astype(np.float32)


def before(rate: int) -> int:
    """Samples by which `heard` looks ahead."""
    return round(BEFORE * rate / _USUAL_RATE)


def heard(blocks: Iterable[Samples], ears: NDArray[np.float32], early: int) -> Iterator[Samples]:
    """Stereo of a field in blocks (6, samples) W, Y, Z, X and head-locked left and right: as many samples, in pieces of
    other lengths.

    Args:
        ears: of `filters`; early: samples before the sound arrives in them.
    """
    taps = ears.shape[2]
    rest, skipped = np.zeros((2, taps - 1), np.float32), early
    spectra: dict[int, NDArray[np.complexfloating]] = {}
    for block in chain(blocks, [np.zeros((6, early), np.float32)]):
        count = block.shape[1]
        size = 1 << (count + taps - 2).bit_length()
        if size not in spectra:
            spectra[size] = np.fft.rfft(ears, size)
        mixed = (spectra[size] * np.fft.rfft(block[:4], size)).sum(axis=1)
        sound = np.fft.irfft(mixed, size)[:, : count + taps - 1].astype(np.float32)
        sound[:, : taps - 1] += rest
        sound[:, early : early + count] += block[4:]
        rest = sound[:, count:]
        yield np.clip(sound[:, min(skipped, count) : count], -1, 1)
        skipped -= min(skipped, count)


def _areas(directions: Array) -> Array:
    """The share of the sphere that is nearest to each direction, (n,)."""
    n = np.arange(20000) + 0.5
    z, around = 1 - n / 10000, n * np.pi * (1 + 5**0.5)
    points = np.stack([np.sqrt(1 - z**2) * np.cos(around), np.sqrt(1 - z**2) * np.sin(around), z], axis=1)
    return np.bincount((points @ directions.T).argmax(axis=1), minlength=len(directions)) / len(n)


def _data_file() -> Path:
    # The package itself is not imported: it loads drivers for playback, which many machines lack.
    found = importlib.util.find_spec("slab")
    path = Path(found.origin or "").parent / "data" / "mit_kemar_normal_pinna.bz2" if found else None
    if path is None or not path.is_file():
        raise PanoSoundError("binaural sound needs a measured head", hint="pip install 'pano-sound[binaural]'")
    return path


class _Measured:
    """Stands for slab's classes."""

    samplerate: float
    data: Any
    sources: Any


class _Reader(pickle.Unpickler):
    """Reads slab's data, and nothing else that a pickle might contain."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("slab.hrtf", "HRTF"), ("slab.filter", "Filter")):
            return _Measured
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]  # It has moved between versions of numpy.
        raise pickle.UnpicklingError(f"unexpected {module}.{name}")
