"""The table of what makes which sound: every row means something, and bad rows are named."""

from pathlib import Path

import numpy as np
import pytest

from pano_sound.errors import DataFileError
from pano_sound.research.datasets.labelled import read_table
from pano_sound.research.train.knowledge import TABLE, Knowledge

SOUNDS = [row["sound"] for row in read_table(TABLE)]


def test_the_shipped_table() -> None:
    rows = [(row["sound"], row["thing"]) for row in read_table(TABLE)]
    assert len(rows) == len(set(rows))
    knowledge = Knowledge(sorted(set(SOUNDS)))
    heard = np.zeros((3, len(set(SOUNDS))), np.float32)
    tags = sorted(set(SOUNDS))
    heard[0, tags.index("Train horn")] = 0.9
    heard[1, tags.index("Bark")] = 0.8
    heard[1, tags.index("Speech")] = 0.5
    assert knowledge.of(heard) == [["train"], ["dog", "person"], []]


def test_scores_are_the_most_certain_sound_times_its_strength(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("sound,thing,strength\nBark,dog,1\nHowl,dog,0.5\nHowl,person,0.25\n")
    knowledge = Knowledge(["Howl", "Bark"], table)
    assert knowledge.things == ["dog", "person"]
    scores = knowledge.scores(np.array([[0.8, 0.1], [0.4, 0.9]], np.float32))
    np.testing.assert_allclose(scores, [[0.4, 0.2], [0.9, 0.1]], atol=1e-6)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Meow,cat,1", "line 2: no tag is called 'Meow'"),
        ("Bark,dog,2", "line 2: the strength is not in"),
        ("Bark,dog,0", "line 2: the strength is not in"),
        ("Bark,dog,much", "line 2: the strength is not in"),
    ],
)
def test_bad_rows_are_named(row: str, said: str, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"sound,thing,strength\n{row}\n")
    with pytest.raises(DataFileError, match=said):
        Knowledge(["Bark"], table)
