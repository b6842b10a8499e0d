"""A folder of videos: pairs of a picture and the sound around it, cut at regular times.

A folder right below that is called train, val or test names the split of what is in it; else all is "train". Films with
ambisonic sound come with boxes around where it comes from (`sound_boxes.py`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...media.excerpt import picture_at, sound_around
from ...media.probe import probe
from .bad_files import BadFileCounter, log
from .examples import Example
from .sound_boxes import sound_boxes

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".mpeg", ".flv", ".wmv", ".ogv")
SPLITS = ("train", "val", "test")
SECONDS = 20.0
"""Of sound around each picture (section 3.1 of the paper)."""


def read(path: Path, every: float = 10.0) -> list[Example]:
    """Pairs from all videos below a folder, or from one file; each file is one `video`. Silent films are skipped.

    Args:
        every: seconds between pictures; the first is half of that after the beginning. A shorter film gives its middle
            picture.

    Raises:
        DataFileError: too many of the files cannot be read.
    """
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in VIDEOS) if path.is_dir() else [path]
    top = path if path.is_dir() else path.parent
    bad_files = BadFileCounter(path, len(files))
    silent: list[str] = []
    examples = []
    for file in files:
        name = file.relative_to(top)
        split = name.parts[0] if name.parts[0] in SPLITS else "train"
        try:
            info = probe(file)
        except InputError as error:
            bad_files.bad(str(file), error)
            continue
        if info.video is None or info.audio is None:
            silent.append(file.name)
            continue
        begin, length = float(info.start), float(info.duration)
        times = np.arange(every / 2, length, every) if length > every / 2 else np.array([length / 2])
        for t, boxes in zip(times, sound_boxes(info, list(begin + times)), strict=True):
            about = {"key": f"{name.as_posix()}@{t:.1f}", "video": name.as_posix(), "split": split}
            examples.append(cut(file, begin + float(t), boxes=(boxes,) if boxes else (), **about))
    if silent:
        log.warning("%d of %d films have no sound or no picture: %s", len(silent), len(files), ", ".join(silent))
    return examples


def cut(file: Path, t: float | None, **about: Any) -> Example:
    """The example at presentation time t (s) of a film, None: at its middle; `about` are fields of `Example`."""
    return Example(picture=partial(_picture, file, t), sound=partial(_sound, file, t), **about)


def _picture(file: Path, t: float | None) -> NDArray[np.uint8]:
    return picture_at(file, middle(file) if t is None else t)


def _sound(file: Path, t: float | None, rate: int) -> NDArray[np.float32]:
    return sound_around(file, middle(file) if t is None else t, SECONDS, rate)


def middle(file: Path) -> float:
    """Presentation time (s) of the middle of a film."""
    info = probe(file)
    return float(info.start) + float(info.duration) / 2
