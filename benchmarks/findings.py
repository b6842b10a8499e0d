"""Do the paper's findings hold on other data?  python benchmarks/findings.py DATA

DATA is a folder of labelled pictures and sounds (sounds.csv, pictures.csv, pairs.csv; docs/training.md). The network is
the paper's, SoundNet included, on EfficientNet-Lite0 instead of VGG-16 (stride 32, the 320 channels before its last
layer). Trunk and sound net are frozen and only the FC layers learn, so that a training takes seconds. "Labelled"
are pairs whose boxes are used, "unlabelled" pairs whose boxes are hidden. Some runs also learn, unlabelled, from the
films of DATA/clips with their own sound. Measured is on the `val` rows, which no training sees.

Results go to FOLDER/results.jsonl, one training per line; a stopped run resumes. The table is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import t as student
from torch import Tensor

from pano_sound.localize.nets.paper import PaperLocalizer
from pano_sound.localize.nets.pretrained import imported
from pano_sound.localize.nets.torch_network import pooled
from pano_sound.localize.nets.trunks import EfficientNetLite0, channels_last
from pano_sound.research.datasets.examples import Example, read_sound
from pano_sound.research.datasets.labelled import Item, paired, read_clips, read_items, read_pairs
from pano_sound.research.datasets.videos import read as read_film
from pano_sound.research.evaluate.metrics import (
    answer,
    area_under_curve,
    consensus_iou,
    consensus_map,
    heat_map,
    success,
)
from pano_sound.research.evaluate.sets import AMBIENT_LABELS
from pano_sound.research.train.batches import Cached, identity, select
from pano_sound.research.train.objective import Objective
from pano_sound.research.train.pretrained import lite0

SIDE = 80  # pixels of the maps that cIoU is measured on
DRAWS = 1000


@dataclass(frozen=True)
class Run:
    """One training: its name in the table, and its settings.

    Attributes:
        half: draw labelled pairs as often as unlabelled ones; otherwise draw all pairs equally often.
        films: learn from the films of DATA/clips, too.
    """

    name: str
    mode: str
    labelled: int = 300
    unlabelled: int = -1
    balance: float = 0.5
    mechanism: int = 1
    half: bool = True
    films: bool = False


UNSUPERVISED, SUPERVISED = "unsupervised, all pairs", "supervised, 300"
SEMI = "semi, 300 + all others"
RUNS = [
    Run(UNSUPERVISED, "unsupervised"),
    Run(SUPERVISED, "supervised"),
    Run(SEMI, "semi"),
    Run(f"{UNSUPERVISED}, mechanism 2", "unsupervised", mechanism=2),
    Run(f"{SUPERVISED}, mechanism 2", "supervised", mechanism=2),
    Run(f"{SEMI}, mechanism 2", "semi", mechanism=2),
    Run("unsupervised, 300 pairs", "unsupervised", 0, 300),
    Run("semi, 300 + 300", "semi", unlabelled=300),
    Run("semi, 300 + 1000", "semi", unlabelled=1000),
    Run("supervised, 50", "supervised", 50),
    Run("semi, 50 + all others", "semi", 50),
    Run("supervised, all boxes", "supervised", -1),
    Run("semi, all boxes + all others", "semi", -1),
    Run(f"{SEMI}, as they come", "semi", half=False),
    *(Run(f"{SEMI}, balance {b}", "semi", balance=b) for b in (0.1, 0.25, 0.75, 0.9)),
    Run("unsupervised, films", "unsupervised", 0, 0, films=True),
    Run(f"{UNSUPERVISED} and films", "unsupervised", films=True),
    Run(f"{SEMI} and films", "semi", films=True),
]


class Bottleneck(EfficientNetLite0):
    """Lite0 that ends before its last 1x1 convolution, in 320 channels of both signs, as conv5_3 has them."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 320

    def last(self, features: Tensor) -> Tensor:
        return features


class PaperOnLite0(PaperLocalizer):
    """The paper's network with `Bottleneck` for its trunk."""

    def _make_heads(self, hidden: int, embedding: int) -> None:
        self.trunk = Bottleneck()
        super()._make_heads(hidden, embedding)


def network(mechanism: int, seed: int) -> PaperOnLite0:
    """Trunk and sound net as published, and new FC layers."""
    torch.manual_seed(seed)
    trunk, sound_encoder = {"name": "lite0"}, {"name": "soundnet"}
    model = PaperOnLite0(trunk, sound_encoder, hidden=1000, embedding=320, mechanism=mechanism)
    model.trunk.load_state_dict(lite0().state_dict())
    model.sound_encoder.load_state_dict(imported("soundnet"))
    channels_last(model.trunk)
    model.trunk.requires_grad_(False)
    model.sound_encoder.requires_grad_(False)
    return model.eval()


def films(data: Path) -> list[Example]:
    """A picture every three seconds of DATA's films of the split 'train', each with the 20 s of sound around it."""
    return [example for film in read_clips(data, "train") for example in read_film(film, every=3.0)]


def fit(model: PaperLocalizer, cache: Cached, run: Run, seed: int, steps: int, rate: float) -> None:
    """Adam, batches of 30, as `pano_sound.research.train.paper` does, without checkpoints."""
    pairs = [example for example in cache.examples if example.label]  # They come first; films have no labels.
    chosen = select(pairs, run.mode, run.labelled, run.unlabelled, seed) if run.labelled or run.unlabelled else []
    if run.films:
        chosen += list(enumerate(cache.examples))[len(pairs) :]
    known, hidden = ([one for one in chosen if any(one[1].boxes) == has] for has in (True, False))
    if run.half and known and hidden:
        chosen = known * max(1, round(len(hidden) / len(known))) + hidden
    batches = cache.draw(chosen, 30, seed)
    weight = {"unsupervised": 1.0, "supervised": 0.0, "semi": run.balance}[run.mode]
    objective = Objective(model, weight).train()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], rate)
    for step in range(steps):
        loss = objective(batches.batch(step))["total"].mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    model.eval()


class Judge:
    """Measures a model on the `val` rows. `known` names what is kept of this data (`identity_of`)."""

    def __init__(self, model: PaperLocalizer, data: Path, folder: Path, known: str) -> None:
        self.cache = Cached(model, paired(data, "val"), folder, "val")
        examples = self.cache.examples
        self.boxed = np.array([i for i, example in enumerate(examples) if example.boxes])
        self.truth = np.stack([consensus_map(examples[i].boxes, SIDE, SIDE) for i in self.boxed])
        pairs = read_pairs(data)
        picture_labels = {item.path: item.label for item in read_items(data, "pictures")}
        shown = [picture_labels[data / example.key] for example in examples]
        self.belongs = np.array([[label in pairs[e.label] for label in shown] for e in examples])
        self.labels = np.array([example.label for example in examples])
        self.ambient = _ambient(model, data, folder / f"ambient-{known}.npy")

    def measure(self, model: PaperLocalizer, seed: int) -> dict[str, float]:
        """All figures of one model; shares in %."""
        v = model.embed_map(self.cache.maps_of(np.arange(len(self.cache.examples))))
        # All cosines of pictures and sounds at once; `model.respond` takes them pair by pair.
        unit = F.normalize(v, dim=1)
        h = model.sound_embedding(self.cache.sounds)
        raw = torch.einsum("ndrc,nd->nrc", unit, h)
        ambient = torch.relu(torch.einsum("ndrc,kd->nkrc", unit, model.sound_embedding(self.ambient)))
        maps = heat_map((torch.relu(raw) if model.mechanism == 2 else raw)[self.boxed], SIDE, SIDE)
        overlaps = consensus_iou(answer(maps), self.truth)
        centre = np.zeros(maps.shape, bool)
        centre[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = True
        centred = consensus_iou(centre, self.truth)
        own = torch.relu(raw)
        return {
            "ciou": 100 * success(overlaps).value,
            "auc": 100 * area_under_curve(overlaps),
            **self._four(model, v, h, seed),
            "own_mean": float(own.mean()),
            "ambient_mean": float(ambient.mean()),
            "ambient_ratio": float(ambient.mean() / own.mean()),
            "centre": 100 * success(centred).value,
            "centre_auc": 100 * area_under_curve(centred),
        }

    def _four(self, model: PaperLocalizer, v: Tensor, h: Tensor, seed: int) -> dict[str, float]:
        """One sound, its picture and three that do not belong: right by the highest response, and by f_s and f_v."""
        rng = np.random.default_rng(seed)
        names = sorted(set(self.labels))
        fours = []
        for _ in range(DRAWS):
            i = int(rng.choice(np.flatnonzero(self.labels == rng.choice(names))))
            fours.append([i, *rng.choice(np.flatnonzero(~self.belongs[i]), 3, replace=False)])
        shown = torch.from_numpy(np.array(fours))
        heard = shown[:, :1].expand_as(shown)
        right = {"response": 0, "codes": 0}
        for pictures, sounds in zip(shown.split(100), heard.split(100), strict=True):
            there = model.respond(v[pictures.flatten()], h[sounds.flatten()])
            f_v = model.visual_code(v[pictures.flatten()], there)
            alike = F.cosine_similarity(f_v, model.sound_code(self.cache.sounds[sounds.flatten()]))
            for name, scores in (("response", there.amax((1, 2))), ("codes", alike)):
                right[name] += int((scores.view(-1, 4).argmax(dim=1) == 0).sum())
        return {f"four_by_{name}": 100 * count / DRAWS for name, count in right.items()}


def ambient_sounds(data: Path) -> list[Item]:
    """The `val` sounds without a visible source."""
    return [item for item in read_items(data, "sounds") if item.split == "val" and item.label in AMBIENT_LABELS]


def identity_of(data: Path, learnt: Sequence[Example]) -> str:
    """A hash of all that is learnt from and measured on."""
    said = (
        identity([*learnt, *paired(data, "val")]),
        [item.path.relative_to(data).as_posix() for item in ambient_sounds(data)],
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]


def _ambient(model: PaperLocalizer, data: Path, at: Path) -> Tensor:
    """Pooled features of the ambient `val` sounds, (n, F)."""
    if not at.exists():
        waves = (read_sound(item.path, model.sound_rate) for item in ambient_sounds(data))
        np.save(at, np.stack([pooled(model, wave).numpy() for wave in waves]))
    return torch.from_numpy(np.load(at))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the 95 % interval of the mean by Student's t; nan with fewer than two values."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, float("nan")
    return mean, float(student.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count))


SHARES = ("ciou", "auc", "four_by_response", "four_by_codes")
COLUMNS = {
    "ciou": "cIoU@0.5",
    "auc": "AUC",
    "four_by_response": "four, response",
    "four_by_codes": "four, codes",
    "own_mean": "own sound",
    "ambient_mean": "ambient sound",
    "ambient_ratio": "ratio",
}
"""What the table shows: shares in %; mean responses to the own and to ambient sounds (negative ones as 0), and their
ratio."""


def table(results: Sequence[dict[str, Any]]) -> str:
    """Mean ± 95 % interval over the seeds, as a Markdown table."""
    lines = ["| trained | seeds | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for run in RUNS:
        mine = [result for result in results if result["run"]["name"] == run.name]
        if not mine:
            continue
        cells = []
        for column in COLUMNS:
            mean, half = interval([result[column] for result in mine])
            digits = 1 if column in SHARES else 3
            cells.append(f"{mean:.{digits}f} ± {half:.{digits}f}")
        lines.append(f"| {run.name} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences(results: Sequence[dict[str, Any]], column: str, one: str, other: str) -> str:
    """Paired differences between `one` and `other` over the seeds."""
    by_seed = {(result["run"]["name"], result["seed"]): result[column] for result in results}
    seeds = sorted({seed for name, seed in by_seed if name == one and (other, seed) in by_seed})
    mean, half = interval([by_seed[one, seed] - by_seed[other, seed] for seed in seeds])
    digits = 1 if column in SHARES else 3
    return f"{column}: '{one}' minus '{other}': {mean:+.{digits}f} ± {half:.{digits}f}"


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--work", type=Path, default=Path("findings"))
    given = parser.parse_args()
    model = network(1, 0)
    learnt = paired(given.data, "train") + films(given.data)
    known = identity_of(given.data, learnt)
    cache = Cached(model, learnt, given.work, "train")
    judge = Judge(model, given.data, given.work, known)
    at = given.work / "results.jsonl"
    results = [json.loads(line) for line in at.read_text().splitlines()] if at.exists() else []
    same = {"data": known, "steps": given.steps, "rate": given.rate}
    results = [r for r in results if same.items() <= r.items()]
    done = {(json.dumps(r["run"]), r["seed"]) for r in results}
    for seed in range(given.seeds):
        for run in RUNS:
            if (json.dumps(asdict(run)), seed) in done:
                continue
            model = network(run.mechanism, seed)
            fit(model, cache, run, seed, given.steps, given.rate)
            with torch.inference_mode():
                figures = judge.measure(model, seed)
            results.append({"run": asdict(run), "seed": seed, **same, **figures})
            with open(at, "a", encoding="utf-8") as file:
                file.write(json.dumps(results[-1]) + "\n")
            print(seed, run.name, {k: round(v, 4) for k, v in figures.items()}, flush=True)
    mine = [r for r in results if r["seed"] < given.seeds]
    print(table(mine))
    print(f"\ncentre box: cIoU@0.5 {mine[0]['centre']:.1f}, AUC {mine[0]['centre_auc']:.1f}\n")
    for column in ("ciou", "auc", "four_by_response", "four_by_codes"):
        for other in (SUPERVISED, UNSUPERVISED, "semi, 300 + 300"):
            print(differences(mine, column, SEMI, other))
        print(differences(mine, column, "semi, 50 + all others", "supervised, 50"))
        print(differences(mine, column, UNSUPERVISED, "unsupervised, 300 pairs"))
        for name in (UNSUPERVISED, SEMI):
            print(differences(mine, column, f"{name} and films", name))
    for name in (UNSUPERVISED, SUPERVISED, SEMI):
        for column in ("ambient_mean", "ambient_ratio"):
            print(differences(mine, column, f"{name}, mechanism 2", name))


if __name__ == "__main__":
    main()
