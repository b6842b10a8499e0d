"""One example of a set: a picture, the sound recorded with it, and the boxes that people drew around its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...media.probe import probe
from ...media.sound import SoundReader

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as shares of the picture's width and height, 0..1."""

_BEYOND = 0.01
"""How far a box may reach beyond the picture, as a share: rounding."""

PICTURE_SIZE = 320
"""Pixels; ordinary pictures are squeezed into a square of this size for training and measuring, as in the paper."""


@dataclass(frozen=True)
class Example:
    """A picture with its sound. Both are read on demand.

    Attributes:
        key: its name, unique in its set.
        video: the recording that it was taken from; negatives are taken from another one.
        picture: () -> RGB uint8 (H, W, 3).
        sound: rate in Hz -> mono float32 (samples,) in [-1, 1], as long as the set keeps around the picture.
        boxes: for each annotator the boxes that they drew around the source, none if they did not see it; empty without
            annotators.
        ambient: annotators say that the sound comes from no object in the picture.
        label: the set's label of the source; "" if there is none.
        split: "train", "val", "test" or another part of the set.

    `picture` and `sound` raise InputError when the file is missing or damaged.
    """

    key: str
    video: str
    picture: Callable[[], NDArray[np.uint8]]
    sound: Callable[[int], NDArray[np.float32]]
    boxes: tuple[tuple[Box, ...], ...] = ()
    ambient: bool = False
    label: str = ""
    split: str = "train"


def checked(box: Box) -> Box:
    """The same box. Raises ValueError if it is not in shares of the picture, or holds nothing."""
    x0, y0, x1, y1 = box
    if not (-_BEYOND <= x0 < x1 <= 1 + _BEYOND and -_BEYOND <= y0 < y1 <= 1 + _BEYOND):
        raise ValueError(f"the box {box} is not in shares of width and height")
    return box


def read_sound(path: Path, rate: int) -> NDArray[np.float32]:
    """A whole sound file as mono float32 at that rate."""
    blocks = list(SoundReader(probe(path), rate).blocks(10.0))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def read_samples(path: Path, rate: int) -> NDArray[np.int16]:
    """A whole sound file as mono int16 at that rate, clipped."""
    return np.rint(32767 * np.clip(read_sound(path, rate), -1, 1)).astype(np.int16)


def read_picture(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A picture file as RGB uint8 (H, W, 3), squeezed to size (width, height) if given. Raises InputError."""
    try:
        open(path, "rb").close()  # OpenCV would print a line of its own
    except OSError as error:
        raise InputError(f"the picture cannot be read: {error.strerror or error}", path=path) from error
    except ValueError as error:  # no file can have this name
        raise InputError(f"the picture cannot be read: {error}", path=path) from error
    try:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # too many pixels
        picture = None
    if picture is None:
        raise InputError("the picture cannot be read", path=path)
    if size is not None:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[..., ::-1])


def square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture squeezed to PICTURE_SIZE x PICTURE_SIZE, as in the paper."""
    return np.asarray(cv2.resize(picture, (PICTURE_SIZE, PICTURE_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
