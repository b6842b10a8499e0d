"""The parts of the networks' architecture that both ways of computing them share: PyTorch (`nets/`), which trains, and
OpenVINO (`compiled/`), which is faster. Nothing here needs either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# (kernel, stride, channels out, expansion, blocks) of EfficientNet-Lite0, after a 3x3 stem of 32 channels.
LITE0_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 2, 80, 6, 3),
    (5, 1, 112, 6, 3),
    (5, 2, 192, 6, 4),
    (3, 1, 320, 6, 1),
)

RATE, WINDOW, HOP, BANDS = 16_000, 400, 160, 64  # Hz, samples (25 ms), samples (10 ms), mel bands
LOWEST, HIGHEST, FFT = 125.0, 7500.0, 512  # Hz, Hz, samples
FLOOR = 1e-4  # added to magnitudes before the logarithm: about a -100 dBFS tone

# (kernel, stride, padding, max-pooling after it) of SoundNet's conv1 to conv5 at 16 kHz instead of 22,050 Hz: the
# first kernel resampled, the first pooling 5 instead of 8, so that the last layers step every 0.32 s as the mel net.
WAVE_LAYERS = ((46, 2, 23, 5), (32, 2, 16, 8), (16, 2, 8, 1), (8, 2, 4, 1), (4, 2, 2, 4))
FULL_SCALE = 256.0
"""SoundNet was trained on waves in [-256, 256]."""
LOUDNESS = 25.0
"""Root mean square of levelled waves."""
QUIET = 1e-4
"""Sound quieter than this (-80 dBFS) is not amplified."""
CELL, CELLS = 320, 101  # samples per loudness measurement; measurements per average: 2 s


def same_padding(size: int, kernel: int, stride: int, shift: int) -> tuple[int, int]:
    """Padding before and after `size` cells that gives ceil(size / stride) output cells; `shift` cells more before and
    fewer after where the layer is strided."""
    reach = kernel - 1
    before = reach // 2 if stride == 1 else (reach + 1 - stride) // 2 + shift
    return before, (-(-size // stride) - 1) * stride + reach + 1 - size - before


def mel_bank() -> NDArray[np.float32]:
    """The triangular mel filters (FFT // 2 + 1, BANDS), each of height 1."""

    def mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))

    edges = np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2)
    bins = mel(np.linspace(0.0, RATE / 2, FFT // 2 + 1))[:, None]
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(up, down), 0.0, None).astype(np.float32)


class SoundSteps(ABC):
    """When the features of a sound net are, and what they depend on.

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


class MelSteps(SoundSteps):
    """Of a net of 3x3 convolutions over mel bands: a vector each 0.32 s, each from about 2 s of sound.

    Args:
        widths: channels of the stem and of each separable block.
        strides: of each block, in time and in frequency; with the stem (2) their product must be 32.
    """

    rate = RATE

    def __init__(self, widths: Sequence[int], strides: Sequence[int]) -> None:
        if len(widths) != len(strides) + 1:
            raise ValueError(f"{len(widths)} widths need {len(widths) - 1} strides, not {len(strides)}")
        self.stride = 2 * int(np.prod(strides))  # mel frames from vector to vector
        self.hop = self.stride * HOP
        self.features = widths[-1]
        jumps = np.cumprod([1, 2, *strides[:-1]])  # mel frames from cell to cell, at the input of each 3x3 layer
        around = int(jumps.sum()) * HOP
        self.field = (around, around + WINDOW)

    def count(self, samples: int) -> int:
        frames = max(1, (samples - WINDOW) // HOP + 1)
        return -(-frames // self.stride)


class WaveSteps(SoundSteps):
    """Of WAVE_LAYERS over a wave at 16 kHz: a vector each 0.32 s.

    Args:
        widths: channels of the five convolutions.
        level: whether the wave is levelled first, by its loudness over 2 s.
    """

    rate = RATE

    def __init__(self, widths: Sequence[int], level: bool = True) -> None:
        self.level = level
        self.features = widths[-1]
        jump, before, after = 1, 0, 1
        for kernel, stride, padding, pool in WAVE_LAYERS:
            before += padding * jump
            after += (kernel - 1 - padding) * jump
            jump *= stride
            after += (pool - 1) * jump
            jump *= pool
        self.hop = jump
        around = CELL * (CELLS // 2 + 2) if level else 0
        self.field = (before + around, after + around)

    def count(self, samples: int) -> int:
        return max(1, -(-samples // self.hop))


class JointSteps(SoundSteps):
    """Of several sound nets side by side, whose vectors are joined.

    Raises ValueError if they do not step alike.

    Attributes:
        leads: samples of silence in front of each net's wave: nets with later vectors than the earliest one get some,
            so that their times agree.
    """

    rate = RATE

    def __init__(self, nets: Sequence[SoundSteps]) -> None:
        self._count = nets[0].count
        self.hop = nets[0].hop
        if any(net.hop != self.hop for net in nets):
            raise ValueError(f"all nets must step every {self.hop} samples, not {[net.hop for net in nets]}")
        self.features = sum(net.features for net in nets)
        middles = [net.middle for net in nets]
        self.leads = [middle - min(middles) for middle in middles]
        fields = [(net.field[0] + lead, net.field[1] - lead) for net, lead in zip(nets, self.leads, strict=True)]
        self.field = (max(before for before, _ in fields), max(after for _, after in fields))

    def count(self, samples: int) -> int:
        return self._count(samples)
