"""The layouts that sets come in, told apart by what lies in their folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataFileError
from .examples import Example
from .labelled import paired, read_items

LOOKED_FOR = {
    "labelled": "a folder with sounds.csv, pictures.csv and pairs.csv",
}
"""Each layout, and by what it is recognised."""


def recognise(path: Path) -> str:
    """The name of the layout of a folder or file. Raises DataFileError with what was looked for."""
    if not path.exists():
        raise DataFileError("there is no such set", path=path)
    if path.is_dir() and all((path / f"{name}.csv").is_file() for name in ("sounds", "pictures", "pairs")):
        return "labelled"
    raise DataFileError("no set is laid out like this", path=path, hint=f"looked for {'; '.join(LOOKED_FOR.values())}")


def read_set(path: Path, layout: str | None = None, split: str | None = None) -> list[Example]:
    """The examples of a set.

    Args:
        path: its folder or file.
        layout: one of `LOOKED_FOR`; None: recognised.
        split: of this part only; None: all.

    Raises:
        DataFileError: no such layout or set, an unreadable table, or nothing in that split.
    """
    layout = layout or recognise(path)
    if layout not in LOOKED_FOR:
        raise DataFileError(f"no layout is called {layout!r}", path=path, hint=f"there are: {', '.join(LOOKED_FOR)}")
    splits = [split] if split is not None else sorted({item.split for item in read_items(path, "pictures")})
    return [example for name in splits for example in paired(path, name)]
