"""A made set, made scenes, a tiny untrained model, and commands run as a user would."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import films
import numpy as np
import pytest

from pano_sound.commands import main

LABELS = ("bell", "car", "dog", "horn")


@pytest.fixture(scope="session")
def made_set(tmp_path_factory) -> Path:
    """Pictures and sounds of four labels, a rain, and 360° scenes, in the layout of labelled sets."""
    folder = tmp_path_factory.mktemp("made set")
    rng = np.random.default_rng(0)
    sounds, pictures = [], []
    for k, label in enumerate((*LABELS, "rain")):
        for split in ("train", "val"):
            name = f"{label}-{split}.wav"
            films.make_sound(folder / name, films.tone(0.7, hz=300 * (k + 1)))
            sounds.append({"file": name, "label": label, "split": split})
            for number in range(2 if label != "rain" else 0):
                picture = f"{label}-{split}-{number}.png"
                cv2.imwrite(str(folder / picture), rng.integers(0, 256, (48, 64, 3), np.uint8))
                box = dict(zip(("x0", "y0", "x1", "y1"), (0.1, 0.2, 0.6, 0.9), strict=True)) if number == 0 else {}
                pictures.append({"file": picture, "label": label, "split": split, **box})
    _write(folder / "sounds.csv", ("file", "label", "split"), sounds)
    _write(folder / "pictures.csv", ("file", "label", "split", "x0", "y0", "x1", "y1"), pictures)
    _write(folder / "pairs.csv", ("sound", "picture"), [{"sound": name, "picture": name} for name in LABELS])
    pano = folder / "pano"
    pano.mkdir()
    rows = []
    for k, tier in enumerate("AC"):
        films.make_film(
            pano / f"{tier}.mp4", films.steady(6, 3), size=(256, 128), sound=films.tone(2.0, hz=500 * (k + 1))
        )
        rows += [{"file": f"{tier}.mp4", "tier": tier, "t_s": t, "yaw_deg": 40, "pitch_deg": 0} for t in (0.5, 1.5)]
    _write(pano / "directions.csv", ("file", "tier", "t_s", "yaw_deg", "pitch_deg"), rows)
    return folder


def _write(path: Path, columns: tuple[str, ...], rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory) -> Path:
    """Weights of a model of a few thousand parameters that say how it was trained."""
    import torch

    from pano_sound.localize.nets.localizer import TINY, Localizer
    from pano_sound.localize.nets.weights import save

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    recipe = '{"mode": "semi", "labelled": 2500, "unlabelled": 144000, "balance": 0.25}'
    save(Localizer(**TINY, mechanism=2), path, {"name": "small", "version": "0", "recipe": recipe})
    return path


@dataclass
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def evaluate(tmp_path, made_set, tiny_weights, monkeypatch, capsys):
    """Runs `pano-sound evaluate NAME …` in an empty folder, with the tiny model; DATA stands for the made set."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *args: object) -> Done:
        words = [str(made_set) if word == "DATA" else str(word) for word in args]
        monkeypatch.setattr(sys, "argv", ["pano-sound", "evaluate", name, *words, "--model", str(tiny_weights)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        return Done(exit.value.code, *capsys.readouterr())

    return run
