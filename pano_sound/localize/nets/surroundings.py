"""What surrounds each cell: means of learnt features over larger squares.

A cell of the trunk sees a thing and little else. ImageNet's features were made to be averaged over a whole picture;
the mean over a few cells tells better what a thing is, and where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .trunks import Conv


class Surroundings(nn.Module):
    """Trunk map (n, inputs, rows, columns) -> what is added to the embedding of each cell, (n, outputs, rows, columns).

    Args:
        inputs, outputs: channels.
        channels: of the features that are averaged.
        widths: odd; the sides of the squares, in cells.
    """

    def __init__(self, inputs: int, outputs: int, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        if not widths or any(width < 1 or width % 2 == 0 for width in widths):
            raise ValueError(f"widths are odd, not {list(widths)}")
        self.widths = tuple(widths)
        self.reduce = Conv(inputs, channels, 1)
        self.expand = Conv(channels * len(widths), outputs, 1)
        nn.init.zeros_(self.expand.weight)
        assert self.expand.bias is not None
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor, wrap: bool) -> Tensor:
        """`wrap`: whether the map's left and right ends meet, as those of a panorama."""
        x = self.reduce(x, relu6=True)
        found: Tensor = self.expand(torch.cat([mean_around(x, width, wrap) for width in self.widths], dim=1))
        return found


def mean_around(x: Tensor, width: int, wrap: bool) -> Tensor:
    """Mean over the `width` x `width` cells around each cell, as far as there are any: the same shape as x."""
    reach = width // 2
    if wrap:
        columns = torch.arange(-reach, x.shape[-1] + reach, device=x.device) % x.shape[-1]
        x = x[..., columns]
    padding = (reach, 0 if wrap else reach)
    return F.avg_pool2d(x, width, 1, padding, count_include_pad=False)
