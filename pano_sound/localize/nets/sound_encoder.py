"""The interface of sound nets, and the compact net of `base`: convolutions over log-mel bands."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE, WINDOW, HOP, BANDS = 16_000, 400, 160, 64  # Hz, samples (25 ms), samples (10 ms), mel bands
LOWEST, HIGHEST, FFT = 125.0, 7500.0, 512  # Hz, Hz, samples
FLOOR = 1e-4  # added to magnitudes before the logarithm: about a -100 dBFS tone


def mel_bank() -> Tensor:
    """The triangular mel filters (FFT // 2 + 1, BANDS), float32, each of height 1."""

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2)
    bins = mel(np.linspace(0.0, RATE / 2, FFT // 2 + 1))[:, None]
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.tensor(np.clip(np.minimum(up, down), 0.0, None), dtype=torch.float32)


def mel_magnitudes(wave: Tensor, bank: Tensor) -> Tensor:
    """Waves (..., samples) at RATE, [-1, 1] -> mel magnitudes (..., frames, BANDS), 10 ms apart, float32.

    Frame i covers samples [HOP i, HOP i + WINDOW). A wave shorter than one window is padded with zeros.
    """
    wave = F.pad(wave, (0, max(0, WINDOW - wave.shape[-1])))
    window = torch.hann_window(WINDOW, device=wave.device)
    return torch.fft.rfft(wave.unfold(-1, WINDOW, HOP) * window, FFT).abs() @ bank


class SoundEncoder(nn.Module, ABC):
    """The interface of sound nets: a wave of any length -> one feature vector every `hop` samples.

    Attributes:
        rate: sample rate in Hz.
        hop: samples from one feature to the next.
        features: F, the length of a feature vector.
        field: (before, after): feature i depends only on samples hop * i - before up to hop * i + after.
        margin: least distance in seconds of a feature's middle from the ends of a window that contains it.
    """

    rate: int
    hop: int
    features: int
    field: tuple[int, int]
    margin: float = 0.0

    @property
    def step(self) -> float:
        """Seconds from one feature to the next."""
        return self.hop / self.rate

    @property
    def middle(self) -> int:
        """The sample in the middle of feature 0's receptive field."""
        before, after = self.field
        return (after - before) // 2

    @abstractmethod
    def count(self, samples: int) -> int:
        """The number of features of a wave of `samples` samples, at least 1."""

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


class MelEncoder(SoundEncoder):
    """Log-mel bands -> MobileNet-like convolutions -> one vector each 0.32 s, each from about 2 s of sound.

    Args:
        widths: channels of the stem and of each separable block.
        strides: of each block, in time and in frequency; with the stem (2) their product must be 32.
    """

    rate = RATE

    def __init__(self, widths: list[int], strides: list[int]) -> None:
        super().__init__()
        if len(widths) != len(strides) + 1:
            raise ValueError(f"{len(widths)} widths need {len(widths) - 1} strides, not {len(strides)}")
        self.stride = 2 * int(np.prod(strides))  # mel frames from vector to vector
        self.hop = self.stride * HOP
        self.features = widths[-1]
        jumps = np.cumprod([1, 2, *strides[:-1]])  # mel frames from cell to cell, at the input of each 3x3 layer
        around = int(jumps.sum()) * HOP
        self.field = (around, around + WINDOW)
        self.register_buffer("bank", mel_bank(), persistent=False)
        self.bank: Tensor
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(*(Separable(widths[i], widths[i + 1], strides[i]) for i in range(len(strides))))

    def count(self, samples: int) -> int:
        frames = max(1, (samples - WINDOW) // HOP + 1)
        return -(-frames // self.stride)

    def lower(self, waves: Tensor, count: int) -> Tensor:
        """The output of the stem and the first `count` blocks: waves (n, samples) -> (n, channels, frames, bands)."""
        x = (torch.log(mel_magnitudes(waves, self.bank) + FLOOR)[:, None] + 2.0) / 3.0
        out: Tensor = self.blocks[:count](self.stem(x))
        return out

    def from_waves(self, waves: Tensor) -> Tensor:
        return self.lower(waves, len(self.blocks)).mean(dim=3).transpose(1, 2)
