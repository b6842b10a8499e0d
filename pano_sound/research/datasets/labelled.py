"""The layout of labelled sounds and pictures, recorded apart: three tables in one folder.

`sounds.csv` (file, label, source, group, split, seconds), `pictures.csv` (file, label, source, split, x0, y0, x1, y1,
box_by) and `pairs.csv` (sound, picture: labels that belong together).
"""

from __future__ import annotations

import csv
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import DataFileError
from .examples import Box, Example, checked, read_picture, read_sound

SMALL = 0.25
"""Share of a picture below which things count as small."""


@dataclass(frozen=True)
class Item:
    """One sound or picture: its file, label, split ('train' or 'val') and, for a picture, its box or None.

    The box is (x0, y0, x1, y1) as shares of width and height."""

    path: Path
    label: str
    split: str
    box: Box | None = None


def read_directions(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each film in a folder's table of real 360° scenes, pano/directions.csv.

    Raises DataFileError if there is none, or it cannot be read, lacks a column, has no row or has one without a finite
    time, yaw and pitch.
    """
    table = folder / "pano" / "directions.csv"
    if not table.is_file():
        raise DataFileError("there are no real scenes", table, "give the folder that holds pano/directions.csv")
    numbers = ("t_s", "yaw_deg", "pitch_deg")
    rows: dict[str, list[dict[str, str]]] = {}
    for number, row in enumerate(read_table(table, ("file", "tier", *numbers)), 2):
        try:
            finite = all(math.isfinite(float(row[name])) for name in numbers)
        except ValueError:
            finite = False
        if not finite:
            raise DataFileError(f"line {number}: {', '.join(numbers)} must be numbers", table)
        rows.setdefault(row["file"], []).append(row)
    if not rows:
        raise DataFileError("the table has no rows", table)
    return rows


def place_of(row: Mapping[str, str]) -> str:
    """The place of a real scene, from a row of its table: the column `place`, or the recording that the film is of
    (YouTube's ID of 11 characters, if it is named ID_SECOND), or else the film."""
    excerpt = re.fullmatch(r"([\w-]{11})_\d+", Path(row["file"]).stem)
    return row.get("place") or (excerpt[1] if excerpt else row["file"])


def read_table(path: Path, needed: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a CSV file, with or without a byte order mark; cells that a short row lacks are "". Raises DataFileError
    if it cannot be read or lacks a column."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            columns, rows = reader.fieldnames or (), list(reader)
    except OSError as error:
        raise DataFileError(f"the table cannot be read: {error.strerror or error}", path=path) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataFileError(f"the table cannot be read: {error}", path=path) from error
    if missing := [name for name in needed if name not in columns]:
        raise DataFileError(f"the table lacks the column {missing[0]}", path, f"it needs {', '.join(needed)}")
    return rows


def read_items(data: Path, kind: str) -> list[Item]:
    """All rows of `sounds.csv` or `pictures.csv` (kind: 'sounds' or 'pictures') of a data folder.

    Raises:
        DataFileError: the table cannot be read, lacks a column, or has a box that is no four shares of the picture.
    """
    items = []
    at = data / f"{kind}.csv"
    for number, row in enumerate(read_table(at, ("file", "label", "split")), 2):
        corners = [row.get(name, "") for name in ("x0", "y0", "x1", "y1")]
        try:
            box = tuple(float(c) for c in corners) if all(corners) else None
        except ValueError as error:
            raise DataFileError(f"line {number}: the box must be four numbers", path=at) from error
        try:
            if box is not None:
                checked(box)  # type: ignore[arg-type]
        except ValueError as error:
            raise DataFileError(f"line {number}: {error}", path=at) from error
        items.append(Item(data / row["file"], row["label"], row["split"], box))  # type: ignore[arg-type]
    return items


def read_pairs(data: Path) -> dict[str, list[str]]:
    """Sound label -> matching picture labels. Raises DataFileError as `read_table`."""
    pairs: dict[str, list[str]] = {}
    for row in read_table(data / "pairs.csv", ("sound", "picture")):
        pairs.setdefault(row["sound"], []).append(row["picture"])
    return pairs


@dataclass(frozen=True)
class Photograph:
    """A picture of several things, each with its label and box (x0, y0, x1, y1 as shares of width and height)."""

    path: Path
    things: tuple[tuple[str, Box], ...]


def read_photographs(table: Path, split: str | None = None, least: float = 0.0) -> list[Photograph]:
    """The pictures beside a table of boxes (file, label, x0, y0, x1, y1; perhaps split and score).

    Args:
        table: boxes.csv or auto_boxes.csv; without one, the result is empty.
        split: rows of this split only.
        least: boxes that a detector gave a lower score are left out.

    Raises:
        DataFileError: the table lacks a column, or has a box that is no four numbers or that holds nothing.
    """
    if not table.exists():
        return []
    things: dict[str, list[tuple[str, Box]]] = {}
    for number, row in enumerate(read_table(table, ("file", "label", "x0", "y0", "x1", "y1")), 2):
        try:
            x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
            sure = float(row.get("score") or 1.0) >= least
        except ValueError as error:
            raise DataFileError(f"line {number}: the box must be four numbers", path=table) from error
        if not (x0 < x1 and y0 < y1):
            raise DataFileError(f"line {number}: the box holds nothing", path=table)
        if sure and (split is None or row.get("split") == split):
            label = row["label"].lower().replace(" ", "_")
            things.setdefault(row["file"], []).append((label, (x0, y0, x1, y1)))
    return [Photograph(table.parent / name, tuple(boxes)) for name, boxes in things.items()]


def read_stills(data: Path, split: str) -> list[Path]:
    """The panoramas of `stills/` in a split; a hash of their names puts a fifth of them into 'val'."""
    stills = sorted((data / "stills").glob("*.jpg"))
    return [still for still in stills if (zlib.crc32(still.name.encode()) % 10 < 2) == (split == "val")]


def read_clips(data: Path, split: str) -> list[Path]:
    """The films of `clips/` in a split; none if the data has no clips."""
    table = data / "clips" / "clips.csv"
    if not table.exists():
        return []
    return [table.parent / row["file"] for row in read_table(table, ("file", "split")) if row["split"] == split]


def short_names(films: Sequence[Path], folder: Path) -> list[str]:
    """What each of these films is called in caches and labels: its name without its ending. Where that is also the name
    of another film: its path in the folder, with '+' between the parts."""
    counts = Counter(film.stem for film in set(films))
    return [
        film.stem if counts[film.stem] == 1 else "+".join(Path(os.path.relpath(film, folder)).parts) for film in films
    ]


def read_people(data: Path) -> list[Item]:
    """Whole people, which are rare in `pictures.csv`: hand-drawn boxes around COCO's persons in `boxed/`.

    Only the pictures with COCO's numbers are used for training; the others are left for judging."""
    folder = data / "boxed"
    if not (folder / "boxes.csv").exists():
        return []
    items = []
    for row in read_table(folder / "boxes.csv", ("file", "label", "x0", "y0", "x1", "y1")):
        box = tuple(float(row[name]) for name in ("x0", "y0", "x1", "y1"))
        tall = box[3] - box[1] > 0.25
        if row["label"].lower() == "person" and row["file"][0].isdigit() and tall:
            items.append(Item(folder / row["file"], "person", "train", box))  # type: ignore[arg-type]
    return items


def useful_pictures(
    items: Sequence[Item], pairs: dict[str, list[str]], most: int = 10_000, others: int = 15
) -> list[Item]:
    """Up to `most` pictures of each label with a sound, and `others` of each silent label."""
    heard = {picture for pictures in pairs.values() for picture in pictures}
    counts: dict[str, int] = {}
    chosen = []
    for item in items:
        counts[item.label] = counts.get(item.label, 0) + 1
        if counts[item.label] <= (most if item.label in heard else others):
            chosen.append(item)
    return chosen


class _Sounds:
    """The sounds of a split, one of which is drawn for each picture that they belong to."""

    def __init__(self, data: Path, split: str, seed: int) -> None:
        self.data, self.split = data, split
        self.of_label: dict[str, list[Item]] = {}
        for item in read_items(data, "sounds"):
            if item.split == split:
                self.of_label.setdefault(item.label, []).append(item)
        self.heard: dict[str, list[str]] = {}
        for label, pictures in read_pairs(data).items():
            for picture in pictures if label in self.of_label else ():
                self.heard.setdefault(picture, []).append(label)
        # One reader per sound, shared by its pictures, so that sharing can be recognised.
        same = [item.path for items in self.of_label.values() for item in items]
        self.readers = {path: partial(read_sound, path) for path in same}
        self.rng = np.random.default_rng(seed)

    def with_picture(self, path: Path, thing: str, boxes: tuple[Box, ...], whole: bool = True) -> Example:
        """The picture with a sound of its thing. It is named after its file, and after the thing unless that is the
        `whole` of it."""
        labels = self.heard[thing]
        choice = self.of_label[labels[int(self.rng.integers(len(labels)))]]
        sound = choice[int(self.rng.integers(len(choice)))]
        name = path.relative_to(self.data).as_posix()
        key = name if whole else f"{name} ({thing})"
        drawn = (boxes,) if boxes else ()
        look = partial(read_picture, path)
        return Example(key, name, look, self.readers[sound.path], drawn, label=sound.label, split=self.split)


def paired(data: Path, split: str, seed: int = 0) -> list[Example]:
    """Each picture of a split whose label has sounds there, with one of them, drawn at random.

    Every picture counts as a separate recording (`video`), so that negatives come from other pictures. The boxes are
    those of the table, one annotator at most.

    Args:
        data: the folder of the three tables.
        split: rows of this split only, sounds as well as pictures.
        seed: of the draw.

    Raises:
        DataFileError: a table cannot be read, or no picture of the split has a sound.
    """
    sounds = _Sounds(data, split, seed)
    examples = [
        sounds.with_picture(item.path, item.label, (item.box,) if item.box is not None else ())
        for item in read_items(data, "pictures")
        if item.split == split and item.label in sounds.heard
    ]
    if not examples:
        raise DataFileError(f"no picture of split {split!r} has a sound of its label", path=data)
    return examples


def small_things(data: Path, split: str, seed: int = 0) -> list[Example]:
    """Each kind of thing in the photographs of `coco/` and `boxed/` that has sounds in a split, with one of them. The
    boxes are those around all things of that kind; together they cover less than a quarter of the picture.

    Those photographs of `boxed/` that training uses (`read_people`) are left out.

    Raises:
        DataFileError: a table cannot be read, or there is no such thing.
    """
    sounds = _Sounds(data, split, seed)
    photographs = read_photographs(data / "coco" / "boxes.csv", split)
    if split != "train":
        photographs += [p for p in read_photographs(data / "boxed" / "boxes.csv") if not p.path.name[0].isdigit()]
    examples = []
    for photograph in photographs:
        for thing in sorted({label for label, _ in photograph.things} & sounds.heard.keys()):
            boxes = tuple(box for label, box in photograph.things if label == thing)
            if sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) < SMALL:
                examples.append(sounds.with_picture(photograph.path, thing, boxes, whole=False))
    if not examples:
        hint = "coco/boxes.csv and boxed/boxes.csv name them"
        raise DataFileError(f"no photograph shows a small thing that has a sound in the split {split!r}", data, hint)
    return examples
