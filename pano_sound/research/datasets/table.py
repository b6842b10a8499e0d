"""A plain table of examples: a CSV file with one row for each box.

Columns: `picture` or `clip`, and `sound` (files, relative to the table; without `sound`, that of the clip around
`time`); `x0`, `y0`, `x1`, `y1` (shares of width and height; empty: no box); and, if wanted, `annotator`, `label`,
`split` ("train" if there is none), `video` (the recording; else the picture or clip) and `time` (s, of a clip; else its
middle). Rows with the same picture or clip, sound and time are one example.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from ...errors import DataFileError
from .bad_files import BadFileCounter
from .examples import Box, Example, checked, read_picture, read_sound
from .labelled import read_table
from .videos import cut

CORNERS = ("x0", "y0", "x1", "y1")


def read(path: Path) -> list[Example]:
    """The examples of a table, in its order. Its annotators who drew boxes are in the order of their first ones, taken
    example by example, the same for each example.

    Raises:
        DataFileError: the table cannot be read, has no rows or lacks a column, or too many of its rows are bad.
    """
    rows = read_table(path)
    if not rows:
        raise DataFileError("the table has no rows", path=path)
    columns = set(rows[0])
    if not columns & {"picture", "clip"} or ("clip" not in columns and "sound" not in columns):
        raise DataFileError("the table needs the columns picture and sound, or clip", path=path)
    bad_files = BadFileCounter(path, len(rows))
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for number, row in enumerate(rows, 2):
        try:
            _check(row, path.parent)
        except ValueError as error:
            bad_files.bad(f"{path}, line {number}", error)
            continue
        key = (row.get("picture") or row.get("clip") or "", row.get("sound") or "", row.get("time") or "")
        groups.setdefault(key, []).append(row)
    kept = [row for same in groups.values() for row in same]
    annotators = list(dict.fromkeys(row.get("annotator") or "" for row in kept if _box(row) is not None))
    return [_example(path.parent, same, annotators) for same in groups.values()]


def _check(row: dict[str, str], folder: Path) -> None:
    """Raises ValueError when a row cannot be an example."""
    files = [row.get(name) for name in ("picture", "clip", "sound") if row.get(name)]
    if not (row.get("clip") or (row.get("picture") and row.get("sound"))):
        raise ValueError("it names neither a clip nor a picture and its sound")
    for name in files:
        try:
            there = (folder / str(name)).is_file()
        except OSError:  # the name is too long
            there = False
        if not there:
            raise ValueError(f"there is no file {name}")
    if (box := _box(row)) is not None:
        checked(box)
    if not 0 <= float(row.get("time") or 0) < math.inf:
        raise ValueError(f"the time {row['time']} is not in the film")


def _box(row: dict[str, str]) -> Box | None:
    corners = [row.get(name) or "" for name in CORNERS]
    if not any(corners):
        return None
    x0, y0, x1, y1 = (float(c) for c in corners)
    return x0, y0, x1, y1


def _example(folder: Path, rows: list[dict[str, str]], annotators: list[str]) -> Example:
    first = rows[0]
    boxes: dict[str, list[Box]] = {}
    for row in rows:
        box = _box(row)
        if box is not None:
            boxes.setdefault(row.get("annotator") or "", []).append(box)
    picture, clip, sound = (first.get(name) or "" for name in ("picture", "clip", "sound"))
    t = first.get("time") or ""
    about = {
        "key": "|".join(part for part in (picture or clip, sound, t) if part),
        "video": first.get("video") or clip or picture,
        "boxes": tuple(tuple(boxes.get(name, ())) for name in annotators) if boxes else (),
        "label": first.get("label") or "",
        "split": first.get("split") or "train",
    }
    seen = cut(folder / clip, float(t) if t else None, **about) if clip else None
    look = partial(read_picture, folder / picture) if picture or seen is None else seen.picture
    listen = partial(read_sound, folder / sound) if sound or seen is None else seen.sound
    return Example(picture=look, sound=listen, **about)  # type: ignore[arg-type]
