"""Distillation of a large sound net, trained on AudioSet, into a small one.

Teacher (DATA/teachers/yamnet.py) and student get the same crops: sounds at other speeds, mixed, filtered. The student
also gets them distant, reverberant and noisy, and still has to predict the teacher's embeddings and class scores, and
the labels of the mixture. (A consistent teacher and endless mixtures are what makes distillation work on
little data: Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022.)
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from ...errors import DataFileError, PanoSoundError
from ...localize.nets.joint_encoder import JointEncoder, WaveEncoder
from ...localize.nets.sound_encoder import HOP, SoundEncoder, mel_bank, mel_magnitudes
from ...localize.nets.weights import has_bfloat16
from . import augment
from .caches import WaveCache
from .checkpoints import StageState
from .log import Log

PATCH = 96  # mel frames per input of the teacher
STRIDE = 32  # mel frames between outputs of the student
STEPS = 8  # outputs of the student per crop
ASKED = (2, 4, 6)  # outputs at which the teacher is evaluated, on 0.96 s around each
CROP = STEPS * STRIDE * HOP  # samples: 2.56 s


class Teacher(nn.Module):
    """The teacher with its mel front end.

    Raises:
        DataFileError: it is missing from the data folder.
    """

    def __init__(self, data: Path) -> None:
        super().__init__()
        path = data / "teachers" / "yamnet.py"
        spec = importlib.util.spec_from_file_location("pano_sound_teacher", path)
        if spec is None or spec.loader is None or not path.exists():
            raise DataFileError("the teacher is missing", path=path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.net: nn.Module = module.Yamnet().eval()
        self.bank = mel_bank()

    @torch.no_grad()
    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (n, CROP) -> embeddings (n, len(ASKED), E) and class scores (n, len(ASKED), C) in [0, 1]."""
        mels = torch.log(mel_magnitudes(waves, self.bank) + 0.001)
        first = [STRIDE * step - PATCH // 2 for step in ASKED]
        patches = torch.stack([mels[:, at : at + PATCH] for at in first], dim=1).flatten(0, 1)[:, None]
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
            scores, embeddings = self.net(patches)
        shape = (len(waves), len(ASKED), -1)
        return embeddings.float().view(shape), scores.float().view(shape)


class Crops:
    """Random crops of training sounds, with labels drawn in proportion to the square root of their count.

    Args:
        waves: all sounds.
        chosen: which of them are for training.
        labels: label of each sound; None if unknown.
    """

    def __init__(self, waves: WaveCache, chosen: Sequence[int], labels: Sequence[str | None]) -> None:
        self.waves = waves
        self.names = sorted({label for i in chosen if (label := labels[i]) is not None})
        groups: dict[str | None, list[int]] = {}
        for i in chosen:
            groups.setdefault(labels[i], []).append(i)
        self.groups = list(groups.items())
        weights = np.sqrt([len(group) for _, group in self.groups])
        self.chance = weights / weights.sum()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """-> waves (n, CROP) and the number of each one's label (n,), -1 where it has none."""
        out, labels = np.zeros((n, CROP), np.float32), np.full(n, -1)
        for k, g in enumerate(rng.choice(len(self.groups), n, p=self.chance)):
            label, group = self.groups[g]
            wave = self.waves[int(rng.choice(group))]
            source = int(rng.integers(0, max(1, len(wave) - CROP + 1)))
            target = int(rng.integers(0, max(1, CROP - len(wave) + 1)))
            part = wave[source : source + CROP]
            if len(wave) < CROP / 2 and rng.random() < 0.5:  # short sounds one after the other, too
                part, target = np.tile(wave, -(-CROP // max(1, len(wave))))[:CROP], 0
            out[k, target : target + len(part)] = part
            if label is not None:
                labels[k] = self.names.index(label)
        return torch.from_numpy(out), torch.from_numpy(labels)


class Pupil(nn.Module):
    """The student with three linear heads for training only."""

    def __init__(self, student: SoundEncoder, embedding: int, classes: int, labels: int) -> None:
        super().__init__()
        self.student = student
        self.embedding = nn.Linear(student.features, embedding)
        self.classes = nn.Linear(student.features, classes)
        self.labels = nn.Linear(student.features, labels)

    def loss(self, waves: Tensor, e: Tensor, s: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Distance to the teacher's embeddings and scores, and to the labels.

        Args:
            waves: (n, CROP); e, s: standardised embeddings (n, len(ASKED), E) and scores (n, len(ASKED), C).
            labels: (n, labels), how much of each crop is which label; rows of zeros if unknown.
        """
        y = self.student.from_waves(waves)[:, ASKED]
        embedding = (self.embedding(y) - e).square().mean()
        classes = F.binary_cross_entropy_with_logits(self.classes(y), s, reduction="none").sum(-1).mean()
        chances = torch.log_softmax(self.labels(y.mean(1)), dim=1)
        known = labels.sum(1) > 0
        labelled = -(chances * (0.9 * labels + 0.1 / labels.shape[1]))[known].sum(1).mean()
        total = embedding + 0.2 * classes + 0.3 * labelled
        parts = {"embedding": embedding, "classes": classes, "labels": labelled}
        return total, {name: float(value.detach()) for name, value in parts.items()}


def distil(
    student: JointEncoder,
    teacher: Teacher,
    crops: Crops,
    folder: Path,
    steps: int,
    batch: int = 24,
    rate: float = 2e-3,
    seed: int = 0,
    log: Log | None = None,
) -> JointEncoder:
    """Train the student in place. Continues from `folder/student.pt` if it exists, and writes it every 100 steps.

    Args:
        student: a mel net and a wave net. The wave net was trained before (SoundNet): it learns at a fifth of the rate,
            its first two layers not at all.
    """
    torch.manual_seed(seed)
    student.first(WaveEncoder).convolutions[:2].requires_grad_(False)
    waves, _ = crops.draw(256, np.random.default_rng(seed))
    e, s = teacher(waves)
    pupil = Pupil(student, e.shape[2], s.shape[2], len(crops.names))
    pupil.register_buffer("mean", e.flatten(0, 1).mean(0))
    pupil.register_buffer("spread", e.flatten(0, 1).std(0) + 0.05)
    pretrained = [p for name, p in pupil.named_parameters() if name.startswith("student.parts.1.")]
    fresh = [p for name, p in pupil.named_parameters() if not name.startswith("student.parts.1.")]
    rates = [{"params": fresh, "share": 1.0}, {"params": pretrained, "share": 0.2}]
    optimiser = torch.optim.AdamW(rates, lr=rate, weight_decay=0.02)
    state = StageState(folder / "student.pt", "pupil", pupil, optimiser)
    start = state.restore()
    if log is not None:
        log.rewind(start, stage="distil")
    pupil.train()
    for step in tqdm(range(start, steps), "distil", initial=start, total=steps, disable=None):
        rng, generator = np.random.default_rng((seed, step)), torch.Generator().manual_seed(seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            schedule = min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
            group["lr"] = rate * group["share"] * schedule
        waves, labels = crops.draw(batch, rng)
        waves, ratio = augment.mix(augment.respeed(waves, generator), generator)
        waves = augment.colour(waves, generator)
        e, s = teacher(augment.level(waves, -20.0))
        own = F.one_hot(labels.clamp_min(0), len(crops.names)) * (labels >= 0)[:, None]
        wanted = own * (1 - ratio)[:, None] + own.roll(-1, 0) * ratio[:, None]
        wanted = wanted * (wanted.sum(1, keepdim=True) > 0.99)  # everything in the mixture has a label
        heard = augment.far(augment.reverberate(waves, generator), generator)
        total, parts = pupil.loss(heard, (e - pupil.mean) / pupil.spread, s, wanted)
        optimiser.zero_grad(set_to_none=True)
        if not torch.isfinite(total):
            raise PanoSoundError(f"the loss is {float(total)} at step {step} of the distillation")
        total.backward()
        nn.utils.clip_grad_norm_(pupil.parameters(), 5.0)
        optimiser.step()
        if log is not None and (step % 20 == 0 or step == steps - 1):
            log.write(stage="distil", step=step, loss=float(total.detach()), **parts)
        if (step + 1) % 100 == 0 or step == steps - 1:
            state.save(step + 1)
    return student.eval()
