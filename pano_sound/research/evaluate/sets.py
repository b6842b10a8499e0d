"""The held-out part of a set: its examples, their kinds, and its ambient sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import DataFileError
from ..datasets.examples import Example, read_sound
from ..datasets.labelled import read_items, read_pairs, small_things
from ..datasets.layouts import read_set, recognise
from .embed import Sound

HELD_OUT = ("test", "val")
"""Splits to measure on, the first that a set has."""

AMBIENT_LABELS = ("air_conditioner", "fire", "rain", "sea_waves", "wind")
"""Labels of sounds without a visible source, for sets that do not mark ambient sounds."""


@dataclass(frozen=True)
class HeldOut:
    """One split of a set.

    Attributes:
        split: its name.
        examples: its pairs of picture and sound.
        kinds: of each example; a sound does not belong to a picture of another kind.
        ambient: sounds of the split that come from no object.
    """

    split: str
    examples: list[Example]
    kinds: list[str]
    ambient: list[Sound]


def read(data: Path, split: str | None = None, small: bool = False) -> HeldOut:
    """Read the held-out part of a set.

    Args:
        data: a set of any layout of `datasets.layouts`.
        split: its name; None: 'test', else 'val', else the only one there is.
        small: the small things in the photographs of a labelled set (see `labelled.small_things`), instead of its
            pictures.

    Raises:
        DataFileError: the set cannot be read, has no such split, or several and none of them is held out; it is not
            labelled, or has no photographs of small things.
    """
    examples = read_set(data, split=split)
    if split is None:
        splits = sorted({example.split for example in examples})
        split = next((name for name in HELD_OUT if name in splits), splits[0])
        if split not in HELD_OUT and len(splits) > 1:
            raise DataFileError(
                f"none of the splits is {' or '.join(HELD_OUT)}", data, f"there are {', '.join(splits)}"
            )
        examples = [example for example in examples if example.split == split]
    if recognise(data) != "labelled":
        if small:
            raise DataFileError("only labelled sets have photographs of small things", data)
        ambient = [e.sound for e in examples if e.ambient or e.label in AMBIENT_LABELS]
        return HeldOut(split, examples, kinds(examples), ambient)
    if small:
        examples = small_things(data, split)
    items = [item for item in read_items(data, "sounds") if item.split == split and item.label in AMBIENT_LABELS]
    ambient = [partial(read_sound, item.path) for item in items]
    return HeldOut(split, examples, kinds(examples, read_pairs(data)), ambient)


def kinds(examples: Sequence[Example], pairs: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """The kind of each example: its label, or its recording where the set has no labels.

    Args:
        pairs: sound label -> labels of the pictures that it belongs to; labels that share a picture are one kind,
            because a car's picture is no wrong picture for a horn.
    """
    groups: list[tuple[set[str], set[str]]] = []  # sound labels and picture labels, disjoint
    for label, shown in (pairs or {}).items():
        alike = [group for group in groups if group[1] & set(shown)]
        groups = [group for group in groups if group not in alike]
        sounds, pictures = zip(({label}, set(shown)), *alike, strict=True)
        groups.append((set().union(*sounds), set().union(*pictures)))
    kind = {label: min(sounds) for sounds, _ in groups for label in sounds}
    return [kind.get(e.label, e.label) or f"recording {e.video}" for e in examples]
