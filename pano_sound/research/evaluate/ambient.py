"""Does the model know when nothing in the picture makes the sound? The paper's section 5.3 and Fig. 10, and presence.

Every picture is paired with its own sound, another example's (off-screen), white noise, silence and, if the set has
some, an ambient sound. Measured are the strength of the responses, for both mechanisms before the softmax (as in Fig.
10), and how well the highest response separates the own sound from the others (AP and max-F1), also if the answer must
be in the right place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import DataFileError
from ...localize.nets.localizer import Localizer
from ..datasets.examples import PICTURE_SIZE, Example, square
from .embed import MECHANISMS, Sound, by_mechanism, embed, others, visual_maps
from .metrics import SUCCESS, Proportion, answer, average_precision, best_f1, consensus_iou, consensus_map, heat_map
from .sets import kinds as kinds_of

NOISES = 16
NOISE_LEVEL = 0.1  # RMS, -20 dBFS
SECONDS = 10.0  # of noise and silence


@dataclass
class Heat:
    """One picture for a figure: RGB uint8, what sounds, and the response (rows, columns) of the model's own mechanism
    to each sound."""

    picture: NDArray[np.uint8]
    name: str
    maps: dict[str, NDArray[np.float32]]


@dataclass
class Ambient:
    """What `evaluate` measures. Arrays are float64 with one entry for each picture.

    Attributes:
        mean: for each sound and mechanism the mean response over the picture's cells.
        peak: for each sound and mechanism the highest one.
        overlap: cIoU of the answer to the own sound (the model's mechanism, cut 'level'); nan without a box.
        shown: some of the pictures.
    """

    mean: dict[tuple[str, int], NDArray[np.float64]]
    peak: dict[tuple[str, int], NDArray[np.float64]]
    overlap: NDArray[np.float64]
    shown: list[Heat]

    @property
    def sounds(self) -> list[str]:
        """The kinds of sound, 'own' first."""
        return [sound for sound, mechanism in self.peak if mechanism == 1]

    def weaker(self, sound: str, mechanism: int = 1) -> Proportion:
        """The share of pictures whose mean response to this sound is weaker than to their own."""
        less = self.mean[sound, mechanism] < self.mean["own", mechanism]
        return Proportion(int(less.sum()), len(less))

    def ratio(self, sound: str, mechanism: int = 1) -> float:
        """Mean response to this sound over that to the own one, both averaged over pictures with negative values as
        0: what Fig. 10 shows as grey. nan if the own one gets none."""
        own, this = (np.maximum(self.mean[name, mechanism], 0).mean() for name in ("own", sound))
        return float(this / own) if own > 0 else float("nan")

    def presence(self, sound: str | None = None, placed: bool = False) -> dict[str, float]:
        """AP and max-F1 of separating the own sound from another by the highest response.

        Args:
            sound: the negatives; None for all of them together.
            placed: a yes is right only if its cIoU reaches 0.5, too; only pictures with a box.

        Returns:
            ap, f1, and chance: the AP of answers in random order (the share of positives; with `placed` no such
            baseline holds, and it is left out).
        """
        use = np.isfinite(self.overlap) if placed else np.ones(len(self.overlap), bool)
        own = self.peak["own", 1][use]
        negatives = [self.peak[name, 1][use] for name in ([sound] if sound else self.sounds[1:])]
        scores = np.concatenate([own, *negatives])
        right = np.zeros(len(scores), bool)
        right[: len(own)] = self.overlap[use] >= SUCCESS if placed else True
        out = {"ap": average_precision(scores, right, len(own)), "f1": best_f1(scores, right, len(own))}
        return out if placed else {**out, "chance": len(own) / len(scores)}

    @property
    def boxed(self) -> int:
        """Pictures with a box."""
        return int(np.isfinite(self.overlap).sum())

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        responses = []
        for (sound, mechanism), mean in self.mean.items():
            record = {"sound": sound, "mechanism": mechanism, "mean": float(mean.mean())}
            record["peak"] = float(self.peak[sound, mechanism].mean())
            if sound != "own":
                share = self.weaker(sound, mechanism)
                record |= {"ratio": self.ratio(sound, mechanism), "weaker": share.value, "interval": share.interval()}
            responses.append(record)
        kinds = [*self.sounds[1:], None]
        presence = [{"negatives": kind or "all", **self.presence(kind)} for kind in kinds]
        placed = [{"negatives": kind or "all", **self.presence(kind, True)} for kind in kinds] if self.boxed else []
        return {"pictures": len(self.overlap), "responses": responses, "presence": presence, "placed": placed}

    def __str__(self) -> str:
        lines = [f"{'response to':<14}{'mechanism':>9}{'mean':>9}{'peak':>9}{'of own':>9}   weaker than to the own"]
        for (sound, mechanism), mean in self.mean.items():
            peak = self.peak[sound, mechanism].mean()
            line = f"{sound:<14}{mechanism:>9}{mean.mean():>9.3f}{peak:>9.3f}"
            if sound != "own":
                ratio = self.ratio(sound, mechanism)
                share = f"{100 * ratio:.0f} %" if np.isfinite(ratio) else "-"
                line += f"{share:>9}   {self.weaker(sound, mechanism)}"
            lines.append(line)
        lines += ["", f"{'own against':<18}{'AP':>7}{'max-F1':>9}{'chance AP':>11}{'placed AP':>12}{'max-F1':>9}"]
        for kind in (*self.sounds[1:], None):
            found = self.presence(kind)
            line = f"{kind or 'all of them':<18}{100 * found['ap']:>7.1f}{100 * found['f1']:>9.1f}"
            line += f"{100 * found['chance']:>11.1f}"
            if self.boxed:
                there = self.presence(kind, placed=True)
                line += f"{100 * there['ap']:>12.1f}{100 * there['f1']:>9.1f}"
            lines.append(line)
        lines.append(f"{len(self.overlap)} pictures, {self.boxed} of them with boxes (placed: cIoU at least 0.5 too)")
        return "\n".join(lines)


def evaluate(
    model: Localizer,
    examples: Sequence[Example],
    kinds: Sequence[str] | None = None,
    ambient: Sequence[Sound] = (),
    show: int = 6,
    seed: int = 0,
    batch: int = 8,
) -> Ambient:
    """Measure the responses to matching and to other sounds.

    Args:
        examples: pairs of a picture and its sound; those that are ambient themselves are left out.
        kinds: of the examples, from `sets.read`; None: their labels or recordings.
        ambient: ambient sounds; each picture hears one of them, drawn at random.
        show: how many pictures to keep for a figure.
        seed: of the draws and the noise.
        batch: pictures at once.

    Raises:
        DataFileError: no examples, or all of one label and recording.
        InputError: a picture or a sound cannot be read.
    """
    pairs = [(e, kind) for e, kind in zip(examples, kinds or kinds_of(examples), strict=True) if not e.ambient]
    chosen = [example for example, _ in pairs]
    rng = np.random.default_rng(seed)
    swap = others([kind for _, kind in pairs], rng)
    if swap is None:
        raise DataFileError("there are no two examples that sound different", hint="this measure needs other sounds")
    samples = round(SECONDS * model.sound_rate)
    noises = rng.normal(0, NOISE_LEVEL, (NOISES, samples)).astype(np.float32)
    own = embed(model, [example.sound for example in chosen])
    heard = {"own": own, "off-screen": own[swap]}
    if ambient:
        heard["ambient"] = embed(model, ambient)[rng.integers(len(ambient), size=len(chosen))]
    noise = embed(model, [partial(_wave, wave) for wave in noises])
    heard["noise"] = noise[rng.integers(NOISES, size=len(chosen))]
    silence = embed(model, [partial(_wave, np.zeros(samples, np.float32))])
    heard["silence"] = silence.expand(len(chosen), -1)

    mean: dict[tuple[str, int], list[float]] = {(sound, m): [] for sound in heard for m in MECHANISMS}
    peak: dict[tuple[str, int], list[float]] = {key: [] for key in mean}
    overlap: list[float] = []
    few = sorted(rng.permutation(len(chosen))[:show].tolist())
    shown = {i: Heat(square(chosen[i].picture()), chosen[i].label, {}) for i in few}
    for here, v in visual_maps(model, [example.picture for example in chosen], batch):
        for sound, h in heard.items():
            with torch.inference_mode():
                raw = model.respond(v, h[here])
            for mechanism in MECHANISMS:
                response = by_mechanism(raw, mechanism)
                mean[sound, mechanism] += response.mean(dim=(1, 2)).tolist()
                peak[sound, mechanism] += response.amax(dim=(1, 2)).tolist()
            own_way = by_mechanism(raw, model.mechanism)
            for i in shown.keys() & set(here):
                shown[i].maps[sound] = own_way[here.index(i)].cpu().numpy()
            if sound == "own":
                overlap += _overlaps(own_way, [chosen[i] for i in here])
    means, peaks = ({key: np.array(values) for key, values in kind.items()} for kind in (mean, peak))
    return Ambient(means, peaks, np.array(overlap), list(shown.values()))


def _wave(wave: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    return wave


def _overlaps(response: Tensor, examples: list[Example]) -> list[float]:
    """cIoU of each answer with its boxes; nan without a box."""
    truth = np.stack([consensus_map(example.boxes, PICTURE_SIZE, PICTURE_SIZE) for example in examples])
    found = consensus_iou(answer(heat_map(response, PICTURE_SIZE, PICTURE_SIZE)), truth)
    return [float(one) if any(e.boxes) else float("nan") for one, e in zip(found, examples, strict=True)]
