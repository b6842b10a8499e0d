"""The interface of sound nets, and the compact net of `base`: convolutions over log-mel bands."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..architecture import FFT, FLOOR, HOP, WINDOW, MelSteps, SoundSteps, mel_bank


def mel_magnitudes(wave: Tensor, bank: Tensor) -> Tensor:
    """Waves (..., samples) at RATE, [-1, 1] -> mel magnitudes (..., frames, BANDS), 10 ms apart, float32.

    Frame i covers samples [HOP i, HOP i + WINDOW). A wave shorter than one window is padded with zeros.
    """
    wave = F.pad(wave, (0, max(0, WINDOW - wave.shape[-1])))
    window = torch.hann_window(WINDOW, device=wave.device)
    return torch.fft.rfft(wave.unfold(-1, WINDOW, HOP) * window, FFT).abs() @ bank


class SoundEncoder(SoundSteps, nn.Module):
    """The interface of sound nets: a wave of any length -> one feature vector every `hop` samples."""

    @abstractmethod
    def from_waves(self, waves: Tensor) -> Tensor:
        """Waves (n, samples), float32 in [-1, 1] at `rate` -> features (n, count(samples), F)."""

    def forward(self, wave: Tensor) -> Tensor:
        """Wave (samples,), float32 in [-1, 1] at `rate` -> features (count(samples), F)."""
        return self.from_waves(wave[None])[0]


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise convolution, each with BatchNorm and ReLU, with a skip where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers(x)
        return F.relu(out + x if self.residual else out)


class MelEncoder(MelSteps, SoundEncoder):
    """Log-mel bands -> MobileNet-like convolutions -> one vector each 0.32 s. Arguments as of `MelSteps`."""

    def __init__(self, widths: list[int], strides: list[int]) -> None:
        nn.Module.__init__(self)
        MelSteps.__init__(self, widths, strides)
        self.register_buffer("bank", torch.from_numpy(mel_bank()), persistent=False)
        self.bank: Tensor
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(*(Separable(widths[i], widths[i + 1], strides[i]) for i in range(len(strides))))

    def lower(self, waves: Tensor, count: int) -> Tensor:
        """The output of the stem and the first `count` blocks: waves (n, samples) -> (n, channels, frames, bands)."""
        x = (torch.log(mel_magnitudes(waves, self.bank) + FLOOR)[:, None] + 2.0) / 3.0
        out: Tensor = self.blocks[:count](self.stem(x))
        return out

    def from_waves(self, waves: Tensor) -> Tensor:
        return self.lower(waves, len(self.blocks)).mean(dim=3).transpose(1, 2)
