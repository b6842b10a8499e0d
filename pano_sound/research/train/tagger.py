"""The tagger that teaches: mn04 (EfficientAT), which hears AudioSet's 527 kinds of sound. Not ours to ship."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import DataFileError

STEPS = 16  # features of a piece
HOP = 5120  # samples from one feature to the next
SAMPLES = STEPS * HOP  # 5.12 s


class Tagger:
    """The teacher, DATA/teachers/mn04.py. Raises DataFileError if it is missing."""

    def __init__(self, data: Path, device: torch.device | str = "cpu") -> None:
        path = data / "teachers" / "mn04.py"
        spec = importlib.util.spec_from_file_location("pano_sound_tagger", path)
        if spec is None or spec.loader is None or not path.exists():
            raise DataFileError("the tagger is missing", path=path)
        module: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.net = module.MN04().to(device).eval().requires_grad_(False)
        self.names: list[str] = list(module.NAMES)
        self.bank, self.window = module._BANK.to(device), module._HANN.to(device)

    def log_mel(self, waves: Tensor) -> Tensor:
        """Waves (n, samples) at RATE -> what the net takes, (n, 1, bands, frames), 10 ms apart."""
        x = doubled(waves)
        x = x[:, 1:] - 0.97 * x[:, :-1]
        power = torch.stft(x, 1024, 320, 800, window=self.window, return_complex=True).abs().square()
        return (((self.bank @ power + 1e-5).log() + 4.5) / 5)[:, None]

    def columns(self, waves: Tensor) -> Tensor:
        """Waves (n, SAMPLES) at RATE -> its features of each 0.32 s, (n, STEPS, E)."""
        found: Tensor = self.net.features(self.log_mel(waves))
        return found.mean(dim=2).transpose(1, 2)[:, :STEPS]

    def scores(self, pooled: Tensor) -> Tensor:
        """Features pooled over a window, (..., E) -> scores of its tags (..., len(names)) in [0, 1]."""
        net = self.net
        hidden = F.hardswish(F.linear(pooled, net.fc1__w, net.fc1__b))
        return torch.sigmoid(F.linear(hidden, net.fc2__w, net.fc2__b))


def doubled(waves: Tensor) -> Tensor:
    """Waves (n, samples) at twice their rate, (n, 2 * samples)."""
    at = torch.arange(-31, 32, device=waves.device) / 2
    kernel = torch.sinc(at) * torch.hann_window(65, periodic=False, device=waves.device)[1:-1]
    sparse = torch.stack([waves, torch.zeros_like(waves)], dim=2).flatten(1)
    return F.conv1d(sparse[:, None], kernel[None, None], padding=31)[:, 0]
