"""The paper's loss (its section 4): the triplet's distance ratio, cross entropy with boxes, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...localize.nets.localizer import Localizer
from ...localize.nets.weights import has_bfloat16
from ..datasets.examples import Box


def distance_ratio(f_v: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Equations 5 and 6: (n, C) three times -> loss (n,), 0 (all well) to 2.

    D = softmax([d+, d-]) of the Euclidean distances from f_v to its own sound and to another one; the loss is the
    squared distance of D from [0, 1].
    """
    distances = torch.stack([torch.linalg.norm(f_v - f_s, dim=1) for f_s in (positive, negative)], dim=1)
    ratio = torch.softmax(distances, dim=1)
    return (ratio - ratio.new_tensor([0.0, 1.0])).square().sum(dim=1)


def box_cross_entropy(attention: Tensor, target: Tensor) -> Tensor:
    """Equation 8: - sum of alpha_GT log(alpha) over the cells; (n, cells) twice -> loss (n,); 0 for an empty target.

    The target, 0 or 1 in each cell, is divided by its sum, so that large boxes do not weigh more than small ones.
    """
    share = target / target.sum(dim=1, keepdim=True).clamp_min(1.0)
    return -(share * torch.log(attention.clamp_min(1e-12))).sum(dim=1)


def box_target(boxes: tuple[Box, ...], rows: int, columns: int) -> NDArray[np.float32]:
    """alpha_GT, float32 (rows, columns) of 0 and 1: the cells that boxes cover by at least half, or else the most
    covered one."""
    target = np.zeros((rows, columns), np.float32)
    for x0, y0, x1, y1 in boxes:
        covered = np.outer(_covered(y0, y1, rows), _covered(x0, x1, columns))
        if covered.max() > 0:
            target[covered >= min(0.5, covered.max())] = 1
    return target


def _covered(first: float, last: float, count: int) -> NDArray[np.float64]:
    edges = np.linspace(0, 1, count + 1)
    return np.clip(np.minimum(edges[1:], last) - np.maximum(edges[:-1], first), 0, None) * count


class Objective(nn.Module):
    """The loss of each example of a batch, as one module, so that several processes can share its gradients.

    Args:
        model: the model to train; only parameters that require gradients are trained.
        balance: weight of equation 6; equation 8 has 1 - balance (Table V). 1: unsupervised, 0: supervised.
    """

    def __init__(self, model: Localizer, balance: float) -> None:
        super().__init__()
        self.model, self.balance = model, balance

    def train(self, mode: bool = True) -> Objective:
        """As usual, but trunk and sound net keep their BatchNorm statistics."""
        super().train(mode)
        self.model.trunk.eval()
        self.model.sound_encoder.eval()
        return self

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Weighted losses.

        Args:
            batch: `maps` (n, channels, rows, columns) of the trunk's body, or `pictures` (n, 3, H, W) RGB 0..255;
                `sounds` and `negatives`, pooled features (n, F) or a list of n waves; `targets` (n, cells) of 0 and 1;
                `labelled` (n,), 1 where the target is known.

        Returns:
            total, unsupervised and supervised, each (n,); the parts are unweighted, and 0 where they do not apply.
        """
        model = self.model
        h_of, others = self._pooled(batch["sounds"]), batch["negatives"]
        v = self._visual(batch)
        raw = model.respond(v, model.sound_embedding(h_of))
        nothing = raw.new_zeros(len(raw))
        unsupervised, supervised = nothing, nothing
        if self.balance > 0:
            codes = model.sound_code(torch.cat([h_of, self._pooled(others)]))
            f_v = model.visual_code(v, raw)
            unsupervised = distance_ratio(f_v, *codes.chunk(2))
        if self.balance < 1:
            attention = model.attention(raw).flatten(1)
            supervised = batch["labelled"] * box_cross_entropy(attention, batch["targets"])
        total = self.balance * unsupervised + (1 - self.balance) * supervised
        return {"total": total, "unsupervised": unsupervised, "supervised": supervised}

    def _pooled(self, sounds: Tensor | list[Tensor]) -> Tensor:
        if isinstance(sounds, Tensor):
            return sounds
        return torch.stack([self.model.sound_features(wave).mean(dim=0) for wave in sounds])

    def _visual(self, batch: Mapping[str, Any]) -> Tensor:
        given = batch["maps"] if "maps" in batch else batch["pictures"]
        with torch.autocast(given.device.type, torch.bfloat16, enabled=has_bfloat16(given.device)):
            body = given if "maps" in batch else self.model.trunk.body(given)
            return self.model.embed_map(self.model.trunk.last(body))
