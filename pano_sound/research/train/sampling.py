"""Batches for the heads: windows of sounds, maps of matching pictures, and made scenes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import PanoSoundError
from ...localize.nets.trunks import EfficientNetLite0
from ..datasets.examples import PICTURE_SIZE
from ..datasets.labelled import Item
from .distil import Features, random_windows
from .knowledge import PREFIX
from .scenes import HEIGHT, WIDTH, Pasted, cells, compressed
from .training_set import CLIP

AMBIENT = ("air_conditioner", "fire", "rain", "sea_waves")
"""Sounds that are negatives for all pictures, unless some pictures belong to them."""

STRIDE = EfficientNetLite0.stride

VERSIONS = 3
"""Of each picture, as `altered` makes them."""

MIRRORED = 1
"""The version that is mirrored."""

T = TypeVar("T")


class SoundBank:
    """Features of pieces of sounds, original and distant, and random windows of them.

    Args:
        labels: what each piece is.
        features: of the pieces.
        groups: named groups of pieces.
    """

    def __init__(self, labels: Sequence[str], features: Features, groups: dict[str, list[int]] | None = None) -> None:
        self.features, self.lengths = features.encoded, features.lengths
        self.device = self.features.device
        self.by_label: dict[str, list[int]] = {}
        for i, label in enumerate(labels):
            self.by_label.setdefault(label, []).append(i)
        self.by_label |= groups or {}

    def draw(self, labels: Sequence[str], rng: np.random.Generator) -> Tensor:
        """For each label the mean feature of one of its sounds over a random window, sometimes disturbed: (n, F)."""
        chosen = np.array([self.by_label[label][int(rng.integers(len(self.by_label[label])))] for label in labels])
        versions = rng.integers(len(self.features), size=len(chosen))
        windows = random_windows(self.lengths[versions, chosen], 1, rng)[:, 0].to(self.device)
        return torch.einsum("nsf,ns->nf", self.features[versions, chosen].float(), windows)


class SoundSource(Protocol):
    """Gives features of sounds: `SoundBank` from a cache, `LiveSounds` altered anew.

    Attributes:
        by_label: label or group -> numbers of its pieces.
        device: of what `draw` gives.
    """

    by_label: dict[str, list[int]]
    device: torch.device

    def draw(self, labels: Sequence[str], rng: np.random.Generator) -> Tensor:
        """For each label the mean feature of one of its sounds over a random window: (n, F)."""


class PictureSource(Protocol):
    """Gives pictures as the head takes them: `CachedPictures` or `LivePictures`."""

    items: Sequence[Item]

    def draw(self, numbers: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Outputs of the trunk's `lower` (n, channels, rows, columns) for versions of these pictures, and targets
        (n, rows, columns), how much of each of the map's cells the thing covers."""


class SceneSource(Protocol):
    """Gives scenes as the head takes them: `CachedScenes` or `LiveScenes`."""

    def draw(
        self, count: int, useful: Callable[[list[Pasted]], bool], rng: np.random.Generator
    ) -> tuple[Tensor, list[list[Pasted]]]:
        """Outputs of the trunk's `lower` for `count` different scenes whose things are useful, and these things.

        Raises PanoSoundError if there are too few.
        """


def too_few_scenes(useful: int, scenes: int, needed: int) -> PanoSoundError:
    """The error for sets of scenes in which too little has a sound."""
    hint = "set a larger scenes, or a smaller scenes_per_step"
    return PanoSoundError(f"{useful} of {scenes} scenes show a thing that has a sound, {needed} are needed", hint=hint)


class CachedPictures:
    """Pictures, `VERSIONS` of each.

    Args:
        items: the pictures.
        maps: outputs of the trunk's `lower` for the versions of each in turn, float16 (VERSIONS * n, rows, columns,
            channels).
        device: of what is drawn.
    """

    def __init__(self, items: Sequence[Item], maps: NDArray[np.float16], device: torch.device | str = "cpu") -> None:
        self.items, self.maps = items, torch.from_numpy(maps).to(device)
        cells = PICTURE_SIZE // STRIDE
        targets = torch.from_numpy(np.stack([box_cells(item.box, cells, cells) for item in items])).to(device)
        self.targets = torch.stack([targets.flip(2) if k == MIRRORED else targets for k in range(VERSIONS)], dim=1)

    def draw(self, numbers: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """As of `PictureSource`."""
        chosen = torch.tensor(list(numbers), device=self.maps.device)
        version = torch.from_numpy(rng.integers(VERSIONS, size=len(numbers))).to(self.maps.device)
        maps = self.maps[VERSIONS * chosen + version].float().permute(0, 3, 1, 2)
        return maps.contiguous(memory_format=torch.channels_last), self.targets[chosen, version]


class CachedScenes:
    """Scenes whose outputs of the trunk's `lower` are kept.

    Args:
        maps: float16 (n, rows, columns, channels); objects: what is in each.
        device: of what is drawn.
    """

    def __init__(
        self, maps: NDArray[np.float16], objects: list[list[Pasted]], device: torch.device | str = "cpu"
    ) -> None:
        self.maps, self.objects = torch.from_numpy(maps).to(device), objects

    def draw(
        self, count: int, useful: Callable[[list[Pasted]], bool], rng: np.random.Generator
    ) -> tuple[Tensor, list[list[Pasted]]]:
        """As of `SceneSource`."""
        usable = [k for k, things in enumerate(self.objects) if useful(things)]
        if len(usable) < count:
            raise too_few_scenes(len(usable), len(self.objects), count)
        chosen = np.sort(rng.choice(usable, count, replace=False))
        maps = self.maps[torch.from_numpy(chosen).to(self.maps.device)].float().permute(0, 3, 1, 2)
        return maps.contiguous(memory_format=torch.channels_last), [self.objects[k] for k in chosen]


class Sampler:
    """Batches for the head: sounds, maps of pictures of what makes them, and made scenes that hold it.

    Only labels that have both training sounds and training pictures are used; `AMBIENT` sounds come on top.

    Args:
        sounds: what is heard; the batches are on its device.
        pictures: what is seen.
        scenes: made and real panoramas.
        pairs: sound label -> labels of pictures.
        names_per_step: at most this many labels of sounds in a batch.
        sounding: labels of pictures that make sounds, even if there is none here. All others, but for those in `pairs`,
            are examples of silent things.
    """

    def __init__(
        self,
        sounds: SoundSource,
        pictures: PictureSource,
        scenes: SceneSource,
        pairs: dict[str, list[str]],
        names_per_step: int = 1000,
        sounding: Collection[str] = (),
    ) -> None:
        self.sounds, self.pictures, self.scenes = sounds, pictures, scenes
        self.device = sounds.device
        self.of_label: dict[str, list[int]] = {}
        for i, item in enumerate(pictures.items):
            if item.split == "train":
                self.of_label.setdefault(item.label, []).append(i)
        self.sounds_of: dict[str, list[str]] = {}
        for sound, seen in pairs.items():
            for label in seen:
                if sound in sounds.by_label:
                    self.sounds_of.setdefault(label, []).append(sound)
        self.seen_with: dict[str, list[str]] = {}
        for label, names in self.sounds_of.items():
            for name in names if label in self.of_label else ():
                self.seen_with.setdefault(name, []).append(label)
        self.names = sorted(self.seen_with)
        self.silent = sorted(set(self.of_label) - set(sounding).union(*pairs.values()))
        self.ambient = [label for label in AMBIENT if label in sounds.by_label and label not in self.seen_with]
        self.names_per_step = names_per_step
        self.belong = {label: set(names) for label, names in self.sounds_of.items()}

    def pairs(self, rng: np.random.Generator, silent: int = 8) -> dict[str, Tensor]:
        """A sound and a picture of each of some labels, ambient sounds without a picture, pictures without a sound.

        A quarter of the labels are films, with a picture of their own, and a sixth are groups of sounds by what the
        tagger hears; more if there are too few others.

        Returns:
            sounds (s, F); maps (p, channels, rows, columns); match bool (s, p). The first n of both belong together one
            by one: targets (n, cells), boxed bool (n,), whether the thing covers less than most of its picture.
        """
        labels = [name for name in self.names if not name.startswith((CLIP, PREFIX))]
        films, groups = ([name for name in self.names if name.startswith(prefix)] for prefix in (CLIP, PREFIX))
        films, groups, labels = ([kind[k] for k in rng.permutation(len(kind))] for kind in (films, groups, labels))
        few, some = self.names_per_step // 4, self.names_per_step // 6
        names = [*films[:few], *groups[:some], *labels, *films[few:], *groups[some:]][: self.names_per_step]
        shown = [self._picture_of(name, rng) for name in names]
        shown += [_one(self.silent, rng) for _ in range(silent if self.silent else 0)]
        maps, targets = self.pictures.draw([_one(self.of_label[label], rng) for label in shown], rng)
        targets = targets[: len(names)]
        match = np.zeros((len(names) + len(self.ambient), len(shown)), bool)
        for row, name in enumerate(names):
            match[row] = [name in self.belong.get(label, ()) for label in shown]
        return {
            "sounds": self.sounds.draw(names + self.ambient, rng),
            "maps": maps,
            "targets": targets.flatten(1),
            "boxed": targets.mean(dim=(1, 2)) < 0.8,
            "match": torch.from_numpy(match).to(self.device),
        }

    def _picture_of(self, name: str, rng: np.random.Generator) -> str:
        """A label of matching pictures: for a film, its own; otherwise photographs and films equally often."""
        if name in self.of_label and name.startswith(CLIP):
            return name
        labels = self.seen_with[name]
        films = [label for label in labels if label.startswith(CLIP)]
        photographs = [label for label in labels if not label.startswith(CLIP)]
        return _one(films if not photographs or (films and rng.random() < 0.5) else photographs, rng)

    def _useful(self, things: list[Pasted]) -> bool:
        """Whether one of the things in a scene has sounds."""
        return any(thing.label in self.belong for thing in things)

    def _sound_of(self, label: str, rng: np.random.Generator) -> str:
        """A label of matching sounds, but not of other films; groups by what the tagger hears less often, as they are
        less sure."""
        names = [name for name in self.sounds_of[label] if name == label or not name.startswith(CLIP)]
        sure = [name for name in names if not name.startswith(PREFIX)]
        return _one(sure if sure and rng.random() < 0.75 else names, rng)

    def scene_batch(self, rng: np.random.Generator, count: int, each: int = 3) -> dict[str, Tensor]:
        """Scenes and, for each of them, the sounds of `each` things in it (one thing may be asked for twice).

        Returns:
            maps (count, channels, rows, columns); sounds (count * each, F) and scene (count * each,), in which of the
            maps each is; targets (count * each, cells); match bool (count * each, count).
        """
        maps, objects = self.scenes.draw(count, self._useful, rng)
        names, targets = [], []
        rows, columns = HEIGHT // STRIDE, WIDTH // STRIDE
        for k in np.repeat(np.arange(count), each):
            things = [o for o in objects[k] if o.label in self.belong]
            label = _one(things, rng).label
            name = label if label.startswith(CLIP) and rng.random() < 0.6 else self._sound_of(label, rng)
            names.append(name)
            right = [cells(o, rows, columns, STRIDE) for o in things if name in self.belong[o.label]]
            targets.append(np.max(right, axis=0).ravel())
        inside = [{o.label for o in things} for things in objects]
        match = [[any(name in self.belong.get(x, ()) for x in labels) for labels in inside] for name in names]
        return {
            "maps": maps,
            "sounds": self.sounds.draw(names, rng),
            "scene": torch.arange(count, device=self.device).repeat_interleave(each),
            "targets": torch.from_numpy(np.stack(targets)).to(self.device),
            "match": torch.tensor(match, device=self.device),
        }


def altered(picture: NDArray[np.uint8], version: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A version of a picture (H, W, 3): as it is, mirrored and compressed, or coarse and in other colours."""
    if version == 0:
        return picture
    if version == MIRRORED:
        return compressed(picture[:, ::-1], rng)
    size = picture.shape[1], picture.shape[0]
    share = rng.uniform(0.2, 0.5)
    small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    coarse: NDArray[np.uint8] = np.clip(large * rng.uniform(0.7, 1.25, 3), 0, 255).astype(np.uint8)
    return coarse


def _one(values: Sequence[T], rng: np.random.Generator) -> T:
    """One of these, at random."""
    return values[int(rng.integers(len(values)))]


def box_cells(box: tuple[float, float, float, float] | None, rows: int, columns: int) -> NDArray[np.float32]:
    """How much of each cell of a squeezed picture its box covers, (rows, columns) in [0, 1]; without a box all."""
    if box is None:
        return np.ones((rows, columns), np.float32)
    x0, y0, x1, y1 = (c * PICTURE_SIZE for c in box)
    return np.maximum(cells(Pasted("", x0, y0, x1, y1), rows, columns, STRIDE), 1e-3)
