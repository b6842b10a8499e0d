"""Tutors: heads above the tagger's features learn to match, and the sound head learns what they say."""

import copy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import wavfile

from pano_sound.localize.nets import weights
from pano_sound.localize.nets.localizer import BASE, TINY, Localizer
from pano_sound.research.datasets.table import read_table
from pano_sound.research.train.base import train
from pano_sound.research.train.distil import Features
from pano_sound.research.train.knowledge import TABLE
from pano_sound.research.train.recipe import BaseRecipe
from pano_sound.research.train.tagger import STEPS
from pano_sound.research.train.tutors import consensus, drawn_windows, learn_from, tutor

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


@pytest.fixture
def model() -> Localizer:
    torch.manual_seed(0)
    return Localizer(**TINY).eval()


def features(width: int, seed: int = 0) -> Features:
    """Of 50 pieces in two versions; mean 3, standard deviation 2."""
    encoded = 3 + 2 * torch.randn(2, 50, STEPS, width, generator=torch.Generator().manual_seed(seed))
    return Features(encoded.half(), np.full((2, 50), STEPS), np.zeros((50, 2), np.float32))


def test_a_tutor_is_the_model_with_another_sound_head(model: Localizer) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = tutor(model, features(5), seed=1)
    assert {name.split(".")[0] for name, p in found.named_parameters() if p.requires_grad} == {"audio_head"}
    norm = found.audio_head[0]
    assert isinstance(norm, torch.nn.BatchNorm1d)
    torch.testing.assert_close(norm.running_mean, torch.full((5,), 3.0), atol=0.2, rtol=0)
    torch.testing.assert_close(norm.running_var, torch.full((5,), 4.0 / STEPS), atol=0.1, rtol=0)
    assert found.sound_embedding(torch.randn(3, 5)).shape == (3, 16)
    assert not torch.equal(found.audio_head[1].weight, tutor(model, features(5), seed=2).audio_head[1].weight)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_tutors_together_weigh_as_much_as_the_head_before() -> None:
    def saying(*numbers: float) -> torch.nn.Module:
        head = torch.nn.Linear(1, 3)
        head.weight.data.zero_()
        head.bias.data = torch.tensor(numbers)
        return head

    tutors, before = [saying(3.0, 0.0, 0.0), saying(7.0, 0.0, 0.0)], saying(0.0, 0.0, 2.0)
    found = consensus(tutors, before, torch.zeros(4, 1), torch.zeros(4, 1))
    torch.testing.assert_close(found, torch.tensor([0.5**0.5, 0.0, 0.5**0.5]).expand(4, 3))


def test_windows_are_the_same_for_all_features() -> None:
    own = features(5)
    one, twice = drawn_windows((own, replace(own, encoded=2 * own.encoded)), 20, np.random.default_rng(0))
    torch.testing.assert_close(2 * one, twice)


def test_the_head_learns_what_tutors_say_and_goes_on_where_it_was(model: Localizer, tmp_path: Path) -> None:
    own = features(16)
    heard = replace(own, encoded=own.encoded[..., :2])
    theirs, ours = drawn_windows((heard, own), 200, np.random.default_rng(9))
    tutors = [tutor(model, heard, 0).audio_head]
    for head, seen in ((tutors[0], theirs), (model.audio_head, ours)):
        for _ in range(30):  # so that what they say has the mean 0, as after a training
            head.train()(seen)
        head.eval()
    before = copy.deepcopy(model)
    wanted = consensus(tutors, before.audio_head, theirs, ours)

    def near(student: Localizer) -> float:
        return float((student.eval().sound_embedding(ours) * wanted).sum(dim=1).mean().detach())

    learn_from(tutors, model, heard, own, tmp_path, 100, rate=1e-2)
    assert near(model) > near(before) + 0.02
    changed = [k for k, value in model.state_dict().items() if not torch.equal(value, before.state_dict()[k])]
    assert {key.split(".")[0] for key in changed} == {"audio_head"}
    again = copy.deepcopy(before)
    learn_from(tutors, again, heard, own, tmp_path, 100, rate=1e-2)
    torch.testing.assert_close(again.audio_head.state_dict(), model.audio_head.state_dict())


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
    before = Localizer(**{**BASE, "tags": names})
    weights.save(before, tmp_path / "before.safetensors", {})
    few = {"steps": 2, "sound_steps": 0, "scenes": 2, "scenes_per_step": 1, "names_per_step": 6}
    recipe = BaseRecipe(start=str(tmp_path / "before.safetensors"), visual=False, mosaic=2, versions=1, **few)  # type: ignore[arg-type]
    out, work = tmp_path / "out.safetensors", tmp_path / "work"
    train(data, out, work, recipe)
    assert sorted(path.name for path in work.glob("*.pt")) == ["tutor-0.pt", "tutor-1.pt", "tutored.pt"]
    old, new = weights.load(tmp_path / "before.safetensors").state_dict(), weights.load(out).state_dict()
    assert {key.split(".")[0] for key, value in new.items() if not torch.equal(value, old[key])} == {"audio_head"}
