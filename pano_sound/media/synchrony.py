"""Aligns a separate recording with a film's own sound.

The loudness of pieces of the film in three bands is compared with that of the whole recording; where the pieces agree,
the two sounds are compared sample by sample (Knapp and Carter, "The generalized correlation method for estimation of
time delay", 1976), and a line through the delays gives the beginning and the drift of the recording's clock. Memory is
bounded: 600 bytes are kept of each second, and pieces of eight seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedInputError
from .footage import Footage
from .inputs import open_source
from .samples import Samples, rechunked, timeline, until

Array = NDArray[np.float64]

_RATE = 8000
_HOP = 80
"""Samples between loudnesses: 10 ms."""
_STEP = _HOP / _RATE
_BANDS = ((200, 700), (700, 1800), (1800, 3600))  # Hz
_CHUNK, _CHUNKS = 30.0, 12
"""Length in s, and number, of the pieces of the film that are looked for."""
_PIECE, _PIECES = 8.0, 30
"""Length in s, and number, of those that are compared by the sample."""
_SHORT = 3.0
"""Least seconds of a film that can be aligned."""
_DRIFT = 5e-4
"""Most drift: clocks of cameras and recorders are within 100 ppm."""
_NEAR = 0.1
"""Seconds around what the loudness tells."""
_CLEAR = 8.0
"""Height of a peak of the correlation, in standard deviations, that is not chance: the highest of chance is 4."""
_AGREE = 0.004
"""Seconds from the line at which a delay agrees: sound takes that long for 1.4 m."""
_FEWEST, _SHARE = 3, 0.5
"""Least number of pieces that agree, and their share."""
_SPAN = 20.0
"""Seconds that the pieces have to span for a drift to be known."""


@dataclass(frozen=True)
class Synchrony:
    """How a recording lies on a film.

    begin: the film's time, s, at which it begins; drift: a second of it lasts this much longer than one of the film.
    agreeing, pieces: how many pieces of the film agree, and were compared.
    """

    begin: float
    drift: float
    agreeing: int
    pieces: int

    def __str__(self) -> str:
        when = f"{abs(self.begin):.3f} s {'after' if self.begin > 0 else 'before'} the film"
        pace = f"its clock is {abs(self.drift) * 1e6:.0f} ppm {'slow' if self.drift > 0 else 'fast'}"
        how = "sure" if self.agreeing >= 0.8 * self.pieces else "fairly sure"
        return f"begins {when}, {pace}; {how}: {self.agreeing} of {self.pieces} pieces agree"


def synchronize(film: Footage, begin: float, end: float, recording: str | os.PathLike[str]) -> Synchrony:
    """Find where a recording lies on a film whose pictures are between two presentation times (s).

    Raises:
        UnsupportedInputError: one of them has no sound, or they do not match.
        InputError: one of them cannot be read.
    """
    other = Footage((os.fspath(recording),))
    film_loudness, rec_loudness = _loudness(film, begin, end), _loudness(other, 0.0, None)
    hint = "leave `sound` out, or give the recording that belongs to this film"
    if min(film_loudness.shape[1], rec_loudness.shape[1]) * _STEP < _SHORT:
        what = f"a film and its recording must both have {_SHORT:.0f} s of sound to be aligned"
        raise UnsupportedInputError(what, recording, hint)
    at, lag = _roughly(film_loudness, rec_loudness)
    length = rec_loudness.shape[1] * _STEP
    times, delays = _delays(film, begin, film_loudness.shape[1] * _STEP, other, length, at, lag)
    clear = np.isfinite(delays)
    found = _line(times[clear], delays[clear])
    if found is None or found[2] < max(_FEWEST, _SHARE * len(times)):
        count = 0 if found is None else found[2]
        what = f"does not match the film's own sound: {count} of {len(times)} pieces of it agree"
        raise UnsupportedInputError(what, recording, hint)
    start, slope, count = found
    # film - recording = start + slope * film
    drift = slope / (1 - slope)
    return Synchrony(start * (1 + drift) + begin, drift, count, len(times))


def _sound(footage: Footage, begin: float, seconds: float | None) -> Iterator[Samples]:
    """Mono sound of footage from a presentation time on, (samples,)."""
    first = Fraction(begin).limit_denominator(10**6)
    start = first if first > 1 else None
    part = footage if start is None else replace(footage, start=footage.origin + start, opening=False)
    with open_source(replace(part, recording=None)) as source:
        if source.audio is None:
            raise UnsupportedInputError("has no sound", footage.paths[0], "a recording cannot be aligned without it")
        pieces = timeline(source, _RATE, "mono", first if start is None else Fraction(0))
        for piece in until(pieces, None if seconds is None else round(seconds * _RATE)):
            yield piece[0]


def _loudness(footage: Footage, begin: float, end: float | None) -> NDArray[np.float16]:
    """Loudness in three bands every 10 ms, without its slow changes, (3, n)."""
    frequencies = np.fft.rfftfreq(2 * _HOP, 1 / _RATE)
    bands = np.array([(frequencies >= low) & (frequencies < high) for low, high in _BANDS], np.float32)
    window = np.hanning(2 * _HOP).astype(np.float32)
    found = [np.zeros((3, 0), np.float16)]
    for block in rechunked(_sound(footage, begin, None if end is None else end - begin), 60 * _RATE):
        padded = np.concatenate([block, np.zeros(_HOP, np.float32)])
        frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HOP)[::_HOP]
        power = bands @ np.abs(np.fft.rfft(frames * window)).T ** 2
        found.append(np.log(power + 1e-4).astype(np.float16))
    whole = np.concatenate(found, axis=1).astype(np.float32)
    from scipy.ndimage import uniform_filter1d

    return (whole - uniform_filter1d(whole, 100, axis=1)).astype(np.float16) if whole.shape[1] else found[0]


def _roughly(film: NDArray[np.float16], recording: NDArray[np.float16]) -> tuple[float, float]:
    """A time of the film, and how much later it is there than in the recording, both in s from their first samples."""
    size = min(round(_CHUNK / _STEP), film.shape[1])
    starts = np.unique(np.linspace(0, film.shape[1] - size, _CHUNKS).astype(int))
    count = 1 << (recording.shape[1] + 2 * size).bit_length()
    spectra = np.fft.rfft(recording.astype(np.float32), count)
    power = np.fft.rfft((recording.astype(np.float32) ** 2).sum(axis=0), count)
    ones = np.fft.rfft(np.ones(size), count).conj()
    energy = np.maximum(np.fft.irfft(power * ones, count), 0)
    lags, heights = [], []
    for start in starts:
        chunk = film[:, start : start + size].astype(np.float32)
        product = np.fft.irfft((spectra * np.fft.rfft(chunk, count).conj()).sum(axis=0), count)
        # A piece that lies half outside the recording counts with the half inside.
        score = product / np.sqrt((energy + 0.1 * energy.max() + 1e-9) * max(float((chunk**2).sum()), 1e-9))
        best = int(score.argmax())
        place = best if best < recording.shape[1] else best - count
        lags.append((start - place) * _STEP)
        heights.append(float(score[best]))
    at, lag, height = starts * _STEP, np.array(lags), np.array(heights)
    near = np.abs(lag[:, None] - lag) <= _NEAR / 2 + _DRIFT * np.abs(at[:, None] - at)
    best = int((near @ height).argmax())
    return float(at[best]), float(lag[best])


def _delays(
    film: Footage, begin: float, film_length: float, recording: Footage, length: float, at: float, lag: float
) -> tuple[Array, Array]:
    """Times of the film (s from `begin`), and by how much each is later than in the recording; NaN if not clear."""
    first, last = max(0.0, lag), min(film_length, length + lag)
    piece = min(_PIECE, max(1.0, (last - first) / 4))
    starts = np.linspace(first, max(first, last - piece), _PIECES if last - first > 60 else 8)
    times, delays = [], []
    for start in starts:
        around = _NEAR + _DRIFT * abs(start - at)
        there = max(0.0, start - lag - around)
        ours = np.concatenate([np.zeros(0, np.float32), *_sound(film, begin + start, piece)])
        theirs = np.concatenate([np.zeros(0, np.float32), *_sound(recording, there, piece + 2 * around)])
        if min(len(ours), len(theirs)) < _RATE / 2 or np.sqrt(np.mean(ours**2)) < 1e-4:
            continue
        times.append(start + piece / 2)
        found = _shift(ours, theirs, round((start - lag - there - around) * _RATE), round(around * _RATE))
        delays.append(np.nan if found is None else start - (there + found / _RATE))
    return np.array(times), np.array(delays)


def _shift(ours: Samples, theirs: Samples, first: int, around: int) -> float | None:
    """The place in `theirs` at which `ours` begins, in samples, from `first` to 2 * `around` later; None: not
    clear."""
    count = 1 << (len(ours) + len(theirs)).bit_length()
    product = np.fft.rfft(theirs, count) * np.fft.rfft(ours, count).conj()
    hz = np.fft.rfftfreq(count, 1 / _RATE)
    product *= ((hz > _BANDS[0][0]) & (hz < _BANDS[-1][1])) / np.maximum(np.abs(product), 1e-12)
    correlation = np.fft.irfft(product, count)
    part = correlation[np.arange(first, first + 2 * around + 1) % count]
    best = int(part.argmax())
    if part[best] < _CLEAR * correlation.std() or not 0 < best < len(part) - 1:
        return None
    before, peak, after = part[best - 1 : best + 2]
    return first + best + 0.5 * (before - after) / min(before - 2 * peak + after, -1e-12)


def _line(times: Array, delays: Array) -> tuple[float, float, int] | None:
    """The delay at time 0, its growth per second, and how many agree; None if too few do."""
    if len(times) < 2:
        return None
    slope = 0.0
    if np.ptp(times) >= _SPAN:
        i, j = np.triu_indices(len(times), 1)
        far = np.abs(times[i] - times[j]) > np.ptp(times) / 4
        slopes = ((delays[i] - delays[j]) / (times[i] - times[j]))[far]
        slopes = slopes[np.abs(slopes) <= _DRIFT]
        slope = float(np.median(slopes)) if len(slopes) else 0.0
    start = float(np.median(delays - slope * times))
    agrees = np.abs(delays - start - slope * times) <= _AGREE
    if agrees.sum() >= 2 and np.ptp(times[agrees]) >= _SPAN:
        slope, start = (float(one) for one in np.polyfit(times[agrees], delays[agrees], 1))
    elif agrees.any():
        start = float(np.mean(delays[agrees] - slope * times[agrees]))
    return start, slope, int(agrees.sum())
