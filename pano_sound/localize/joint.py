"""The sound net of `base`: what log-mel bands tell and what SoundNet's first layers tell of the wave, side by side."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .listener import RATE, Listener, MelListener

# (kernel, stride, padding, max-pooling after it) of SoundNet's conv1 to conv5 at 16 kHz instead of 22,050 Hz: the
# first kernel resampled, the first pooling 5 instead of 8, so that the last layers step every 0.32 s as the mel net.
LAYERS = ((46, 2, 23, 5), (32, 2, 16, 8), (16, 2, 8, 1), (8, 2, 4, 1), (4, 2, 2, 4))
LOUDNESS = 25.0
"""Root mean square that waves are brought to (SoundNet was trained on waves in [-256, 256])."""
QUIET = 1e-4
"""What is quieter than this (-80 dBFS) is not made louder."""
CELL, CELLS = 320, 101  # samples whose loudness is measured at once; how many of these are averaged: 2 s


def levelled(waves: Tensor) -> Tensor:
    """Waves (n, samples) -> the same divided by their loudness over 2 s around each sample, times LOUDNESS.

    A far microphone then sounds like a near one, and silence stays silent."""
    power = F.avg_pool1d(waves.square()[:, None], CELL, ceil_mode=True, count_include_pad=False)
    around = F.avg_pool1d(power, CELLS, 1, CELLS // 2, count_include_pad=False)
    loudness = F.interpolate(around.sqrt(), scale_factor=CELL, mode="linear", align_corners=False)
    return waves * (LOUDNESS / (loudness[:, 0, : waves.shape[-1]] + QUIET))


class WaveListener(Listener):
    """SoundNet's conv1 to conv5, BatchNorm folded in, over a levelled wave at 16 kHz: a vector each 0.32 s.

    Args:
        widths: channels of the five convolutions.
    """

    rate = RATE

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        inputs = [1, *widths]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs[i], inputs[i + 1], kernel, stride, padding)
            for i, (kernel, stride, padding, _) in enumerate(LAYERS)
        )
        self.features = widths[-1]
        jump, before, after = 1, 0, 1
        for kernel, stride, padding, pool in LAYERS:
            before += padding * jump
            after += (kernel - 1 - padding) * jump
            jump *= stride
            after += (pool - 1) * jump
            jump *= pool
        self.hop = jump
        around = CELL * (CELLS // 2 + 2)
        self.field = (before + around, after + around)

    def count(self, samples: int) -> int:
        return max(1, -(-samples // self.hop))

    def from_waves(self, waves: Tensor) -> Tensor:
        wanted = self.count(waves.shape[-1])
        x = levelled(waves)
        x = F.pad(x, (0, (wanted + 1) * self.hop - x.shape[-1]))[:, None]
        for convolve, (*_, pool) in zip(self.convolutions, LAYERS, strict=True):
            x = F.relu(convolve(x))
            if pool > 1:
                x = F.max_pool1d(x, pool)
        return x[..., :wanted].transpose(1, 2)


class JointListener(Listener):
    """Both sound nets at once, one vector of both each 0.32 s.

    Args:
        mel: options of `MelListener`.
        wave: options of `WaveListener`.
    """

    rate = RATE

    def __init__(self, mel: dict[str, Any], wave: dict[str, Any]) -> None:
        super().__init__()
        self.mel, self.wave = MelListener(**mel), WaveListener(**wave)
        if self.mel.hop != self.wave.hop:
            raise ValueError(f"the mel net must step every {self.wave.hop} samples, not {self.mel.hop}")
        self.hop = self.mel.hop
        self.features = self.mel.features + self.wave.features
        # The wave net's vectors lie half a step later than the mel net's; with this much silence before, they agree.
        self.lead = self.wave.middle - self.mel.middle
        before, after = zip(self.mel.field, self.wave.field, strict=True)
        self.field = (max(before[0], before[1] + self.lead), max(after[0], after[1] - self.lead))

    def count(self, samples: int) -> int:
        return self.mel.count(samples)

    def from_waves(self, waves: Tensor) -> Tensor:
        heard = self.mel.from_waves(waves)
        felt = self.wave.from_waves(F.pad(waves, (self.lead, self.hop)))
        return torch.cat([heard, felt[:, : heard.shape[1]]], dim=2)
