"""The expected time with the source in view, for a path and for the best still view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..options.presets import ShotSettings
from ..sphere.view import View
from . import glimpses
from .timeline import Timeline

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
        self.looks = glimpses.even_directions(_FINE, settings.tilt)
        cells = timeline.cells().reshape(-1, 3)
        self._inside = np.stack([view.contains(cells, yaw, pitch) for yaw, pitch in self.looks]).astype(np.float32)
        corner = np.cos(np.arctan(np.hypot(view.width, view.height) / 2 / view.focal))
        forward = glimpses.directions(*self.looks.T)
        # From 1 in the middle to 0 in the corners, to choose between views that hold the same.
        self._middle = self._inside * np.clip((cells @ forward.T).T - corner, 0, None).astype(np.float32) / (1 - corner)

    def best(self, timeline: Timeline) -> tuple[NDArray[np.float64], float]:
        """The best look (yaw, pitch) through a shot, and the expected seconds in view from which a path is as good.

        This is at least 1 - GIVEN times the expected time of the view that holds most.
        """
        sums = (timeline.maps * np.diff(timeline.edges)[:, None, None].astype(np.float32)).sum(axis=0).ravel()
        held = self._inside @ sums
        good = np.flatnonzero(held >= held.max() * (1 - GIVEN))
        chosen = good[(self._middle[good] @ sums).argmax()]
        return self.looks[chosen], float(max(held[chosen] * (1 - _ALIKE), held.max() * (1 - GIVEN)))
