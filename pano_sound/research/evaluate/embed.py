"""Embeddings of the examples of a set; every sound and every picture is processed once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ...localize.nets.localizer import Localizer
from ...localize.nets.torch_network import pooled
from ..datasets.examples import square

T = TypeVar("T")
MECHANISMS = (1, 2)
"""The attention mechanisms (equations 2 and 3); everything is measured for both."""
Sound = Callable[[int], NDArray[np.float32]]
"""Rate in Hz -> mono wave, as `Example.sound`."""
Picture = Callable[[], NDArray[np.uint8]]
"""() -> RGB picture, as `Example.picture`."""


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """The same items, with a progress bar on a terminal, unless quiet."""
    shown = sys.stderr.isatty() and logging.getLogger("pano_sound").isEnabledFor(logging.WARNING)
    return tqdm(items, what, leave=False, disable=not shown)


def sound_features(model: Localizer, sounds: Sequence[Sound]) -> Tensor:
    """Pooled features of each whole sound, (n, F), for `sound_embedding` and `sound_code`."""
    device = next(model.parameters()).device
    return torch.stack([pooled(model, sound(model.sound_rate)) for sound in progress(sounds, "sounds")]).to(device)


def embed(model: Localizer, sounds: Sequence[Sound]) -> Tensor:
    """h of each whole sound, (n, D)."""
    features = sound_features(model, sounds)
    with torch.inference_mode():
        return model.sound_embedding(features)


def visual_maps(model: Localizer, pictures: Sequence[Picture], batch: int = 8) -> Iterator[tuple[list[int], Tensor]]:
    """Visual maps of pictures, squeezed to squares, a few at a time: which ones, and v (k, D, rows, columns)."""
    device = next(model.parameters()).device
    for first in progress(range(0, len(pictures), batch), "pictures"):
        chosen = list(range(first, min(first + batch, len(pictures))))
        squares = np.stack([square(pictures[i]()) for i in chosen])
        with torch.inference_mode():
            yield chosen, model.visual(torch.from_numpy(squares).permute(0, 3, 1, 2).to(device), wrap=False)


def by_mechanism(raw: Tensor, mechanism: int) -> Tensor:
    """The response before the softmax: the cosine for mechanism 1, its positive part for mechanism 2 (eq. 2 and 3)."""
    return raw if mechanism == 1 else raw.relu()


def mean_response(model: Localizer, v: Tensor, sounds: Tensor, at_once: int = 16) -> Tensor:
    """The mean response of pictures v (k, D, rows, columns) to the sounds h (m, D): (k, rows, columns)."""
    means = [
        torch.stack([model.respond(one[None], part).sum(0) for part in sounds.split(at_once)]).sum(0) / len(sounds)
        for one in v
    ]
    return torch.stack(means)


def others(kinds: Sequence[str], rng: np.random.Generator) -> NDArray[np.intp] | None:
    """For each example another one, drawn at random, of another kind (see `sets.kinds`). None if there is only one."""
    names = np.array(kinds)
    if len(set(kinds)) < 2:
        return None
    return np.array([rng.choice(np.flatnonzero(names != kind)) for kind in names], np.intp)
