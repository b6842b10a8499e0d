"""Does the answer follow the sound? The paper's Fig. 6: the same picture, other sounds, as a number.

Two pictures of different kinds are joined side by side, and each of their sounds is played. A model that does not
listen gives the same answer both times and never has both right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DataFileError
from ...localize.nets.localizer import Localizer
from ..datasets.examples import PICTURE_SIZE, Example, square
from .embed import embed, progress
from .metrics import Proportion, heat_map
from .sets import kinds as kinds_of


@dataclass
class ShownCase:
    """One case, for a figure: RGB uint8 (H, 2 H, 3), and for the left's and the right's sound the map (H, 2 H) in
    [0, 1] and the name of what sounds."""

    picture: NDArray[np.uint8]
    maps: list[NDArray[np.float32]]
    names: list[str]


@dataclass
class Interactive:
    """What `evaluate` measures: how often the peak was on the picture of the sound that was heard (`each`; chance is
    a half), and how often for both sounds of a case (`both`; a deaf model has 0, a random one a quarter)."""

    each: Proportion = field(default_factory=Proportion)
    both: Proportion = field(default_factory=Proportion)
    shown: list[ShownCase] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        shares = {"each": self.each, "both": self.both}
        return {
            name: {"share": share.value, "interval": share.interval(), "of": share.of} for name, share in shares.items()
        }

    def __str__(self) -> str:
        return (
            f"two pictures side by side: the peak is on the one that is heard   {self.each}  (deaf: 50 %)\n"
            f"                           for both sounds in turn                {self.both}  (deaf: 0 %)"
        )


def evaluate(
    model: Localizer,
    examples: Sequence[Example],
    kinds: Sequence[str] | None = None,
    draws: int = 200,
    show: int = 8,
    seed: int = 0,
) -> Interactive:
    """Draw two kinds and one example of each, `draws` times, and locate each sound's highest response.

    Args:
        kinds: of the examples, from `sets.read`; None: their labels or recordings.
        show: how many cases to keep for a figure.

    Raises:
        DataFileError: all examples are of one kind.
        InputError: a picture or a sound cannot be read.
    """
    groups: dict[str, list[int]] = {}
    for i, kind in enumerate(kinds or kinds_of(examples)):
        if not examples[i].ambient:
            groups.setdefault(kind, []).append(i)
    if len(groups) < 2:
        raise DataFileError("there are no two examples that sound different", hint="this measure needs two kinds")
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(draws):
        two = rng.choice(sorted(groups), 2, replace=False)
        cases.append([int(rng.choice(groups[str(kind)])) for kind in two])
    used = sorted({i for case in cases for i in case})
    h = dict(zip(used, embed(model, [examples[i].sound for i in used]), strict=True))
    device = next(model.parameters()).device
    result = Interactive()
    for left, right in progress(cases, "cases"):
        picture = np.concatenate([square(examples[left].picture()), square(examples[right].picture())], axis=1)
        with torch.inference_mode():
            v = model.visual(torch.from_numpy(picture).permute(2, 0, 1)[None].to(device), wrap=False)
            raw = model.respond(v, torch.stack([h[left], h[right]]))
        columns = raw.shape[2]
        on_right = (raw.flatten(1).argmax(dim=1) % columns >= columns / 2).tolist()
        right_ones = [not on_right[0], on_right[1]]
        for one in right_ones:
            result.each.add(one)
        result.both.add(all(right_ones))
        if len(result.shown) < show:
            maps = list(heat_map(raw, PICTURE_SIZE, 2 * PICTURE_SIZE))
            names = [examples[i].label or examples[i].key for i in (left, right)]
            result.shown.append(ShownCase(picture, maps, names))
    return result
