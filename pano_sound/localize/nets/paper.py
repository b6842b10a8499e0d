"""The network of the paper as published (its section 3 and Fig. 2): SoundNet, VGG-16, and FC layers around them.

wave -> conv1 … conv8 -> mean over the window = f_s (1000) -> ReLU-FC (1000) -> ReLU-FC (512) = h
picture -> VGG-16 to conv5_3 = V (512 x H/16 x W/16);  cosine of h and each v_i -> attention -> z = sum of alpha_i v_i
z (512) -> ReLU-FC (512) -> ReLU-FC (1000) = f_v, trained to be near f_s
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attended, response
from .localizer import Localizer

PAPER: dict[str, Any] = {
    "trunk": {"name": "vgg16", "stride": 16},
    "sound_encoder": {"name": "soundnet"},
    "hidden": 1000,
    "embedding": 512,
}
"""The architecture of the `paper` model."""

PAPER_TINY: dict[str, Any] = {
    "trunk": {"name": "vgg16", "stride": 16, "widths": [4, 4, 8, 8, 16]},
    "sound_encoder": {"name": "soundnet", "widths": [4, 4, 8, 8, 8, 16, 16, 24]},
    "hidden": 16,
    "embedding": 16,
}
"""The same with few channels, for tests."""


class PaperLocalizer(Localizer):
    """The paper's model; arguments, attributes and methods as those of `Localizer`.

    v is conv5_3 itself, not of unit length; C, the length of f_s and f_v, is that of SoundNet's features; the softmax
    has a temperature of 1. `embedding` must equal the trunk's channels, because h is compared with its map directly.
    """

    def _make_heads(self, hidden: int, embedding: int) -> None:
        self.config["kind"] = "paper"
        if embedding != self.trunk.channels:
            raise ValueError(f"the embedding must be as long as a cell of the trunk: {self.trunk.channels}")
        heard = self.sound_encoder.features
        self.audio_head = nn.Sequential(nn.ReLU(), nn.Linear(heard, hidden), nn.ReLU(), nn.Linear(hidden, embedding))
        self.code_head = nn.Sequential(
            nn.ReLU(), nn.Linear(embedding, embedding), nn.ReLU(), nn.Linear(embedding, heard)
        )

    @property
    def temperature(self) -> float:
        return 1.0

    def embed_map(self, features: Tensor) -> Tensor:
        """The activations of conv5_3 themselves, as float32."""
        return features.float()

    def respond(self, v: Tensor, h: Tensor) -> Tensor:
        return response(F.normalize(v, dim=1), h)

    def sound_code(self, pooled: Tensor) -> Tensor:
        """f_s: the pooled features themselves, (n, C)."""
        return pooled

    def visual_code(self, v: Tensor, raw: Tensor) -> Tensor:
        """f_v = two {ReLU-FC} of z: v (n, D, rows, columns), raw (n, rows, columns) of the same pairs -> (n, C)."""
        code: Tensor = self.code_head(attended(v, self.attention(raw)))
        return code
