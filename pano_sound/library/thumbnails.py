"""The strip of pictures that the contact sheet shows of a result."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..media.probe import probe
from ..media.reader import VideoReader
from ..media.segments import part

_THUMBNAILS, _THUMBNAIL_SIZE = 3, (160, 90)


def thumbnails(video: Path) -> bytes:
    """Pictures of a video side by side, as JPEG. Raises InputError if it cannot be read."""
    whole = probe(video)
    size = _thumbnail_size(whole.eye)
    pictures = []
    for i in range(_THUMBNAILS):
        at = Fraction(whole.start + whole.duration * (i + 0.5) / _THUMBNAILS).limit_denominator(1000)
        with VideoReader(part(whole, at, None, opening=True) if whole.duration > 1 else whole) as reader:
            pictures.append(next(reader.stored()).rgb(*size))
    _, jpeg = cv2.imencode(".jpg", np.hstack(pictures)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return jpeg.tobytes()


def _thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    across, down = _THUMBNAIL_SIZE
    scale = max(across, down) / max(width, height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
