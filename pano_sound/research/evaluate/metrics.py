"""The paper's measures of localization (section 5.2), and the statistics around them.

How a response becomes an answer. The response of a picture is the cosine of each cell of the model's grid, for
mechanism 2 with its negative values set to 0, before any softmax. `heat_map` enlarges it to the picture (bilinear,
each cell at the middle of the pixels it stands for) and stretches it linearly to [0, 1]. Two cuts make a set of
pixels of it:

- `level`: what lies above τ = 0.5, which is A(τ) of equation 10;
- `half`: the upper half of all pixels, which public re-implementations of the paper's benchmark use.

Before the softmax, because a softmax keeps the order of cells, and how far apart it sets them depends on a
temperature that the paper does not have and other models do; the public re-implementations do the same. The paper does
not say how its attention, which sums to 1 over 400 cells, meets a threshold of 0.5; stretching is what they all do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from torch import Tensor

from ..datasets.examples import Box

CUTS = ("level", "half")
SUCCESS = 0.5
"""The least cIoU of a right answer."""

THRESHOLDS = np.linspace(0, 1, 21)
"""Where the success curve is read (0, 0.05 … 1), as public re-implementations do."""


@dataclass
class Proportion:
    """A proportion with its 95 % (Clopper–Pearson) interval."""

    right: int = 0
    of: int = 0

    def add(self, right: bool) -> None:
        """Count one more."""
        self.right += bool(right)
        self.of += 1

    @property
    def value(self) -> float:
        """The share in 0..1; nan if there are none."""
        return self.right / self.of if self.of else float("nan")

    def interval(self) -> tuple[float, float]:
        """The 95 % binomial interval."""
        if not self.of:
            return 0.0, 1.0
        low, high = binomtest(self.right, self.of).proportion_ci(0.95)
        return float(low), float(high)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers; the share and its interval in 0..1."""
        return {"share": self.value, "interval": self.interval(), "right": self.right, "of": self.of}

    def __str__(self) -> str:
        if not self.of:
            return f"{'-':>5}    of 0"
        low, high = self.interval()
        return f"{100 * self.value:5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]  of {self.of}"


def as_json(result: Any) -> dict[str, Any]:
    """A dataclass of shares, of tables of shares and of numbers as plain numbers."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items()}
        return value.as_json() if isinstance(value, Proportion) else value

    return {f.name: plain(getattr(result, f.name)) for f in fields(result)}


def box_map(boxes: Sequence[Box], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels whose middle lies in one of the boxes: bool (height, width)."""
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    inside = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        inside |= ((y >= y0) & (y <= y1))[:, None] & ((x >= x0) & (x <= x1))
    return inside


def majority(annotators: int) -> int:
    """#consensus of equation 9 by majority rule: 2 of 3, 1 of 1."""
    return annotators // 2 + 1


def consensus_map(annotations: Sequence[Sequence[Box]], height: int, width: int) -> NDArray[np.float32]:
    """Equation 9: how much of the consensus each pixel has, float32 (height, width) in [0, 1].

    Args:
        annotations: for each annotator the boxes that they drew. Those who drew none do not count.
    """
    drawn = [boxes for boxes in annotations if boxes]
    votes = np.zeros((height, width), np.float32)
    for boxes in drawn:
        votes += box_map(boxes, height, width)
    return np.minimum(votes / majority(len(drawn)), 1)


def heat_map(response: Tensor, height: int, width: int) -> NDArray[np.float32]:
    """Responses (n, rows, columns) -> maps at picture size, float32 (n, height, width) in [0, 1].

    Enlarged bilinearly and stretched so that each map's lowest pixel is 0 and its highest 1; a flat map is all 0, so
    that no pixel of it is an answer.
    """
    large = F.interpolate(response[:, None].float(), (height, width), mode="bilinear", align_corners=False)[:, 0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    return torch.where(high > low, (large - low) / (high - low).clamp_min(1e-12), 0.0).cpu().numpy()


def answer(maps: NDArray[np.float32], cut: str = "level", level: float = 0.5) -> NDArray[np.bool_]:
    """Maps (n, height, width) in [0, 1] -> the pixels above `level`, or (cut 'half') above each map's median."""
    if cut == "level":
        return maps > level
    if cut == "half":
        flat = maps.reshape(len(maps), -1)
        middle = flat.shape[1] // 2
        return maps > np.partition(flat, middle, axis=1)[:, middle, None, None]
    raise ValueError(f"no such cut: {cut!r}")


def consensus_iou(active: NDArray[np.bool_], truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """Equation 10.

    Args:
        active: the answer's pixels, (n, height, width).
        truth: consensus maps (n, height, width) in [0, 1]; one annotator's 0/1 map makes it the ordinary IoU.

    Returns:
        (n,) in [0, 1]; 0 where both are empty.
    """
    shared = (truth * active).sum((1, 2), dtype=np.float64)
    union = truth.sum((1, 2), dtype=np.float64) + (active & (truth == 0)).sum((1, 2))
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def success(overlaps: ArrayLike, threshold: float = SUCCESS) -> Proportion:
    """How many of these cIoUs reach the threshold."""
    reached = np.asarray(overlaps) >= threshold
    return Proportion(int(reached.sum()), int(reached.size))


def success_curve(overlaps: ArrayLike, thresholds: NDArray[np.float64] = THRESHOLDS) -> NDArray[np.float64]:
    """Fig. 9: the share of cIoUs that reach each threshold, in 0..1."""
    return (np.asarray(overlaps)[:, None] >= thresholds).mean(axis=0)


def area_under_curve(overlaps: ArrayLike) -> float:
    """The area under the success curve for thresholds from 0 to 1 (trapezia over `THRESHOLDS`), in 0..1."""
    curve = success_curve(overlaps)
    return float(((curve[1:] + curve[:-1]) / 2 * np.diff(THRESHOLDS)).sum())


def precision_recall(
    scores: ArrayLike, right: ArrayLike, wanted: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall as ever lower scores count as a yes; equal scores come in together.

    Args:
        scores: (n,) how surely each answer is given.
        right: (n,) whether a yes would be right there.
        wanted: how many right ones there are to find; None is as many as `right` has.

    Returns:
        Precision and recall, one entry for each distinct score, from the highest.
    """
    score, hit = np.asarray(scores, np.float64), np.asarray(right, bool)
    order = np.argsort(-score, kind="stable")
    score, hit = score[order], hit[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, int)
    found = np.cumsum(hit)[last]
    return found / (last + 1), found / max(1, int(hit.sum()) if wanted is None else wanted)


def average_precision(scores: ArrayLike, right: ArrayLike, wanted: int | None = None) -> float:
    """The area under precision against recall, without interpolation, in 0..1. Arguments as `precision_recall`."""
    precision, recall = precision_recall(scores, right, wanted)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def best_f1(scores: ArrayLike, right: ArrayLike, wanted: int | None = None) -> float:
    """The highest F1 that any threshold on the scores gives (max-F1), in 0..1. Arguments as `precision_recall`."""
    precision, recall = precision_recall(scores, right, wanted)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return float(f1.max(initial=0.0))
