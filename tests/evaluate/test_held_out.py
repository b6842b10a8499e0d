"""What is read for measuring: the held-out split, kinds, ambient sounds."""

import numpy as np
import pytest
from colours import example

from pano_sound.errors import DataFileError
from pano_sound.research.evaluate.embed import others
from pano_sound.research.evaluate.sets import kinds, read


def test_labels_that_share_a_picture_are_one_kind() -> None:
    box = (0.2, 0.2, 0.7, 0.7)
    examples = [example(i, colour, box) for i, colour in enumerate(["red", "green", "blue"])]
    assert kinds(examples) == ["red", "green", "blue"]
    # Red and blue meet in a fourth label's pictures.
    pairs = {"red": ["rose"], "green": ["grass"], "blue": ["sky"], "dawn": ["rose", "sky"]}
    assert kinds(examples, pairs) == ["blue", "green", "blue"]


def test_without_labels_recordings_are_kinds(made_set) -> None:
    from dataclasses import replace

    found = [replace(one, label="") for one in read(made_set).examples]
    assert kinds(found) == [f"recording {one.video}" for one in found]


def test_others_are_of_another_kind() -> None:
    names = ["a", "a", "b", "c", "b"]
    chosen = others(names, np.random.default_rng(0))
    assert all(names[i] != names[j] for i, j in enumerate(chosen))
    assert others(["a", "a"], np.random.default_rng(0)) is None


def test_the_held_out_split_is_read(made_set) -> None:
    held_out = read(made_set)
    assert held_out.split == "val"
    assert len(held_out.examples) == 8
    assert len(held_out.ambient) == 1
    assert sorted(set(held_out.kinds)) == ["bell", "car", "dog", "horn"]
    train = read(made_set, "train")
    assert {example.split for example in train.examples} == {"train"}
    with pytest.raises(DataFileError):
        read(made_set, "test")


def test_a_split_that_was_not_held_out_is_not_measured(made_set, tmp_path) -> None:
    for name in ("sounds.csv", "pictures.csv", "pairs.csv"):
        (tmp_path / name).write_text((made_set / name).read_text().replace(",val", ",other"))
    with pytest.raises(DataFileError, match=r"none of the splits is test or val \(there are other, train\)"):
        read(tmp_path)
    assert read(tmp_path, "other").split == "other"
