"""The paper's attention between a sound and every place of a picture (section 3.3, equations 1 to 4).

The raw response (the cosine) tells how surely; the attention, which sums to 1 over the map, tells only where.
"""

from __future__ import annotations

import torch
from torch import Tensor


def response(v: Tensor, h: Tensor) -> Tensor:
    """Cosine between a sound and each cell: v (n, D, rows, columns), h (n, D) of unit length -> (n, rows, columns).

    With one picture and many sounds, or the reverse, n may be 1 on one side. Range [-1, 1].
    """
    return (v * h[:, :, None, None]).sum(dim=1)


def mechanism1(raw: Tensor, temperature: float = 1.0) -> Tensor:
    """Equations 1 and 2: softmax over the cells. Raw response (n, rows, columns) -> attention, each map sums to 1."""
    return torch.softmax(raw.flatten(1) / temperature, dim=1).view_as(raw)


def mechanism2(raw: Tensor, temperature: float = 1.0) -> Tensor:
    """Equation 3: ReLU, then softmax; cells that do not respond all count the same. Shapes as `mechanism1`."""
    return mechanism1(torch.relu(raw), temperature)


def attended(v: Tensor, attention: Tensor) -> Tensor:
    """Equation 4: z = sum over cells of attention times v. (n, D, rows, columns), (n, rows, columns) -> (n, D)."""
    return (v * attention[:, None]).sum(dim=(2, 3))
