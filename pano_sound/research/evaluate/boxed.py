"""Overlap of a model's answers with hand-drawn boxes: the paper's section 5.2, Tables I, III and IV, Fig. 9.

Baselines are a random pattern and a fixed box in the middle, as in the paper, and the same model with another example's
sound and without listening (its mean response to many sounds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DataFileError
from ...localize.nets.localizer import Localizer
from ..datasets.examples import PICTURE_SIZE, Example
from .embed import MECHANISMS, by_mechanism, embed, mean_response, others, visual_maps
from .metrics import (
    CUTS,
    Proportion,
    answer,
    area_under_curve,
    box_map,
    consensus_iou,
    consensus_map,
    heat_map,
    success,
)
from .sets import kinds as kinds_of

HEARINGS = {"own": "", "another": "another sound", "none": "picture only"}
BANK = 64  # sounds whose mean response is "no sound"
_SIDE, _AREA = 0.5, 0.5**0.5
CENTRES = {
    "centre, half the sides": (0.5 - _SIDE / 2, 0.5 - _SIDE / 2, 0.5 + _SIDE / 2, 0.5 + _SIDE / 2),
    "centre, half the area": (0.5 - _AREA / 2, 0.5 - _AREA / 2, 0.5 + _AREA / 2, 0.5 + _AREA / 2),
}
"""Both readings of the paper's "center, half of the image size"; the first fits its figures, the second is harder."""


class Variant(NamedTuple):
    """A kind of answer: what the model heard (see HEARINGS), the attention mechanism, the cut (see `metrics.CUTS`)."""

    hearing: str = "own"
    mechanism: int = 1
    cut: str = "level"

    def __str__(self) -> str:
        heard = f", {HEARINGS[self.hearing]}" if HEARINGS[self.hearing] else ""
        return f"mechanism {self.mechanism}, {self.cut}{heard}"


@dataclass
class Boxed:
    """What `evaluate` measures. All overlaps are cIoU of equation 10, float64 (examples,), in 0..1.

    Attributes:
        keys: the examples.
        truth_area: mean share of the picture that some annotator boxed.
        overlaps: for each kind of answer.
        centres: for each fixed box of CENTRES.
        random: success (0..1) and AUC of each repetition of the random pattern, float64 (repeats, 2).
        subjects: for each annotator who drew any box, and each mechanism, the IoU with that annotator's boxes alone
            (cut 'level'); nan where the annotator drew none. Empty if only one drew any: alone, that is the consensus.
    """

    keys: list[str]
    truth_area: float
    overlaps: dict[Variant, NDArray[np.float64]] = field(default_factory=dict)
    centres: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    random: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    subjects: dict[tuple[int, int], NDArray[np.float64]] = field(default_factory=dict)

    def success(self, row: Variant = Variant()) -> Proportion:  # noqa: B008
        """The share of examples with a cIoU of at least 0.5."""
        return success(self.overlaps[row])

    def parts(self, count: int, seed: int = 0) -> list[NDArray[np.intp]]:
        """The examples, by index, in `count` disjoint test sets of the same size, at random (Table IV)."""
        size = len(self.keys) // count
        order = np.random.default_rng(seed).permutation(len(self.keys))
        return [np.sort(order[k * size : (k + 1) * size]) for k in range(count)]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers; shares and areas in 0..1."""

        def figures(overlaps: NDArray[np.float64]) -> dict[str, Any]:
            known = overlaps[np.isfinite(overlaps)]
            share = success(known)
            return {
                "success": share.value,
                "interval": share.interval(),
                "of": share.of,
                "auc": area_under_curve(known),
                "mean": float(known.mean()),
            }

        return {
            "examples": len(self.keys),
            "truth_area": self.truth_area,
            "answers": [{**row._asdict(), **figures(o)} for row, o in self.overlaps.items()],
            "centres": {name: figures(o) for name, o in self.centres.items()},
            "random": self._chance() if len(self.random) else None,
            "subjects": [{"subject": s, "mechanism": m, **figures(o)} for (s, m), o in self.subjects.items()],
        }

    def _chance(self) -> dict[str, float]:
        """The random pattern's mean and standard deviation over its repetitions."""
        (right, area), (right_sd, area_sd) = self.random.mean(axis=0), self.random.std(axis=0)
        values = {"success": right, "success_sd": right_sd, "auc": area, "auc_sd": area_sd, "repeats": len(self.random)}
        return {name: float(value) for name, value in values.items()}

    def __str__(self) -> str:
        def line(name: str, overlaps: NDArray[np.float64]) -> str:
            known = overlaps[np.isfinite(overlaps)]
            return f"{name:<42}{success(known)!s:<36}{100 * area_under_curve(known):8.1f}"

        lines = [f"{'cIoU at least 0.5, and AUC':<42}{'success':<36}{'AUC':>8}"]
        lines += [line(str(row), o) for row, o in self.overlaps.items()]
        lines += [line(name, o) for name, o in self.centres.items()]
        if len(self.random):
            c = {name: 100 * value for name, value in self._chance().items()}
            right = f"{c['success']:5.2f} % ± {c['success_sd']:.2f}  ({len(self.random)} times)"
            lines.append(f"{'random pattern':<42}{right:<36}{c['auc']:8.1f} ± {c['auc_sd']:.1f}")
        lines += [line(f"annotator {s + 1} alone, mechanism {m}", o) for (s, m), o in self.subjects.items()]
        lines.append(f"{len(self.keys)} examples; boxes cover {100 * self.truth_area:.0f} % of a picture on average")
        return "\n".join(lines)


def evaluate(
    model: Localizer,
    examples: Sequence[Example],
    kinds: Sequence[str] | None = None,
    repeats: int = 100,
    seed: int = 0,
    batch: int = 8,
) -> Boxed:
    """Measure a model on the examples with boxes, without those that most annotators call ambient.

    Args:
        kinds: of the examples, from `sets.read`; None: their labels or recordings.
        repeats: how often the random pattern is drawn (the paper: 100); 0 leaves it out.
        seed: of the random patterns and of which other sound is heard.
        batch: pictures at once.

    Raises:
        DataFileError: no example has a box.
        InputError: a picture or a sound cannot be read.
    """
    boxed = [i for i, example in enumerate(examples) if any(example.boxes) and not example.ambient]
    chosen = [examples[i] for i in boxed]
    if not chosen:
        raise DataFileError("no example has a box", hint="this measure needs boxes around what sounds")
    rng = np.random.default_rng(seed)
    result = Boxed([example.key for example in chosen], 0.0)
    swap = others([(kinds or kinds_of(examples))[i] for i in boxed], rng)
    h = embed(model, [example.sound for example in chosen])
    bank = h[rng.permutation(len(h))[:BANK]]
    hearings = [name for name in HEARINGS if name != "another" or swap is not None]
    subjects = sorted({k for example in chosen for k, drawn in enumerate(example.boxes) if drawn})
    areas = []
    randoms = [np.random.default_rng((seed, k)) for k in range(repeats)]
    chance: list[list[NDArray[np.float64]]] = [[] for _ in range(repeats)]
    for here, v in visual_maps(model, [example.picture for example in chosen], batch):
        few = [chosen[i] for i in here]
        truth = np.stack([consensus_map(example.boxes, PICTURE_SIZE, PICTURE_SIZE) for example in few])
        areas += [float((one > 0).mean()) for one in truth]
        with torch.inference_mode():
            raw = {"own": model.respond(v, h[here]), "none": mean_response(model, v, bank)}
            if swap is not None:
                raw["another"] = model.respond(v, h[swap[here]])
        for hearing in hearings:
            for mechanism in MECHANISMS:
                maps = heat_map(by_mechanism(raw[hearing], mechanism), PICTURE_SIZE, PICTURE_SIZE)
                for cut in CUTS:
                    active = answer(maps, cut)
                    _extend(result.overlaps, Variant(hearing, mechanism, cut), consensus_iou(active, truth))
                    if hearing == "own" and cut == "level" and len(subjects) > 1:
                        for subject in subjects:
                            alone = _overlap_with(subject, few, active)
                            _extend(result.subjects, (subject, mechanism), alone)
        for name, box in CENTRES.items():
            middle = box_map([box], PICTURE_SIZE, PICTURE_SIZE)[None]
            _extend(result.centres, name, consensus_iou(middle, truth))
        for random, overlaps in zip(randoms, chance, strict=True):
            noise = torch.from_numpy(random.random((len(few), *v.shape[2:]), np.float32))
            overlaps.append(consensus_iou(answer(heat_map(noise, PICTURE_SIZE, PICTURE_SIZE)), truth))
    result.truth_area = float(np.mean(areas))
    if repeats:
        drawn = [np.concatenate(overlaps) for overlaps in chance]
        result.random = np.array([[success(one).value, area_under_curve(one)] for one in drawn])
    return result


def _extend(into: dict[Any, NDArray[np.float64]], name: Any, overlaps: NDArray[np.float64]) -> None:
    into[name] = np.concatenate([into[name], overlaps]) if name in into else overlaps


def _overlap_with(subject: int, examples: list[Example], active: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU with one annotator's boxes; nan where that annotator drew none."""
    boxes = [example.boxes[subject] if subject < len(example.boxes) else () for example in examples]
    truth = np.stack([box_map(drawn, PICTURE_SIZE, PICTURE_SIZE) for drawn in boxes]).astype(np.float32)
    return np.where([bool(drawn) for drawn in boxes], consensus_iou(active, truth), np.nan)
