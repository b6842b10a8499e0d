"""Car horns, engines and helicopters, synthesised and added to a data folder (see `labelled`), for training on labels
whose recordings are few and alike:

    python -m pano_sound.research.datasets.vehicles DATA OUT

Only sounds that the tagger DATA/teachers/mn04.py takes for the real thing are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from ...errors import PanoSoundError
from .extension import RATE, extended

if TYPE_CHECKING:
    from ..train.tagger import Tagger

_log = logging.getLogger(__name__)

Wave = NDArray[np.float64]
"""Mono, (samples,) at RATE."""
_MUSIC = 0.15
"""A sound is dropped if the tagger's score of music is higher."""


def horn(rng: np.random.Generator) -> Wave:
    """One to four honks of a car's horn, mostly two tones a third apart, or of a truck's."""
    truck = rng.random() < 0.2
    tones = [_log_uniform(rng, 130, 260) if truck else _log_uniform(rng, 280, 560)]
    if rng.random() < 0.75:
        tones.append(tones[0] * rng.choice([rng.uniform(1.15, 1.36), 1.25, 1.2]))
    if truck and rng.random() < 0.5:
        tones.append(tones[0] * rng.uniform(1.45, 1.6))
    loudest, spread = _log_uniform(rng, 700, 3200), rng.uniform(0.7, 1.7)
    parts = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 2, 3, 4]))):
        seconds = rng.uniform(0.08, 0.45) if rng.random() < 0.6 else rng.uniform(0.45, 2.5)
        t = np.arange(int(seconds * RATE)) / RATE
        drift = 1 - rng.uniform(0, 0.04) * np.exp(-t / rng.uniform(0.01, 0.05))
        honk = np.zeros(len(t))
        for tone in tones:
            wobble = 1 + 0.0015 * np.cumsum(rng.standard_normal(len(t))) / np.sqrt(len(t))
            phase = 2 * np.pi * np.cumsum(tone * drift * wobble) / RATE
            for k in range(1, int(min(40, 9000 / tone)) + 1):
                share = np.exp(-(np.log2(k * tone / loudest) ** 2) / (2 * spread**2)) * rng.uniform(0.3, 1.3)
                honk += share * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
        honk *= np.minimum(1, t / rng.uniform(0.004, 0.04)) * np.minimum(1, (seconds - t) / rng.uniform(0.01, 0.09))
        parts += [honk, np.zeros(int(RATE * rng.uniform(0.06, 0.5)))]
    wave = np.concatenate(parts)
    if rng.random() < 0.3:
        wave = np.tanh(wave / wave.std() * rng.uniform(0.5, 2))
    around = int(RATE * rng.uniform(0, 0.2)), int(RATE * rng.uniform(0.05, 0.6))
    return _outdoors(np.pad(wave, around), rng, (-45, -5))


def engine(rng: np.random.Generator) -> Wave:
    """3 to 8 s of an idling engine; three in ten rev up once."""
    t = np.arange(int(RATE * rng.uniform(3, 8))) / RATE
    unsteady = np.interp(t, np.linspace(0, t[-1], 9), rng.standard_normal(9))
    firing = _log_uniform(rng, 14, 70) * (1 + 0.02 * unsteady)
    if rng.random() < 0.3:
        middle, width = rng.uniform(1, t[-1] - 0.5), rng.uniform(0.3, 1.2)
        firing = firing * (1 + rng.uniform(0.5, 2.5) * np.exp(-(((t - middle) / width) ** 2)))
    cylinders = 1 + rng.uniform(0, 0.5) * rng.standard_normal(int(rng.choice([2, 4, 6, 8])))
    body = _resonances(rng, int(rng.integers(3, 8)), (45, rng.uniform(300, 2000)), (0.004, 0.04))
    wave = fftconvolve(_pulses(firing, rng, cylinders, 0.03), body)[: len(t)]
    decay = np.exp(-np.arange(int(RATE * 0.05)) / RATE / 0.012)
    strokes = np.abs(fftconvolve(_pulses(firing, rng, cylinders, 0.03), decay)[: len(t)])
    wave /= wave.std()
    noise = _band(_noise(len(t), rng, rng.uniform(0.2, 0.9)), 100, 6000) * (0.3 + strokes / strokes.mean())
    wave = wave + noise / noise.std() * 10 ** (rng.uniform(-25, 0) / 20)
    if rng.random() < 0.4:
        whine = 2 * np.pi * np.cumsum(firing * rng.uniform(8, 30)) / RATE
        wave += 0.3 * 10 ** (rng.uniform(-20, 0) / 20) * np.sin(whine)
    return _outdoors(wave, rng, (-45, -12))


def helicopter(rng: np.random.Generator) -> Wave:
    """4 to 8 s of a helicopter that comes and goes."""
    t = np.arange(int(RATE * rng.uniform(4, 8))) / RATE
    middle, width = rng.uniform(0.2, 0.8) * t[-1], rng.uniform(0.15, 0.8) * t[-1]
    swell = np.exp(-(((t - middle) / width) ** 2)) + rng.uniform(0.02, 0.2)
    blades = rng.uniform(9, 27) * (1 - 0.03 * np.tanh((t - middle) / 2))
    pulses = _pulses(blades, rng, 1 + rng.uniform(0, 0.3) * rng.standard_normal(int(rng.choice([2, 3, 4]))), 0.01)
    decay = np.exp(-np.arange(int(RATE * 0.1)) / RATE / rng.uniform(0.008, 0.03))
    beats = fftconvolve(pulses, decay)[: len(t)]
    noise = _band(_noise(len(t), rng, rng.uniform(0.4, 1.1)), 40, rng.uniform(600, 5000))
    wave = noise * (rng.uniform(0.05, 0.4) * beats.mean() + np.abs(beats))
    wave /= wave.std()
    thuds = fftconvolve(pulses, _resonances(rng, 4, (35, 300), (0.01, 0.05)))[: len(t)]
    wave += thuds / thuds.std() * 10 ** (rng.uniform(-15, 5) / 20)
    if rng.random() < 0.6:
        wave += 10 ** (rng.uniform(-30, -12) / 20) * np.sin(2 * np.pi * rng.uniform(500, 3500) * t)
    wave += _noise(len(t), rng, 0.6) * 10 ** (rng.uniform(-25, -3) / 20)
    return _outdoors(wave * swell, rng, (-50, -20))


class Kind(NamedTuple):
    """How a label's sounds are made, the most to try and to keep, and tags, one of which must reach this score."""

    make: Callable[[np.random.Generator], Wave]
    tries: int
    kept: int
    tags: tuple[str, ...]
    score: float


_ENGINES = ("Light engine (high frequency)", "Medium engine (mid frequency)", "Heavy engine (low frequency)")
KINDS = {
    "car_horn": Kind(horn, 600, 100, ("Vehicle horn, car horn, honking", "Toot", "Air horn, truck horn"), 0.25),
    "engine_idling": Kind(
        engine, 300, 60, ("Vehicle", "Motor vehicle (road)", "Car", "Truck", "Engine", "Idling", *_ENGINES), 0.35
    ),
    "helicopter": Kind(helicopter, 300, 60, ("Helicopter",), 0.25),
}
"""Of real idling engines, too, the tagger says 'Vehicle' before anything else."""


def add(data: Path, out: Path, seed: int = 0) -> None:
    """Make a data folder of links to another, with new sounds of split 'train' in `sounds/made/`.

    Args:
        data: the folder, with sounds.csv, pictures.csv, pairs.csv and teachers/.
        out: a folder that is empty or does not exist yet; it appears when all is done.
        seed: of the sounds.

    Raises:
        OutputError: `out` holds files already, is in `data`, or cannot be written.
        DataFileError: a table cannot be read, the tagger is missing, or the data has such sounds already.
    """
    from tqdm import tqdm

    from ..train.tagger import Tagger

    tagger = Tagger(data)
    music = tagger.names.index("Music")
    with extended(data, out, "made") as extension:
        for at, (label, kind) in enumerate(KINDS.items()):
            wanted = [tagger.names.index(tag) for tag in kind.tags]
            kept = 0
            for i in tqdm(range(kind.tries), label, disable=None):
                rng = np.random.default_rng((seed, at, i))
                wave = kind.make(rng)
                wave *= 10 ** (rng.uniform(-20, -1) / 20) / np.abs(wave).max()
                scores = heard(tagger, wave)
                if scores[wanted].max() >= kind.score and scores[music] <= _MUSIC:
                    extension.add(label, f"{label}_{i:03d}", wave.astype(np.float32))
                    kept += 1
                if kept == kind.kept:
                    break
            else:
                _log.warning("%s: only %d of %d sounds wanted are taken for real", label, kept, kind.kept)


def heard(tagger: Tagger, wave: Wave) -> NDArray[np.float32]:
    """The tagger's scores of the first 5.12 s of a sound, (tags,). A shorter one is followed by silence, of which only
    what is within the first 2 s counts."""
    import torch
    from scipy.signal import resample_poly

    from ...localize.architecture import RATE as HEARD
    from ..train.tagger import HOP, SAMPLES

    piece = resample_poly(wave, HEARD, RATE)[:SAMPLES]
    steps = -(-max(len(piece), 2 * HEARD) // HOP)
    piece = np.pad(piece, (0, SAMPLES - len(piece))).astype(np.float32)
    with torch.inference_mode():
        return tagger.scores(tagger.columns(torch.from_numpy(piece[None]))[0, :steps].mean(dim=0)).numpy()


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _noise(samples: int, rng: np.random.Generator, slope: float) -> Wave:
    """Noise of standard deviation 1, (samples,). Above 30 Hz its amplitude is in proportion to frequency**-slope."""
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 30.0)
    wave = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * frequencies**-slope, samples)
    return np.asarray(wave / wave.std())


def _band(wave: Wave, low: float, high: float) -> Wave:
    return np.asarray(sosfilt(butter(1, [low, high], "band", fs=RATE, output="sos"), wave))


def _pulses(rate: Wave, rng: np.random.Generator, gains: Wave, jitter: float) -> Wave:
    """Pulses that repeat at `rate` (Hz at each sample) with these gains in turn, early or late by `jitter` periods."""
    phase = np.cumsum(rate) / RATE
    numbers = np.arange(1, int(phase[-1]))
    at = np.searchsorted(phase, numbers + jitter * rng.standard_normal(len(numbers)))
    at = at[(at > 0) & (at < len(rate))]
    wave = np.zeros(len(rate))
    wave[at] = gains[np.arange(len(at)) % len(gains)] * (1 + 0.08 * rng.standard_normal(len(at)))
    return wave


def _resonances(rng: np.random.Generator, count: int, hertz: tuple[float, float], seconds: tuple[float, float]) -> Wave:
    """0.15 s of a body's response to a pulse: `count` tones of random frequencies (`hertz`, lowest and highest) and
    decay times (`seconds`)."""
    t = np.arange(int(RATE * 0.15)) / RATE
    wave = np.zeros(len(t))
    for _ in range(count):
        tone = np.sin(2 * np.pi * _log_uniform(rng, *hertz) * t + rng.uniform(0, 2 * np.pi))
        wave += rng.uniform(0.3, 1) * tone * np.exp(-t / _log_uniform(rng, *seconds))
    return wave


def _outdoors(wave: Wave, rng: np.random.Generator, noise: tuple[float, float]) -> Wave:
    """The sound with noise added, at a random level relative to it (dB, lowest and highest). Half lose high
    frequencies, as by distance, and seven in ten get echoes."""
    if rng.random() < 0.5:
        wave = np.asarray(sosfilt(butter(1, _log_uniform(rng, 1500, 9000), "low", fs=RATE, output="sos"), wave))
    if rng.random() < 0.7:
        seconds, wet = rng.uniform(0.2, 1.6), 10 ** (rng.uniform(-18, 0) / 20)
        t = np.arange(int(RATE * seconds)) / RATE
        tail = _band(rng.standard_normal(len(t)) * np.exp(-6.9 * t / seconds), 150, 6000)
        wave = wave + wet * fftconvolve(wave, tail / np.sqrt((tail**2).sum()))[: len(wave)]
    loud = np.sqrt((wave**2).mean())
    return wave + _noise(len(wave), rng, rng.uniform(0.4, 1.2)) * loud * 10 ** (rng.uniform(*noise) / 20)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the sounds.")
def main(data: Path, out: Path, seed: int) -> None:
    """Make OUT of links to DATA, and add synthesised horns, engines and helicopters."""
    try:
        add(data, out, seed)
    except PanoSoundError as error:
        click.echo(f"vehicles: {error}", err=True)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
