"""Does the sound find a small picture? Four pictures, 15 to 40° wide, pasted into a real panorama.

The questions of `localization.py` for 360° footage: the pictures are near the horizon, the seam may cut one, and the
answer may be anywhere in the panorama.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DataFileError
from ...localize.nets.localizer import Localizer
from ..datasets.examples import read_picture, read_sound
from ..datasets.labelled import read_pairs, read_stills
from .embed import embed, progress
from .localization import draw_four, first_is_highest, matching
from .metrics import Proportion, as_json

NARROWEST, WIDEST = 15.0, 40.0  # degrees
UPRIGHT = 1.6  # a picture is not pasted higher than this times its width: none reaches far up or down
Place = tuple[int, int, int, int]
"""x, y of the upper left corner, width and height in pixels; x + width may pass the panorama's: the seam cuts it."""


@dataclass
class PastedScores:
    """What `pasted_pictures` measures."""

    right: Proportion = field(default_factory=Proportion)
    at_seam: Proportion = field(default_factory=Proportion)
    of_four: Proportion = field(default_factory=Proportion)
    shuffled: Proportion = field(default_factory=Proportion)
    picture_only: Proportion = field(default_factory=Proportion)
    covered: float = float("nan")

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return as_json(self)

    def __str__(self) -> str:
        return "\n".join(
            [
                f"peak of the panorama in it   {self.right}   (each covers {100 * self.covered:.1f} % on average)",
                f"  where the seam cuts it     {self.at_seam}",
                f"right one of four            {self.of_four}",
                f"  another sound heard        {self.shuffled}",
                f"  picture only               {self.picture_only}",
            ]
        )


def pasted_pictures(model: Localizer, data: Path, draws: int = 500, seed: int = 0, split: str = "val") -> PastedScores:
    """Paste the four pictures of each of `draw_four`'s questions into a panorama that training has not seen.

    The peak of the raw response over the whole panorama must lie in the right picture (`right`); beside that, which
    of the four has the highest response (`of_four`), also when another sound is heard or none (the mean over all).

    Raises:
        DataFileError: DATA/stills has no panoramas.
    """
    stills = read_stills(data, "val")
    if not stills:
        raise DataFileError("there are no panoramas (.jpg) of the split val", path=data / "stills")
    rows, columns = model.panorama
    panoramas = [read_picture(path, (columns, rows)) for path in stills]
    sounds, pictures = matching(data, split)
    h = embed(model, [partial(read_sound, item.path) for item in sounds])
    unheard = h.mean(dim=0)
    rng = np.random.default_rng((seed, 1))
    result, areas = PastedScores(), []
    for draw in progress(list(draw_four(sounds, pictures, read_pairs(data), draws, seed)), "panoramas"):
        panorama = panoramas[int(rng.integers(len(panoramas)))]
        turned = np.roll(panorama, int(rng.integers(columns)), axis=1)
        canvas, places = paste(turned, [read_picture(pictures[k].path) for k in draw.shown], rng)
        picture = torch.from_numpy(canvas).permute(2, 0, 1)[None]
        with torch.inference_mode():
            v = model.visual(picture, wrap=True)
            raw = model.respond(v, torch.stack([h[draw.sound], h[draw.another], unheard])).cpu().numpy()
        where = np.stack([cells_of(place, model.panorama, *raw.shape[1:]) for place in places])
        peaks = np.where(where, raw[:, None], -2.0).max(axis=(2, 3))  # (sounds, pictures)
        found = bool(where[0].ravel()[raw[0].argmax()])
        result.right.add(found)
        if places[0][0] + places[0][2] > columns:
            result.at_seam.add(found)
        for share, row in zip((result.of_four, result.shuffled, result.picture_only), peaks, strict=True):
            share.add(first_is_highest(row))
        areas.append(places[0][2] * places[0][3] / rows / columns)
    result.covered = float(np.mean(areas)) if areas else float("nan")
    return result


def paste(
    panorama: NDArray[np.uint8], pictures: Sequence[NDArray[np.uint8]], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[Place]]:
    """Paste pictures near the horizon, each in its share of the circle, then turn it all by a random angle.

    Args:
        panorama: (rows, columns, 3) RGB; pictures: RGB of any size. Neither is changed.

    Returns:
        the panorama with them; where each is.
    """
    canvas, places = panorama.copy(), []
    rows, columns = panorama.shape[:2]
    part, turn = columns // len(pictures), int(rng.integers(columns))
    for slot, picture in zip(rng.permutation(len(pictures)), pictures, strict=True):
        width = round(rng.uniform(NARROWEST, WIDEST) * columns / 360)
        height = round(width * min(UPRIGHT, picture.shape[0] / picture.shape[1]))
        x = int(slot) * part + int(rng.integers(part - width))
        y = int(np.clip(rows * rng.normal(0.52, 0.06) - height / 2, 0, rows - height))
        canvas[y : y + height, x : x + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        places.append(((x + turn) % columns, y, width, height))
    return np.ascontiguousarray(np.roll(canvas, turn, axis=1)), places


def cells_of(place: Place, panorama: tuple[int, int], rows: int, columns: int) -> NDArray[np.bool_]:
    """Which cells of a map of the panorama, (rows, columns) of pixels, have their middle there: (rows, columns)."""
    x, y, width, height = place
    across = ((np.arange(columns) + 0.5) * panorama[1] / columns - x) % panorama[1] < width
    down = (np.arange(rows) + 0.5) * panorama[0] / rows - y
    return np.outer((down >= 0) & (down < height), across)
