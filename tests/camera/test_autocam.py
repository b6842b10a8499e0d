import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pano_sound.camera.autocam import best_sequence, per_axis_limit
from pano_sound.camera.glimpses import autocam_directions
from pano_sound.camera.shot_search import FOLLOWED, Moves, best_shots, move_costs


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4))
def test_no_sequence_is_better(seed, steps, states):
    rng = np.random.default_rng(seed)
    scores = rng.random((steps, states)).astype(np.float32)
    costs = rng.random((states, states)).astype(np.float32)
    np.fill_diagonal(costs, 0)

    def worth(sequence):
        gained = sum(scores[t, s] for t, s in enumerate(sequence))
        return gained - sum(costs[b, a] for a, b in itertools.pairwise(sequence))

    best = max(worth(s) for s in itertools.product(range(states), repeat=steps))
    assert worth(best_sequence(scores, costs)) == pytest.approx(best, abs=1e-5)


def test_moves_keep_to_autocams_limits():
    looks = autocam_directions()
    rng = np.random.default_rng(1)
    path = looks[best_sequence(rng.random((60, len(looks))).astype(np.float32), per_axis_limit(looks, 30.0))]
    turn = np.abs((np.diff(path[:, 0]) + 180) % 360 - 180)
    assert turn.max() <= 30
    assert np.abs(np.diff(path[:, 1])).max() <= 30
    assert turn.max() > 0


def test_without_scores_it_looks_ahead_and_stays():
    assert set(best_sequence(np.zeros((9, 3), np.float32), np.ones((3, 3), np.float32) - np.eye(3))) == {0}


def moves_of(rng, n, longest_lock):
    way = rng.random((n, n)) * 100
    way = way + way.T
    np.fill_diagonal(way, 0)
    lock = rng.integers(0, longest_lock + 1, (n, n))
    return move_costs(way, way, lock, price=0.01, switch=0.3, follow=60)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 3))
def test_no_sequence_of_shots_is_better(seed, steps, n):
    rng = np.random.default_rng(seed)
    scores, shown = rng.random((2, steps, n)).astype(np.float32)
    moves = moves_of(rng, n, 3)

    def worth(looks, switched):
        """The value of a sequence; minus infinity if it is not allowed."""
        total, lock = scores[0, looks[0]], 0
        for t in range(1, steps):
            a, b = looks[t - 1], looks[t]
            if switched[t]:
                if lock:
                    return -np.inf
                total -= moves.switch_cost[b, a]
                lock = moves.lock[b, a]
            else:
                k = np.flatnonzero(moves.neighbours[:, a] == b)
                if a != b and (not len(k) or min(shown[t - 1, b], shown[t, b]) < FOLLOWED):
                    return -np.inf
                total -= 0 if a == b else moves.follow_cost[k[0], a]
                lock = max(lock - 1, 0)
            total += scores[t, b]
        return total

    every = itertools.product(itertools.product(range(n), repeat=steps), itertools.product([False, True], repeat=steps))
    best = max(worth(looks, switched) for looks, switched in every if not switched[0])
    assert worth(*best_shots(scores, shown, moves)) == pytest.approx(best, abs=1e-4)


def two_looks(lock=0):
    costs = np.array([[0, 0.3], [0.3, 0]], np.float32)
    return Moves(costs, np.full((2, 2), lock), np.array([[0, 1]]), np.zeros((1, 2), np.float32))


def test_it_does_not_switch_for_less_than_it_costs_and_then_as_late_as_it_may():
    scores = np.zeros((10, 2), np.float32)
    scores[[0, 9], 0] = 1.0
    scores[4:6, 1] = 0.28
    looks, switched = best_shots(scores, scores, two_looks())
    assert set(looks) == {0}
    scores[4:6, 1] = 0.35
    looks, switched = best_shots(scores, scores, two_looks())
    assert list(looks) == [0] * 4 + [1] * 5 + [0]
    assert np.flatnonzero(switched).tolist() == [4, 9]


def test_after_a_switch_it_stays_as_long_as_it_must():
    scores = np.zeros((12, 2), np.float32)
    scores[::2, 0] = scores[1::2, 1] = 1.0
    _, switched = best_shots(scores, scores, two_looks(lock=3))
    assert len(np.flatnonzero(switched)) > 1
    assert np.diff(np.flatnonzero(switched)).min() >= 4
