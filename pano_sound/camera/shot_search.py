"""The best sequence of looks through a shot: following a source is cheap, changing the source has a price.

Optimal for the whole shot, by the Viterbi algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLLOWED = 0.25
"""A look follows a source only if it shows at least this share of what the best look shows."""


@dataclass(frozen=True)
class Moves:
    """The costs of changing the look, in the unit of the scores. There are `n` looks with `m` neighbours each.

    Args:
        switch_cost: (n, n) float32, [to, from]: of a move to another source.
        lock: (n, n) int, [to, from]: steps after such a move in which no other may begin.
        neighbours: (m, n) int: looks that can be reached from each in one step by following; the first is itself.
        follow_cost: (m, n) float32: of following to that neighbour.
    """

    switch_cost: NDArray[np.float32]
    lock: NDArray[np.intp]
    neighbours: NDArray[np.intp]
    follow_cost: NDArray[np.float32]


def move_costs(
    way: NDArray[np.float64],
    nearby: NDArray[np.float64],
    lock: NDArray[np.intp],
    price: float,
    switch: float,
    follow: float,
) -> Moves:
    """Costs of `price` per degree, and of `switch` more for changing the source.

    Args:
        way: (n, n), degrees of great circle between looks.
        nearby: (n, n), the same, infinite where nothing can be followed; what is up to `follow` apart are neighbours.
        lock: (n, n), as in Moves.
    """
    order = np.argsort(nearby, axis=0, kind="stable")
    near = np.sort(nearby, axis=0) <= follow + 1e-6
    count = int(near.sum(axis=0).max())
    neighbours = np.where(near[:count], order[:count], np.arange(len(way)))
    follow_cost = price * np.take_along_axis(way, neighbours, axis=0)
    return Moves((switch + price * way).astype(np.float32), lock, neighbours, follow_cost.astype(np.float32))


def best_shots(
    scores: NDArray[np.float32], shown: NDArray[np.float32], moves: Moves
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The best looks over time: holding, following a source, and switching to another where that pays.

    Globally optimal for `scores`. After a switch there is no other for `moves.lock` steps. Among equals the lowest
    first look is taken, and changes come as late as possible.

    Args:
        scores: (t, n) float32, the worth of each look in each step.
        shown: (t, n) float32, 0..1: how much of what surely sounds each look shows.

    Returns:
        looks (t,) and whether each was switched to, (t,): False where it is held or followed to.
    """
    steps, n = scores.shape
    locks = int(moves.lock.max()) + 1
    # values[t, s, r]: the best from step t on, looking to s, when no switch may come for r steps more.
    values = np.empty((steps, n, locks), np.float32)
    values[-1] = scores[-1][:, None]
    after_switch = np.arange(n)[:, None] * locks + moves.lock

    # Only a source that a look shows before and after a step can be followed there.
    closed = np.where(np.minimum(shown[:-1], shown[1:]) < FOLLOWED, np.inf, 0.0).astype(np.float32)

    def follow_cost(t: int) -> NDArray[np.float32]:
        """Of following from step t - 1 to t, (m, n)."""
        cost = moves.follow_cost + closed[t - 1].take(moves.neighbours)
        cost[0] = 0.0
        return cost

    # Planning time is spent in this loop: buffers avoid copies, and "clip" avoids a bounds check.
    follow = np.empty((*moves.neighbours.shape, locks), np.float32)
    switch = np.empty((n, n), np.float32)
    for t in range(steps - 2, -1, -1):
        to_come, value = values[t + 1], values[t]
        np.take(to_come, moves.neighbours, axis=0, out=follow, mode="clip")
        np.subtract(follow, follow_cost(t + 1)[:, :, None], out=follow)
        np.take(to_come.ravel(), after_switch, out=switch, mode="clip")
        np.subtract(switch, moves.switch_cost, out=switch)
        best = np.maximum.reduce(follow, axis=0)
        value[:, 1:] = best[:, :-1]
        np.maximum(best[:, 0], np.maximum.reduce(switch, axis=0), out=value[:, 0])
        value += scores[t][:, None]
        value -= value[:, 0].max()  # Only differences matter; this keeps float32 exact over long films.

    looks, switched = np.empty(steps, np.intp), np.zeros(steps, bool)
    looks[0], lock = values[0, :, 0].argmax(), 0
    for t in range(steps - 1):
        here, to_come = looks[t], values[t + 1]
        left = max(lock - 1, 0)
        stays = to_come[moves.neighbours[:, here], left] - follow_cost(t + 1)[:, here]
        k = int(stays.argmax())
        looks[t + 1] = moves.neighbours[k, here]
        goes = to_come.ravel()[after_switch[:, here]] - moves.switch_cost[:, here]
        if lock == 0 and goes.max() > stays[k]:
            looks[t + 1], switched[t + 1] = goes.argmax(), True
            left = int(moves.lock[looks[t + 1], here])
        lock = left
    return looks, switched
