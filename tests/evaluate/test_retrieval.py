"""Neighbours, worked out by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from colours import Knowing, example, painted

from pano_sound.errors import DataFileError
from pano_sound.research.evaluate import retrieval
from pano_sound.research.evaluate.retrieval import Codes

BOX = (0.2, 0.2, 0.7, 0.7)


def colours(*names: str):
    return [example(i, name, BOX) for i, name in enumerate(names)]


def test_neighbours_by_hand() -> None:
    sound = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    picture = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    codes = Codes(sound, picture, ~np.eye(3, dtype=bool))
    # Picture 0 to sounds 1, 2: 0.8, 0.  Picture 1 to sounds 0, 2: 0, 1.  Picture 2 to 0, 1: 0.6, 0.96.
    assert [row.tolist() for row in codes.neighbours("image", 5)] == [[1, 2], [2, 0], [1, 0]]
    # Sound 0 to pictures 1, 2: 0, 0.6.  Sound 1 to 0, 2: 0.8, 0.96.  Sound 2 to 0, 1: 0, 1.
    assert [row.tolist() for row in codes.neighbours("audio", 1)] == [[2], [2], [1]]
    codes.allowed[0, 1] = False
    assert codes.neighbours("image", 5)[0].tolist() == [2]


def test_success_and_chance_by_hand() -> None:
    examples = colours(*["red"] * 13, *["green"] * 12)
    result = retrieval.evaluate(retrieval.encode(Knowing(), examples), examples)
    # All twelve (eleven) others of the colour come first: all of ten, 12 or 11 of 15, 12 or 11 of 20.
    for query in ("image", "audio"):
        assert result.success[query][10] == 1
        assert result.success[query][15] == pytest.approx((13 * 12 / 15 + 12 * 11 / 15) / 25)
        assert result.success[query][20] == pytest.approx((13 * 12 / 20 + 12 * 11 / 20) / 25)
        mean, deviation = result.chance[query]
        assert mean == pytest.approx((13 * 12 / 24 + 12 * 11 / 24) / 25, abs=0.02)
        assert 0 < deviation < 0.1
    assert json.loads(json.dumps(result.as_json()))["labels"] == "the set's own"
    assert "25 examples" in str(result)


def test_the_very_same_sound_and_recording_are_left_out() -> None:
    examples = [*colours("red", "red", "green"), example(20, "red", BOX)]  # 0 and 20 have one sound
    codes = retrieval.encode(Knowing(), examples)
    off = [(i, j) for i, j in np.argwhere(~codes.allowed).tolist() if i != j]
    assert off == [(0, 3), (3, 0)]


def test_association_keeps_one_half() -> None:
    examples = colours("red", "green", "red", "green", "red")
    both = np.concatenate([painted("red", BOX)[:, :160], painted("green", BOX)[:, 160:]], axis=1)
    examples[0] = replace(examples[0], picture=lambda: both)
    codes = retrieval.encode(Knowing(), examples)
    (found,) = retrieval.associate(Knowing(), codes, examples, [0], count=2)
    # Red and green are both in the picture: a red sound makes red of it, as the query's own does, a green one green.
    assert set(found.by_sound.tolist()) == {2, 4}
    # Heard with the red sound, a red picture is red, and a green one green.
    assert set(found.by_picture.tolist()) == {2, 4}


def test_pseudo_labels_are_read_from_a_table(tmp_path) -> None:
    examples = colours("red", "red", "green")
    table = tmp_path / "labels.csv"
    table.write_text("key,label\n0,fire\n0,sky\n1,sky\n2,grass\n7,other\n")
    labels = retrieval.read_labels(table, examples)
    assert labels == [frozenset({"fire", "sky"}), frozenset({"sky"}), frozenset({"grass"})]
    result = retrieval.evaluate(retrieval.encode(Knowing(), examples), examples, labels)
    assert result.labels == "pseudo labels"
    assert result.success["image"][10] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert result.chance["image"] == pytest.approx((1 / 3, 0))
    table.write_text("key,label\n0,fire\n1\n2,\n")  # the last two have none
    labels = retrieval.read_labels(table, examples)
    assert labels == [frozenset({"fire"}), frozenset(), frozenset()]
    assert retrieval.evaluate(retrieval.encode(Knowing(), examples), examples, labels).success["image"][10] == 0
    for text in ("", "name,label\n0,fire\n", "key,label\n9,fire\n", "key,label\n0\n"):
        table.write_text(text)
        with pytest.raises(DataFileError):
            retrieval.read_labels(table, examples)


def test_a_set_without_labels_is_an_error() -> None:
    examples = [example(i, "red", BOX) for i in range(3)]
    codes = retrieval.encode(Knowing(), examples)
    with pytest.raises(DataFileError, match="--labels"):
        retrieval.evaluate(codes, examples, [frozenset()] * 3)
    with pytest.raises(DataFileError, match="can be compared"):
        retrieval.evaluate(Codes(codes.sound, codes.picture, np.zeros((3, 3), bool)), examples)
