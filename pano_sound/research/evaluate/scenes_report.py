"""The table of `evaluate scenes`: each variant of the fusion, on each kind of scene."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...atomic_file import written_whole
from ...localize.fusion import Fusion
from ...options.camera import PlanOptions
from ...options.presets import Preset
from ...soundmap import SoundMap
from ..train.fusing import leave_one_out
from .plots import _figure
from .scenes import Figures, Heard, LabelledScene, judge, judge_map, over_places, reliability

HEADINGS = {
    "near": "within 25°",
    "in_view": "in view",
    "near_on_sphere": "25° on sphere",
    "best_still": "best still",
    "stated": "stated",
    "elsewhere": "elsewhere",
    "travel": "°/s",
    "likelihood": "nats",
}
OWN, SWAPPED = "all cues", "another scene's sound"
RIVALS: dict[str, Preset] = {"picture only": "default", "picture only, AUTOCAM": "paper"}
"""Our camera, and AUTOCAM as published, on a map that knows nothing of sound."""


@dataclass(frozen=True)
class ScenesReport:
    """Mean and 90 % interval of each figure, for each variant and kind of scene; and the reliability of
    probabilities."""

    rows: dict[tuple[str, str], dict[str, tuple[float, float, float]]]
    places: dict[str, int]
    bins: NDArray[np.float64]
    error: float
    single: list[tuple[str, str, Figures]]

    def __str__(self) -> str:
        lines = [f"{'':24}{'':6}" + "".join(f"{heading:>22}" for heading in HEADINGS.values())]
        for (variant, kind), figures in self.rows.items():
            cells = "".join(_cell(name, *figures[name]) for name in HEADINGS)
            lines.append(f"{variant:24}{kind:6}{cells}")
        lines.append("places: " + ", ".join(f"{kind} {count}" for kind, count in self.places.items()))
        lines.append("stated -> true: " + ", ".join(f"{p:.2f} -> {hit:.2f} ({n:.0f})" for p, hit, n in self.bins))
        lines.append(f"expected calibration error {self.error:.3f}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        rows = [
            {"variant": variant, "kind": kind, **{name: list(values) for name, values in figures.items()}}
            for (variant, kind), figures in self.rows.items()
        ]
        return {"rows": rows, "reliability": self.bins.tolist(), "calibration_error": self.error}

    def save(self, folder: Path) -> None:
        """scenes.csv (each film), summary.csv and reliability.png in a folder. Raises OutputError."""
        folder.mkdir(parents=True, exist_ok=True)
        films, summary = io.StringIO(), io.StringIO()
        writer = csv.writer(films)
        writer.writerow(["variant", "film", *Figures.__annotations__])
        writer.writerows([variant, film, *vars(figures).values()] for variant, film, figures in self.single)
        writer = csv.writer(summary)
        writer.writerow(["variant", "kind", "figure", "mean", "low", "high"])
        for (variant, kind), figures in self.rows.items():
            writer.writerows([variant, kind, name, *values] for name, values in figures.items())
        for name, text in (("scenes.csv", films), ("summary.csv", summary)):
            with written_whole(folder / name, "w") as file:
                file.write(text.getvalue())
        figure = _figure(5, 5)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
        axes.plot(self.bins[:, 0], self.bins[:, 1], marker="o")
        axes.set(
            xlabel="stated probability that a view of 90° holds the source",
            ylabel="share in which it did",
            title=f"expected calibration error {self.error:.3f}",
        )
        with written_whole(folder / "reliability.png") as out:
            figure.savefig(out, format="png")


def report(
    own: Sequence[Heard],
    swapped: Sequence[Heard],
    fusion: Fusion,
    left_out: bool,
    progress: Callable[[str], None],
    pictures: Sequence[SoundMap] = (),
) -> ScenesReport:
    """Judge all variants.

    Args:
        own, swapped: scenes with their own sound, and with another one's.
        fusion: the numbers to judge.
        left_out: instead, learn weights for each place on all other places.
        pictures: the sound maps of `own` by pictures alone, if that rival is to be judged, too.
    """
    judged = leave_one_out([*own, *swapped]) if left_out else [(one, fusion) for one in own]
    of_place = {one.scene.place: each for one, each in judged}
    judged = [(one, each) for one, each in judged if one.sound_of is None]
    names = list(own[0].evidence)
    variants: list[tuple[str, Sequence[tuple[Heard, Fusion]], tuple[str, ...]]] = [(OWN, judged, ())]
    variants.append((SWAPPED, [(one, of_place[one.scene.place]) for one in swapped], ()))
    variants += [(f"without {name}", judged, (name,)) for name in names]
    variants += [(f"{name} alone", judged, tuple(n for n in names if n != name)) for name in names]
    judgements: list[tuple[str, Callable[[], list[tuple[LabelledScene, Figures]]]]] = [
        (variant, partial(_judged, pairs, without)) for variant, pairs, without in variants
    ]
    if pictures:
        judgements += [
            (name, partial(_judged_maps, own, pictures, PlanOptions(preset=preset))) for name, preset in RIVALS.items()
        ]
    rows, single = {}, []
    for variant, judgement in judgements:
        progress(variant)
        found = judgement()
        single += [(variant, scene.film.name, figures) for scene, figures in found]
        for kind, figures in over_places(found).items():
            rows[variant, kind] = figures
    kinds = {one.scene.kind: set[str]() for one in own}
    for one in own:
        kinds[one.scene.kind].add(one.scene.place)
    bins, error = reliability([(one, each) for one, each in judged if one.scene.kind != "C"])
    return ScenesReport(rows, {kind: len(places) for kind, places in sorted(kinds.items())}, bins, error, single)


def _judged(pairs: Sequence[tuple[Heard, Fusion]], without: tuple[str, ...]) -> list[tuple[LabelledScene, Figures]]:
    return [(one.scene, judge(one, each, without)) for one, each in pairs]


def _judged_maps(
    own: Sequence[Heard], maps: Sequence[SoundMap], options: PlanOptions
) -> list[tuple[LabelledScene, Figures]]:
    return [(one.scene, judge_map(one, soundmap, options)) for one, soundmap in zip(own, maps, strict=True)]


def _cell(name: str, mean: float, low: float, high: float) -> str:
    if name in ("travel", "likelihood"):
        return f"{f'{mean:.2f} [{low:.2f}, {high:.2f}]':>22}"
    return f"{f'{mean:.0%} [{low:.0%}, {high:.0%}]':>22}"
