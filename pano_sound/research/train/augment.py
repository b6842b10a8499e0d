"""Sound augmentation: mixtures, filters, rooms, noise, distance.

Waves are (n, samples) float32 at 16 kHz. Each function draws from `generator`, which is of the same device, separately
for every wave.
"""

from __future__ import annotations

import torch
from torch import Tensor

RATE = 16_000


def mix(
    waves: Tensor, generator: torch.Generator, share: float = 0.5, quietest: float = -20.0, loudest: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Add to some the next wave of the batch, at `quietest` to `loudest` dB relative to its own level.

    Returns:
        The waves, and the share of the other wave in each mixture's power, (n,) in [0, 0.5].
    """
    other = waves.roll(-1, 0)
    decibels = quietest + (loudest - quietest) * _uniform(waves, generator)
    ratio = 10 ** (decibels / 20) * (_uniform(waves, generator) < share)
    loud = rms(waves)
    ratio = ratio * (loud > 1e-4)
    mixed = waves + other * (ratio * loud / rms(other).clamp_min(1e-4))
    power = ratio.square()
    return mixed, (power / (1 + power))[:, 0]


def colour(waves: Tensor, generator: torch.Generator, share: float = 0.7, decibels: float = 5.0) -> Tensor:
    """Filter some by a smooth random curve (standard deviation in dB at each of 8 frequencies, spaced as octaves)."""
    samples = waves.shape[1]
    knots = decibels * _normal(waves, 8, generator) * (_uniform(waves, generator) < share)
    spectrum = torch.fft.rfft(waves)
    bins = spectrum.shape[1]
    octave = (
        torch.log2(torch.linspace(0, RATE / 2, bins, device=waves.device) / 62.5 + 1e-3).clamp(0, 7)
    ) / 7  # 62.5 Hz to 8 kHz
    at = octave * 6.999
    lower = at.long()
    gain = torch.lerp(knots[:, lower], knots[:, lower + 1], at - lower)
    return torch.fft.irfft(spectrum * 10 ** (gain / 20), samples)


def reverberate(waves: Tensor, generator: torch.Generator, share: float = 0.3) -> Tensor:
    """Put some into rooms: the wave itself and a tail of decaying noise (reverberation time 0.2 to 1.5 s)."""
    samples = waves.shape[1]
    seconds = 0.2 + 1.3 * _uniform(waves, generator)
    times = torch.arange(RATE, device=waves.device) / RATE
    tails = _normal(waves, RATE, generator) * torch.exp(-6.9 * times / seconds)
    wet = 10 ** ((-15 + 18 * _uniform(waves, generator)) / 20)
    tails = tails / tails.square().sum(1, keepdim=True).sqrt() * wet
    tails[:, 0] += 1.0
    size = samples + RATE
    out = torch.fft.irfft(torch.fft.rfft(waves, size) * torch.fft.rfft(tails, size), size)[:, :samples]
    return torch.where(_uniform(waves, generator) < share, out, waves)


def level(waves: Tensor, decibels: float | Tensor) -> Tensor:
    """Set the level (root mean square) of each wave, in dBFS; silence stays silent."""
    return (waves * (10 ** (torch.as_tensor(decibels, device=waves.device) / 20) / rms(waves).clamp_min(1e-5))).clamp(
        -1, 1
    )


def far(waves: Tensor, generator: torch.Generator) -> Tensor:
    """Add hiss of a random colour to 40 % (-40 to -10 dB) and set the level of all to somewhere in -50 to -10 dBFS."""
    samples = waves.shape[1]
    slope = _normal(waves, 1, generator).clamp(-2, 2)
    frequencies = torch.linspace(0, 1, samples // 2 + 1, device=waves.device) + 0.01
    hiss = torch.fft.irfft(torch.fft.rfft(_normal(waves, samples, generator)) * frequencies**-slope, samples)
    amount = 10 ** ((-40 + 30 * _uniform(waves, generator)) / 20)
    amount = amount * (_uniform(waves, generator) < 0.4)
    noisy = waves + hiss / rms(hiss) * amount * rms(waves)
    return level(noisy, -50 + 40 * _uniform(waves, generator))


def rms(waves: Tensor) -> Tensor:
    """Root mean square of each wave, (n, 1)."""
    return waves.square().mean(dim=1, keepdim=True).sqrt()


def _uniform(waves: Tensor, generator: torch.Generator) -> Tensor:
    """A number in [0, 1) for each wave, (n, 1)."""
    return torch.rand(len(waves), 1, generator=generator, device=waves.device)


def _normal(waves: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` normally distributed numbers for each wave, (n, count)."""
    return torch.randn(len(waves), count, generator=generator, device=waves.device)
