"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from pano_sound.research.train import losses


def test_soft_maximum() -> None:
    raw = torch.tensor([0.2, 0.9, -0.5])
    assert float(losses.soft_maximum(raw, 1e-3)) == pytest.approx(0.9, abs=0.002)
    assert float(losses.soft_maximum(torch.full((7,), 0.3), 0.1)) == pytest.approx(0.3)


def test_contrast_of_equal_scores_is_chance() -> None:
    match = torch.eye(4, dtype=torch.bool)
    assert float(losses.contrast(torch.zeros(4, 4), match, 4, 0.1)) == pytest.approx(math.log(4))


def test_contrast_leaves_out_other_matches_and_what_has_no_pair() -> None:
    match = torch.tensor([[True, True, False], [False, True, False], [False, False, False]])
    # Rows: own of two, own of three; columns: own of three, own of two. The third ones are only wrong answers.
    expected = (math.log(2) + math.log(3)) / 2
    assert float(losses.contrast(torch.zeros(3, 3), match, 2, 1.0)) == pytest.approx(expected)


def test_another_match_does_not_do_for_the_own_pair() -> None:
    match = torch.ones(2, 2, dtype=torch.bool)
    match[1, 0] = False
    scores = torch.tensor([[0.0, 9.0], [0.0, 0.0]], requires_grad=True)
    losses.contrast(scores, match, 2, 1.0).backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == 0  # it may be as high as it likes
    assert scores.grad[1, 0] > 0


def test_place_is_equation_8() -> None:
    raw = torch.tensor([[0.0, math.log(3.0)]])
    assert float(losses.place(raw, torch.tensor([[0.0, 2.0]]), 1.0)) == pytest.approx(math.log(4 / 3))
    both = (math.log(4) + math.log(4 / 3)) / 2
    assert float(losses.place(raw, torch.tensor([[1.0, 1.0]]), 1.0)) == pytest.approx(both)


def test_extent_is_the_soft_ciou_of_the_upper_half_of_the_range() -> None:
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    exact = torch.tensor([[0.5, 0.5, -0.1, -0.1]])
    assert float(losses.extent(exact, target, 50.0)) == pytest.approx(0.0, abs=1e-3)
    assert float(losses.extent(7 * exact - 3, target, 50.0)) == pytest.approx(0.0, abs=1e-3)  # only the range counts
    too_large = torch.tensor([[0.5, 0.5, 0.4, -0.1]])  # two right cells, one wrong one: 2 / 3
    assert float(losses.extent(too_large, target, 50.0)) == pytest.approx(1 / 3, abs=1e-3)
    elsewhere = torch.tensor([[-0.1, -0.1, 0.5, 0.5]])
    assert float(losses.extent(elsewhere, target, 50.0)) == pytest.approx(1.0, abs=1e-3)


def test_the_place_within_a_box_does_not_matter() -> None:
    raw = torch.tensor([[9.0, -9.0, -9.0, -9.0]])
    target = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert float(losses.inside(raw, target, 1.0)) == pytest.approx(0.0, abs=1e-4)
    assert float(losses.place(raw, target, 1.0)) > 5


def test_presence_weighs_matches_like_the_rest() -> None:
    scores = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    match = torch.tensor([[True, False, False, False]])
    assert float(losses.presence(scores, match, 10.0, 0.5)) == pytest.approx(math.log(2))
    sure = losses.presence(torch.tensor([[0.9, 0.1, 0.1, 0.1]]), match, 10.0, 0.5)
    assert float(sure) == pytest.approx(math.log(1 + math.exp(-4)), rel=1e-4)
    only = losses.presence(scores, torch.ones_like(match), 10.0, 0.5)  # as where each scene of a batch holds the thing
    assert float(only) == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize("loss", [losses.extent, lambda raw, target: losses.place(raw, target, 0.1)])
def test_a_batch_without_a_boxed_picture_teaches_no_place(loss) -> None:
    raw = torch.zeros(0, 9, requires_grad=True)
    found = loss(raw, torch.zeros(0, 9))
    found.backward()
    assert found.item() == 0
