"""Distillation: a small sound net of ours learns to hear what a large one, trained on AudioSet, hears.

The teacher (DATA/teachers/yamnet.py) is asked once, on the clean sounds. The student hears the same moments
quieter or louder, through other microphones (a random filter), in rooms, over noise and over other sounds, and must
give the teacher's embedding and class scores all the same; and the label of the clip.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ..datasets.labelled import Item
from ..errors import DataFileError
from ..localize.listener import BANDS, MelListener
from .caches import MelCache
from .log import Log

PATCH = 96  # mel frames that the teacher hears at once
CROP = 256  # mel frames that the student is shown at once
STRIDE = 32  # mel frames from answer to answer


def ask_teacher(data: Path, folder: Path, mels: MelCache, name: str = "teacher") -> tuple[NDArray, NDArray, NDArray]:
    """The teacher's answers each 0.32 s, centred on the student's steps; computed once and kept in `folder`.

    Returns:
        edges (clips + 1,) int, embeddings (steps, E) float16, class scores (steps, C) float16 in [0, 1].
    """
    edges = np.concatenate([[0], np.cumsum([-(-len(mels[i]) // STRIDE) for i in range(len(mels))])])
    at = folder / f"{name}.npz"
    if not at.exists():
        teacher = _load_teacher(data)
        embeddings, scores = [], []
        for i in tqdm(range(len(mels)), "teacher"):
            frames = torch.from_numpy(np.array(mels[i], np.float32))
            steps = -(-len(frames) // STRIDE)
            frames = F.pad(frames, (0, 0, PATCH // 2, PATCH // 2 + STRIDE))
            x = torch.log(frames + 0.001).unfold(0, PATCH, STRIDE).transpose(1, 2)[:steps, None]
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                score, embedding = teacher(x)
            embeddings.append(embedding.half().numpy())
            scores.append(score.half().numpy())
        np.savez(at, embeddings=np.concatenate(embeddings), scores=np.concatenate(scores))
    with np.load(at) as kept:
        return edges, kept["embeddings"], kept["scores"]


def _load_teacher(data: Path) -> nn.Module:
    path = data / "teachers" / "yamnet.py"
    spec = importlib.util.spec_from_file_location("pano_sound_teacher", path)
    if spec is None or spec.loader is None or not path.exists():
        raise DataFileError("the teacher is missing", path=path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    teacher: nn.Module = module.Yamnet().eval()
    return teacher


def disturb(x: Tensor, background: Tensor, generator: torch.Generator) -> Tensor:
    """Clean mel magnitudes -> what a far or bad microphone in a busy place would hear of them.

    Args:
        x, background: (n, frames, BANDS) magnitudes. Each of filter, room, background (-25 to -3 dB), noise
            (-40 to -10 dB) is applied to a random part of the batch, a gain of -40 to +6 dB to all.
    """
    n = len(x)

    def some(share: float) -> Tensor:
        return (torch.rand(n, 1, 1, generator=generator) < share).float()

    def decibels(low: float, high: float) -> Tensor:
        return 10 ** ((low + (high - low) * torch.rand(n, 1, 1, generator=generator)) / 20)

    def level(y: Tensor) -> Tensor:
        return y.square().mean((1, 2), keepdim=True).sqrt() + 1e-6

    knots = torch.randn(n, 1, 6, generator=generator) * 5 * some(0.7)
    x = x * 10 ** (F.interpolate(knots, BANDS, mode="linear", align_corners=True) / 20)
    power = x.square()
    rooms = torch.rand(n, generator=generator) < 0.25
    frames = 4 + 8 * float(torch.rand(1, generator=generator))
    if rooms.any():
        power[rooms] = reverberated(power[rooms], frames)
    loud = level(x)
    power = power + (some(0.6) * decibels(-25, -3) * loud / level(background) * background).square()
    colour = 10 ** (torch.linspace(0.5, -0.5, BANDS) * torch.randn(n, 1, 1, generator=generator))
    hiss = colour * torch.rand(x.shape, generator=generator).clamp_min(1e-6).log().neg().sqrt()
    power = power + (some(0.4) * decibels(-40, -10) * loud / level(hiss) * hiss).square()
    return power.sqrt() * decibels(-40, 6)


def reverberated(power: Tensor, frames: float) -> Tensor:
    """Power (n, frames, BANDS) smeared over time by a tail that falls to 1/e within that many frames."""
    decay = torch.exp(-torch.arange(32) / frames)
    lines = F.pad(power.transpose(1, 2).reshape(-1, 1, power.shape[1]), (len(decay) - 1, 0))
    tail = F.conv1d(lines, (decay / decay.sum()).flip(0)[None, None])
    return 2 * tail.reshape(len(power), BANDS, -1).transpose(1, 2)


class Crops:
    """Random training crops of labelled sounds with the teacher's answers, labels drawn with equal chance."""

    def __init__(
        self,
        mels: MelCache,
        answers: tuple[NDArray, NDArray, NDArray],
        chosen: Sequence[int],
        items: Sequence[Item],
    ) -> None:
        self.mels, (self.edges, self.embeddings, self.scores) = mels, answers
        self.names = sorted({items[i].label for i in chosen})
        self.by_label = [[i for i in chosen if items[i].label == name] for name in self.names]
        rows = np.concatenate([np.arange(self.edges[i], self.edges[i + 1]) for i in chosen])
        sample = self.embeddings[rows].astype(np.float32)
        self.mean, self.spread = sample.mean(0), sample.std(0) + 1e-3
        weights = np.sqrt([len(group) for group in self.by_label])
        self.chance = weights / weights.sum()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """-> mels (n, CROP, BANDS), standardised embeddings (n, s, E), scores (n, s, C), known (n, s), labels (n,)."""
        steps = CROP // STRIDE
        x = np.zeros((n, CROP, BANDS), np.float32)
        e = np.zeros((n, steps, self.embeddings.shape[1]), np.float32)
        s = np.zeros((n, steps, self.scores.shape[1]), np.float32)
        known = np.zeros((n, steps), np.float32)
        labels = rng.choice(len(self.names), n, p=self.chance)
        for k, label in enumerate(labels):
            i = int(rng.choice(self.by_label[label]))
            total = int(self.edges[i + 1] - self.edges[i])
            source = int(rng.integers(0, max(1, total - steps + 1)))
            target = int(rng.integers(0, max(1, steps - total + 1)))
            count = min(total - source, steps - target)
            frames = self.mels[i][source * STRIDE : (source + count) * STRIDE]
            x[k, target * STRIDE : target * STRIDE + len(frames)] = frames
            rows = slice(self.edges[i] + source, self.edges[i] + source + count)
            e[k, target : target + count] = (self.embeddings[rows] - self.mean) / self.spread
            s[k, target : target + count] = self.scores[rows]
            known[k, target : target + count] = 1.0
        return tuple(torch.from_numpy(a) for a in (x, e, s, known, labels))


class Pupil(nn.Module):
    """The student with the three linear answers that only its lessons need."""

    def __init__(self, student: MelListener, embedding: int, classes: int, labels: int) -> None:
        super().__init__()
        self.student = student
        self.embedding = nn.Linear(student.features, embedding)
        self.classes = nn.Linear(student.features, classes)
        self.labels = nn.Linear(student.features, labels)

    def loss(
        self, mels: Tensor, e: Tensor, s: Tensor, known: Tensor, labels: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Distance to the teacher's embedding and scores over the known steps, and to the clip's label."""
        y = self.student.from_mels(mels).float()
        pooled = (y * known[..., None]).sum(1) / known.sum(1, keepdim=True)
        embedding = (self.embedding(y) - e).square().mean(-1)
        classes = F.binary_cross_entropy_with_logits(self.classes(y), s, reduction="none").sum(-1)
        parts = {
            "embedding": (embedding * known).sum() / known.sum(),
            "classes": (classes * known).sum() / known.sum(),
            "labels": F.cross_entropy(self.labels(pooled), labels, label_smoothing=0.1),
        }
        total = parts["embedding"] + 0.2 * parts["classes"] + 0.3 * parts["labels"]
        return total, {name: float(value.detach()) for name, value in parts.items()}


def distil(
    student: MelListener,
    crops: Crops,
    folder: Path,
    steps: int = 1000,
    batch: int = 32,
    rate: float = 2e-3,
    seed: int = 0,
    log: Log | None = None,
) -> MelListener:
    """Train the student in place. Goes on from `folder/student.pt` when that exists; writes it every 100 steps."""
    torch.manual_seed(seed)
    pupil = Pupil(student, crops.embeddings.shape[1], crops.scores.shape[1], len(crops.names))
    optimiser = torch.optim.AdamW(pupil.parameters(), lr=rate, weight_decay=0.02)
    at, start = folder / "student.pt", 0
    if at.exists():
        kept = torch.load(at, weights_only=True)
        pupil.load_state_dict(kept["pupil"])
        optimiser.load_state_dict(kept["optimiser"])
        start = int(kept["step"])
    pupil.train()
    for step in tqdm(range(start, steps), "distil", initial=start, total=steps):
        rng, generator = np.random.default_rng((seed, step)), torch.Generator().manual_seed(seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
        x, *answers = crops.draw(batch, rng)
        x = disturb(x, x.roll(1, 0), generator)
        total, parts = pupil.loss(x, *answers)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(pupil.parameters(), 5.0)
        optimiser.step()
        if log is not None and (step % 20 == 0 or step == steps - 1):
            log.write(stage="distil", step=step, loss=float(total.detach()), **parts)
        if (step + 1) % 100 == 0 or step == steps - 1:
            state = {"pupil": pupil.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            torch.save(state, at.with_suffix(".part"))
            at.with_suffix(".part").replace(at)
    return student.eval()
