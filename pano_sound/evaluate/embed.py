"""What a model makes of the examples of a set: every sound is heard once, every picture looked at once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..datasets.examples import PICTURE_SIZE, Example
from ..localize.network import Localizer
from ..localize.windows import SoundFeatures

T = TypeVar("T")


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """The same items, with a progress bar on a terminal that is not told to be quiet."""
    shown = sys.stderr.isatty() and logging.getLogger("pano_sound").isEnabledFor(logging.WARNING)
    return tqdm(items, what, leave=False, disable=not shown)


def pool(model: Localizer, wave: NDArray[np.float32]) -> Tensor:
    """The mean sound feature of a whole wave, float32 (F,)."""
    features = SoundFeatures(model)
    features.add(wave)
    features.finish()
    return torch.from_numpy(features.pooled([features.times.mean()], np.inf)[0])


def hear(model: Localizer, examples: Sequence[Example]) -> Tensor:
    """Pooled sound features of each example's whole sound, (n, F), for `sound_embedding` and `sound_code`."""
    device = next(model.parameters()).device
    waves = (example.sound(model.sound_rate) for example in progress(examples, "sounds"))
    return torch.stack([pool(model, wave) for wave in waves]).to(device)


def square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture squeezed to PICTURE_SIZE x PICTURE_SIZE, as in training."""
    return np.asarray(cv2.resize(picture, (PICTURE_SIZE, PICTURE_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def look(model: Localizer, examples: Sequence[Example], batch: int = 8) -> Iterator[tuple[range, Tensor]]:
    """Visual maps of the examples' pictures, a few at a time: which ones, and v (k, D, rows, columns)."""
    device = next(model.parameters()).device
    for first in progress(range(0, len(examples), batch), "pictures"):
        chosen = range(first, min(first + batch, len(examples)))
        pictures = np.stack([square(examples[i].picture()) for i in chosen])
        with torch.inference_mode():
            yield chosen, model.visual(torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device), wrap=False)


def mean_response(model: Localizer, v: Tensor, sounds: Tensor, at_once: int = 16) -> Tensor:
    """What pictures v (k, D, rows, columns) answer on average to the sounds h (m, D): (k, rows, columns)."""
    means = [
        torch.stack([model.respond(one[None], part).sum(0) for part in sounds.split(at_once)]).sum(0) / len(sounds)
        for one in v
    ]
    return torch.stack(means)


def others(examples: Sequence[Example], rng: np.random.Generator) -> NDArray[np.intp] | None:
    """For each example another one that does not sound alike: of another label, or, where the set has no labels, of
    another recording. None if some example has no such other."""
    kinds = np.array([example.label or f"recording {example.video}" for example in examples])
    chosen = []
    for kind in kinds:
        different = np.flatnonzero(kinds != kind)
        if not len(different):
            return None
        chosen.append(int(rng.choice(different)))
    return np.array(chosen, np.intp)
