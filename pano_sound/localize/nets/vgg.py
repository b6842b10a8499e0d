"""VGG-16 (Simonyan and Zisserman, 2015) up to conv5_3: the visual trunk of the paper (its section 3.2).

3x3 convolutions with ReLU between them, a 2x2 max-pooling after each of the first four groups, none after the fifth.
The map is conv5_3 before its ReLU, as in the authors' published code. Its activations have both signs, so cosines may
be negative and mechanism 2 has something to clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .trunks import Conv, Trunk

GROUPS = (2, 2, 3, 3, 3)
"""Convolutions in each group: conv1_1, conv1_2, … conv5_3."""
WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each group."""
MEAN = (123.0, 117.0, 104.0)
"""Subtracted from RGB 0..255, without scaling, as in the training of `VGG16_Weights.IMAGENET1K_FEATURES`."""


class VGG16(Trunk):
    """Pictures (n, 3, H, W), RGB 0..255 -> conv5_3 (n, 512, floor(H / 16), floor(W / 16)). H and W must be at least 16.

    Args:
        stride: must be 16; there is no other.
        widths: channels of the five groups.
    """

    def __init__(self, stride: int = 16, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if stride != 16:
            raise ValueError(f"the stride of VGG-16 is 16, not {stride}")
        if len(widths) != len(GROUPS):
            raise ValueError(f"VGG-16 has {len(GROUPS)} groups, not {len(widths)}")
        self.stride, self.channels = stride, widths[-1]
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.mean: Tensor
        layers: list[nn.Module] = []
        inputs = 3
        for g, (width, count) in enumerate(zip(widths, GROUPS, strict=True)):
            if g > 0:
                layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers += [Conv(inputs, width, 3), nn.ReLU(inplace=True)]
                inputs = width
        self.features = nn.Sequential(*layers[:-1])  # numbered as torchvision does: its state dict fits

    def body(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.features(pictures - self.mean)
        return features


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert torchvision's `vgg16` state dict for `VGG16`, without classifier. Raises KeyError for missing tensors."""
    with torch.device("meta"):
        wanted = VGG16().state_dict()
    return {name: state[name].float() for name in wanted}
