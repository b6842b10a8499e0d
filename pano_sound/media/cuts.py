"""Where a film cuts from one shot to the next.

The rule is that of PySceneDetect's AdaptiveDetector, on brightness alone: a frame differs from the one before it by
much more than its neighbours do. Dissolves are not found. (PySceneDetect decodes each film itself; here cuts come from
the pass over the pictures that the cues need anyway.)
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .shrink import luma

ROWS, COLUMNS = 36, 64
LEAST = 10.0
"""Mean difference of brightness, of 255, below which nothing is a cut."""
RATIO = 3.0
"""How much more a cut differs than its neighbours."""
AROUND = 3
"""Neighbours on either side to compare with."""
APART = 0.5
"""Shortest shot in seconds."""


class CutFinder:
    """Takes the frames of a film one by one. `cuts` are the times found so far, in seconds, between two frames."""

    def __init__(self) -> None:
        self.cuts: list[float] = []
        # Time, brightness, and its change from the frame before.
        self._recent: deque[tuple[float, NDArray[np.float32], float]] = deque(maxlen=2 * AROUND + 2)

    def add(self, t: float, frame: Any) -> None:
        """Take the next PyAV frame, at presentation time `t` in seconds."""
        thumb = _brightness(frame)
        self._recent.append((t, thumb, _difference(thumb, self._recent[-1][1]) if self._recent else 0.0))
        if len(self._recent) == self._recent.maxlen:
            self._check_middle()

    def finish(self) -> None:
        """Handle the last frames at the film's end."""
        while len(self._recent) > AROUND + 3:
            self._recent.popleft()
            self._check_middle()

    def _check_middle(self) -> None:
        """Decide whether the middle one of the recent frames begins a shot."""
        new = AROUND + 1
        if self._recent[new][2] < LEAST:
            return
        times, thumbs, changes = zip(*self._recent, strict=True)
        if len({thumb.shape for thumb in thumbs}) > 1:
            return  # Frame sizes change where files are joined, and in damaged frames.
        # A flash differs from both its neighbours, which are alike.
        lasting = min(
            changes[new], _difference(thumbs[new + 1], thumbs[new - 1]), _difference(thumbs[new], thumbs[new - 2])
        )
        usual = float(np.mean(changes[1:new] + changes[new + 1 :]))
        t = (times[new - 1] + times[new]) / 2
        if lasting >= max(LEAST, RATIO * usual) and (not self.cuts or t - self.cuts[-1] >= APART):
            self.cuts.append(t)


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The mean absolute difference of two pictures; infinite if their sizes differ."""
    return float(cv2.norm(one, other, cv2.NORM_L1)) / one.size if one.shape == other.shape else np.inf


def _brightness(frame: Any) -> NDArray[np.float32]:
    """Points of a frame's luma, (ROWS, COLUMNS), 0..255."""
    rows, shift = luma(frame)
    down, across = max(rows.shape[0] // ROWS, 1), max(rows.shape[1] // COLUMNS, 1)
    return rows[down // 2 :: down, across // 2 :: across].astype(np.float32) / 2.0**shift
