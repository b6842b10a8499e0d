"""The expected time with the source in view, for a path and for the best still view."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..options.presets import ShotSettings
from ..sphere.view import View
from . import glimpses
from .timeline import Timeline, level_cells

_FINE = 6.0
"""Degrees between the still views that are compared."""
GIVEN = 0.1
"""Share of its expected time that a still view may lose to have the source nearer to its middle."""
_ALIKE = 0.02
"""A still view must be better by this share of its expected time, to exclude rounding."""


def of_path(timeline: Timeline, view: View, looks: NDArray[np.float64], hfov: NDArray[np.float64]) -> float:
    """Expected seconds with the source in view.

    Args:
        looks: (t, 2) level yaw and pitch in degrees at the middle of each step.
        hfov: (t,) degrees.
    """
    cells = timeline.cells().reshape(-1, 3)
    seconds = np.diff(timeline.edges)
    total = 0.0
    inside, latest = np.zeros(len(cells), bool), None
    for i, ((yaw, pitch), width) in enumerate(zip(looks, hfov, strict=True)):
        if latest != (yaw, pitch, width):
            latest = (yaw, pitch, width)
            inside = View(view.width, view.height, float(width)).contains(cells, float(yaw), float(pitch))
        total += float(timeline.maps[i].ravel() @ inside) * seconds[i]
    return total


class StillViews:
    """All views of a camera that never turns."""

    def __init__(self, timeline: Timeline, view: View, settings: ShotSettings) -> None:
        grid = timeline.maps.shape[1:]
        self.looks, self._inside, self._middle = _still_views(view, settings.tilt, grid, timeline.level.tobytes())

    def best(self, timeline: Timeline) -> tuple[NDArray[np.float64], float]:
        """The best look (yaw, pitch) through a shot, and the expected seconds in view from which a path is as good.

        This is at least 1 - GIVEN times the expected time of the view that holds most.
        """
        sums = (timeline.maps * np.diff(timeline.edges)[:, None, None].astype(np.float32)).sum(axis=0).ravel()
        held = self._inside @ sums
        good = np.flatnonzero(held >= held.max() * (1 - GIVEN))
        chosen = good[(self._middle[good] @ sums).argmax()]
        return self.looks[chosen], float(max(held[chosen] * (1 - _ALIKE), held.max() * (1 - GIVEN)))


@lru_cache(maxsize=2)  # A batch plans many films for the same view.
def _still_views(
    view: View, steepest: float, grid: tuple[int, ...], level: bytes
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Looks (n, 2), which cells are inside each of these views (n, cells), 0 or 1, and the same weighted from 1 in the
    middle to 0 in the corners, to choose between views that hold the same."""
    looks = glimpses.even_directions(_FINE, steepest)
    cells = level_cells(grid, np.frombuffer(level).reshape(3, 3)).reshape(-1, 3)
    inside = np.stack([view.contains(cells, yaw, pitch) for yaw, pitch in looks]).astype(np.float32)
    corner = np.cos(np.arctan(np.hypot(view.width, view.height) / 2 / view.focal))
    forward = glimpses.directions(*looks.T)
    middle = inside * np.clip((cells @ forward.T).T - corner, 0, None).astype(np.float32) / (1 - corner)
    for array in (looks, inside, middle):
        array.setflags(write=False)
    return looks, inside, middle
