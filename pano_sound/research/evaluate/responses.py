"""Where models find the sources of sounds in pictures: the paper's Fig. 5, beside what people marked (Fig. 7), and of
several models side by side (Fig. 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...localize.nets.localizer import Localizer
from ..datasets.examples import PICTURE_SIZE, Box, Example, square
from .embed import by_mechanism, embed, visual_maps
from .metrics import heat_map


@dataclass
class Response:
    """A picture with its sound.

    Attributes:
        name: what sounds.
        picture: RGB uint8 (S, S, 3).
        boxes: for each annotator the boxes that they drew; empty without annotators.
        maps: for each model its map (S, S) in [0, 1].
    """

    name: str
    picture: NDArray[np.uint8]
    boxes: tuple[tuple[Box, ...], ...]
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def responses(
    models: Mapping[str, Localizer], examples: Sequence[Example], count: int, seed: int = 0
) -> list[Response]:
    """The responses of models, by name, to `count` of the examples at random. Raises InputError."""
    order = np.random.default_rng(seed).permutation(len(examples))
    chosen = [examples[i] for i in sorted(order[:count])]
    found = [Response(one.label or one.key, square(one.picture()), one.boxes) for one in chosen]
    for name, model in models.items():
        heard = embed(model, [one.sound for one in chosen])
        for which, v in visual_maps(model, [one.picture for one in chosen]):
            raw = by_mechanism(model.respond(v, heard[which]), model.mechanism)
            for i, heat in zip(which, heat_map(raw, PICTURE_SIZE, PICTURE_SIZE), strict=True):
                found[i].maps[name] = heat
    return found
