"""AUTOCAM's dynamic programme (Su, Jayaraman and Grauman, 2016, section 3.3): the best sequence of directions for
the whole film, found by Viterbi's algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..sphere.convention import directions, wrap_degrees
from ..sphere.geometry import angle_between


def per_axis_limit(looks: NDArray[np.float64], limit: float) -> NDArray[np.float32]:
    """Costs of moves between looks (n, 2), (n, n): 0 within `limit` degrees per axis, else infinite.

    AUTOCAM's smoothness: |Δlatitude| and the wrapped |Δlongitude| are limited each for itself.
    """
    turn = np.abs(wrap_degrees(looks[:, None, 0] - looks[None, :, 0]))
    tilt = np.abs(looks[:, None, 1] - looks[None, :, 1])
    return np.where((turn <= limit + 1e-6) & (tilt <= limit + 1e-6), 0.0, np.inf).astype(np.float32)


def great_circle_cost(looks: NDArray[np.float64], limit: float, price: float) -> NDArray[np.float32]:
    """Costs of moves between looks (n, 2), (n, n): `price` per degree, infinite above `limit` degrees."""
    look = directions(looks[:, 0], looks[:, 1])
    way = angle_between(look[:, None], look[None, :])
    return np.where(way <= limit + 1e-6, price * way, np.inf).astype(np.float32)


def best_sequence(scores: NDArray[np.float32], costs: NDArray[np.float32]) -> NDArray[np.intp]:
    """States (t,) that maximise the sum of scores (t, n) less the costs (n, n) of moving, cost[to, from].

    Globally optimal. Of equals the lowest first state is taken, and moves are made as late as possible: they end
    when what they are made for begins. (So the recursion runs from the end of the film to its start.)
    """
    steps, states = scores.shape
    goes_to = np.empty((steps, states), dtype=np.int32)
    to_come = scores[-1].astype(np.float32)
    here = np.arange(states)
    for t in range(steps - 2, -1, -1):
        options = to_come[:, None] - costs
        target = options.argmax(axis=0)
        value = options[target, here]
        stay = options[here, here] >= value
        goes_to[t] = np.where(stay, here, target)
        to_come = scores[t] + value
        to_come -= to_come.max()  # Only differences matter; this keeps float32 exact over long films.
    sequence = np.empty(steps, dtype=np.intp)
    sequence[0] = to_come.argmax()
    for t in range(steps - 1):
        sequence[t + 1] = goes_to[t, sequence[t]]
    return sequence
