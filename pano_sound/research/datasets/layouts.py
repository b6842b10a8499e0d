"""The layouts of data sets, recognised by the files in their folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataFileError
from . import flickr_soundnet, labelled, table, vggss, videos
from .examples import Example
from .shards import is_shards, shard_names


@dataclass(frozen=True)
class Layout:
    """One layout: its description, a test of a path, and its reader."""

    looks: str
    fits: Callable[[Path], bool]
    read: Callable[[Path], list[Example]]


def _labelled(path: Path) -> list[Example]:
    seen, heard = ({item.split for item in labelled.read_items(path, kind)} for kind in ("pictures", "sounds"))
    splits = sorted(seen & heard)
    return [example for split in splits for example in labelled.paired(path, split)]


LAYOUTS = {
    "labelled": Layout(
        "a folder with sounds.csv, pictures.csv and pairs.csv",
        lambda path: all((path / f"{name}.csv").is_file() for name in ("sounds", "pictures", "pairs")),
        _labelled,
    ),
    "flickr-soundnet": Layout(
        "a folder with Annotations/*.xml", lambda path: (path / "Annotations").is_dir(), flickr_soundnet.read
    ),
    "vggss": Layout(
        f"{vggss.LIST}, or a folder with it",
        lambda path: (path / vggss.LIST).is_file() or (path.is_file() and path.suffix.lower() == ".json"),
        vggss.read,
    ),
    "csv": Layout("a .csv file", lambda path: path.is_file() and path.suffix.lower() == ".csv", table.read),
    "videos": Layout(
        "a video, or a folder of videos",
        lambda path: any(f.suffix.lower() in videos.VIDEOS for f in ([path] if path.is_file() else path.rglob("*"))),
        videos.read,
    ),
}
"""Every layout by its name, in the order in which they are tried."""


def recognise(path: Path) -> str:
    """The name of the layout of a folder or file. Raises DataFileError that lists the known layouts."""
    for name, layout in LAYOUTS.items():
        if layout.fits(path):
            return name
    looked_for = "; ".join(layout.looks for layout in LAYOUTS.values())
    raise DataFileError("the data set has no known layout", path=path, hint=f"looked for: {looked_for}")


def files_of(place: str | Path) -> Iterator[Path]:
    """The existing files that the tables of a set name, and folders of which it uses any file.

    Args:
        place: the set's folder or file, or the name of local shards. Files in the folder itself are not repeated.
    """
    path = Path(place)
    if is_shards(str(place)):
        yield from filter(Path.is_file, map(Path, shard_names([str(place)])))
    elif path.suffix.lower() == ".json" and path.is_file():
        yield path.parent  # It names files without their folders and endings.
    for listing in sorted(path.rglob("*.csv")) if path.is_dir() else [path] if path.suffix.lower() == ".csv" else []:
        with contextlib.suppress(DataFileError):  # Reported where the table is read.
            cells = {cell for row in labelled.read_table(listing) for cell in row.values() if isinstance(cell, str)}
            yield from filter(_is_file, (listing.parent / cell for cell in sorted(cells) if cell))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # A text that cannot be a name.
        return False


def read_set(path: Path, layout: str | None = None, split: str | None = None) -> list[Example]:
    """The examples of a set.

    Args:
        path: its folder or file.
        layout: one of `LAYOUTS`; None: recognised.
        split: of this part only; None: all.

    Raises:
        DataFileError: no such layout or set, tar shards (`Shards` reads these), an unreadable table, too many bad
            entries, or nothing in that split.
    """
    if is_shards(str(path)):
        raise DataFileError("tar shards can only be trained on", path=path, hint="give a set of another layout")
    if not path.exists():
        raise DataFileError("no such data set", path=path)
    layout = layout or recognise(path)
    if layout not in LAYOUTS:
        raise DataFileError(f"no layout is called {layout!r}", path=path, hint=f"there are: {', '.join(LAYOUTS)}")
    examples = LAYOUTS[layout].read(path)
    splits = sorted({example.split for example in examples})
    if split is not None:
        examples = [example for example in examples if example.split == split]
    if not examples:
        hint = f"its splits are: {', '.join(splits)}" if splits else "are the files that it names there?"
        raise DataFileError(
            f"the set ({layout}) has no examples" + (f" of split {split!r}" if split else ""), path, hint
        )
    return examples
