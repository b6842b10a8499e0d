"""Flickr-SoundNet with the boxes of three annotators (Senocak et al. 2018), as its authors distribute it.

    SET/Data/ID/ID.jpg  SET/Data/ID/ID.wav       pictures and sounds, in these or other folders below SET
    SET/Annotations/ID.xml                       for some of them
    SET/test_list.txt (or flickr_test.csv)       IDs of the test set, one a line, perhaps with a file extension

An XML file holds an element for each annotator, with a `bbox` for each box: its kind ("object" or "ambient"), then
xmin, ymin, xmax, ymax in pixels of a picture squeezed to 256x256. This follows what other programs read.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

from ...errors import DataFileError
from .bad_files import BadFileCounter
from .examples import Box, Example, read_picture, read_sound

SIDE = 256
"""Pixels; what the boxes are drawn on."""

PICTURES = (".jpg", ".jpeg", ".png")
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
_LISTS = ("test_list.txt", "flickr_test.csv")


def by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files with these extensions below a folder, by their names without extension; the first of a name counts."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file():
            found.setdefault(path.stem, path)
    return found


def read_annotation(path: Path) -> tuple[tuple[tuple[Box, ...], ...], bool]:
    """Each annotator's boxes (none for "ambient"), and whether most said "ambient".

    Raises:
        DataFileError: it is not XML, or not of this kind.
    """
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError, LookupError, ValueError) as error:  # these two: of its encoding
        raise DataFileError(f"the annotation cannot be read: {error}", path=path) from error
    annotators = [child for child in root if child.find("bbox") is not None]
    annotators = annotators or list(root.iter("bbox"))  # boxes right below the root: one of each annotator
    boxes: list[tuple[Box, ...]] = []
    ambient = 0
    for annotator in annotators:
        drawn = []
        said_ambient = False
        for box in annotator.iter("bbox"):
            kind, *corners = [(part.text or "").strip() for part in box] or [""]
            if "ambient" in kind.lower() or "non" in kind.lower():
                said_ambient = True
                continue
            try:
                x0, y0, x1, y1 = (min(max(float(c) / SIDE, 0.0), 1.0) for c in corners)
            except ValueError as error:
                raise DataFileError(f"a box must be four numbers: {corners}", path=path) from error
            if x1 > x0 and y1 > y0:
                drawn.append((x0, y0, x1, y1))
        boxes.append(tuple(drawn))
        ambient += said_ambient and not drawn
    if not boxes:
        raise DataFileError("the annotation has no boxes", path=path)
    return tuple(boxes), 2 * ambient > len(boxes)


def read(path: Path) -> list[Example]:
    """All pairs of picture and sound, with boxes if annotated. Splits: "train" and "test".

    Raises:
        DataFileError: too many bad annotations.
    """
    sounds, pictures = by_stem(path, SOUNDS), by_stem(path, PICTURES)
    test: set[str] = set()
    for name in _LISTS:
        if (path / name).is_file():
            # IDs are plain letters and digits, so other encodings of other lines do not matter.
            lines = (path / name).read_text(encoding="utf-8-sig", errors="replace").splitlines()
            test |= {line.split(",")[0].split(".")[0].strip() for line in lines}
    names = sorted(sounds.keys() & pictures.keys())
    bad_files = BadFileCounter(path, len(names))
    examples = []
    for name in names:
        annotation = path / "Annotations" / f"{name}.xml"
        boxes: tuple[tuple[Box, ...], ...] = ()
        ambient = False
        if annotation.is_file():
            try:
                boxes, ambient = read_annotation(annotation)
            except DataFileError as error:
                bad_files.bad(str(annotation), error)
                continue
        look, listen = partial(read_picture, pictures[name]), partial(read_sound, sounds[name])
        split = "test" if name in test else "train"
        examples.append(Example(name, name, look, listen, boxes, ambient, split=split))
    return examples
