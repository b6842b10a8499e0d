"""The fully convolutional visual trunks: what they share, EfficientNet-Lite0, and a tiny one for tests (VGG-16 is in
`vgg.py`).

All take pictures of any size and can treat them as the unrolled sphere (`wrap=True`): every convolution is
then padded circularly left and right, so that the seam of an equirectangular picture is not a border.

Where a cell looks. The strided convolutions of EfficientNet-Lite0 were trained with TensorFlow's 'SAME' padding
(nothing on the left, one more on the right), which puts the centre of a cell half a cell too far to the right and down.
Padding says only where sampling begins, so `Conv` moves it by whole pixels with `shift`; with a shift of 1 in the last
of the five strided layers, cell i looks at pixel 32 i + 15, half a pixel off its centre.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


class Conv(nn.Conv2d):
    """A convolution with bias, 'SAME' in size: output cells = ceil(input cells / stride).

    `wrap` (an attribute, set for a whole trunk by `set_wrap`) pads circularly left and right instead of with zeros;
    top and bottom are padded with zeros always. The width must then be a multiple of the stride.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, shift: int = 0
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.shift = shift
        self.wrap = False

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(self.around(x) if self.wrap else x)

    def around(self, x: Tensor) -> Tensor:
        """x with what lies beyond its left and right ends on the sphere, as far as the kernel reaches.

        What works on each cell alone may come between `around` and `inside`: where it adds channels, as `MBConv.expand`
        does, it is much cheaper to go around before it."""
        left, right = self._padding(x.shape[-1])
        if left <= 0 and right <= 0:
            return x
        return torch.cat([x[..., x.shape[-1] - left :], x, x[..., : max(0, right)]], dim=-1)

    def inside(self, x: Tensor) -> Tensor:
        """The convolution of what `around` gave, or of a picture with borders; zeros above and below."""
        above, top = self._zeros(x.shape[-2])
        left, first = (0, 0) if self.wrap else self._zeros(x.shape[-1])
        y = F.conv2d(x, self.weight, self.bias, self.stride, (above, left), 1, self.groups)
        return y[..., top:, first:]

    def _padding(self, size: int) -> tuple[int, int]:
        """Cells to add before and after `size` cells, so that ceil(size / stride) come out."""
        stride, reach = self.stride[0], self.kernel_size[0] - 1
        before = reach // 2 if stride == 1 else (reach + 1 - stride) // 2 + self.shift
        return before, (-(-size // stride) - 1) * stride + reach + 1 - size - before

    def _zeros(self, size: int) -> tuple[int, int]:
        """Zeros that the convolution adds at both ends itself, without a copy, and the first cell then wanted.

        Where more are needed behind than before, it adds a stride more to both, and the first cell is one too many."""
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
            inner = F.relu6(self.expand(inner), inplace=True)
        out = self.project(F.relu6(self.depthwise.inside(inner), inplace=True))
        return out + x if self.residual else out


class Trunk(nn.Module):
    """What every trunk has: `channels` of its map, its `stride` in pixels, and the parts below.

    forward = last(body(pictures)): pictures (n, 3, H, W), RGB 0..255, of any size -> map (n, channels,
    ceil(H / stride), ceil(W / stride)); VGG-16, which pools, rounds down. `body` ends in fewer channels where it can;
    training keeps those.
    """

    channels: int
    stride: int

    def body(self, pictures: Tensor) -> Tensor:
        """Everything but the last 1x1 convolution."""
        raise NotImplementedError

    def last(self, features: Tensor) -> Tensor:
        """The last 1x1 convolution, if there is one."""
        return features

    def forward(self, pictures: Tensor) -> Tensor:
        return self.last(self.body(pictures))

    def set_wrap(self, wrap: bool) -> None:
        """Treat pictures as unrolled spheres (True) or as ordinary pictures with borders (False)."""
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

    def body(self, pictures: Tensor) -> Tensor:
        x = F.relu6(self.stem((pictures - 127.0) / 128.0), inplace=True)
        for block in self.blocks:
            x = block(x)
        return x

    def last(self, features: Tensor) -> Tensor:
        return F.relu6(self.head(features))


class TinyTrunk(Trunk):
    """Four strided 3x3 convolutions: no use but in tests, where it drives everything that the real trunk does."""

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
        x = (pictures - 127.0) / 128.0
        for layer in self.layers:
            x = F.relu6(layer(x))
        return x


def channels_last(module: nn.Module) -> None:
    """Keep the weights of convolutions in the memory layout in which processors compute them fastest."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
