"""Boxes: a model that knows, one that does not listen, and what the numbers then have to be."""

import json
from dataclasses import replace

import numpy as np
import pytest
from colours import Deaf, Knowing, example

from pano_sound.errors import DataFileError
from pano_sound.research.evaluate import boxed
from pano_sound.research.evaluate.boxed import Variant
from pano_sound.research.evaluate.metrics import area_under_curve

# On the grid's lines (twentieths), so that cells are of one colour.
CENTRE, CORNER, WIDE = (0.25, 0.25, 0.75, 0.75), (0.0, 0.0, 0.3, 0.3), (0.1, 0.1, 0.9, 0.9)


@pytest.fixture
def examples():
    return [
        example(0, "red", CENTRE),
        example(1, "green", CORNER),
        example(2, "blue", WIDE),
        example(3, "red", CORNER, boxes=()),
        example(4, "green", CENTRE),
    ]


def test_a_model_that_knows_is_right_only_by_listening(examples) -> None:
    result = boxed.evaluate(Knowing(), examples, repeats=3)
    assert result.keys == ["0", "1", "2", "4"]
    for mechanism in (1, 2):
        assert result.success(Variant("own", mechanism)).value == 1
        # Only the corners are rounded by the enlargement.
        assert result.overlaps[Variant("own", mechanism)].min() > 0.98
        assert area_under_curve(result.overlaps[Variant("own", mechanism)]) > 0.96
        assert result.overlaps[Variant("another", mechanism)].max() == 0
        # The mean over all sounds has the same shape: these pictures are answered without listening.
        assert result.success(Variant("none", mechanism)).value == 1
    assert result.truth_area == pytest.approx((0.25 + 0.09 + 0.64 + 0.25) / 4, abs=1e-3)


def test_the_upper_half_is_cut_as_public_code_cuts_it(examples) -> None:
    result = boxed.evaluate(Knowing(), examples, repeats=0)
    # A box of a quarter: more than half of the pixels are flat 0, the median; what lies above it is the box and the
    # slope around it, half a cell wide. A box of 0.64 fills the median with 1: nothing lies above.
    overlaps = result.overlaps[Variant("own", 1, "half")]
    assert overlaps[0] == pytest.approx(0.5**2 / (0.5 + 0.05) ** 2, abs=0.02)
    assert overlaps[2] == 0


def test_fixed_boxes_by_hand(examples) -> None:
    result = boxed.evaluate(Knowing(), examples, repeats=0)
    sides, area = result.centres["centre, half the sides"], result.centres["centre, half the area"]
    # A quarter of the picture against itself, against the corner's 0.05 x 0.05 in common, and inside 0.64.
    assert sides == pytest.approx([1, 0.0025 / (0.25 + 0.09 - 0.0025), 0.25 / 0.64, 1], abs=0.01)
    assert area == pytest.approx([0.5, (0.3 - 0.1464) ** 2 / (0.59 - 0.0236), 0.5 / 0.64, 0.5], abs=0.01)
    assert len(result.random) == 0
    assert result.as_json()["random"] is None


def test_noise_scores_as_chance_predicts(examples) -> None:
    result = boxed.evaluate(Knowing(), examples, repeats=20)
    assert result.random.shape == (20, 2)
    # Noise above the middle of its range is half of the picture: a / (1 + a) for a box of a.
    expected = np.mean([a / (1 + a) for a in (0.25, 0.09, 0.64, 0.25)])
    assert result.random[:, 1].mean() == pytest.approx(expected, abs=0.03)
    again = boxed.evaluate(Knowing(), examples, repeats=20)
    assert np.array_equal(result.random, again.random)


def test_several_annotators() -> None:
    # Two draw the left half, one the right: by majority of two, the left counts 1, the right a half.
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    some = example(0, "red", left, boxes=((left,), (left,), (right,)))
    other = example(1, "green", left, boxes=((left,), (), (right,)))
    result = boxed.evaluate(Knowing(), [some, other], repeats=0)
    assert result.overlaps[Variant()][0] == pytest.approx(0.5 / 0.75, abs=0.01)
    assert result.subjects[0, 1] == pytest.approx([1, 1], abs=0.01)
    assert result.subjects[1, 1][0] == pytest.approx(1, abs=0.01)
    assert np.isnan(result.subjects[1, 1][1])
    assert result.subjects[2, 1] == pytest.approx([0, 0], abs=0.01)
    assert "annotator 3 alone" in str(result)


def test_annotators_who_drew_nothing_are_not_listed() -> None:
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    two = example(0, "red", left, boxes=((), (left,), (right,)))
    result = boxed.evaluate(Knowing(), [two], repeats=0)
    assert sorted(result.subjects) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    one = replace(two, boxes=((), (left,)))
    assert boxed.evaluate(Knowing(), [one], repeats=0).subjects == {}


def test_a_deaf_model_scores_the_same_whatever_sounds(examples) -> None:
    result = boxed.evaluate(Deaf(), examples, repeats=0)
    for mechanism in (1, 2):
        own, another = (result.overlaps[Variant(hearing, mechanism)] for hearing in ("own", "another"))
        assert np.array_equal(own, another)
    assert result.success().value == 0.25


def test_disjoint_sets_and_json(examples) -> None:
    result = boxed.evaluate(Knowing(), examples, repeats=2)
    parts = result.parts(2)
    assert [len(part) for part in parts] == [2, 2]
    assert sorted(np.concatenate(parts)) == [0, 1, 2, 3]
    found = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert found["answers"][0]["success"] == 1
    assert found["random"]["repeats"] == 2


def test_sets_that_cannot_be_measured_are_refused(examples) -> None:
    with pytest.raises(DataFileError, match="no example has a box"):
        boxed.evaluate(Knowing(), examples[3:4])
    with pytest.raises(DataFileError, match="no example has a box"):
        boxed.evaluate(Knowing(), [replace(examples[0], ambient=True)])
    alone = boxed.evaluate(Knowing(), examples[:1], repeats=0)
    assert Variant("another") not in alone.overlaps
    together = boxed.evaluate(Knowing(), examples, ["one kind"] * 5, repeats=0)
    assert Variant("another") not in together.overlaps
