"""Presence: a model that knows rejects every sound that does not belong; a deaf one rejects none."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from colours import COLOURS, Deaf, Knowing, constant, example

from pano_sound.errors import DataFileError
from pano_sound.research.evaluate import ambient
from pano_sound.research.evaluate.ambient import Ambient

BOX = (0.2, 0.2, 0.7, 0.7)


@pytest.fixture
def examples():
    return [example(i, colour, BOX) for i, colour in enumerate([*COLOURS, *COLOURS])]


def test_a_model_that_knows_scores_full_marks(examples) -> None:
    result = ambient.evaluate(Knowing(), examples, ambient=[partial(constant, 0.5)])
    assert result.sounds == ["own", "off-screen", "ambient", "noise", "silence"]
    for mechanism in (1, 2):
        assert result.peak["own", mechanism] == pytest.approx(np.ones(6))
        assert result.mean["own", mechanism] == pytest.approx(np.full(6, 0.25))  # the box is a quarter
        for sound in result.sounds[1:]:
            assert result.weaker(sound, mechanism).value == 1
            assert result.ratio(sound, mechanism) == 0
    for sound in (*result.sounds[1:], None):
        assert result.presence(sound)["ap"] == 1
        assert result.presence(sound)["f1"] == 1
        assert result.presence(sound, placed=True)["ap"] == 1
    assert result.presence()["chance"] == pytest.approx(1 / 5)
    json.dumps(result.as_json(), allow_nan=False)
    assert "off-screen" in str(result)


def test_a_deaf_model_scores_at_chance(examples) -> None:
    result = ambient.evaluate(Deaf(), examples)
    assert result.sounds == ["own", "off-screen", "noise", "silence"]
    # All scores of a picture are equal, whatever sounds: the red third is found first, with all its negatives.
    assert result.presence("noise")["ap"] == pytest.approx(0.5)
    assert result.weaker("noise").value == 0
    assert result.ratio("noise") == 1


def test_figures_by_hand() -> None:
    mean = {("own", 1): np.array([0.4, -0.2]), ("rain", 1): np.array([0.1, -0.1])}
    peak = {("own", 1): np.array([0.9, 0.3]), ("rain", 1): np.array([0.5, 0.1])}
    result = Ambient(mean, peak, np.array([0.6, 0.2]), [])
    assert result.ratio("rain") == pytest.approx(0.05 / 0.2)
    assert result.weaker("rain").value == 0.5
    # Ranked own, rain, own, rain: 1/2 * 1 + 1/2 * 2/3.
    assert result.presence("rain")["ap"] == pytest.approx(1 / 2 + 1 / 3)
    # The second own answer is misplaced: one found of two wanted.
    assert result.presence("rain", placed=True) == {"ap": 0.5, "f1": pytest.approx(2 / 3)}


def test_a_share_of_nothing_is_a_dash() -> None:
    none = np.array([-0.4, -0.2])
    result = Ambient({("own", 1): none, ("rain", 1): none}, {("own", 1): none, ("rain", 1): none}, none * np.nan, [])
    assert "nan" not in str(result)


def test_boxes_are_no_condition(examples) -> None:
    result = ambient.evaluate(Knowing(), [replace(one, boxes=()) for one in examples])
    assert result.boxed == 0
    assert result.as_json()["placed"] == []
    assert result.presence()["ap"] == 1


def test_sets_that_cannot_be_measured_are_refused(examples) -> None:
    with pytest.raises(DataFileError, match="sound different"):
        ambient.evaluate(Knowing(), examples[:1])
    with pytest.raises(DataFileError, match="sound different"):
        ambient.evaluate(Knowing(), [replace(one, ambient=True) for one in examples])
