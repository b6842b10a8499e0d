"""Sound augmentation: speed, mixtures, filters, rooms, noise, distance.

Waves are (n, samples) float32 at 16 kHz. Each function draws from `generator` separately for every wave.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RATE = 16_000


def respeed(waves: Tensor, generator: torch.Generator, share: float = 0.5, most: float = 1.2) -> Tensor:
    """Play some faster or slower (by up to `most`), and so higher or lower, padded with silence."""
    out = waves.clone()
    for i in torch.nonzero(torch.rand(len(waves), generator=generator) < share)[:, 0].tolist():
        speed = most ** float(2 * torch.rand(1, generator=generator) - 1)
        changed = F.interpolate(waves[i][None, None], scale_factor=1 / speed, mode="linear", align_corners=False)[0, 0]
        count = min(changed.shape[0], waves.shape[1])
        out[i] = 0.0
        out[i, :count] = changed[:count]
    return out


def mix(
    waves: Tensor, generator: torch.Generator, share: float = 0.5, quietest: float = -20.0, loudest: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Add to some the next wave of the batch, at `quietest` to `loudest` dB relative to its own level.

    Returns:
        The waves, and the share of the other wave in each mixture's power, (n,) in [0, 0.5].
    """
    other = waves.roll(-1, 0)
    decibels = quietest + (loudest - quietest) * torch.rand(len(waves), 1, generator=generator)
    ratio = 10 ** (decibels / 20) * (torch.rand(len(waves), 1, generator=generator) < share)
    loud = rms(waves)
    ratio = ratio * (loud > 1e-4)
    mixed = waves + other * (ratio * loud / rms(other).clamp_min(1e-4))
    power = ratio.square()
    return mixed, (power / (1 + power))[:, 0]


def colour(waves: Tensor, generator: torch.Generator, share: float = 0.7, decibels: float = 5.0) -> Tensor:
    """Filter some by a smooth random curve (standard deviation in dB at each of 8 frequencies, spaced as octaves)."""
    n, samples = waves.shape
    knots = decibels * torch.randn(n, 8, generator=generator) * (torch.rand(n, 1, generator=generator) < share)
    spectrum = torch.fft.rfft(waves)
    bins = spectrum.shape[1]
    octave = (torch.log2(torch.linspace(0, RATE / 2, bins) / 62.5 + 1e-3).clamp(0, 7)) / 7  # 62.5 Hz to 8 kHz
    at = octave * 6.999
    lower = at.long()
    gain = torch.lerp(knots[:, lower], knots[:, lower + 1], at - lower)
    return torch.fft.irfft(spectrum * 10 ** (gain / 20), samples)


def reverberate(waves: Tensor, generator: torch.Generator, share: float = 0.3) -> Tensor:
    """Put some into rooms: the wave itself and a tail of decaying noise (reverberation time 0.2 to 1.5 s)."""
    n, samples = waves.shape
    seconds = 0.2 + 1.3 * torch.rand(n, 1, generator=generator)
    times = torch.arange(RATE) / RATE
    tails = torch.randn(n, RATE, generator=generator) * torch.exp(-6.9 * times / seconds)
    wet = 10 ** ((-15 + 18 * torch.rand(n, 1, generator=generator)) / 20)
    tails = tails / tails.square().sum(1, keepdim=True).sqrt() * wet
    tails[:, 0] += 1.0
    size = samples + RATE
    out = torch.fft.irfft(torch.fft.rfft(waves, size) * torch.fft.rfft(tails, size), size)[:, :samples]
    return torch.where(torch.rand(n, 1, generator=generator) < share, out, waves)


def level(waves: Tensor, decibels: float | Tensor) -> Tensor:
    """Set the level (root mean square) of each wave, in dBFS; silence stays silent."""
    return (waves * (10 ** (torch.as_tensor(decibels) / 20) / rms(waves).clamp_min(1e-5))).clamp(-1, 1)


def far(waves: Tensor, generator: torch.Generator) -> Tensor:
    """Add hiss of a random colour to 40 % (-40 to -10 dB) and set the level of all to somewhere in -50 to -10 dBFS."""
    n, samples = waves.shape
    slope = torch.randn(n, 1, generator=generator).clamp(-2, 2)
    frequencies = torch.linspace(0, 1, samples // 2 + 1) + 0.01
    hiss = torch.fft.irfft(torch.fft.rfft(torch.randn(n, samples, generator=generator)) * frequencies**-slope, samples)
    amount = 10 ** ((-40 + 30 * torch.rand(n, 1, generator=generator)) / 20)
    amount = amount * (torch.rand(n, 1, generator=generator) < 0.4)
    noisy = waves + hiss / rms(hiss) * amount * rms(waves)
    return level(noisy, -50 + 40 * torch.rand(n, 1, generator=generator))


def rms(waves: Tensor) -> Tensor:
    """Root mean square of each wave, (n, 1)."""
    return waves.square().mean(dim=1, keepdim=True).sqrt()
