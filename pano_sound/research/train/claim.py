"""What the recipe `base` trains in a work folder, so that the folder is not used for anything else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ...atomic_file import written_whole
from ...errors import DataFileError
from ...localize.nets.files import find
from ..datasets.labelled import read_clips, read_items, read_pairs, read_people, read_photographs, read_stills

_LESSONS = 4
"""Raised when what the code makes of the same data and recipe changes: what caches and checkpoints hold is old then."""


class Claim:
    """A training's claim to its work folder, `folder/training.json`: the recipe, and hashes of the data and of the
    weights to start from, because the caches of the folder hold what they gave by position.

    Args:
        folder: the work folder.
        data: the data folder.
        recipe: the hyperparameters, with `start`.

    Raises:
        DataFileError: a table cannot be read; ModelError: the weights to start from are missing.
    """

    def __init__(self, folder: Path, data: Path, recipe: dict[str, Any]) -> None:
        self.folder, self.at = folder, folder / "training.json"
        start = _hash(find(recipe["start"]).read_bytes()) if recipe["start"] else ""
        data_hash = _hash(repr(_learnt_from(data)).encode())
        self.training = {**recipe, "start": start, "data": data_hash, "lessons": _LESSONS}

    def check(self) -> None:
        """Raises DataFileError if the folder is used for another training, or does not say for which."""
        try:
            there = json.loads(self.at.read_text(encoding="utf-8")) if self.at.exists() else self.training
        except ValueError as error:
            raise DataFileError("the file is damaged", self.at, "use another --work") from error
        if other := [name for name, value in self.training.items() if there.get(name) != value]:
            what = f"the folder holds another training: {', '.join(other)}"
            raise DataFileError(what, self.folder, "use another --work")

    def write(self) -> None:
        """Record the claim."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with written_whole(self.at, "w") as file:
            json.dump(self.training, file)


def _learnt_from(data: Path) -> tuple[object, ...]:
    """Names and contents of the files that training reads, and what the tables say of them."""
    items = [item for kind in ("sounds", "pictures") for item in read_items(data, kind) if item.split == "train"]
    items += read_people(data)
    photographs = read_photographs(data / "coco" / "boxes.csv", "train")
    photographs += read_photographs(data / "stills" / "auto_boxes.csv")
    files = [item.path for item in items] + [photograph.path for photograph in photographs]
    files += [*read_stills(data, "train"), *read_clips(data, "train"), *sorted((data / "teachers").glob("*.*"))]
    return (
        [(os.path.relpath(file, data), _hash(file.read_bytes()) if file.is_file() else None) for file in files],
        [(item.label, item.box) for item in items],
        [photograph.things for photograph in photographs],
        read_pairs(data),
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
