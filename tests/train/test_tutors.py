"""Tutors: heads above the tagger's features learn to match, and the sound net learns what they say."""

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
from pano_sound.research.train.caches import WaveCache
from pano_sound.research.train.distil import Features, Sounds, draw_lesson
from pano_sound.research.train.knowledge import TABLE
from pano_sound.research.train.recipe import BaseRecipe
from pano_sound.research.train.tagger import SAMPLES, STEPS
from pano_sound.research.train.tutors import Tutored, learn_from, tutor

PARTS = [{"name": "mel", "widths": [4, 4, 4, 4, 8, 8], "strides": [2, 2, 2, 2, 1]}, {"name": "wave", "widths": [4] * 5}]

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


class Height:
    """A teacher of two tags that hears how high a sound is, however loud it is."""

    names = ("low", "high")

    def columns(self, waves: torch.Tensor) -> torch.Tensor:
        x = waves.unflatten(1, (STEPS, -1))
        height = x.diff(dim=2).abs().mean(dim=2, keepdim=True) / x.abs().mean(dim=2, keepdim=True).clamp(min=1e-6)
        return (height - 0.7) * torch.tensor([-1.0, 1.0])

    def scores(self, pooled: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(5 * pooled)


@pytest.fixture
def model() -> Localizer:
    torch.manual_seed(0)
    return Localizer(**{**TINY, "sound_encoder": {"name": "joint", "parts": PARTS}, "tags": Height.names}).eval()


@pytest.fixture
def sounds() -> Sounds:
    tones = [0.1 * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / 16_000) for hertz in (300, 500, 4000, 6000)]
    cache = WaveCache.__new__(WaveCache)
    cache.edges = np.arange(5) * SAMPLES
    cache.samples = np.rint(32767 * np.concatenate(tones)).astype(np.int16)
    return Sounds(cache, ["low", "low", "high", "high"])


def features(width: int = 2) -> Features:
    rng = torch.Generator().manual_seed(0)
    encoded = 3 + 2 * torch.randn(2, 50, STEPS, width, generator=rng)
    return Features(encoded.half(), np.full((2, 50), STEPS), np.zeros((50, 2), np.float32))


def test_a_tutor_is_the_model_with_another_sound_head(model: Localizer) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = tutor(model, features(5), seed=1)
    assert [p.requires_grad for p in found.trunk.parameters()] == [False] * len(list(found.trunk.parameters()))
    norm = found.audio_head[0]
    assert isinstance(norm, torch.nn.BatchNorm1d)
    torch.testing.assert_close(norm.running_mean, torch.full((5,), 3.0), atol=0.2, rtol=0)
    torch.testing.assert_close(norm.running_var, torch.full((5,), 4.0 / STEPS), atol=0.1, rtol=0)
    assert found.sound_embedding(torch.randn(3, 5)).shape == (3, 16)
    assert not torch.equal(found.audio_head[1].weight, tutor(model, features(5), seed=2).audio_head[1].weight)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_tutors_and_the_network_before_weigh_the_same(model: Localizer, sounds: Sounds) -> None:
    heads = [tutor(model, features(), seed).audio_head.eval() for seed in (0, 1)]
    lesson = draw_lesson(sounds, 4, np.random.default_rng(0), torch.Generator().manual_seed(0))
    wanted, tags = Tutored(model, Height(), heads).embeddings(lesson)  # type: ignore[arg-type]
    assert (wanted.shape, tags.shape) == ((4, 4, 16), (4, 4, 2))
    with torch.no_grad():
        heard = model.sound_encoder.from_waves(lesson.clear)[:, :STEPS]
        before = model.sound_embedding(torch.einsum("nsf,nws->nwf", heard, lesson.windows)[1])
        taught = torch.einsum("nse,nws->nwe", Height().columns(lesson.clear), lesson.windows)[1]
        said = sum(torch.nn.functional.normalize(head(taught), dim=1) for head in heads)
        assert isinstance(said, torch.Tensor)
        said = torch.nn.functional.normalize(said, dim=1)
    torch.testing.assert_close(wanted[1], torch.nn.functional.normalize(said + before, dim=1))


@pytest.mark.slow
def test_the_sound_net_learns_what_tutors_say_and_goes_on_where_it_was(
    model: Localizer, sounds: Sounds, tmp_path: Path
) -> None:
    heads = [tutor(model, features(), 0).audio_head]
    lesson = draw_lesson(sounds, 16, np.random.default_rng(9), torch.Generator().manual_seed(9))
    wanted, _ = Tutored(model, Height(), heads).embeddings(lesson)  # type: ignore[arg-type]
    visual = model.visual_head.weight.clone()

    def near() -> float:
        with torch.no_grad():
            heard = model.eval().sound_encoder.from_waves(lesson.clear)[:, :STEPS]
            pooled = torch.einsum("nsf,nws->nwf", heard, lesson.windows).flatten(0, 1)
            return float((model.sound_embedding(pooled) * wanted.flatten(0, 1)).sum(dim=1).mean())

    before = near()
    learn_from(heads, model, Height(), sounds, tmp_path, 40, batch=4, rate=5e-3)  # type: ignore[arg-type]
    after = near()
    assert after > before + 0.03
    assert torch.equal(model.visual_head.weight, visual)
    learn_from(heads, model, Height(), sounds, tmp_path, 40, batch=4, rate=5e-3)  # type: ignore[arg-type]
    assert near() == pytest.approx(after)


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
    few = {"steps": 2, "sound_steps": 2, "sound_batch": 4, "scenes": 2, "scenes_per_step": 1, "names_per_step": 6}
    recipe = BaseRecipe(start=str(tmp_path / "before.safetensors"), visual=False, mosaic=2, versions=1, **few)  # type: ignore[arg-type]
    out, work = tmp_path / "out.safetensors", tmp_path / "work"
    train(data, out, work, recipe)
    assert sorted(path.name for path in work.glob("*.pt")) == ["tutor-0.pt", "tutor-1.pt", "tutored.pt"]
    start, found = weights.load(tmp_path / "before.safetensors"), weights.load(out)
    same = {key: torch.equal(value, start.state_dict()[key]) for key, value in found.state_dict().items()}
    for part in ("sound_encoder.", "audio_head.", "tag_head."):
        assert not all(value for key, value in same.items() if key.startswith(part)), part
    assert all(
        value for key, value in same.items() if not key.startswith(("sound_encoder.", "audio_head.", "tag_head."))
    )
