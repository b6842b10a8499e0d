"""When the network looks again."""

import numpy as np
import pytest
import torch

from pano_sound.localize.nets.network import TINY, Localizer
from pano_sound.localize.semantic import SemanticCue

ROWS, COLUMNS = 480, 960


def looks(monkeypatch, pictures):
    """Which of the pictures, at 0, 2, 4 … seconds, the network looks at."""
    model, seen = Localizer(**TINY).eval(), []
    monkeypatch.setattr(
        model, "visual", lambda picture, wrap: seen.append(picture.clone()) or torch.zeros(1, 16, 30, 60)
    )
    cue, found = SemanticCue(model, 3.0, 0.5), []
    for n, picture in enumerate(pictures):
        before = len(seen)
        cue.add_picture(2.0 * n, picture)
        found.append(len(seen) > before)
    return found


def scene(noise=0.0, seed=0, **patch):
    random = np.random.default_rng(7)
    picture = np.kron(random.integers(40, 200, (30, 60, 3)), np.ones((16, 16, 1)))
    for value in patch.values():
        picture[200:216, 400:416] = value
    picture = picture + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(picture.round(), 0, 255).astype(np.uint8)


def test_a_still_scene_is_looked_at_once_whatever_its_noise(monkeypatch):
    assert looks(monkeypatch, [scene(2.0, seed) for seed in range(5)]) == [True, False, False, False, False]


def test_a_still_scene_is_looked_at_again_each_ten_seconds(monkeypatch):
    assert looks(monkeypatch, [scene()] * 12) == [True, False, False, False, False] * 2 + [True, False]


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 0, 0), (0, 255, 0)])
def test_what_appears_or_goes_is_looked_at_also_where_it_is_small(monkeypatch, colour):
    bare, with_it = scene(2.0, 1), scene(2.0, 2, patch=colour)
    assert looks(monkeypatch, [bare, with_it, with_it, bare]) == [True, True, False, True]


def test_slow_changes_add_up(monkeypatch):
    base = np.full((ROWS, COLUMNS, 3), 100, np.uint8)
    assert looks(monkeypatch, [base + n for n in range(5)]) == [True, False, False, True, False]
