"""The sound net of `base`: a net on log-mel bands and SoundNet's first layers on the wave, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .sound_encoder import RATE, MelEncoder, SoundEncoder

# (kernel, stride, padding, max-pooling after it) of SoundNet's conv1 to conv5 at 16 kHz instead of 22,050 Hz: the
# first kernel resampled, the first pooling 5 instead of 8, so that the last layers step every 0.32 s as the mel net.
LAYERS = ((46, 2, 23, 5), (32, 2, 16, 8), (16, 2, 8, 1), (8, 2, 4, 1), (4, 2, 2, 4))
FULL_SCALE = 256.0
"""SoundNet was trained on waves in [-256, 256]."""
LOUDNESS = 25.0
"""Root mean square of levelled waves."""
QUIET = 1e-4
"""Sound quieter than this (-80 dBFS) is not amplified."""
CELL, CELLS = 320, 101  # samples per loudness measurement; measurements per average: 2 s


def levelled(waves: Tensor) -> Tensor:
    """Normalise waves (n, samples) to LOUDNESS, measured over 2 s around each sample.

    Distant sources become as loud as near ones, and silence stays silent."""
    power = F.avg_pool1d(waves.square()[:, None], CELL, ceil_mode=True, count_include_pad=False)
    around = F.avg_pool1d(power, CELLS, 1, CELLS // 2, count_include_pad=False)
    loudness = F.interpolate(around.sqrt(), scale_factor=CELL, mode="linear", align_corners=False)
    return waves * (LOUDNESS / (loudness[:, 0, : waves.shape[-1]] + QUIET))


class WaveEncoder(SoundEncoder):
    """SoundNet's conv1 to conv5, BatchNorm folded in, over a wave at 16 kHz: a vector each 0.32 s.

    Args:
        widths: channels of the five convolutions.
        level: whether the wave is `levelled` first.
    """

    rate = RATE

    def __init__(self, widths: list[int], level: bool = True) -> None:
        super().__init__()
        self.level = level
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
        around = CELL * (CELLS // 2 + 2) if level else 0
        self.field = (before + around, after + around)

    def count(self, samples: int) -> int:
        return max(1, -(-samples // self.hop))

    def from_waves(self, waves: Tensor) -> Tensor:
        wanted = self.count(waves.shape[-1])
        x = levelled(waves) if self.level else FULL_SCALE * waves
        x = F.pad(x, (0, (wanted + 1) * self.hop - x.shape[-1]))[:, None]
        for convolve, (*_, pool) in zip(self.convolutions, LAYERS, strict=True):
            x = F.relu(convolve(x))
            if pool > 1:
                x = F.max_pool1d(x, pool)
        return x[..., :wanted].transpose(1, 2)


N = TypeVar("N", bound=SoundEncoder)

PARTS: dict[str, type[SoundEncoder]] = {"mel": MelEncoder, "wave": WaveEncoder}


class JointEncoder(SoundEncoder):
    """Several sound nets side by side; their vectors are joined, one every 0.32 s.

    Args:
        parts: for each net its name, 'mel' or 'wave', and the options of `MelEncoder` or `WaveEncoder`.
    """

    rate = RATE

    def __init__(self, parts: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        nets = [PARTS[part["name"]](**{k: v for k, v in part.items() if k != "name"}) for part in parts]
        self.hop = nets[0].hop
        if any(net.hop != self.hop for net in nets):
            raise ValueError(f"all nets must step every {self.hop} samples, not {[net.hop for net in nets]}")
        self.features = sum(net.features for net in nets)
        self.parts = nn.ModuleList(nets)
        self._nets = nets
        # Nets with later vectors than the earliest one get silence in front, so that their times agree.
        middles = [net.middle for net in nets]
        self.leads = [middle - min(middles) for middle in middles]
        fields = [(net.field[0] + lead, net.field[1] - lead) for net, lead in zip(nets, self.leads, strict=True)]
        self.field = (max(before for before, _ in fields), max(after for _, after in fields))

    def count(self, samples: int) -> int:
        return self._nets[0].count(samples)

    def first(self, kind: type[N]) -> N:
        """The first net of a class. Raises ValueError if there is none."""
        for net in self._nets:
            if isinstance(net, kind):
                return net
        raise ValueError(f"there is no {kind.__name__} among the nets")

    def padded(self, waves: Tensor, i: int) -> Tensor:
        """Waves padded for part number i, so that its vectors agree in time with those of the other parts."""
        return F.pad(waves, (self.leads[i], self.hop)) if self.leads[i] else waves

    def of_part(self, i: int, waves: Tensor) -> Tensor:
        """The features of part number i: waves (n, samples) -> (n, count(samples), features of that part)."""
        return self._nets[i].from_waves(self.padded(waves, i))[:, : self.count(waves.shape[-1])]

    def from_waves(self, waves: Tensor) -> Tensor:
        return torch.cat([self.of_part(i, waves) for i in range(len(self.parts))], dim=2)
