"""Does the sound find its picture? One sound, four pictures, and the position of the peak in the right one.

Baselines are the same model with another sound (`shuffled`) and without listening (`picture only`: the mean response
over all sounds). Both must be near chance, or the model only knows which pictures usually have sounds.

A picture's score is the soft maximum of its responses at the model's temperature, as training compares pictures and as
the probabilities of cells add up. The highest response alone is given beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ...errors import DataFileError
from ...localize.nets.localizer import Localizer
from ..datasets.examples import PICTURE_SIZE, read_picture, read_sound
from ..datasets.labelled import Item, read_items, read_pairs
from ..train.losses import soft_maximum
from .embed import embed, progress
from .metrics import Proportion, as_json

MANY = 30
"""Training sounds from which a label counts as well known."""


@dataclass
class LocalizationScores:
    """What `four_pictures` measures; chance is 25 % for the first four.

    `well_known` counts the labels with >= MANY training sounds; `by_peak` compares the highest responses."""

    right: Proportion = field(default_factory=Proportion)
    well_known: Proportion = field(default_factory=Proportion)
    by_peak: Proportion = field(default_factory=Proportion)
    shuffled: Proportion = field(default_factory=Proportion)
    picture_only: Proportion = field(default_factory=Proportion)
    in_box: Proportion = field(default_factory=Proportion)
    centre_in_box: Proportion = field(default_factory=Proportion)
    box_area: float = float("nan")
    by_label: dict[str, Proportion] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return as_json(self)

    def __str__(self) -> str:
        covered = f"  (boxes cover {100 * self.box_area:.0f} % on average)" if self.in_box.of else ""
        worst = sorted(self.by_label.items(), key=lambda pair: pair[1].value)
        lines = [
            f"right one of four pictures   {self.right}",
            f"  labels with >= {MANY} sounds    {self.well_known}",
            f"  by the highest response    {self.by_peak}",
            f"  another sound heard        {self.shuffled}",
            f"  picture only               {self.picture_only}",
            f"peak inside the box          {self.in_box}",
            f"  the centre inside it       {self.centre_in_box}{covered}",
            "by label, worst first:",
        ]
        return "\n".join(lines + [f"  {label:<18}{share}" for label, share in worst])


@dataclass
class Responses:
    """What sounds get as an answer from pictures.

    Attributes:
        scores, peaks: the soft maximum and the highest response, float32 (sounds, pictures).
        places: where that is, as shares (x, y) of width and height, float32 (sounds, pictures, 2).
        unheard: the score of the mean response to all sounds, float32 (pictures,).
    """

    scores: NDArray[np.float32]
    peaks: NDArray[np.float32]
    places: NDArray[np.float32]
    unheard: NDArray[np.float32]


def responses(model: Localizer, items: list[Item], h: torch.Tensor) -> Responses:
    """The responses of the items' pictures to sounds h (n, D)."""
    size = len(h), len(items)
    found = Responses(
        np.zeros(size, np.float32),
        np.zeros(size, np.float32),
        np.zeros((*size, 2), np.float32),
        np.zeros(size[1], np.float32),
    )
    for k, item in enumerate(progress(items, "pictures")):
        picture = torch.from_numpy(read_picture(item.path, (PICTURE_SIZE, PICTURE_SIZE))).permute(2, 0, 1)[None]
        with torch.inference_mode():
            v = model.visual(picture, wrap=False)
            columns = v.shape[3]
            # The cosine, as `model.respond` has it, of all sounds at once.
            raw = h @ F.normalize(v[0].flatten(1), dim=0)
        peak, best = (x.numpy() for x in raw.max(dim=1))
        found.scores[:, k] = soft_maximum(raw, model.temperature).numpy()
        found.peaks[:, k] = peak
        found.places[:, k] = (
            (np.stack([best % columns, best // columns], axis=1) + 0.5) * model.grid_stride / PICTURE_SIZE
        )
        found.unheard[k] = float(soft_maximum(raw.mean(dim=0), model.temperature))
    return found


@dataclass(frozen=True)
class Question:
    """One question: a label, one of its sounds, four pictures of which the first is right, a sound of another label.

    All but the label are positions in the lists that were drawn from."""

    label: str
    sound: int
    shown: list[int]
    another: int


def matching(data: Path, split: str) -> tuple[list[Item], list[Item]]:
    """The sounds of that split whose label has a picture there, and those pictures.

    Raises:
        DataFileError: a table cannot be read, or there are too few labels to ask about.
    """
    pairs = read_pairs(data)
    sounds = [item for item in read_items(data, "sounds") if item.split == split and item.label in pairs]
    wanted = {label for item in sounds for label in pairs[item.label]}
    pictures = [item for item in read_items(data, "pictures") if item.split == split and item.label in wanted]
    seen = {item.label for item in pictures}
    sounds = [item for item in sounds if seen & set(pairs[item.label])]
    if len({item.label for item in sounds}) < 2 or any(len(seen - set(pairs[s.label])) < 3 for s in sounds):
        hint = "each sound needs pictures of three labels that it does not belong to, and another sound"
        raise DataFileError(f"split {split!r} has too few labels", data, hint)
    return sounds, pictures


def draw_four(
    sounds: list[Item], pictures: list[Item], pairs: dict[str, list[str]], draws: int, seed: int
) -> Iterator[Question]:
    """Draw a label, every one with equal chance, one of its sounds, one right and three wrong pictures.

    The wrong pictures are of three other labels, none of which belongs to the sound."""
    of_sound, of_picture = _by_label(sounds), _by_label(pictures)
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        label = str(rng.choice(sorted(of_sound)))
        sound = int(rng.choice(of_sound[label]))
        own = [name for name in pairs[label] if name in of_picture]
        others = [name for name in sorted(of_picture) if name not in pairs[label]]
        right = int(rng.choice(of_picture[str(rng.choice(own))]))
        shown = [right, *(int(rng.choice(of_picture[str(name)])) for name in rng.choice(others, 3, replace=False))]
        another = int(rng.choice(of_sound[str(rng.choice([n for n in sorted(of_sound) if n != label]))]))
        yield Question(label, sound, shown, another)


def four_pictures(
    model: Localizer, data: Path, draws: int = 1000, seed: int = 0, split: str = "val"
) -> LocalizationScores:
    """`draw_four`, over all labels that have both sounds and pictures; the highest score is the answer."""
    pairs = read_pairs(data)
    sounds, pictures = matching(data, split)
    h = embed(model, [partial(read_sound, item.path) for item in sounds])
    answer = responses(model, pictures, h)
    trained = Counter(item.label for item in read_items(data, "sounds") if item.split == "train")
    result, areas = LocalizationScores(), []
    for draw in draw_four(sounds, pictures, pairs, draws, seed):
        found = first_is_highest(answer.scores[draw.sound, draw.shown])
        result.right.add(found)
        if trained[draw.label] >= MANY:
            result.well_known.add(found)
        result.by_label.setdefault(draw.label, Proportion()).add(found)
        result.by_peak.add(first_is_highest(answer.peaks[draw.sound, draw.shown]))
        result.shuffled.add(first_is_highest(answer.scores[draw.another, draw.shown]))
        result.picture_only.add(first_is_highest(answer.unheard[draw.shown]))
        box = pictures[draw.shown[0]].box
        if box is not None:
            x, y = answer.places[draw.sound, draw.shown[0]]
            result.in_box.add(box[0] <= x <= box[2] and box[1] <= y <= box[3])
            result.centre_in_box.add(box[0] <= 0.5 <= box[2] and box[1] <= 0.5 <= box[3])
            areas.append((box[2] - box[0]) * (box[3] - box[1]))
    result.box_area = float(np.mean(areas)) if areas else float("nan")
    return result


def first_is_highest(values: NDArray[np.float32]) -> bool:
    """Whether the first of these scores (n,) is above all others; the highest together with another is no answer."""
    return bool(values[0] > values[1:].max())


def _by_label(items: list[Item]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(item.label, []).append(i)
    return groups
