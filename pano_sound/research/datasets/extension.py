"""A data folder (see `labelled`) made of links to another, with new training sounds added."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ...errors import DataFileError, OutputError
from .labelled import read_items, read_pairs, read_table

RATE = 24_000
"""Hz of new sounds."""


class Extension:
    """New sounds of one source.

    Args:
        folder: where they are written.
        source: their source; the folder's name, too.
        sounds, pairs: the rows of the tables so far.
        shown: labels that have pictures.
        paired: sound label -> labels of its pictures.
    """

    def __init__(
        self,
        folder: Path,
        source: str,
        sounds: list[dict[str, str]],
        pairs: list[dict[str, str]],
        shown: set[str],
        paired: dict[str, list[str]],
    ) -> None:
        self.folder, self.source, self.sounds, self.pairs = folder, source, sounds, pairs
        self._shown, self._paired = shown, paired

    def add(self, label: str, name: str, wave: NDArray[np.float32]) -> None:
        """Write mono float32 (samples,) at RATE as `SOURCE_NAME.ogg`, of split 'train'. If there are pictures of its
        label, the label is paired with itself."""
        name = f"{self.source}_{name}"
        write_opus(self.folder / f"{name}.ogg", wave)
        row = {"file": f"sounds/{self.source}/{name}.ogg", "label": label, "source": self.source, "group": name}
        self.sounds.append(row | {"split": "train", "seconds": f"{len(wave) / RATE:.2f}"})
        known = self._paired.setdefault(label, [])
        if label in self._shown and label not in known:
            known.append(label)
            self.pairs.append({"sound": label, "picture": label})


@contextmanager
def extended(data: Path, out: Path, source: str) -> Iterator[Extension]:
    """Make `out` of links to `data`; it appears, with what was added, when the block ends.

    Args:
        data: the folder, with sounds.csv, pictures.csv and pairs.csv.
        out: a folder that is empty or does not exist yet.
        source: of the new sounds.

    Raises:
        OutputError: `out` holds files already, is in `data`, or cannot be written.
        DataFileError: a table cannot be read, or the data has sounds of that source.
    """
    data, out = data.resolve(), out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("exists already and is not empty", out, "give a new folder")
    if out.is_relative_to(data):
        raise OutputError(f"is in the input folder {data}", out, "give a folder outside it")
    sounds = read_table(data / "sounds.csv", ("file", "label", "source", "group", "split", "seconds"))
    pairs = read_table(data / "pairs.csv", ("sound", "picture"))
    shown = {item.label for item in read_items(data, "pictures")}
    old = [entry for entry in data.iterdir() if entry.name not in ("sounds", "sounds.csv", "pairs.csv")]
    old += (data / "sounds").iterdir() if (data / "sounds").is_dir() else ()
    if data / "sounds" / source in old:
        raise DataFileError(f"the data already has sounds of the source '{source}'", data)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent) as folder:
            new = Path(folder) / out.name
            (new / "sounds" / source).mkdir(parents=True)
            for entry in old:
                (new / entry.relative_to(data)).symlink_to(entry)
            yield Extension(new / "sounds" / source, source, sounds, pairs, shown, read_pairs(data))
            for table, rows in (("sounds", sounds), ("pairs", pairs)):
                with open(new / f"{table}.csv", "w", newline="", encoding="utf-8") as file:
                    writer = csv.DictWriter(file, list(rows[0]), restval="")
                    writer.writeheader()
                    writer.writerows(rows)
            new.replace(out)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", out) from error


def write_opus(path: Path, wave: NDArray[np.float32]) -> None:
    """Write mono float32 (samples,) at RATE as Opus of 32 kbit/s in Ogg."""
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None]), format="flt", layout="mono")
    frame.sample_rate = RATE
    with av.open(str(path), "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = 32_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
