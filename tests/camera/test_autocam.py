import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pano_sound.camera.autocam import best_sequence, great_circle_cost, per_axis_limit
from pano_sound.camera.glimpses import glimpse_directions


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
    looks = glimpse_directions(20.0)
    rng = np.random.default_rng(1)
    path = looks[best_sequence(rng.random((60, len(looks))).astype(np.float32), per_axis_limit(looks, 30.0))]
    turn = np.abs((np.diff(path[:, 0]) + 180) % 360 - 180)
    assert turn.max() <= 30
    assert np.abs(np.diff(path[:, 1])).max() <= 30
    assert turn.max() > 0


def test_without_scores_it_looks_ahead_and_stays():
    looks = glimpse_directions(20.0)
    assert set(best_sequence(np.zeros((9, 198), np.float32), great_circle_cost(looks, 30, 0.01))) == {0}


def test_it_does_not_move_for_less_than_it_costs():
    looks = np.array([[0.0, 0.0], [20.0, 0.0]])
    scores = np.zeros((10, 2), np.float32)
    scores[[0, 9], 0] = 1.0
    scores[4:6, 1] = 0.15
    assert set(best_sequence(scores, great_circle_cost(looks, 30, 0.01))) == {0}
    scores[4:6, 1] = 0.25
    # There when it sounds and not before; back when it must be.
    assert list(best_sequence(scores, great_circle_cost(looks, 30, 0.01))) == [0] * 4 + [1] * 5 + [0]
