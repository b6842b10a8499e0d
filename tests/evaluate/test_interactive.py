"""The same picture, other sounds."""

import json

import numpy as np
import pytest
from colours import Deaf, Knowing, example

from pano_sound.errors import DataFileError
from pano_sound.research.evaluate import interactive

BOX = (0.2, 0.2, 0.7, 0.7)


def test_a_model_that_knows_follows_and_a_deaf_one_stays() -> None:
    examples = [example(i, colour, BOX) for i, colour in enumerate(["red", "green", "blue", "red", "green"])]
    result = interactive.evaluate(Knowing(), examples, draws=20, show=3)
    assert (result.each.right, result.each.of) == (40, 40)
    assert (result.both.right, result.both.of) == (20, 20)
    assert len(result.shown) == 3
    for shown in result.shown:
        assert shown.picture.shape == (320, 640, 3)
        assert [np.argmax(heat.max(axis=0)) < 320 for heat in shown.maps] == [True, False]
    deaf = interactive.evaluate(Deaf(), examples, draws=20)
    assert deaf.both.right == 0
    assert deaf.each.value == 0.5
    assert json.loads(json.dumps(result.as_json()))["both"]["share"] == 1
    assert "both sounds" in str(result)


def test_one_kind_cannot_be_told_apart() -> None:
    examples = [example(i, "red", BOX) for i in range(3)]
    with pytest.raises(DataFileError, match="sound different"):
        interactive.evaluate(Knowing(), examples)
