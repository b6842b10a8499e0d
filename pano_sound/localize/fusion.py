"""The cues' evidence added up into one calibrated posterior, with weights that were learnt on scenes.

    posterior(cell)  ∝  area(cell) · exp(sum over cues of weight · log-likelihood ratio)
    elsewhere        ∝  exp(bias + sum over cues of weight · their log-odds of 'nothing here')

Where cues agree, what they add up to is high somewhere, and `elsewhere` low; where they contradict each other it is
high. A small share of what is seen is spread over the whole sphere: no evidence is beyond error. The numbers and how
they were learnt are in weights/fusion.json; `pano-sound evaluate fusion` learns and judges them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..sphere.geometry import cell_areas
from .cue import Evidence
from .nets.files import folders

FILE = "fusion.json"
NOWHERE = 1e-3
"""Probability that is never fallen below, of 'elsewhere' and of its contrary."""


@dataclass(frozen=True)
class Fusion:
    """Learnt numbers.

    Args:
        weights: of each cue's log-likelihood ratios.
        nothing: of each cue's log-odds of 'nothing here'.
        bias: log-odds of `elsewhere` where no cue knows anything.
        spread: share of the posterior that is spread over the whole sphere, 0..1.
    """

    weights: Mapping[str, float]
    nothing: Mapping[str, float]
    bias: float
    spread: float

    def posterior(
        self, evidence: Mapping[str, Evidence], covered: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The probability of each cell (n, rows, columns), and of `elsewhere` (n,): together 1 at each time.

        Args:
            evidence: of each cue; unknown names weigh nothing.
            covered: (rows, columns) which cells hold any picture; None: all.
        """
        first = next(iter(evidence.values()))
        maps = np.zeros_like(first.maps)
        absent = np.full(len(maps), self.bias, np.float32)
        for name, one in evidence.items():
            maps += self.weights.get(name, 0.0) * one.maps
            absent += self.nothing.get(name, 0.0) * one.nothing
        areas = cell_areas(*maps.shape[1:]).astype(np.float32)
        if covered is not None:
            areas = np.where(covered, areas, 0.0)
        peak = np.maximum(maps.max(axis=(1, 2)), 0.0)
        mass = np.exp(maps - peak[:, None, None]) * areas
        whole = mass.sum(axis=(1, 2))
        odds = absent - peak - np.log(np.maximum(whole, 1e-30))
        elsewhere = np.clip(1.0 / (1.0 + np.exp(-np.clip(odds, -60, 60))), NOWHERE, 1.0 - NOWHERE).astype(np.float32)
        mass /= np.maximum(whole, 1e-30)[:, None, None]
        mass = (1.0 - self.spread) * mass + self.spread * areas / areas.sum()
        return (mass * (1.0 - elsewhere)[:, None, None]).astype(np.float32), elsewhere

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@cache
def learnt() -> Fusion:
    """The numbers that come with the weights. Raises ModelError when they are missing or damaged."""
    for folder in folders():
        path = folder / FILE
        if path.is_file():
            return read(path)
    raise ModelError("the numbers for fusing cues are missing: install pano-sound again", path=folders()[0] / FILE)


def read(path: Path) -> Fusion:
    """Numbers from a file. Raises ModelError when it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        numbers = [data["bias"], data["spread"], *data["weights"].values(), *data["nothing"].values()]
        if not all(isinstance(number, (int, float)) and abs(number) < 1e3 for number in numbers):
            raise ValueError("not numbers")
        return Fusion(data["weights"], data["nothing"], float(data["bias"]), float(data["spread"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError("not the numbers for fusing cues, or damaged", path=path) from error
