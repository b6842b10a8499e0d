"""What the semantic cue needs of a trained network, whatever computes it; NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .architecture import SoundSteps

Floats = NDArray[np.float32]


class Network(ABC):
    """A trained network, ready to use.

    Attributes:
        sound: when its sound features are, and what they depend on.
        panorama: (rows, columns) of pixels of the equirectangular pictures that it takes.
        temperature: the divisor of responses before the softmax.
        presence: steepness and middle of the logistic curve over a map's highest response (see `presence.py`).
        tags: names of the kinds of sound of `tag_scores`.
        path: the weights file, if it comes from one.
        pictures_at_once: how many threads should call `embed_picture` at the same time.
    """

    sound: SoundSteps
    panorama: tuple[int, int]
    temperature: float
    presence: tuple[float, float]
    tags: Sequence[str]
    path: Path | None = None
    pictures_at_once = 1

    @abstractmethod
    def sound_features(self, wave: Floats) -> Floats:
        """Wave (samples,), mono in [-1, 1] at `sound.rate` -> features (`sound.count(samples)`, F)."""

    @abstractmethod
    def embed_sound(self, pooled: Floats) -> Floats:
        """Features pooled over windows, (n, F) -> embeddings h (n, D)."""

    @abstractmethod
    def tag_scores(self, pooled: Floats) -> Floats:
        """Features pooled over windows, (n, F) -> scores of each tag, (n, tags) in [0, 1]."""

    @abstractmethod
    def embed_picture(self, picture: NDArray[np.uint8]) -> Any:
        """Picture (rows, columns, 3), RGB, of the size of `panorama` -> its embedding, for `respond`."""

    @abstractmethod
    def respond(self, picture: Any, sound: Floats) -> Floats:
        """Cosine between a sound (D,) and each cell of an embedded picture: (rows, columns) of cells, in [-1, 1]."""
