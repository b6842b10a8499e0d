"""Fuses the cues' evidence into one calibrated posterior, with weights learnt on scenes.

    seen(cell)       ∝  area(cell) · exp(sum over cues that look of weight · log-likelihood ratio)
    posterior(cell)  ∝  ((1 - spread) · seen(cell) + spread · area(cell)) · exp(weight · the sound's own direction)
    elsewhere        ∝  exp(bias + sum over cues of weight · their log-odds of 'nothing here' - agreement)
    agreement        =  log mean exp(sum over cues of weight · ratio) - sum over cues of log mean exp(weight · ratio)

Means are over the sphere. Where cues agree, `elsewhere` is low; where they contradict each other, it is high; one cue
alone agrees with nothing, however sure it is. What looks and moves like the sound may still not make it, so a share of
the visual cues' answer is spread over the whole sphere. A direction carried by the sound itself needs no such doubt.
The numbers are in weights/fusion.json; `pano-sound evaluate scenes --fit` learns them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
"""Least probability of 'elsewhere', and of its opposite."""


@dataclass(frozen=True)
class Fusion:
    """Learnt fusion weights.

    Args:
        weights: of each visual cue's log-likelihood ratios.
        direction: of the log-likelihood ratios of each cue that measures the sound's direction.
        nothing: of each cue's log-odds of 'nothing here'.
        bias: log-odds of `elsewhere` if no cue knows anything.
        spread: share of the visual cues' answer that is spread over the whole sphere, 0..1.
    """

    weights: Mapping[str, float]
    nothing: Mapping[str, float]
    bias: float
    spread: float
    direction: Mapping[str, float] = field(default_factory=dict)

    def posterior(
        self, evidence: Mapping[str, Evidence], covered: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The probability of each cell (n, rows, columns), and of `elsewhere` (n,): together 1 at each time.

        Args:
            evidence: by cue; unknown names are ignored.
            covered: (rows, columns), which cells hold any picture; None: all.
        """
        first = next(iter(evidence.values()))
        looks, points = (np.zeros(first.maps.shape, np.float32) for _ in range(2))
        absent = np.full(len(looks), self.bias, np.float32)
        areas = cell_areas(first.maps.shape[1], first.maps.shape[2]).astype(np.float32)
        if covered is not None:
            areas = np.where(covered, areas, 0.0)
        areas /= areas.sum()
        for name, one in evidence.items():
            absent += self.nothing.get(name, 0.0) * one.nothing
            if name in self.direction:
                points += np.asarray(self.direction[name] * one.maps[:], np.float32)
            if name in self.weights:
                weighted = np.asarray(self.weights[name] * one.maps[:], np.float32)
                looks += weighted
                absent += _distribution(weighted, areas)[1]
        mass, agreement = _distribution(looks, areas)
        mass, pointed = _distribution(points, (1.0 - self.spread) * mass + self.spread * areas)
        odds = np.clip(absent - agreement - pointed, -60, 60)
        elsewhere = np.clip(1.0 / (1.0 + np.exp(-odds)), NOWHERE, 1.0 - NOWHERE).astype(np.float32)
        return (mass * (1.0 - elsewhere)[:, None, None]).astype(np.float32), elsewhere

    def repointed(
        self,
        posterior: NDArray[np.float32],
        elsewhere: NDArray[np.float32],
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        name: str,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The posterior and `elsewhere` if the cue `name`, which measures direction, had said something else.

        Args:
            posterior, elsewhere: (n, rows, columns) and (n,), with what it said; times without sound are kept.
            before, after: (n, rows, columns), the cue's log-likelihood ratios in them, and those to use instead.
        """
        mass, gained = _distribution(self.direction.get(name, 0.0) * (after - before), posterior)
        sounds = posterior.sum(axis=(1, 2)) > 0
        there = np.clip(1.0 - elsewhere, NOWHERE, 1.0 - NOWHERE)
        odds = np.clip(np.log((1.0 - there) / there) - gained + np.log(there), -60, 60)
        new = np.clip(1.0 / (1.0 + np.exp(-odds)), NOWHERE, 1.0 - NOWHERE).astype(np.float32)
        new = np.where(sounds, new, elsewhere)
        return np.where(sounds[:, None, None], mass * (1.0 - new)[:, None, None], posterior), new

    def looks(self, maps: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float32] | None:
        """The weighted sum of the visual cues' maps; None if there are none."""
        seen: NDArray[np.float32] | None = None
        for name, one in maps.items():
            if name in self.weights:
                seen = np.zeros(one.shape, np.float32) if seen is None else seen
                for k, row in enumerate(one):
                    seen[k] += np.float32(self.weights[name]) * row
        return seen

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@cache
def learnt() -> Fusion:
    """The weights that are shipped. Raises ModelError if they are missing or damaged."""
    for folder in folders():
        path = folder / FILE
        if path.is_file():
            return read(path)
    raise ModelError("the fusion weights are missing", folders()[0] / FILE, "install pano-sound again")


def read(path: Path) -> Fusion:
    """Read weights from a file. Raises ModelError if it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        numbers = [data["bias"], data["spread"]]
        for part in ("weights", "nothing", "direction"):
            numbers += data[part].values()
        if not all(isinstance(number, (int, float)) and abs(number) < 1e3 for number in numbers):
            raise ValueError("not numbers")
        return Fusion(**{name: data[name] for name in ("weights", "nothing", "bias", "spread", "direction")})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError("not fusion weights, or damaged", path=path) from error


def _distribution(
    ratios: NDArray[np.float32], prior: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A prior (rows, columns) or (n, rows, columns) times exp(ratios), normalised to sum to 1, and the log of its sum
    before, (n,)."""
    peak = np.maximum(ratios.max(axis=(1, 2)), 0.0)
    mass = np.exp(ratios - peak[:, None, None]) * prior
    total = np.maximum(mass.sum(axis=(1, 2)), 1e-30)
    return mass / total[:, None, None], (np.log(total) + peak).astype(np.float32)
