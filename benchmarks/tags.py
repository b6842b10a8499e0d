"""Do the model's tags name what the tagger hears that taught them? `val` sounds, and films of the split val.

python benchmarks/tags.py DATA [--model base] [--each 3]
python benchmarks/tags.py DATA --thresholds

With --thresholds, from which score on a name should be shown: of the names that films are given, the share that the
tagger hears, too (it gives the name a score of at least 0.2), and the share of films that are named at all. Choose the
lowest threshold that is right nine times in ten on train films; val films tell whether it holds.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pano_sound.localize.naming import named, plain
from pano_sound.localize.nets import weights
from pano_sound.localize.nets.localizer import Localizer
from pano_sound.research.datasets.examples import read_sound
from pano_sound.research.datasets.labelled import read_clips, read_items
from pano_sound.research.evaluate.metrics import Proportion
from pano_sound.research.train.tagger import SAMPLES, Tagger


def chosen(data: Path, each: int) -> dict[str, list[Path]]:
    """The first `each` val sounds of every label, and all val films."""
    sounds: dict[str, list[Path]] = defaultdict(list)
    for item in read_items(data, "sounds"):
        if item.split == "val" and len(sounds[item.label]) < each:
            sounds[item.label].append(item.path)
    return {"sounds": [path for paths in sounds.values() for path in paths], "films": read_clips(data, "val")}


@torch.inference_mode()
def scores(model: Localizer, tagger: Tagger, path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(tags,) of the model and of the tagger, both from the first 5.12 s at most."""
    sound = read_sound(path, model.sound_rate)[:SAMPLES]
    wave = torch.from_numpy(np.pad(sound, (0, max(0, model.sound_rate - len(sound)))))
    ours = model.tag_scores(model.sound_features(wave).mean(dim=0, keepdim=True))[0]
    features = tagger.net.features(tagger.log_mel(wave[None]))
    return ours.numpy(), tagger.scores(features.mean(dim=(2, 3)))[0].numpy()


THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)
HEARD = 0.2
"""Score from which on the tagger is taken to hear a name."""


def thresholds(model: Localizer, tagger: Tagger, paths: list[Path]) -> list[str]:
    """A line for each threshold."""
    rows = []
    for path in paths:
        ours, theirs = scores(model, tagger, path)
        heard: dict[str, float] = defaultdict(float)
        for tag, score in zip(tagger.names, theirs.tolist(), strict=True):
            heard[plain(tag)] = max(heard[plain(tag)], score)
        rows.append((ours[None], heard))
    lines = []
    for least in THRESHOLDS:
        right, films = Proportion(), Proportion()
        for ours, heard in rows:
            names = named(model.tags, ours, least).names
            films.add(bool(names))
            for name in names:
                right.add(heard[name] >= HEARD)
        lines.append(f"{least:4.2f}   names right {right}   films named {films}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="base")
    parser.add_argument("--each", type=int, default=3, help="sounds of each label")
    parser.add_argument("--thresholds", action="store_true")
    given = parser.parse_args()
    model, tagger = weights.load(given.model), Tagger(given.data)
    if model.tags != tagger.names:
        parser.error("this model has no tags of the tagger")
    if given.thresholds:
        for split in ("train", "val"):
            print(f"{split} films", *thresholds(model, tagger, read_clips(given.data, split)), sep="\n", flush=True)
        return
    for kind, paths in chosen(given.data, given.each).items():
        first, any_of_three = Proportion(), Proportion()
        for path in paths:
            ours, theirs = scores(model, tagger, path)
            first.add(bool(ours.argmax() == theirs.argmax()))
            any_of_three.add(bool(ours.argmax() in np.argsort(-theirs)[:3]))
        print(f"{kind}: the tagger's first {first}")
        print(f"{kind}: one of its first three {any_of_three}")


if __name__ == "__main__":
    main()
