"""Distillation of a tagger of AudioSet's 527 kinds of sound into the sound encoder, and into a linear head for tags.

Teacher and student get the same pieces of sound: at other speeds, mixed, filtered. The student gets some of them once
instead of over and over, and all of them distant, reverberant and noisy. It still has to predict the teacher's features
and scores, and the labels of the mixture. (A consistent teacher and endless mixtures are what makes distillation work
on little data: Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ...atomic_file import written_whole
from ...errors import DataFileError, ModelError, PanoSoundError
from ...localize.nets.joint_encoder import JointEncoder, WaveEncoder
from ...localize.nets.localizer import Localizer
from ...localize.nets.sound_encoder import SoundEncoder
from . import augment
from .caches import WaveCache
from .checkpoints import StageState
from .log import Log
from .tagger import HOP, SAMPLES, STEPS, Tagger

FASTEST = 1.2  # of sounds that are played at another speed
_GRAIN = 1280  # samples: pieces are cut to multiples, because the first wave of each length takes long
_WINDOWS = 4  # windows of each piece, over which features are pooled for the losses


@dataclass(frozen=True)
class Piece:
    """A piece of a sound for training: from sample `first` of sound number `sound` on."""

    sound: int
    first: int
    label: str


class Sounds:
    """All training sounds on one device, and random pieces of them.

    Args:
        waves: the sounds.
        labels: label of each; None if unknown. Labels are drawn in proportion to the square root of their count.
    """

    def __init__(self, waves: WaveCache, labels: Sequence[str | None], device: torch.device | str = "cpu") -> None:
        self.samples = torch.from_numpy(waves.samples).to(device)
        self.first, self.lengths = waves.edges[:-1], np.diff(waves.edges)
        self.names = sorted({label for label in labels if label is not None})
        groups: dict[str | None, list[int]] = {}
        for i, label in enumerate(labels):
            if self.lengths[i]:
                groups.setdefault(label, []).append(i)
        self.groups = list(groups.items())
        chance = np.sqrt([len(group) for _, group in self.groups])
        self.chance = chance / chance.sum()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
        """Random pieces, half of them faster or slower by up to FASTEST; short sounds over and over again.

        Returns:
            waves (n, SAMPLES); the number of each one's label (n,), -1 where it is unknown; how many of its samples to
            keep (n,): half of the sounds are to be heard once.
        """
        groups = rng.choice(len(self.groups), n, p=self.chance)
        sounds = np.array([self.groups[g][1][int(rng.integers(len(self.groups[g][1])))] for g in groups])
        labels = [self.groups[g][0] for g in groups]
        speed = np.where(rng.random(n) < 0.5, FASTEST ** rng.uniform(-1, 1, n), 1.0)
        spare = np.maximum(0, self.lengths[sounds] - SAMPLES * speed)
        first, once = rng.uniform(0, 1, n) * spare, rng.random(n) < 0.5
        waves, _ = self.pieces(sounds, first, speed, np.full(n, True))
        held = np.where(once, np.clip((self.lengths[sounds] - first) / speed, 1, SAMPLES), SAMPLES)
        return waves, torch.tensor([-1 if x is None else self.names.index(x) for x in labels]), held.astype(np.int64)

    def pieces(
        self, sounds: NDArray[np.int64], first: NDArray, speed: NDArray, looped: NDArray[np.bool_]
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Pieces of sounds from these samples on: (n, SAMPLES), and how many steps of each hold sound, (n,).

        What is missing at the end is silent, or the piece over again if `looped`."""
        device = self.samples.device
        left = torch.from_numpy(self.lengths[sounds] - first).to(device)[:, None]
        at = torch.arange(SAMPLES, device=device) * torch.from_numpy(np.asarray(speed, np.float64)).to(device)[:, None]
        again = torch.from_numpy(looped).to(device)[:, None]
        inside = again | (at <= left - 1)
        at = torch.where(again, at % left, at).clamp(max=(left - 1).clamp(min=0))
        at = at + torch.from_numpy(np.asarray(first, np.float64)).to(device)[:, None]
        below = at.long()
        last = torch.from_numpy(self.lengths[sounds] - 1).to(device)[:, None]
        begin = torch.from_numpy(self.first[sounds]).to(device)[:, None]
        low, high = (self.samples[begin + torch.minimum(i, last)].float() / 32767 for i in (below, below + 1))
        waves = torch.lerp(low, high, (at - below).float()) * inside
        steps = np.ceil(np.clip((self.lengths[sounds] - first) / speed, 1, SAMPLES) / HOP).astype(np.int64)
        return waves, np.where(looped, STEPS, steps)


class Lesson:
    """Pieces of sound as teacher and student hear them.

    Attributes:
        near: (n, SAMPLES), mixed and filtered, for the teacher. It hears nothing but sound: of a second of it with
            silence after it, its features are four times as large as usual, and 89 of its tags at least 0.3.
        distant: (n, SAMPLES), the same for the student, some only once, reverberant and noisy.
        windows: (n, _WINDOWS, STEPS), means over windows with sound.
        labels: (n, L), how much of each piece is which label; rows of zeros if unknown.
    """

    def __init__(self, sounds: Sounds, n: int, rng: np.random.Generator, generator: torch.Generator) -> None:
        device = sounds.samples.device
        drawn, own, held = sounds.draw(n, rng)
        mixed, ratio = augment.mix(drawn, generator)
        mixed = augment.colour(mixed, generator)
        self.near = augment.level(mixed, -20.0)
        self.windows = random_windows(-(-held // HOP), _WINDOWS, rng).to(device)
        heard = mixed * (torch.arange(SAMPLES) < torch.from_numpy(held)[:, None]).to(device)
        self.distant = augment.far(augment.reverberate(heard, generator), generator)
        labels = F.one_hot(own.clamp_min(0), len(sounds.names)).to(device) * (own >= 0).to(device)[:, None]
        labels = labels * (1 - ratio)[:, None] + labels.roll(-1, 0) * ratio[:, None]
        self.labels = labels * (labels.sum(1, keepdim=True) > 0.99)  # everything in the mixture has a label


class Pupil(nn.Module):
    """The student, and linear heads above its standardised features: tags to keep, the others for training only."""

    def __init__(self, student: JointEncoder, tags: int, embedding: int, labels: int) -> None:
        super().__init__()
        self.student = student
        self.norm = nn.BatchNorm1d(student.features, affine=False)
        self.tags = nn.Linear(student.features, tags)
        self.embedding = nn.Linear(student.features, embedding)
        self.labels = nn.Linear(student.features, labels)
        nn.init.zeros_(self.tags.weight)

    def loss(
        self, waves: Tensor, windows: Tensor, embedding: Tensor, tags: Tensor, labels: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """How far features pooled over windows are from what the teacher says of the same windows.

        Args:
            waves: (n, SAMPLES).
            windows: (n, w, STEPS), the weights of each mean.
            embedding: (n, w, E), standardised; tags: (n, w, T) in [0, 1].
            labels: (n, L), how much of each piece is which label; rows of zeros if unknown.
        """
        pooled = torch.einsum("nsf,nws->nwf", self.student.from_waves(waves)[:, :STEPS], windows)
        features = self.norm(pooled.flatten(0, 1)).unflatten(0, pooled.shape[:2])
        chances = torch.log_softmax(self.labels(features).mean(dim=1), dim=1)
        known = labels.sum(dim=1) > 0
        each = -(chances * (0.9 * labels + 0.1 / labels.shape[1])).sum(dim=1)
        parts = {
            "embedding": (self.embedding(features) - embedding).square().mean(),
            "tags": F.binary_cross_entropy_with_logits(self.tags(features), tags, reduction="none").sum(-1).mean(),
            "labels": (each * known).sum() / known.sum().clamp(min=1),
        }
        return parts["embedding"] + 0.1 * parts["tags"] + 0.2 * parts["labels"], parts

    @torch.no_grad()
    def take_tags(self, head: nn.Linear, waves: Tensor, windows: Tensor) -> None:
        """Set `tags` so that it maps standardised features as `head` maps raw ones, as far as `waves` (n, SAMPLES) and
        `windows` (n, w, STEPS) tell their statistics."""
        pooled = torch.einsum("nsf,nws->nwf", self.student.from_waves(waves)[:, :STEPS], windows).flatten(0, 1)
        mean, variance = pooled.mean(dim=0), pooled.var(dim=0)
        self.norm.running_mean, self.norm.running_var = mean, variance
        self.tags.weight.copy_(head.weight * (variance + self.norm.eps).sqrt())
        self.tags.bias.copy_(head.bias + head.weight @ mean)

    @torch.no_grad()
    def give_tags(self, head: nn.Linear) -> None:
        """Set `head` so that it maps raw features as `tags` maps standardised ones."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert isinstance(mean, Tensor)
        assert isinstance(variance, Tensor)
        head.weight.copy_(self.tags.weight / (variance + self.norm.eps).sqrt())
        head.bias.copy_(self.tags.bias - head.weight @ mean)


def distil(
    model: Localizer,
    tagger: Tagger,
    sounds: Sounds,
    folder: Path,
    steps: int,
    batch: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
    log: Log | None = None,
    known_tags: bool = False,
) -> None:
    """Train the sound encoder and `model.tag_head` in place. Continues from `folder/sounds.pt`; with `known_tags`, the
    tags from those of the head.

    The nets on waves were trained before (SoundNet): the first of them learns at a fifth of the rate, but for its first
    two layers, which stay as they are, and the others stay whole.
    """
    device = sounds.samples.device
    torch.manual_seed(seed)
    student = joint_encoder(model)
    student.requires_grad_(True)
    waves = [part for part in student.parts if isinstance(part, WaveEncoder)]
    for part in waves[1:]:
        part.requires_grad_(False)
    if waves:
        waves[0].convolutions[:2].requires_grad_(False)
    with torch.no_grad():
        sample = tagger.columns(sounds.draw(256, np.random.default_rng(seed))[0]).mean(dim=1)
    mean, spread = sample.mean(0), sample.std(0) + 0.05
    pupil = Pupil(student, len(tagger.names), sample.shape[1], len(sounds.names)).to(device)
    if known_tags and model.tag_head is not None:
        first = Lesson(sounds, 256, np.random.default_rng(seed), torch.Generator(device).manual_seed(seed))
        pupil.take_tags(model.tag_head, first.distant, first.windows)
    else:
        pupil.tags.bias.data = torch.logit(tagger.scores(sample).mean(dim=0).clamp(1e-4, 1 - 1e-4))
    slow = {id(p) for part in waves for p in part.parameters()}
    learning = [p for p in pupil.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in learning if id(p) not in slow], "share": 1.0},
            {"params": [p for p in learning if id(p) in slow], "share": 0.2},
        ],
        weight_decay=0.02,
    )
    state = StageState(folder / "sounds.pt", "pupil", pupil, optimiser)
    start = state.restore()
    if log is not None:
        log.rewind(start, stage="sounds")
    pupil.train()
    for step in tqdm(range(start, steps), "sounds", initial=start, total=steps, disable=None):
        rng, generator = np.random.default_rng((seed, step)), torch.Generator(device)
        generator.manual_seed(seed * 1_000_003 + step)
        schedule = min(1.0, (step + 1) / min(100, 1 + steps // 10)) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"] * schedule
        with torch.no_grad():
            lesson = Lesson(sounds, batch, rng, generator)
            taught = torch.einsum("nse,nws->nwe", tagger.columns(lesson.near), lesson.windows)
            scores = tagger.scores(taught)
        loss, parts = pupil.loss(lesson.distant, lesson.windows, (taught - mean) / spread, scores, lesson.labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 5.0)
        optimiser.step()
        if step % 20 == 0 or step == steps - 1:
            if not torch.isfinite(loss):
                what = f"the loss is {float(loss.detach())} at step {step} of the distillation"
                raise PanoSoundError(what, hint="try a smaller sound_rate")
            if log is not None:
                log.write(stage="sounds", step=step, **{name: float(part.detach()) for name, part in parts.items()})
        if (step + 1) % 100 == 0 or step == steps - 1:
            state.save(step + 1)
    if model.tag_head is not None:
        pupil.give_tags(model.tag_head)
    student.eval()


@dataclass
class Features:
    """What is kept of pieces of sounds for training the heads.

    Attributes:
        encoded: (versions, n, STEPS, F) float16, by the encoder; the first version is the original.
        lengths: (versions, n), how many steps hold sound.
        tags: (n, tags) float32 in [0, 1], the tagger's scores of the original.
    """

    encoded: Tensor
    lengths: NDArray[np.int64]
    tags: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write them to a file, which is complete or absent."""
        with written_whole(path, "wb") as file:
            np.savez(file, encoded=self.encoded.cpu().numpy(), lengths=self.lengths, tags=self.tags)

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> Features:
        """What `save` wrote, on a device. Raises DataFileError if the file is damaged."""
        try:
            with np.load(path) as kept:
                return cls(torch.from_numpy(kept["encoded"]).to(device), kept["lengths"], kept["tags"])
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
            raise DataFileError("the file is damaged", path, "remove it: it will be made again") from error


@torch.inference_mode()
def features_of(
    model: Localizer,
    tagger: Tagger,
    sounds: Sounds,
    pieces: Sequence[Piece],
    versions: int,
    seed: int = 0,
    batch: int = 32,
) -> Features:
    """Features of all pieces, as they are, with nothing after them, and in `versions` distant mixtures."""
    device = sounds.samples.device
    numbers = np.array([piece.sound for piece in pieces])
    first = np.array([piece.first for piece in pieces], float)
    encoded, lengths, tags = [], [], []
    for version in range(versions + 1):
        rng, generator = np.random.default_rng((seed, version)), torch.Generator(device)
        generator.manual_seed(seed * 1_000 + version)
        for at in tqdm(range(0, len(pieces), batch), f"sound features {version}", disable=None):
            here = slice(at, at + batch)
            n = len(numbers[here])
            altered = np.full(n, version > 0)
            speed = np.where(altered & (rng.random(n) < 0.3), FASTEST ** rng.uniform(-1, 1, n), 1.0)
            waves, steps = sounds.pieces(numbers[here], first[here], speed, altered)
            if version:
                waves = augment.colour(augment.mix(waves, generator, share=0.4)[0], generator)
                waves = augment.far(augment.reverberate(waves, generator), generator)
            else:
                # With the silence after a short sound, as the tagger learnt: without it, dozens of its tags are high.
                tags.append(tagger.scores(tagger.columns(waves).mean(dim=1)).cpu().numpy())
            if version:
                features = model.sound_encoder.from_waves(waves)[:, :STEPS]
            else:
                features, steps = alone(model.sound_encoder, waves, sounds.lengths[numbers[here]] - first[here])
            encoded.append(features.half())
            lengths.append(steps)
    shape = (versions + 1, len(pieces))
    return Features(
        torch.cat(encoded).unflatten(0, shape), np.concatenate(lengths).reshape(shape), np.concatenate(tags)
    )


def alone(encoder: SoundEncoder, waves: Tensor, samples: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.int64]]:
    """Features of waves (n, SAMPLES) of which these many samples (n,) are sound: (n, STEPS, F), and steps with sound.

    What is measured and used ends where the sound ends. With silence after it, the nets would hear a short sound
    otherwise: they level it by its surroundings, and each feature is made of more than its own 0.32 s."""
    kept = np.clip(samples // _GRAIN * _GRAIN, _GRAIN, SAMPLES).astype(np.int64)
    features = waves.new_zeros(len(waves), STEPS, encoder.features)
    steps = np.zeros(len(waves), np.int64)
    for size in np.unique(kept):
        here = np.flatnonzero(kept == size)
        found = encoder.from_waves(waves[here, :size])[:, :STEPS]
        features[here, : found.shape[1]] = found
        steps[here] = found.shape[1]
    return features, steps


def random_windows(lengths: NDArray[np.int64], count: int, rng: np.random.Generator) -> Tensor:
    """Weights of means over random windows of at least three steps, where there are so many: (n, count, STEPS)."""
    longest = np.repeat(lengths[:, None], count, axis=1)
    size = rng.integers(np.minimum(3, longest), longest + 1)
    begin = rng.integers(0, longest - size + 1)
    at = np.arange(STEPS)
    inside = (at >= begin[..., None]) & (at < (begin + size)[..., None])
    return torch.from_numpy((inside / size[..., None]).astype(np.float32))


def joint_encoder(model: Localizer) -> JointEncoder:
    """The sound encoder of a model of the recipe `base`. Raises ModelError for a model of another architecture."""
    if not isinstance(model.sound_encoder, JointEncoder):
        raise ModelError("the model has another sound net than the recipe base trains")
    return model.sound_encoder
