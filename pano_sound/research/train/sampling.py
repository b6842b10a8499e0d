"""Batches for the head: windows of sounds, maps of the pictures that belong to them, and made scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ...localize.nets.sound_encoder import SoundEncoder
from ...localize.nets.trunks import EfficientNetLite0
from ..datasets.examples import PICTURE_SIZE
from ..datasets.labelled import Item, read_items, read_pairs, read_people
from . import augment
from .caches import WaveCache
from .scenes import Crowds, Pasted, SceneMaker, cells, scene_maps

AMBIENT = ("air_conditioner", "fire", "rain", "sea_waves")
"""Sounds that come from nowhere in the picture: always negatives."""

STRIDE = EfficientNetLite0.stride


def scene_sources(data: Path, split: str) -> tuple[list[Path], list[Item]]:
    """Panoramas and pictures for made scenes; every fourth panorama and the `val` pictures are kept for split 'val'."""
    stills = sorted((data / "stills").glob("*.jpg"))
    stills = [still for i, still in enumerate(stills) if (i % 4 == 3) == (split == "val")]
    pictures = [item for item in read_items(data, "pictures") if item.split == split]
    return stills, pictures + (2 * read_people(data) if split == "train" else [])


def make_scenes(
    data: Path, folder: Path, split: str, count: int, trunk: Callable[[Tensor], Tensor]
) -> tuple[NDArray[np.float16], list[list[Pasted]]]:
    """Maps and objects of made scenes, every third of them a crowd."""
    stills, pictures = scene_sources(data, split)
    heard = [label for labels in read_pairs(data).values() for label in labels]
    seed = 0 if split == "train" else 1
    few = SceneMaker(stills, pictures, heard, {"person": 0.15}, seed)
    crowds = Crowds(stills, pictures, seed)
    return scene_maps(folder, f"scenes-{split}", lambda i: (crowds if i % 3 == 2 else few).make(i), count, trunk)


class SoundBank:
    """Features of every sound, as they are and as heard from afar, and windows of them drawn at random.

    Args:
        sound_encoder: the trained sound net.
        waves, items: the sounds and what they are.
        versions: how many times to hear each training sound from afar besides the clean one.
    """

    def __init__(
        self,
        sound_encoder: SoundEncoder,
        waves: WaveCache,
        items: Sequence[Item],
        folder: Path,
        versions: int,
        seed: int,
    ) -> None:
        self.items = items
        self.by_label: dict[tuple[str, str], list[int]] = {}
        for i, item in enumerate(items):
            self.by_label.setdefault((item.split, item.label), []).append(i)
        counts = [sound_encoder.count(len(waves[i])) for i in range(len(items))]
        self.edges = np.concatenate([[0], np.cumsum(counts)])
        at = folder / "sound-features.npy"
        if not at.exists():
            np.save(at, self._hear(sound_encoder, waves, versions, seed))
        self.features = torch.from_numpy(np.load(at))

    @torch.inference_mode()
    def _hear(self, sound_encoder: SoundEncoder, waves: WaveCache, versions: int, seed: int) -> NDArray[np.float16]:
        generator = torch.Generator().manual_seed(seed)
        out = np.zeros((versions + 1, int(self.edges[-1]), sound_encoder.features), np.float16)
        behind = torch.zeros(1, 1)
        for i in tqdm(range(len(self.items)), "sound features", disable=None):
            clean = torch.from_numpy(waves[i])[None]
            rows = slice(self.edges[i], self.edges[i + 1])
            out[0, rows] = sound_encoder.from_waves(clean)[0].half().numpy()
            if self.items[i].split == "train":
                # The training sound before this one is the background of every second version.
                pair = torch.cat([clean, behind.repeat(1, -(-clean.shape[1] // behind.shape[1]))[:, : clean.shape[1]]])
                for version in range(1, versions + 1):
                    mixed, _ = augment.mix(pair, generator, share=0.5, loudest=-3.0)
                    heard = augment.reverberate(augment.colour(mixed[:1], generator), generator)
                    out[version, rows] = sound_encoder.from_waves(augment.far(heard, generator))[0].half().numpy()
                behind = clean
        return out

    def whole(self, i: int) -> Tensor:
        """Mean feature of clean sound number i, (F,)."""
        return self.features[0, self.edges[i] : self.edges[i + 1]].float().mean(dim=0)

    def draw(self, label: str, rng: np.random.Generator) -> Tensor:
        """Mean feature of a random training sound of that label, over a random window, perhaps disturbed: (F,)."""
        i = int(rng.choice(self.by_label["train", label]))
        first, last = int(self.edges[i]), int(self.edges[i + 1])
        length = int(rng.integers(min(3, last - first), last - first + 1))
        begin = int(rng.integers(first, last - length + 1))
        version = int(rng.integers(self.features.shape[0]))
        return self.features[version, begin : begin + length].float().mean(dim=0)


class Sampler:
    """Batches for the head: sounds, maps of pictures of what makes them, and made scenes that hold it.

    Only labels that have both training sounds and training pictures are used; `AMBIENT` sounds come on top.
    """

    def __init__(
        self,
        sounds: SoundBank,
        pictures: Sequence[Item],
        maps: NDArray[np.float16],
        scenes: tuple[NDArray[np.float16], list[list[Pasted]]],
        pairs: dict[str, list[str]],
    ) -> None:
        self.sounds, self.pictures, self.maps = sounds, pictures, maps
        self.scenes, self.objects = scenes
        self.of_label: dict[str, list[int]] = {}
        for i, item in enumerate(pictures):
            if item.split == "train":
                self.of_label.setdefault(item.label, []).append(i)
        self.sounds_of: dict[str, list[str]] = {}
        for sound, seen in pairs.items():
            for label in seen:
                if ("train", sound) in sounds.by_label and label in self.of_label:
                    self.sounds_of.setdefault(label, []).append(sound)
        self.seen_with: dict[str, list[str]] = {}
        for label, names in self.sounds_of.items():
            for name in names:
                self.seen_with.setdefault(name, []).append(label)
        self.names = sorted(self.seen_with)
        self.silent = sorted(set(self.of_label) - set(self.sounds_of))
        self.ambient = [label for label in AMBIENT if ("train", label) in sounds.by_label]
        self.rows, self.columns = maps.shape[1:3]
        self.targets = np.stack([box_cells(item.box, self.rows, self.columns) for item in pictures])
        self.usable = [k for k, things in enumerate(self.objects) if any(o.label in self.sounds_of for o in things)]

    def pairs(self, rng: np.random.Generator, silent: int = 8) -> dict[str, Tensor]:
        """One sound of each label and a picture of it, then ambient sounds without a picture, pictures without a sound.

        Returns:
            sounds (s, F); maps (p, channels, rows, columns); targets (p, cells); boxed bool (p,); match bool (s, p).
        """
        names = [self.names[k] for k in rng.permutation(len(self.names))]
        vectors = [self.sounds.draw(name, rng) for name in names + self.ambient]
        shown = [str(rng.choice(self.seen_with[name])) for name in names]
        shown += [str(rng.choice(self.silent)) for _ in range(silent)]
        chosen = [int(rng.choice(self.of_label[label])) for label in shown]
        match = np.zeros((len(vectors), len(shown)), bool)
        for row, name in enumerate(names):
            match[row] = [name in self.sounds_of.get(label, ()) for label in shown]
        maps = torch.from_numpy(self.maps[np.array(chosen)].astype(np.float32)).permute(0, 3, 1, 2)
        flip = torch.from_numpy(rng.random(len(chosen)) < 0.5)
        maps[flip] = maps[flip].flip(3)
        targets = torch.from_numpy(self.targets[chosen])
        targets[flip] = targets[flip].flip(2)
        covered = targets.mean(dim=(1, 2))
        return {
            "sounds": torch.stack(vectors),
            "maps": maps,
            "targets": targets.flatten(1),
            "boxed": covered < 0.8,
            "match": torch.from_numpy(match),
        }

    def scene_batch(self, rng: np.random.Generator, count: int, each: int = 3) -> dict[str, Tensor]:
        """Scenes and, for each of them, the sounds of `each` things in it (one thing may be asked for twice).

        Every second row and column of them, beginning with either: four times as many scenes for the same work.

        Returns:
            maps (count, channels, rows, columns); sounds (count * each, F) and scene (count * each,), in which of the
            maps each is; targets (count * each, cells); match bool (count * each, count).
        """
        chosen = np.sort(rng.choice(self.usable, count, replace=False))
        names, targets = [], []
        rows, columns = self.scenes.shape[1:3]
        top, left = (int(first) for first in rng.integers(2, size=2))
        for k in np.repeat(chosen, each):
            things = [o for o in self.objects[k] if o.label in self.sounds_of]
            name = str(rng.choice(self.sounds_of[things[int(rng.integers(len(things)))].label]))
            names.append(name)
            right = [cells(o, rows, columns, STRIDE) for o in things if name in self.sounds_of[o.label]]
            targets.append(np.max(right, axis=0)[top::2, left::2].ravel())
        match = [
            [any(name in self.sounds_of.get(o.label, ()) for o in self.objects[k]) for k in chosen] for name in names
        ]
        return {
            "maps": torch.from_numpy(self.scenes[chosen, top::2, left::2].astype(np.float32)).permute(0, 3, 1, 2),
            "sounds": torch.stack([self.sounds.draw(name, rng) for name in names]),
            "scene": torch.arange(count).repeat_interleave(each),
            "targets": torch.from_numpy(np.stack(targets)),
            "match": torch.tensor(match),
        }


def box_cells(box: tuple[float, float, float, float] | None, rows: int, columns: int) -> NDArray[np.float32]:
    """How much of each cell of a squeezed picture its box covers, (rows, columns) in [0, 1]; without a box all."""
    if box is None:
        return np.ones((rows, columns), np.float32)
    x0, y0, x1, y1 = (c * PICTURE_SIZE for c in box)
    return np.maximum(cells(Pasted("", x0, y0, x1, y1), rows, columns, STRIDE), 1e-3)
