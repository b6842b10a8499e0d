"""Whether anything in the picture makes the sound, told from a network's responses (cosines of sound and picture)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PEAK = 0.03
"""Temperature of the smooth maximum over a map's cells. Presence curves are learnt with it."""


def present_log_odds(responses: NDArray[np.float32], presence: tuple[float, float]) -> NDArray[np.float32]:
    """Log-odds that something in the picture makes the sound, (n,), from responses (n, rows, columns).

    `presence` is the steepness and the middle of a logistic curve over each map's smooth maximum.
    """
    steepness, middle = presence
    cells = responses.reshape(len(responses), -1)
    best = cells.max(axis=1)
    highest = best + PEAK * np.log(np.exp((cells - best[:, None]) / PEAK).mean(axis=1))
    return np.asarray(steepness * (highest - middle), np.float32)
