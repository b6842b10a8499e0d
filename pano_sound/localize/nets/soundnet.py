"""SoundNet (Aytar, Vondrick and Torralba, NIPS 2016), conv1 to conv8: the sound net of the paper (its section 3.1).

Layers, kernels, strides and paddings are those of the published 8-layer net (`main_train.lua`), which its authors
trained on two million Flickr videos to predict the output of a VGG trained on ImageNet. Of its two heads the paper
keeps the one with 1000 filters for objects (`conv8`), and leaves out the one for 401 scenes. Its mean over a window is
f_s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..architecture import FULL_SCALE
from .sound_encoder import SoundEncoder

# (kernel, stride, padding, max-pooling after it: kernel = stride, cells dropped at the end) of conv1 to conv8. The last
# cell of conv7 sees padding and was never trained: for the 20 s that the net was trained on, conv8 uses all cells but
# that one. For other lengths, including it would make the last vector a hundred times too large.
LAYERS = (
    (64, 2, 32, 8, 0),
    (32, 2, 16, 8, 0),
    (16, 2, 8, 1, 0),
    (8, 2, 4, 1, 0),
    (4, 2, 2, 4, 0),
    (4, 2, 2, 1, 0),
    (4, 2, 2, 1, 1),
    (8, 2, 0, 1, 0),
)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 1000)
"""Channels of conv1 to conv8."""


class SoundNet(SoundEncoder):
    """Raw wave -> conv1 … conv8 -> one vector each 2.97 s, each from 14.5 s of sound.

    conv1 to conv7 are followed by BatchNorm and ReLU, conv8 by nothing. A wave too short for one vector (less than 11
    s) is repeated until it is long enough, as SoundNet's authors did.

    Args:
        widths: channels of the eight convolutions.
    """

    rate = 22_050

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) != len(LAYERS):
            raise ValueError(f"SoundNet has {len(LAYERS)} layers, not {len(widths)}")
        inputs = [1, *widths]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs[i], widths[i], kernel, stride, padding)
            for i, (kernel, stride, padding, *_) in enumerate(LAYERS)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[:-1])
        self.features = widths[-1]
        jump, before, after = 1, 0, 1  # samples from cell to cell, and what one cell depends on
        for kernel, stride, padding, pool, _ in LAYERS:
            before += padding * jump
            after += (kernel - 1 - padding) * jump
            last, jump = jump, jump * stride
            after += (pool - 1) * jump
            jump *= pool
        self.hop, self.field = jump, (before, after)
        # A window contains a vector if it contains the middles of all conv7 vectors that it was made from.
        self.margin = (LAYERS[-1][0] - 1) / 2 * last / self.rate
        self.shortest = 1  # samples for one vector
        for kernel, stride, padding, pool, dropped in reversed(LAYERS):
            self.shortest = ((self.shortest + dropped) * pool - 1) * stride + kernel - 2 * padding

    def count(self, samples: int) -> int:
        size = max(samples, self.shortest)
        for kernel, stride, padding, pool, dropped in LAYERS:
            size = ((size + 2 * padding - kernel) // stride + 1) // pool - dropped
        return size

    def layers(self, waves: Tensor) -> list[Tensor]:
        """The outputs of conv1 to conv8 (after norm, ReLU and pooling) for waves (n, samples): (n, channels, k)."""
        if waves.shape[-1] < self.shortest:
            waves = F.pad(waves, (0, 1)) if waves.shape[-1] == 0 else waves
            waves = waves.tile(-(-self.shortest // waves.shape[-1]))[..., : self.shortest]
        x, found = waves[:, None] * FULL_SCALE, []
        for i, convolve in enumerate(self.convolutions):
            x = convolve(x)
            if i < len(self.norms):
                x = F.relu(self.norms[i](x), inplace=True)
            *_, pool, dropped = LAYERS[i]
            if pool > 1:
                x = F.max_pool1d(x, pool)
            x = x[..., : x.shape[-1] - dropped]
            found.append(x)
        return found

    def from_waves(self, waves: Tensor) -> Tensor:
        return self.layers(waves)[-1].transpose(1, 2)


def from_sound8(layers: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> dict[str, Tensor]:
    """The content of `sound8.npy`, arrays by layer ('conv1' … 'conv8') and name -> a state dict for `SoundNet`.

    Its kernels are (k, 1, inputs, outputs). Raises KeyError for missing arrays.
    """
    state: dict[str, Tensor] = {}
    for i in range(len(LAYERS)):
        arrays = layers[f"conv{i + 1}"]
        state[f"convolutions.{i}.weight"] = torch.from_numpy(arrays["weights"][:, 0].transpose(2, 1, 0).copy())
        state[f"convolutions.{i}.bias"] = torch.from_numpy(arrays["biases"])
        if i < len(LAYERS) - 1:
            names = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"}
            state |= {f"norms.{i}.{ours}": torch.from_numpy(arrays[theirs]) for ours, theirs in names.items()}
            state[f"norms.{i}.num_batches_tracked"] = torch.tensor(0)
    return state
