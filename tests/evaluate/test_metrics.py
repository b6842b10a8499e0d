"""Every measure against cases worked out by hand, and what must hold of any answer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pano_sound.research.evaluate.metrics import (
    Proportion,
    answer,
    area_under_curve,
    average_precision,
    best_f1,
    box_map,
    consensus_iou,
    consensus_map,
    heat_map,
    majority,
    precision_recall,
    success,
    success_curve,
)

LEFT, RIGHT, TOP = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.5)
UNIT = st.floats(0, 1, width=32)
corner = st.tuples(UNIT, UNIT, UNIT, UNIT)
boxes = corner.map(lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])))
truths = arrays(np.float32, (2, 3, 4), elements=st.sampled_from([0.0, 0.5, 1.0]))
answers = arrays(np.bool_, (2, 3, 4))


def test_a_box_holds_the_pixels_whose_middle_it_holds() -> None:
    # Middles of 4 columns: 1/8, 3/8, 5/8, 7/8; of 2 rows: 1/4, 3/4.
    assert box_map([(0.2, 0.0, 0.7, 0.5)], 2, 4).tolist() == [[False, True, True, False], [False] * 4]
    assert box_map([LEFT, TOP], 2, 2).tolist() == [[True, True], [True, False]]
    assert not box_map([], 2, 2).any()


def test_majority() -> None:
    assert [majority(n) for n in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]


def test_consensus_of_three() -> None:
    # Votes at (top left, top right, bottom left, bottom right): 3, 1, 2, 0; two make the full score (eq. 9).
    g = consensus_map([[LEFT], [LEFT], [TOP]], 2, 2)
    assert g.tolist() == [[1.0, 0.5], [1.0, 0.0]]
    # Of those who drew anything there.
    assert consensus_map([[], [LEFT], []], 2, 2).tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert consensus_map([[LEFT, RIGHT]], 2, 2).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_ciou_by_hand() -> None:
    g = np.array([[1.0, 0.5], [1.0, 0.0]], np.float32)
    # All pixels answered: shared 2.5; union 2.5 + 1 outside = 3.5.
    # Right column: shared 0.5; union 2.5 + 1 = 3.5.  Left column: 2 / 2.5.  Nothing: 0.
    active = np.array([[[1, 1], [1, 1]], [[0, 1], [0, 1]], [[1, 0], [1, 0]], [[0, 0], [0, 0]]], bool)
    found = consensus_iou(active, np.stack([g] * 4))
    assert found == pytest.approx([2.5 / 3.5, 0.5 / 3.5, 2 / 2.5, 0])
    assert consensus_iou(np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), np.float32)).tolist() == [0]


def test_heat_map_by_hand() -> None:
    # Twice the size, bilinear between the middles of cells: 0, 1/4, 3/4, 1 along a row, before and after stretching.
    row = heat_map(torch.tensor([[[-0.2, 0.6]]]), 1, 4)
    assert row[0, 0] == pytest.approx([0, 0.25, 0.75, 1])
    assert answer(row).tolist() == [[[False, False, True, True]]]
    flat = heat_map(torch.full((1, 2, 2), 0.3), 4, 4)
    assert not flat.any()
    assert not answer(flat).any()
    assert not answer(flat, "half").any()


def test_maps_are_cut_at_a_level_or_in_half() -> None:
    maps = np.array([[[0.0, 0.6, 0.7, 1.0]]], np.float32)
    assert answer(maps).tolist() == [[[False, True, True, True]]]
    assert answer(maps, level=0.65).tolist() == [[[False, False, True, True]]]
    # The third of four is the median that the public code takes (index n // 2); what lies above it is the answer.
    assert answer(maps, "half").tolist() == [[[False, False, False, True]]]
    with pytest.raises(ValueError, match="no such cut"):
        answer(maps, "third")


def test_success_and_area_by_hand() -> None:
    overlaps = [0.0, 0.5, 0.6, 1.0]
    share = success(overlaps)
    assert (share.right, share.of) == (3, 4)
    curve = success_curve(overlaps, np.array([0, 0.5, 0.55, 0.75, 1]))
    assert curve.tolist() == [1, 0.75, 0.5, 0.25, 0.25]
    # Thresholds at steps of 0.05; a cIoU of c = k * 0.05 < 1 reaches k + 1 of them: k steps whole and one half.
    # 0 -> 0.025, 0.5 -> 0.525, 0.6 -> 0.625, 1 -> 1; their mean:
    assert area_under_curve([0.0, 0.525, 0.625, 1.0]) == pytest.approx((0.025 + 0.525 + 0.625 + 1) / 4)


def test_a_proportion_has_a_value_and_an_interval() -> None:
    share = Proportion()
    for right in (True, True, False, True):
        share.add(right)
    assert share.value == 0.75
    # Clopper–Pearson of 0 of 10: [0, 1 - 0.025^(1/10)].
    assert Proportion(0, 10).interval() == pytest.approx((0, 1 - 0.025**0.1))
    assert np.isnan(Proportion().value)
    assert Proportion().interval() == (0, 1)
    assert str(Proportion(1, 2)).startswith(" 50.0 %")
    assert str(Proportion()).split() == ["-", "of", "0"]


def test_average_precision_and_f1_by_hand() -> None:
    # Ranked: yes, no, yes, no.  Precision 1, 1/2, 2/3, 1/2 at recall 1/2, 1/2, 1, 1.
    scores, right = [0.9, 0.8, 0.7, 0.1], [True, False, True, False]
    precision, recall = precision_recall(scores, right)
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert recall == pytest.approx([1 / 2, 1 / 2, 1, 1])
    assert average_precision(scores, right) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert best_f1(scores, right) == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1))
    # All scores equal: one point, half of them right.
    assert average_precision([1, 1, 1, 1], right) == 0.5
    # Four were wanted, two could be found: recall ends at 1/2.
    assert average_precision(scores, right, wanted=4) == pytest.approx(1 / 4 * 1 + 1 / 4 * 2 / 3)
    assert average_precision([], []) == 0
    assert best_f1([0.3], [False]) == 0


@given(truths, answers)
def test_ciou_is_a_share_and_one_only_for_all_that_counts(truth, active) -> None:
    overlap = consensus_iou(active, truth)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    whole = consensus_iou(truth > 0, truth)
    assert whole == pytest.approx((truth > 0).any((1, 2)).astype(float))
    assert (overlap <= whole + 1e-12).all()


@given(truths)
def test_with_one_annotator_it_is_the_ordinary_iou(truth) -> None:
    truth = (truth > 0).astype(np.float32)
    active = np.roll(truth > 0, 1, axis=2)
    either = ((truth > 0) | active).sum((1, 2))
    both = ((truth > 0) & active).sum((1, 2))
    assert consensus_iou(active, truth) == pytest.approx(both / np.maximum(either, 1))


@given(st.lists(st.lists(boxes, max_size=2), min_size=1, max_size=4))
def test_consensus_maps_are_within_bounds_and_full_where_all_agree(annotations) -> None:
    g = consensus_map(annotations, 7, 9)
    assert ((g >= 0) & (g <= 1)).all()
    drawn = np.stack([box_map(one, 7, 9) for one in annotations])
    assert (g[drawn.all(0)] == 1).all()
    assert (g[~drawn.any(0)] == 0).all()


@given(arrays(np.float32, (2, 3, 5), elements=st.floats(-1, 1, width=16)), st.floats(0.5, 4), st.floats(-1, 1))
def test_maps_do_not_depend_on_scale_and_offset(raw, scale, offset) -> None:
    first = heat_map(torch.from_numpy(raw), 12, 20)
    assert ((first >= 0) & (first <= 1)).all()
    varied = np.ptp(raw, axis=(1, 2)) > 0.01
    second = heat_map(torch.from_numpy(raw * np.float32(scale) + np.float32(offset)), 12, 20)
    assert first[varied] == pytest.approx(second[varied], abs=1e-3)
    assert first[varied].reshape(-1, 240).max(1) == pytest.approx(1)
    assert (answer(first, "half").sum((1, 2)) <= 120).all()


@given(st.lists(UNIT, min_size=1, max_size=30))
def test_the_area_is_the_mean_overlap_within_a_step(overlaps) -> None:
    curve = success_curve(overlaps)
    assert curve[0] == 1
    assert (np.diff(curve) <= 0).all()
    assert area_under_curve(overlaps) == pytest.approx(np.mean(overlaps), abs=0.05)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_average_precision_knows_only_the_order(pairs) -> None:
    scores, right = np.array([p[0] for p in pairs], float), [p[1] for p in pairs]
    value = average_precision(scores, right)
    assert 0 <= value <= 1
    assert 0 <= best_f1(scores, right) <= 1
    assert value == pytest.approx(average_precision(np.exp(scores) - 7, right))
    if any(right):
        assert average_precision(np.array(right, float), right) == 1
        assert best_f1(right, right) == 1
