"""The recipe `base` from a data folder to a weights file, with a made tagger."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import wavfile

from pano_sound.localize.nets import weights
from pano_sound.localize.nets.localizer import BASE, Localizer
from pano_sound.research.datasets.table import read_table
from pano_sound.research.train.base import train
from pano_sound.research.train.knowledge import TABLE
from pano_sound.research.train.recipe import BaseRecipe

TAGGER = '''
"""A tagger that hears how high a sound is."""
import torch

NAMES = {names}
_BANK, _HANN = torch.eye(513)[::8], torch.hann_window(800)


class MN04(torch.nn.Module):
    fc1__w, fc1__b = torch.eye(65), torch.zeros(65)
    fc2__w, fc2__b = torch.eye(len(NAMES), 65), torch.zeros(len(NAMES)) - 3

    def features(self, x):
        return torch.nn.functional.avg_pool2d(x, (1, 32)).transpose(1, 2)
'''


@pytest.mark.slow
def test_the_whole_training_without_the_visual_net(tmp_path: Path) -> None:
    rng, data = np.random.default_rng(0), tmp_path / "data"
    names = sorted({row["sound"] for row in read_table(TABLE, ("sound",))})
    for name in ("teachers", "stills"):
        (data / name).mkdir(parents=True)
    (data / "teachers" / "mn04.py").write_text(TAGGER.format(names=names))
    labels = ("bell", "cat", "dog", "drum", "flute", "horn", "saw", "cup")
    tables = {"sounds": ["file,label,split"], "pictures": ["file,label,split"], "pairs": ["sound,picture"]}
    for k, label in enumerate(labels):
        tone = 8000 * np.sin(2 * np.pi * 300 * (k + 1) * np.arange(16_000) / 16_000)
        wavfile.write(data / f"{label}.wav", 16_000, tone.astype(np.int16))
        cv2.imwrite(str(data / f"{label}.jpg"), rng.integers(0, 255, (60, 60, 3), np.uint8))
        tables["pictures"].append(f"{label}.jpg,{label},train")
        if label != "cup":
            tables["sounds"].append(f"{label}.wav,{label},train")
            tables["pairs"].append(f"{label},{label}")
    for name, rows in tables.items():
        (data / f"{name}.csv").write_text("\n".join(rows) + "\n")
    for k in range(8):
        cv2.imwrite(str(data / "stills" / f"{k}.jpg"), rng.integers(0, 255, (60, 120, 3), np.uint8))
    torch.manual_seed(0)
    before = Localizer(**{**BASE, "tags": names, "hidden": 1100})  # as wide as an ensemble's head may be
    weights.save(before, tmp_path / "before.safetensors", {})
    few = {"steps": 2, "sound_steps": 0, "scenes": 2, "scenes_per_step": 1, "names_per_step": 6}
    recipe = BaseRecipe(start=str(tmp_path / "before.safetensors"), visual=False, mosaic=2, versions=1, **few)  # type: ignore[arg-type]
    out, work = tmp_path / "out.safetensors", tmp_path / "work"
    train(data, out, work, recipe)
    old, new = weights.load(tmp_path / "before.safetensors").state_dict(), weights.load(out).state_dict()
    assert {key.split(".")[0] for key, value in new.items() if not torch.equal(value, old[key])} == {"audio_head"}
