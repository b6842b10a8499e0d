"""Which sounds come from which things: the readable table `sounding.csv`.

Its rows are an AudioSet class, a visible thing (a label of pictures, or a class of COCO) and how surely the sound comes
from it, 0 to 1. With a tagger's scores it connects every sound with things, whatever the sound's label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataFileError
from ..datasets.labelled import read_table

TABLE = Path(__file__).with_name("sounding.csv")
SURE = 0.3
"""A sound belongs to a thing if its score is at least this."""
PREFIX = "~"
"""Prefix of the group of all sounds that come from a thing according to the tagger: `~person`."""


class Knowledge:
    """The table, for the tags of one tagger.

    Args:
        tags: the tagger's names of sounds, in the order of its scores.
        table: a CSV file: sound, thing, strength.

    Attributes:
        things: what can be seen, sorted.
        strengths: (tags, things) float32 in [0, 1].

    Raises:
        DataFileError: the table cannot be read, names a sound that no tag has, or a strength that is not in (0, 1].
    """

    def __init__(self, tags: Sequence[str], table: Path = TABLE) -> None:
        rows = read_table(table, ("sound", "thing", "strength"))
        self.things = sorted({row["thing"] for row in rows})
        number = {tag: i for i, tag in enumerate(tags)}
        self.strengths = np.zeros((len(tags), len(self.things)), np.float32)
        for line, row in enumerate(rows, 2):
            if row["sound"] not in number:
                raise DataFileError(f"line {line}: no tag is called {row['sound']!r}", path=table)
            try:
                strength = float(row["strength"])
            except ValueError:
                strength = 0.0
            if not 0 < strength <= 1:
                raise DataFileError(f"line {line}: the strength is not in (0, 1]", path=table)
            self.strengths[number[row["sound"]], self.things.index(row["thing"])] = strength

    def scores(self, tags: NDArray[np.float32]) -> NDArray[np.float32]:
        """How surely sounds come from each thing: scores of tags (n, tags) in [0, 1] -> (n, things) in [0, 1]."""
        return np.stack([(tags * column).max(axis=1) for column in self.strengths.T], axis=1)

    def of(self, tags: NDArray[np.float32]) -> list[list[str]]:
        """The things that each sound surely comes from."""
        return [[self.things[k] for k in np.flatnonzero(row >= SURE)] for row in self.scores(tags)]
