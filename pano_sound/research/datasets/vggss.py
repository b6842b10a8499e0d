"""VGG-SS (Chen et al. 2021): boxes for pictures from the middle of VGGSound's test clips.

vggss.json is a list of {"file": "ID_000030", "class": "…", "bbox": [[x0, y0, x1, y1], …]}, boxes as shares of width and
height; ID is YouTube's, the number the second at which the clip begins. Beside or below the list there are pictures
(frames/FILE.jpg) and sounds (audio/FILE.wav), or the clips themselves (FILE.mp4), of which the middle is taken.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import DataFileError
from .bad_files import BadFileCounter
from .examples import Box, Example, checked, read_picture, read_sound
from .flickr_soundnet import PICTURES, SOUNDS, by_stem
from .videos import VIDEOS, cut

LIST = "vggss.json"


def read(path: Path) -> list[Example]:
    """All entries whose picture and sound, or clip, are there; all are of split "test".

    Args:
        path: the list, or the folder that holds it.

    Raises:
        DataFileError: the list cannot be read, or too many of its entries.
    """
    listing = path / LIST if path.is_dir() else path
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataFileError(f"the list cannot be read: {error}", path=listing) from error
    if not isinstance(entries, list):
        raise DataFileError("is not a list of clips", path=listing)
    folder = listing.parent
    pictures, sounds, clips = (by_stem(folder, kinds) for kinds in (PICTURES, SOUNDS, VIDEOS))
    bad_files = BadFileCounter(listing, len(entries))
    examples = []
    for number, entry in enumerate(entries):
        try:
            name, boxes, label = _entry(entry)
        except (KeyError, TypeError, ValueError) as error:
            bad_files.bad(f"{listing}, entry {number}", error)
            continue
        if name in pictures and name in sounds:
            look, listen = partial(read_picture, pictures[name]), partial(read_sound, sounds[name])
            examples.append(Example(name, name[:11], look, listen, (boxes,), label=label, split="test"))
        elif name in clips:
            examples.append(
                cut(clips[name], None, key=name, video=name[:11], boxes=(boxes,), label=label, split="test")
            )
    return examples


def _entry(entry: Any) -> tuple[str, tuple[Box, ...], str]:
    boxes = []
    for corners in entry["bbox"]:
        x0, y0, x1, y1 = (min(max(float(c), 0.0), 1.0) for c in corners)
        boxes.append(checked((x0, y0, x1, y1)))
    return str(entry["file"]), tuple(boxes), str(entry.get("class", ""))
