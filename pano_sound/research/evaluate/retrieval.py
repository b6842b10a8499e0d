"""Cross-modal nearest neighbours: the paper's section 5.3, Table VI, Fig. 11 and 12.

A sound is f_s(X_s), a picture is f_v(X_v, X_s), its features where its own sound is. So a picture's code depends on its
sound, in the paper as here: Table VI tells whether both nets put similar things together, not whether a silent picture
finds its sound. The query itself, its recording and identical sounds never count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...errors import DataFileError
from ...localize.nets.localizer import Localizer
from ..datasets.examples import Example
from ..datasets.labelled import read_table
from .embed import embed, sound_features, visual_maps

TOP = (20, 15, 10)
"""How many neighbours, as in Table VI."""
TRIALS, DRAWN = 100, 10
DIRECTIONS = {"image": "Image → Audio", "audio": "Audio → Image"}


@dataclass
class Codes:
    """f_s and f_v of every example, float32 (n, C) of unit length, and which pairs may be compared, bool (n, n)."""

    sound: Tensor
    picture: Tensor
    allowed: NDArray[np.bool_]

    def neighbours(self, query: str, count: int) -> list[NDArray[np.intp]]:
        """The nearest examples of the other kind by cosine, nearest first, at most `count` for each example.

        Args:
            query: 'image': pictures ask for sounds; 'audio': sounds ask for pictures.
        """
        asking, asked = (self.picture, self.sound) if query == "image" else (self.sound, self.picture)
        near = np.where(self.allowed, (asking @ asked.T).cpu().numpy(), -np.inf)
        order = np.argsort(-near, axis=1, kind="stable")[:, :count]
        return [row[np.isfinite(near[i, row])] for i, row in enumerate(order)]


@dataclass
class Retrieval:
    """What `evaluate` measures, in 0..1: `success[query][k]`, the mean share of the k nearest that share a label with
    the query; `chance[query]`, mean and standard deviation over trials of that share among ten drawn at random."""

    examples: int
    labels: str
    success: dict[str, dict[int, float]]
    chance: dict[str, tuple[float, float]]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"examples": self.examples, "labels": self.labels, "success": self.success, "chance": self.chance}

    def __str__(self) -> str:
        lines = [f"{'share a label with the query':<30}" + "".join(f"{name:>18}" for name in DIRECTIONS.values())]
        for k in TOP:
            figures = "".join(f"{100 * self.success[query][k]:>17.1f}%" for query in DIRECTIONS)
            lines.append(f"{f'top {k}':<30}{figures}")
        chance = "".join(f"{100 * mean:>10.1f}% ± {100 * sd:3.1f}" for mean, sd in (self.chance[q] for q in DIRECTIONS))
        lines.append(f"{f'random {DRAWN}, {TRIALS} trials':<30}{chance}")
        lines.append(f"{self.examples} examples; labels: {self.labels}")
        return "\n".join(lines)


def read_labels(path: Path, examples: Sequence[Example]) -> list[frozenset[str]]:
    """Pseudo labels, such as the ten best guesses of two classifiers: a table of `key,label`, several rows a key.

    Raises:
        DataFileError: the table cannot be read, lacks the columns, or has nothing on any example.
    """
    known: dict[str, set[str]] = {}
    for row in read_table(path, ("key", "label")):
        if row["label"]:
            known.setdefault(row["key"], set()).add(row["label"])
    labels = [frozenset(known.get(example.key, ())) for example in examples]
    if not any(labels):
        raise DataFileError("the table has no label for any of the examples", path=path)
    return labels


def encode(model: Localizer, examples: Sequence[Example], batch: int = 8) -> Codes:
    """Codes of all examples. Raises InputError when a picture or a sound cannot be read."""
    pooled = sound_features(model, [example.sound for example in examples])
    with torch.inference_mode():
        h, sound = model.sound_embedding(pooled), model.sound_code(pooled)
    pictures = []
    for here, v in visual_maps(model, [example.picture for example in examples], batch):
        pictures.append(_code(model, v, h[here]))
    videos = np.array([example.video for example in examples])
    same_sound = torch.cdist(pooled, pooled, compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy() == 0
    allowed = (videos[:, None] != videos) & ~same_sound
    return Codes(F.normalize(sound, dim=1), torch.cat(pictures), allowed)


def evaluate(
    codes: Codes, examples: Sequence[Example], labels: Sequence[frozenset[str]] | None = None, seed: int = 0
) -> Retrieval:
    """Success ratios both ways, and chance.

    Args:
        labels: pseudo labels of each example; None: the set's own.
        seed: of the random trials.

    Raises:
        DataFileError: the set has no labels and none are given, or no example may be compared with another.
    """
    named = "the set's own" if labels is None else "pseudo labels"
    known = [frozenset({e.label} - {""}) for e in examples] if labels is None else list(labels)
    if not any(known):
        raise DataFileError("the set has no labels", hint="give pseudo labels as a table of key,label: --labels TABLE")
    names = {name: i for i, name in enumerate(sorted(set().union(*known)))}
    has = np.zeros((len(known), len(names)), np.float32)
    for i, here in enumerate(known):
        has[i, [names[name] for name in here]] = 1
    shared = has @ has.T > 0
    asked = np.flatnonzero(codes.allowed.any(axis=1) & has.any(axis=1))
    if not len(asked):
        raise DataFileError("no example can be compared with another", hint="all are of one recording or sound")
    success = {}
    for query in DIRECTIONS:
        near = codes.neighbours(query, max(TOP))
        success[query] = {k: float(np.mean([shared[i, near[i][:k]].mean() for i in asked])) for k in TOP}
    # Random draws do not depend on the direction of the query, but each direction has its own trials.
    rng = np.random.default_rng(seed)
    chance = {query: _chance(shared, codes.allowed, asked, rng) for query in DIRECTIONS}
    return Retrieval(len(examples), named, success, chance)


@dataclass
class Association:
    """Fig. 12, for one query: the examples, nearest first, by cosine between f_v(X_v, X_s) and f_v(X_v, Y_s) (the same
    picture with their sounds) and between it and f_v(Y_v, X_s) (their pictures with the same sound)."""

    query: int
    by_sound: NDArray[np.intp]
    by_picture: NDArray[np.intp]


def associate(
    model: Localizer,
    codes: Codes,
    examples: Sequence[Example],
    queries: Sequence[int],
    count: int = 8,
    batch: int = 8,
) -> list[Association]:
    """The nearest examples, at most `count`, to a picture's code with one half exchanged."""
    h = embed(model, [example.sound for example in examples])
    own: dict[int, Tensor] = {}
    with_sounds: dict[int, Tensor] = {}
    with_pictures: dict[int, list[Tensor]] = {query: [] for query in queries}
    pictures = [example.picture for example in examples]
    for query, (_, v) in zip(queries, visual_maps(model, [pictures[query] for query in queries], 1), strict=True):
        parts = [_code(model, v.expand(len(part), -1, -1, -1), part) for part in h.split(batch)]
        with_sounds[query] = torch.cat(parts)
        own[query] = with_sounds[query][query]
    for _, v in visual_maps(model, pictures, batch):
        for query in queries:
            with_pictures[query].append(_code(model, v, h[query].expand(len(v), -1)))

    def nearest(query: int, exchanged: Tensor) -> NDArray[np.intp]:
        near = np.where(codes.allowed[query], (exchanged @ own[query]).cpu().numpy(), -np.inf)
        order = np.argsort(-near, kind="stable")[:count]
        return order[np.isfinite(near[order])]

    return [
        Association(query, nearest(query, with_sounds[query]), nearest(query, torch.cat(with_pictures[query])))
        for query in queries
    ]


def _code(model: Localizer, v: Tensor, h: Tensor) -> Tensor:
    """f_v of pairs of pictures and sounds, of unit length."""
    with torch.inference_mode():
        return F.normalize(model.visual_code(v, model.respond(v, h)), dim=1)


def _chance(
    shared: NDArray[np.bool_], allowed: NDArray[np.bool_], asked: NDArray[np.intp], rng: np.random.Generator
) -> tuple[float, float]:
    """Mean and standard deviation over trials of the share of matches among examples drawn at random."""
    others = [np.flatnonzero(allowed[i]) for i in asked]
    means = []
    for _ in range(TRIALS):
        drawn = [rng.choice(row, min(DRAWN, len(row)), replace=False) for row in others]
        means.append(np.mean([shared[i, row].mean() for i, row in zip(asked, drawn, strict=True)]))
    return float(np.mean(means)), float(np.std(means))
