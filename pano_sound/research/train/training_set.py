"""What the recipe `base` trains on: the sounds and pieces of them, the pictures, frames of films and scenes of a data
folder, and which of them belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ...media.excerpt import picture_at
from ...media.probe import probe
from ..datasets.labelled import (
    Item,
    read_clips,
    read_items,
    read_people,
    read_photographs,
    read_stills,
    short_names,
    useful_pictures,
)
from .caches import WaveCache
from .distil import Piece
from .knowledge import PREFIX
from .scenes import Crowds, Scene, SceneMaker, as_scene
from .tagger import SAMPLES

CLIP = "clip:"
"""Prefix of the label of a film with its own sound: `clip:NAME`."""


class TrainingScenes:
    """Scene number i of a data folder: panoramas as a detector boxed them, then made ones, every third a crowd.

    Args:
        data: the data folder.
        frames: pictures of films, pasted as they are.
        sounding: labels of pictures that have sounds.
        real: at most this many boxed panoramas.
        seed: of the made ones.

    Attributes:
        real: how many boxed panoramas there are.
    """

    def __init__(self, data: Path, frames: Sequence[Item], sounding: Sequence[str], real: int, seed: int) -> None:
        stills = read_stills(data, "train")
        boxed = read_photographs(data / "stills" / "auto_boxes.csv", least=0.4)
        self._boxed = [p for p in boxed if p.path in stills and any(label in sounding for label, _ in p.things)][:real]
        self.real = len(self._boxed)
        self._data, self._frames, self._sounding, self._stills = data, frames, sounding, stills
        self._seed = seed
        self._makers: tuple[SceneMaker, SceneMaker] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_makers": None}

    def __call__(self, i: int) -> Scene:
        if i < self.real:
            return as_scene(self._boxed[i])
        if self._makers is None:
            self._makers = self._read()
        few, crowds = self._makers
        return (crowds if i % 3 == 2 else few).make(i - self.real)

    def _read(self) -> tuple[SceneMaker, SceneMaker]:
        """The makers of scenes with few things and of crowds. Reads all panoramas, 5.5 MB each."""
        pictures = [item for item in read_items(self._data, "pictures") if item.split == "train"]
        pictures += 2 * read_people(self._data)
        photographs = read_photographs(self._data / "coco" / "boxes.csv", "train")
        few = SceneMaker(
            self._stills, pictures, self._sounding, {"person": 0.15}, self._seed, photographs, self._frames
        )
        crowds = Crowds([], pictures, self._seed)
        crowds.stills = few.stills
        return few, crowds


def clip_frames(data: Path, folder: Path, each: int) -> list[Item]:
    """`each` pictures of every film of `clips/`, kept as files. Each film has its own label."""
    items = []
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for path, name in _named_clips(data):
        files = [folder / "frames" / f"{name}-{k}.jpg" for k in range(each)]
        if not files[-1].exists():
            info = probe(path)
            for k, file in enumerate(files):
                at = float(info.start) + float(info.duration) * (k + 0.5) / each
                cv2.imwrite(str(file), picture_at(path, at)[..., ::-1])
        items += [Item(file, CLIP + name, "train") for file in files]
    return items


def _named_clips(data: Path) -> list[tuple[Path, str]]:
    """The films of `clips/` to train on, each with a name of its own."""
    films = read_clips(data, "train")
    return list(zip(films, short_names(films, data / "clips"), strict=True))


def with_knowledge(
    pairs: dict[str, list[str]], labels: Sequence[str], things: Sequence[Sequence[str]]
) -> tuple[dict[str, list[str]], dict[str, list[int]]]:
    """Extend pairs and groups of sounds by a tagger's results (see `knowledge.py`).

    Args:
        pairs: sound label -> labels of pictures.
        labels, things: of each piece of sound its label, and the things that it surely comes from.

    Returns:
        the pairs, with a group of sounds for each thing (`~person`) and each film; group -> its pieces. What a film
        shows belongs to its own sound, and to all that comes from the things that are heard in it; its sound belongs to
        these things, too, and to other films in which one of them is heard.
    """
    groups: dict[str, list[int]] = {}
    shown: dict[str, set[str]] = {}
    for i, (label, found) in enumerate(zip(labels, things, strict=True)):
        for thing in found:
            groups.setdefault(PREFIX + thing, []).append(i)
        if label.startswith(CLIP):
            shown.setdefault(label, set()).update(found)
    out = {sound: list(pictures) for sound, pictures in pairs.items()}
    out |= {group: [group.removeprefix(PREFIX)] for group in groups}
    for sound, pictures in out.items():
        out[sound] = pictures + [clip for clip, found in sorted(shown.items()) if found & set(pictures)]
    for clip, heard in shown.items():
        alike = [other for other, there in sorted(shown.items()) if other != clip and there & heard]
        out[clip] = [clip, *sorted(heard), *alike]
    return out, groups


def training_sounds(data: Path, most: int, seed: int) -> list[Item]:
    """At most `most` sounds of each label, drawn at random, and the films of `clips/`, each with its own label."""
    by_label: dict[str, list[Item]] = {}
    for item in read_items(data, "sounds"):
        if item.split == "train":
            by_label.setdefault(item.label, []).append(item)
    rng = np.random.default_rng((seed, 7))
    chosen = []
    for label in sorted(by_label):
        here = by_label[label]
        chosen += [here[int(i)] for i in rng.permutation(len(here))[:most]]
    return chosen + [Item(path, CLIP + name, "train") for path, name in _named_clips(data)]


def training_pictures(data: Path, pairs: dict[str, list[str]], most: int) -> list[Item]:
    """At most `most` pictures of each label with a sound, and a few of each silent label."""
    return useful_pictures([item for item in read_items(data, "pictures") if item.split == "train"], pairs, most)


def pieces_of(sounds: Sequence[Item], waves: WaveCache, seed: int) -> list[Piece]:
    """A random piece of each sound; of films, consecutive pieces."""
    rng = np.random.default_rng((seed, 8))
    pieces = []
    for i, item in enumerate(sounds):
        if not len(waves[i]):
            continue
        spare = max(0, len(waves[i]) - SAMPLES)
        starts = (
            range(0, spare + SAMPLES // 2, SAMPLES) if item.label.startswith(CLIP) else [int(rng.integers(spare + 1))]
        )
        pieces += [Piece(i, first, item.label) for first in starts]
    return pieces
