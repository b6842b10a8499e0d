"""The sound net of `base`: a net on log-mel bands and SoundNet's first layers on the wave, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..architecture import CELL, CELLS, FULL_SCALE, LOUDNESS, QUIET, WAVE_LAYERS, JointSteps, WaveSteps
from .sound_encoder import MelEncoder, SoundEncoder


def levelled(waves: Tensor) -> Tensor:
    """Normalise waves (n, samples) to LOUDNESS, measured over 2 s around each sample.

    Distant sources become as loud as near ones, and silence stays silent."""
    power = F.avg_pool1d(waves.square()[:, None], CELL, ceil_mode=True, count_include_pad=False)
    around = F.avg_pool1d(power, CELLS, 1, CELLS // 2, count_include_pad=False)
    loudness = F.interpolate(around.sqrt(), scale_factor=CELL, mode="linear", align_corners=False)
    return waves * (LOUDNESS / (loudness[:, 0, : waves.shape[-1]] + QUIET))


class WaveEncoder(WaveSteps, SoundEncoder):
    """SoundNet's conv1 to conv5, BatchNorm folded in, over a wave at 16 kHz. Arguments as of `WaveSteps`."""

    def __init__(self, widths: list[int], level: bool = True) -> None:
        nn.Module.__init__(self)
        WaveSteps.__init__(self, widths, level)
        inputs = [1, *widths]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs[i], inputs[i + 1], kernel, stride, padding)
            for i, (kernel, stride, padding, _) in enumerate(WAVE_LAYERS)
        )

    def from_waves(self, waves: Tensor) -> Tensor:
        wanted = self.count(waves.shape[-1])
        x = levelled(waves) if self.level else FULL_SCALE * waves
        x = F.pad(x, (0, (wanted + 1) * self.hop - x.shape[-1]))[:, None]
        for convolve, (*_, pool) in zip(self.convolutions, WAVE_LAYERS, strict=True):
            x = F.relu(convolve(x))
            if pool > 1:
                x = F.max_pool1d(x, pool)
        return x[..., :wanted].transpose(1, 2)


N = TypeVar("N", bound=SoundEncoder)

PARTS: dict[str, type[SoundEncoder]] = {"mel": MelEncoder, "wave": WaveEncoder}


class JointEncoder(JointSteps, SoundEncoder):
    """Several sound nets side by side; their vectors are joined, one every 0.32 s.

    Args:
        parts: for each net its name, 'mel' or 'wave', and the options of `MelEncoder` or `WaveEncoder`.
    """

    def __init__(self, parts: Sequence[Mapping[str, Any]]) -> None:
        nn.Module.__init__(self)
        nets = [PARTS[part["name"]](**{k: v for k, v in part.items() if k != "name"}) for part in parts]
        JointSteps.__init__(self, nets)
        self.parts = nn.ModuleList(nets)
        self._nets = nets

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
