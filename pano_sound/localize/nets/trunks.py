"""The fully convolutional visual trunks: shared parts, EfficientNet-Lite0, and a tiny one for tests (VGG-16 is in
`vgg.py`).

All take pictures of any size and can treat them as equirectangular (`wrap=True`): convolutions are then padded
circularly left and right, so that the seam is not a border.

Alignment: the strided convolutions of EfficientNet-Lite0 were trained with TensorFlow's 'SAME' padding
(nothing on the left, one more on the right), which puts the centre of a cell half a cell too far to the right and down.
Padding says only where sampling begins, so `Conv` moves it by whole pixels with `shift`; with a shift of 1 in the last
of the five strided layers, cell i looks at pixel 32 i + 15, half a pixel off its centre.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..architecture import LITE0_STAGES, same_padding


class Conv(nn.Conv2d):
    """A convolution with bias, 'SAME' in size: output cells = ceil(input cells / stride).

    With the attribute `wrap` (set for a whole trunk by `set_wrap`) it pads circularly left and right; top and bottom
    are always padded with zeros. The width must then be a multiple of the stride.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, shift: int = 0
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.shift = shift
        self.wrap = False

    def forward(self, x: Tensor, relu6: bool = False) -> Tensor:
        return self.inside(self.around(x) if self.wrap else x, relu6)

    def around(self, x: Tensor) -> Tensor:
        """x extended across its left and right ends on the sphere, as far as the kernel reaches.

        Pointwise layers may come between `around` and `inside`. If they add channels, as `MBConv.expand` does, it is
        much cheaper to extend x before them."""
        left, right = self._padding(x.shape[-1])
        if left <= 0 and right <= 0:
            return x
        # Channels last, as `cat` alone would not leave them: slices a cell or two wide do not show their order.
        last = x.permute(0, 2, 3, 1)
        sides = last[:, :, last.shape[2] - left :], last[:, :, : max(0, right)]
        return torch.cat([sides[0], last, sides[1]], dim=2).permute(0, 3, 1, 2)

    def inside(self, x: Tensor, relu6: bool = False) -> Tensor:
        """The convolution of the output of `around`, or of a picture with borders; zeros above and below."""
        above, top = self._zeros(x.shape[-2])
        left, first = (0, 0) if self.wrap else self._zeros(x.shape[-1])
        return self.only(x, relu6, (above, left))[..., top:, first:]

    def only(self, x: Tensor, relu6: bool = False, zeros: tuple[int, int] = (0, 0)) -> Tensor:
        """The convolution where the kernel fits into x, with `zeros` at both ends of columns and rows; then ReLU6."""
        y = F.conv2d(x, self.weight, self.bias, self.stride, zeros, 1, self.groups)
        return F.relu6(y, inplace=True) if relu6 else y

    def _padding(self, size: int) -> tuple[int, int]:
        return same_padding(size, self.kernel_size[0], self.stride[0], self.shift)

    def _zeros(self, size: int) -> tuple[int, int]:
        """Padding that the convolution can add at both ends itself, without a copy, and the first valid output cell.

        If more is needed behind than before, a stride more is added to both ends, and the first output cell is
        dropped."""
        before, after = self._padding(size)
        return (before + self.stride[0], 1) if after > before else (before, 0)


class MBConv(nn.Module):
    """Inverted residual block without squeeze-and-excitation: expand 1x1, depthwise kxk, project 1x1, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, shift: int = 0) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = Conv(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = Conv(inner, inner, kernel, stride, groups=inner, shift=shift)
        self.project = Conv(inner, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        inner = self.depthwise.around(x) if self.depthwise.wrap else x
        if self.expand is not None:
            inner = self.expand(inner, relu6=True)
        out: Tensor = self.project(self.depthwise.inside(inner, relu6=True))
        return out + x if self.residual else out


class Trunk(nn.Module, ABC):
    """The interface of trunks: `channels` of the map, `stride` in pixels, and the parts below.

    forward = last(body(pictures)): pictures (n, 3, H, W), RGB 0..255, of any size -> map (n, channels,
    ceil(H / stride), ceil(W / stride)); VGG-16, which pools, rounds down. `body` ends in few channels if possible;
    training caches its output.
    """

    channels: int
    stride: int
    wrap = False

    @abstractmethod
    def body(self, pictures: Tensor) -> Tensor:
        """Everything but the last 1x1 convolution."""

    def last(self, features: Tensor) -> Tensor:
        """The last 1x1 convolution, if there is one."""
        return features

    def lower(self, pictures: Tensor) -> Tensor:
        """The layers that training on made scenes keeps; it caches their output."""
        return self.body(pictures)

    def upper(self, features: Tensor) -> Tensor:
        """The layers above `lower`: its output -> the map."""
        return self.last(features)

    def learn_upper(self, blocks: int = 1) -> None:
        """Let only the layers of `upper` learn; where there are blocks, so many of the last ones belong to it. Raises
        ValueError if there are fewer."""
        self.requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.last(self.body(pictures))

    def set_wrap(self, wrap: bool) -> None:
        """Treat pictures as equirectangular spheres (True) or as ordinary pictures with borders (False)."""
        self.wrap = wrap
        for module in self.modules():
            if isinstance(module, Conv):
                module.wrap = wrap


class EfficientNetLite0(Trunk):
    """EfficientNet-Lite0 without its classifier, BatchNorm folded into the convolutions (ReLU6 throughout)."""

    stride = 32

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        blocks: list[MBConv] = []
        channels, total = 32, 2
        for kernel, step, outputs, expansion, repeats in LITE0_STAGES:
            for i in range(repeats):
                here = step if i == 0 else 1
                blocks.append(MBConv(channels, outputs, kernel, here, expansion, shift=int(here == 2 and total == 16)))
                channels, total = outputs, total * here
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(320, 1280, 1)
        self.channels = 1280
        self._frozen = len(blocks) - 1  # blocks of `lower`

    def body(self, pictures: Tensor) -> Tensor:
        return self._upper_blocks(self.lower(pictures))

    def lower(self, pictures: Tensor) -> Tensor:
        x: Tensor = self.stem(_scaled(pictures), relu6=True)
        for block in self.blocks[: self._frozen]:
            x = block(x)
        return x

    def upper(self, features: Tensor) -> Tensor:
        return self.last(self._upper_blocks(features))

    def learn_upper(self, blocks: int = 1) -> None:
        if not 0 <= blocks <= len(self.blocks):
            raise ValueError(f"there are {len(self.blocks)} blocks, not {blocks}")
        self.requires_grad_(False)
        self._frozen = len(self.blocks) - blocks
        self.blocks[self._frozen :].requires_grad_(True)
        self.head.requires_grad_(True)

    def _upper_blocks(self, x: Tensor) -> Tensor:
        for block in self.blocks[self._frozen :]:
            x = block(x)
        return x

    def last(self, features: Tensor) -> Tensor:
        found: Tensor = self.head(features, relu6=True)
        return found


def _scaled(pictures: Tensor) -> Tensor:
    """0..255 -> about [-1, 1], float."""
    return torch.sub(pictures, 127.0).div_(128.0)


class TinyTrunk(Trunk):
    """Four strided 3x3 convolutions, for tests of everything that uses a trunk."""

    def __init__(self, stride: int = 16, channels: int = 16) -> None:
        super().__init__()
        if stride not in (16, 32):
            raise ValueError(f"stride must be 16 or 32, not {stride}")
        self.stride, self.channels = stride, channels
        widths = [3, 8, 8, 8, channels] + [channels] * (stride == 32)
        steps = len(widths) - 1
        self.layers = nn.ModuleList(
            Conv(widths[i], widths[i + 1], 3, 2, shift=int(i == steps - 1)) for i in range(steps)
        )

    def body(self, pictures: Tensor) -> Tensor:
        x = _scaled(pictures)
        for layer in self.layers:
            x = layer(x, relu6=True)
        return x


def channels_last(module: nn.Module) -> None:
    """Store convolution weights in the memory layout that is fastest on CPUs."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
