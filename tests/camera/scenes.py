"""Sound maps of made scenes, where the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between, cell_directions

Sources = Callable[[float], Sequence[tuple[float, float]]]
CELLS = cell_directions(30, 60)


@lru_cache(maxsize=64)
def _answer(yaw: float, pitch: float) -> np.ndarray:
    return np.exp(-((angle_between(CELLS, directions(yaw, pitch)) / 12) ** 2))


def soundmap(
    seconds: float,
    sources: Sources,
    every: float = 0.25,
    noise: float = 0.02,
    peak: float = 0.4,
    cuts: Sequence[float] = (),
) -> SoundMap:
    """The map of a film in which `sources(t)` lists the (yaw, pitch) of what sounds at t; empty: silence."""
    rng = np.random.default_rng(0)
    times = np.arange(0.0, seconds, every)
    response = noise * rng.standard_normal((len(times), 30, 60))
    level = np.full(len(times), -20.0, np.float32)
    for i, t in enumerate(times):
        here = sources(float(t))
        if not here:
            level[i] = -120.0
        for yaw, pitch in here:
            response[i] += peak * _answer(yaw, pitch)
    source = {"path": "made.mp4", "width": 3840, "height": 1920, "end": seconds}
    presence = (40.0, 0.12)
    shots = np.array(cuts, dtype=float)
    return SoundMap.of_responses(times, response, level, 0.07, presence, source, cuts=shots)
