"""A model that knows three colours by their sounds, and pictures with coloured boxes: all answers can be worked out."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.research.datasets.examples import Box, Example

COLOURS = {"red": (255, 128, 128), "green": (128, 255, 128), "blue": (128, 128, 255)}


class Knowing(Localizer):
    """Answers each colour to its sound with 1 and all else with 0.

    A sound is a constant: 0.1 is red, 0.2 green, 0.3 blue; what it has beyond tells two sounds of one colour apart.
    """

    def __init__(self) -> None:
        super().__init__(**TINY)
        self.eval()

    def sound_features(self, wave: Tensor) -> Tensor:
        level = 10 * float(wave.mean())
        features = torch.zeros(len(super().sound_features(wave)), 4)
        if 1 <= round(level) <= 3:
            features[:, round(level) - 1] = 1
            features[:, 3] = level - round(level)
        return features

    def sound_embedding(self, pooled: Tensor) -> Tensor:
        return F.normalize(pooled[:, :3], dim=1)

    def visual(self, pictures: Tensor, wrap: bool) -> Tensor:
        cells = F.avg_pool2d(pictures.float(), self.grid_stride)
        return F.normalize((cells - 128).clamp_min(0), dim=1)


class Deaf(Knowing):
    """Hears everything as red."""

    def sound_embedding(self, pooled: Tensor) -> Tensor:
        return torch.eye(3)[:1].expand(len(pooled), -1)


def painted(colour: str, box: Box) -> NDArray[np.uint8]:
    """A grey picture, 320x320, with a coloured box."""
    picture = np.full((320, 320, 3), 128, np.uint8)
    x0, y0, x1, y1 = (round(320 * share) for share in box)
    picture[y0:y1, x0:x1] = COLOURS[colour]
    return picture


def constant(level: float, rate: int) -> NDArray[np.float32]:
    """Half a second of a constant."""
    return np.full(rate // 2, level, np.float32)


def example(number: int, colour: str, box: Box, boxes: tuple[tuple[Box, ...], ...] | None = None) -> Example:
    """A picture with a box of that colour and its sound; `boxes`: what people drew, the box itself if not given."""
    level = 0.1 * (1 + list(COLOURS).index(colour)) + 0.001 * (number % 20)
    drawn = ((box,),) if boxes is None else boxes
    look, listen = partial(painted, colour, box), partial(constant, level)
    return Example(f"{number}", f"video {number}", look, listen, drawn, label=colour, split="val")
