"""The sound encoder's second teacher: a tagger of AudioSet's 527 kinds of sound, and the names it gives.

The first layers of the encoder are trained already (`distil.py`). Their outputs for a piece of every sound, original
and in a distant mixture, are cached, and only the layers above are trained, so that thousands of steps take minutes.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ...atomic_file import written_whole
from ...errors import DataFileError, ModelError, PanoSoundError
from ...localize.nets.joint_encoder import JointEncoder
from ...localize.nets.network import Localizer
from ...localize.nets.sound_encoder import RATE, MelEncoder
from . import augment
from .caches import WaveCache
from .checkpoints import StageState
from .log import Log

STEPS = 16  # features of a piece
SAMPLES = STEPS * 5120  # 5.12 s
KEPT_BLOCKS = 4  # of the mel encoder, which are frozen


@dataclass(frozen=True)
class Piece:
    """A piece of a sound for training: from sample `first` of sound number `sound` on."""

    sound: int
    first: int
    label: str


class Tagger:
    """The teacher, DATA/teachers/mn04.py. Raises DataFileError if it is missing."""

    def __init__(self, data: Path) -> None:
        path = data / "teachers" / "mn04.py"
        spec = importlib.util.spec_from_file_location("pano_sound_tagger", path)
        if spec is None or spec.loader is None or not path.exists():
            raise DataFileError("the tagger is missing", path=path)
        self.module: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.net = self.module.MN04().eval()
        self.names: list[str] = list(self.module.NAMES)

    def columns(self, waves: Tensor) -> Tensor:
        """Waves (n, SAMPLES) at RATE -> its features of each 0.32 s, (n, STEPS, E)."""
        found: Tensor = self.net.features(self.module.log_mel(doubled(waves)))
        return found.mean(dim=2).transpose(1, 2)[:, :STEPS]

    def scores(self, pooled: Tensor) -> Tensor:
        """Features pooled over a window, (n, E) -> scores of its tags (n, len(names)) in [0, 1]."""
        net = self.net
        hidden = F.hardswish(F.linear(pooled, net.fc1__w, net.fc1__b))
        return torch.sigmoid(F.linear(hidden, net.fc2__w, net.fc2__b))


def doubled(waves: Tensor) -> Tensor:
    """Waves (n, samples) at twice their rate, (n, 2 * samples)."""
    at = torch.arange(-31, 32) / 2
    kernel = torch.sinc(at) * torch.hann_window(65, periodic=False)[1:-1]
    sparse = torch.stack([waves, torch.zeros_like(waves)], dim=2).flatten(1)
    return F.conv1d(sparse[:, None], kernel[None, None], padding=31)[:, 0]


@dataclass
class Lower:
    """What stays constant during refinement, float16, for each version (0: the original) and piece.

    Attributes:
        low: (versions, n, frames, channels * bands) the mel encoder after KEPT_BLOCKS.
        rest: (versions, n, STEPS, F') the other parts of the encoder.
        taught: (versions, n, STEPS, E) the tagger's features, also of mixtures, but before the effects of distance.
        lengths: (versions, n) number of steps with sound.
    """

    low: NDArray[np.float16]
    rest: NDArray[np.float16]
    taught: NDArray[np.float16]
    lengths: NDArray[np.int64]


def cut(wave: NDArray[np.float32], piece: Piece, looped: bool) -> NDArray[np.float32]:
    """The samples of a piece, what is missing at its end silent or the piece over again: (SAMPLES,)."""
    part = wave[piece.first : piece.first + SAMPLES]
    if looped and len(part):
        part = np.tile(part, -(-SAMPLES // len(part)))[:SAMPLES]
    return np.pad(part, (0, SAMPLES - len(part)))


def lower(
    encoder: JointEncoder,
    tagger: Tagger,
    waves: WaveCache,
    pieces: Sequence[Piece],
    folder: Path,
    versions: int,
    seed: int,
    batch: int = 16,
) -> Lower:
    """Compute `Lower` once; a second run reads it."""
    at = folder / "lower.npz"
    if not at.exists():
        low, rest, taught = [], [], []
        lengths = np.full((versions + 1, len(pieces)), STEPS)
        for version in range(versions + 1):
            generator = torch.Generator().manual_seed(seed * 1_000 + version)
            for first in tqdm(range(0, len(pieces), batch), f"sound features {version}", disable=None):
                here = pieces[first : first + batch]
                parts = [cut(waves[piece.sound], piece, looped=version > 0) for piece in here]
                clean = torch.from_numpy(np.stack(parts))
                heard = clean
                if version:
                    clean, _ = augment.mix(augment.respeed(clean, generator, share=0.3), generator, share=0.4)
                    clean = augment.colour(clean, generator)
                    heard = augment.far(augment.reverberate(clean, generator), generator)
                else:
                    for k, piece in enumerate(here):
                        samples = len(waves[piece.sound]) - piece.first
                        lengths[0, first + k] = min(STEPS, max(1, math.ceil(samples / 5120)))
                with torch.inference_mode():
                    x, y = _low_and_rest(encoder, heard)
                    low.append(x.half().numpy())
                    rest.append(y.half().numpy())
                    level = augment.level(clean, -20.0) if version else clean
                    taught.append(tagger.columns(level).half().numpy())
        shape = (versions + 1, len(pieces))
        arrays = [np.concatenate(a).reshape(*shape, *a[0].shape[1:]) for a in (low, rest, taught)]
        with written_whole(at) as file:
            np.savez(file, low=arrays[0], rest=arrays[1], taught=arrays[2], lengths=lengths)
    kept = np.load(at)
    return Lower(kept["low"], kept["rest"], kept["taught"], kept["lengths"])


class Upper(nn.Module):
    """The trained layers: the last blocks of the mel encoder, and linear heads above all features, standardised."""

    mean: Tensor
    spread: Tensor

    def __init__(self, model: Localizer, bands: int, embedding: int, labels: int) -> None:
        super().__init__()
        self.bands = bands
        self.blocks = _mel(model).blocks[KEPT_BLOCKS:]
        features = model.sound_encoder.features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.tags = nn.Linear(features, len(model.tags))
        self.embedding, self.labels = nn.Linear(features, embedding), nn.Linear(features, labels)

    def features(self, low: Tensor, rest: Tensor) -> Tensor:
        """low (n, frames, channels * bands), rest (n, STEPS, F') -> features of the encoder (n, STEPS, F)."""
        x = low.unflatten(2, (-1, self.bands)).permute(0, 2, 1, 3).contiguous(memory_format=torch.channels_last)
        mel = self.blocks(x).mean(dim=3).transpose(1, 2)[:, :STEPS]
        return torch.cat([mel, rest], dim=2)

    @torch.no_grad()
    def begin(self, features: Tensor, scores: Tensor) -> None:
        """Standardise what the heads get by these features, (versions, n, STEPS, F); tags begin at
        their mean scores, (tags,)."""
        pooled = features.float().mean(dim=2).flatten(0, 1)
        spread = pooled.std(dim=0)
        self.mean.copy_(pooled.mean(dim=0))
        self.spread.copy_(spread + 0.3 * spread.mean())  # limits the scale of features that are nearly constant
        self.tags.weight.zero_()
        self.tags.bias.copy_(torch.logit(scores.clamp(1e-4, 1 - 1e-4)))

    def standardised(self, pooled: Tensor) -> Tensor:
        """Pooled features (n, F) as the heads want them."""
        out: Tensor = (pooled - self.mean) / self.spread
        return out

    @torch.no_grad()
    def give_tags(self, head: nn.Linear) -> None:
        """Set `head` so that it maps raw features as `tags` maps standardised ones."""
        head.weight.copy_(self.tags.weight / self.spread)
        head.bias.copy_(self.tags.bias - head.weight @ self.mean)

    @torch.no_grad()
    def everything(self, known: Lower, batch: int = 64) -> Tensor:
        """The features of all pieces, float16 (versions, n, STEPS, F)."""
        low, rest = (torch.from_numpy(a).flatten(0, 1) for a in (known.low, known.rest))
        parts = zip(low.split(batch), rest.split(batch), strict=True)
        features = torch.cat([self.features(x.float(), y.float()).half() for x, y in parts])
        return features.unflatten(0, known.low.shape[:2])


def refine(
    model: Localizer,
    tagger: Tagger,
    known: Lower,
    pieces: Sequence[Piece],
    folder: Path,
    steps: int,
    rate: float = 1e-3,
    head_rate: float = 2e-3,
    batch: int = 64,
    seed: int = 0,
    log: Log | None = None,
) -> Tensor:
    """Train the encoder's upper layers and `model.tag_head` in place; continues from `folder/refined.pt`.

    Args:
        rate: of the upper layers; 0: they stay as they are.
        head_rate: of the linear heads above them.

    Returns:
        the features of all pieces by the refined encoder, float16 (versions, n, STEPS, F).
    """
    names = sorted({piece.label for piece in pieces})
    number = {name: i for i, name in enumerate(names)}
    labels = np.array([number[piece.label] for piece in pieces])
    counts = np.bincount(labels)
    chance = 1 / np.sqrt(counts[labels])
    chance /= chance.sum()
    torch.manual_seed(seed)
    upper = Upper(model, _bands(model), known.taught.shape[3], len(names)).eval()
    before = upper.everything(known)
    with torch.no_grad():
        upper.begin(before, tagger.scores(torch.from_numpy(known.taught[0]).float().mean(dim=1)).mean(dim=0))
    sample = torch.from_numpy(known.taught[0, :: max(1, len(pieces) // 400)]).float().mean(dim=1)
    mean, spread = sample.mean(0), sample.std(0) + 0.05
    fresh = [*upper.tags.parameters(), *upper.embedding.parameters(), *upper.labels.parameters()]
    groups = [{"params": fresh, "rate": head_rate}]
    if rate:
        groups.append({"params": list(upper.blocks.parameters()), "rate": rate})
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    state = StageState(folder / "refined.pt", "upper", upper, optimiser)
    start = state.restore()
    if log is not None:
        log.rewind(start, stage="refine")
    upper.blocks.requires_grad_(rate > 0).train(rate > 0)
    fixed = None if rate else before
    for step in tqdm(range(start, steps), "refine", initial=start, total=steps, disable=None):
        rng = np.random.default_rng((seed, step))
        for group in optimiser.param_groups:
            schedule = min(1.0, (step + 1) / 40) * 0.5 * (1 + math.cos(math.pi * step / steps))
            group["lr"] = group["rate"] * schedule
        chosen = rng.choice(len(pieces), batch, p=chance)
        versions = rng.integers(known.low.shape[0], size=batch)
        if fixed is not None:
            features = fixed[versions, chosen].float()
        else:
            features = upper.features(*(torch.from_numpy(a[versions, chosen]).float() for a in (known.low, known.rest)))
        window = _windows(known.lengths[versions, chosen], rng)
        inputs = upper.standardised(torch.einsum("nsf,ns->nf", features, window))
        wanted = torch.einsum("nsf,ns->nf", torch.from_numpy(known.taught[versions, chosen]).float(), window)
        with torch.no_grad():
            tags = tagger.scores(wanted)
        parts = {
            "embedding": (upper.embedding(inputs) - (wanted - mean) / spread).square().mean(),
            "tags": F.binary_cross_entropy_with_logits(upper.tags(inputs), tags, reduction="none").sum(1).mean(),
            "labels": F.cross_entropy(upper.labels(inputs), torch.from_numpy(labels[chosen]), label_smoothing=0.1),
        }
        loss = parts["embedding"] + 0.1 * parts["tags"] + 0.2 * parts["labels"]
        if not torch.isfinite(loss):
            raise PanoSoundError(f"the loss is {float(loss)} at step {step} of the refinement")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(upper.parameters(), 5.0)
        optimiser.step()
        if log is not None and (step % 20 == 0 or step == steps - 1):
            log.write(stage="refine", step=step, **{name: float(part.detach()) for name, part in parts.items()})
        if (step + 1) % 100 == 0 or step == steps - 1:
            state.save(step + 1)
    if model.tag_head is not None:
        upper.give_tags(model.tag_head)
    return upper.eval().everything(known) if fixed is None else fixed


def _windows(lengths: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    """Weights of a mean over a random window of at least three steps, where there are so many: (n, STEPS)."""
    out = torch.zeros(len(lengths), STEPS)
    for k, length in enumerate(lengths.tolist()):
        size = int(rng.integers(min(3, length), length + 1))
        begin = int(rng.integers(0, length - size + 1))
        out[k, begin : begin + size] = 1 / size
    return out


def joint_encoder(model: Localizer) -> JointEncoder:
    """The sound encoder of a model of the recipe `base`. Raises ModelError for a model of another architecture."""
    if not isinstance(model.sound_encoder, JointEncoder):
        raise ModelError("the model has another sound encoder than the recipe base trains")
    return model.sound_encoder


def _mel(model: Localizer) -> MelEncoder:
    return joint_encoder(model).first(MelEncoder)


def _bands(model: Localizer) -> int:
    """Bands of frequency that are left after KEPT_BLOCKS."""
    mel = _mel(model)
    with torch.no_grad():
        return int(mel.lower(torch.zeros(1, RATE), KEPT_BLOCKS).shape[3])


def _low_and_rest(encoder: JointEncoder, waves: Tensor) -> tuple[Tensor, Tensor]:
    """Waves (n, SAMPLES) -> the mel part after KEPT_BLOCKS (n, frames, channels * bands), the others' features."""
    low = encoder.first(MelEncoder).lower(encoder.padded(waves, 0), KEPT_BLOCKS).permute(0, 2, 1, 3).flatten(2)
    rest = [encoder.of_part(i, waves) for i in range(1, len(encoder.parts))]
    return low, torch.cat(rest, dim=2)
