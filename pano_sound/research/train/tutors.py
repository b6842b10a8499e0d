"""Tutors: sound heads above the tagger's own features, whose embeddings the model's sound head learns.

A head above the tagger's features finds more of the right pictures than one above our sound net's, but the tagger is
not ours to ship. So the model's own head learns what the tutors say of its pieces of sound, instead of which pieces go
with which pictures: it cannot learn by heart what they do not. What the head before said is taught along, with the
weight of all tutors together. (Distilling an ensemble: Hinton et al., "Distilling the knowledge in a neural network",
2015.)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from ...errors import PanoSoundError
from ...localize.nets.localizer import Localizer, audio_head
from .checkpoints import StageState
from .distil import Features, random_windows
from .log import Log

BATCH = 512
"""Windows of sounds in a step."""


def new_head(model: Localizer, features: Features, seed: int) -> nn.Sequential:
    """A new sound head of the model's widths.

    Args:
        model: whose visual net the head is for.
        features: what it will learn from; their mean and variance become the first layer's.
        seed: of the layers.
    """
    last = model.audio_head[-2]
    assert isinstance(last, nn.Linear)
    torch.manual_seed(seed)
    head = audio_head(features.encoded.shape[-1], last.in_features, last.out_features).to(features.encoded.device)
    norm = head[0]
    assert isinstance(norm, nn.BatchNorm1d)
    means = torch.cat([version.float().mean(dim=1) for version in features.encoded])
    norm.running_mean, norm.running_var = means.mean(0), means.var(0)
    return head


def tutor(model: Localizer, features: Features, seed: int) -> Localizer:
    """A copy of the model with a new sound head for the tagger's features, the only part that learns. Arguments as of
    `new_head`."""
    copied = copy.deepcopy(model).requires_grad_(False)
    copied.audio_head = new_head(model, features, seed)
    return copied


def learn_from(
    tutors: Sequence[nn.Module],
    model: Localizer,
    heard: Features,
    own: Features,
    folder: Path,
    steps: int,
    rate: float,
    seed: int = 0,
    log: Log | None = None,
) -> None:
    """Give a model a new sound head that says what tutors and its head before said. Continues from
    `folder/tutored.pt`.

    Args:
        tutors: their sound heads.
        model: the model; all but its sound head stays as it is.
        heard, own: features of the same pieces, by the tagger and by the model's sound net.
        folder: for the checkpoint.
        steps, rate: training steps, and the learning rate at first.
        seed: of the new layers and the windows.
        log: for the losses.

    Raises:
        PanoSoundError: the loss is no number.
    """
    before = [copy.deepcopy(head).eval().requires_grad_(False) for head in (*tutors, model.audio_head)]
    head = new_head(model, own, seed)
    norm = head[0]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    optimiser = torch.optim.AdamW(head.parameters(), weight_decay=0.05)
    state = StageState(folder / "tutored.pt", "head", head, optimiser)
    start = state.restore()
    if log is not None:
        log.rewind(start, stage="tutored")
    head.train()
    norm.eval()
    for step in tqdm(range(start, steps), "tutored", initial=start, total=steps, disable=None):
        rng = np.random.default_rng((seed, step))
        torch.manual_seed(seed * 1_000_003 + step)
        optimiser.param_groups[0]["lr"] = (
            rate * min(1.0, (step + 1) / 60) * 0.5 * (1 + math.cos(math.pi * step / steps))
        )
        theirs, ours = drawn_windows((heard, own), BATCH, rng)
        with torch.no_grad():
            wanted = consensus(before[:-1], before[-1], theirs, ours)
        said = F.normalize(head(F.dropout(ours - norm.running_mean, 0.2) + norm.running_mean), dim=1)
        loss = 1 - (said * wanted).sum(dim=1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 20 == 0 or step == steps - 1:
            if not torch.isfinite(loss):
                what = f"the loss is {float(loss.detach())} at step {step} of learning from tutors"
                raise PanoSoundError(what, hint="try a smaller rate")
            if log is not None:
                log.write(stage="tutored", step=step, loss=float(loss.detach()))
        if (step + 1) % 200 == 0 or step == steps - 1:
            state.save(step + 1)
    model.audio_head = head.eval()


def consensus(tutors: Sequence[nn.Module], before: nn.Module, heard: Tensor, own: Tensor) -> Tensor:
    """What tutors say of pooled features of the tagger (n, E), and the head before of the sound net's (n, F), with the
    weight of all tutors together: (n, D), of length 1."""
    said = torch.stack([F.normalize(head(heard), dim=1) for head in tutors]).sum(dim=0)
    return F.normalize(F.normalize(said, dim=1) + F.normalize(before(own), dim=1), dim=1)


def drawn_windows(features: Sequence[Features], count: int, rng: np.random.Generator) -> list[Tensor]:
    """The means of several features of the same pieces over the same `count` random windows: (count, F) each."""
    versions, pieces = features[0].lengths.shape
    which = rng.integers(versions, size=count), rng.integers(pieces, size=count)
    windows = random_windows(features[0].lengths[which], 1, rng)[:, 0].to(features[0].encoded.device)
    return [torch.einsum("nsf,ns->nf", one.encoded[which].float(), windows) for one in features]
