"""Where a film cuts from one shot to the next.

The rule is that of PySceneDetect's AdaptiveDetector, on brightness alone: a frame differs from the one before it by
much more than its neighbours do. Dissolves are not found. (PySceneDetect decodes each film itself; here cuts come from
the pass over the pictures that the cues need anyway.)
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        self._recent: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=2 * AROUND + 2)

    def add(self, t: float, frame: Any) -> None:
        """Take the next PyAV frame, at presentation time `t` in seconds."""
        self._recent.append((t, _brightness(frame)))
        if len(self._recent) == self._recent.maxlen:
            self._look()

    def finish(self) -> None:
        """Handle the last frames at the film's end."""
        while len(self._recent) > AROUND + 3:
            self._recent.popleft()
            self._look()

    def _look(self) -> None:
        """Decide whether the middle one of the recent frames begins a shot."""
        times, thumbs = zip(*self._recent, strict=True)
        if len({thumb.shape for thumb in thumbs}) > 1:
            return  # Frame sizes change where files are joined, and in damaged frames.
        changes = [float(np.abs(b - a).mean()) for a, b in pairwise(thumbs)]
        new = AROUND + 1
        # A flash differs from both its neighbours, which are alike.
        lasting = min(changes[new - 1], float(np.abs(thumbs[new + 1] - thumbs[new - 1]).mean()))
        lasting = min(lasting, float(np.abs(thumbs[new] - thumbs[new - 2]).mean()))
        usual = float(np.mean(changes[: new - 1] + changes[new:]))
        t = (times[new - 1] + times[new]) / 2
        if lasting >= max(LEAST, RATIO * usual) and (not self.cuts or t - self.cuts[-1] >= APART):
            self.cuts.append(t)


def _brightness(frame: Any) -> NDArray[np.float32]:
    """Points of a frame's first plane, (ROWS, COLUMNS), 0..255."""
    plane, bits = frame.planes[0], frame.format.components[0].bits
    kind = np.uint8 if bits <= 8 else np.uint16
    rows = np.frombuffer(plane, kind).reshape(plane.height, -1)
    used = rows[:, : rows.shape[1] if frame.format.is_rgb else plane.width]
    down, across = max(used.shape[0] // ROWS, 1), max(used.shape[1] // COLUMNS, 1)
    points = used[down // 2 :: down, across // 2 :: across].astype(np.float32)
    return points if bits <= 8 else points / 2.0 ** (bits - 8)
