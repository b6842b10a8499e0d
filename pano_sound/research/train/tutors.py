"""Tutors: sound heads above the tagger's own features, whose embeddings the sound net learns.

A head above the tagger's features finds more of the right pictures than one above our sound net's, but the tagger is
not ours to ship. So the sound net and its head learn what the tutors say of any sound, labelled or not: only the part
of the tagger's knowledge that tells pictures apart. What the network said before is taught along, as one more tutor.
(Distilling an ensemble: Hinton et al., "Distilling the knowledge in a neural network", 2015.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...localize.nets.localizer import Localizer, audio_head
from .distil import STEPS, Features, Lesson, Sounds, joint_encoder, pooled_over, study
from .log import Log
from .tagger import Tagger


def tutor(model: Localizer, features: Features, seed: int) -> Localizer:
    """A copy of the model with a new sound head for the tagger's features, the only part that learns.

    Args:
        model: whose visual net the tutor is for.
        features: of the pieces that it will learn from, by the tagger; their mean and variance become the first
            layer's.
        seed: of the new layers.
    """
    copied = copy.deepcopy(model).requires_grad_(False)
    width = features.encoded.shape[-1]
    torch.manual_seed(seed)
    last = copied.audio_head[-2]
    assert isinstance(last, nn.Linear)
    copied.audio_head = audio_head(width, last.in_features, last.out_features).to(features.encoded.device)
    norm = copied.audio_head[0]
    assert isinstance(norm, nn.BatchNorm1d)
    versions = [version.float().mean(dim=1) for version in features.encoded]
    norm.running_mean, norm.running_var = torch.stack(versions).flatten(0, 1).mean(0), torch.cat(versions).var(0)
    return copied


class Tutored(nn.Module):
    """A model's sound net, sound head and tags, and those that teach them.

    Args:
        model: the model; its other parts stay as they are.
        tagger: hears for the tutors, and scores the tags.
        heads: of the tutors.
    """

    def __init__(self, model: Localizer, tagger: Tagger, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.student, self.head, self.tags = joint_encoder(model), model.audio_head, model.tag_head
        self._before = copy.deepcopy(self.student).eval(), copy.deepcopy(self.head).eval()
        self._tagger, self._heads = tagger, tuple(head.eval() for head in heads)

    def embeddings(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """What is to be learnt of each window: the embeddings (n, w, D), of length 1, and the tags (n, w, T) in
        [0, 1].

        The embedding is the mean of the tutors', and of what the network said before with the weight of all tutors
        together."""
        taught = pooled_over(self._tagger.columns(lesson.clear), lesson.windows)
        encoder, head = self._before
        before = pooled_over(encoder.from_waves(lesson.clear)[:, :STEPS], lesson.windows)
        said = sum((_directions(head, taught) for head in self._heads), torch.zeros(()))
        said = F.normalize(said, dim=2) + _directions(head, before)
        return F.normalize(said, dim=2), self._tagger.scores(taught)

    def loss(self, lesson: Lesson) -> tuple[Tensor, dict[str, Tensor]]:
        """How far the embeddings of the distant sounds are from those that the tutors have of the clear ones, and the
        tags from the tagger's."""
        with torch.no_grad():
            wanted, tags = self.embeddings(lesson)
        pooled = pooled_over(self.student.from_waves(lesson.distant)[:, :STEPS], lesson.windows)
        parts = {"embedding": 1 - (_directions(self.head, pooled) * wanted).sum(dim=2).mean()}
        if self.tags is not None:
            wrong = F.binary_cross_entropy_with_logits(self.tags(pooled), tags, reduction="none")
            parts["tags"] = wrong.sum(dim=2).mean()
        return 4.0 * parts["embedding"] + 0.05 * parts.get("tags", 0.0), parts


def learn_from(
    heads: Sequence[nn.Module],
    model: Localizer,
    tagger: Tagger,
    sounds: Sounds,
    folder: Path,
    steps: int,
    batch: int,
    rate: float,
    seed: int = 0,
    log: Log | None = None,
) -> None:
    """Train a model's sound net, sound head and tags in place on what tutors say. Continues from `folder/tutored.pt`.

    Args:
        heads: of the tutors.
        model: the model.
        tagger: hears for the tutors.
        sounds: to learn from.
        folder: for the checkpoint.
        steps, batch, rate: training steps, pieces of sound in each, learning rate.
        seed: of the lessons.
        log: for the losses.
    """
    torch.manual_seed(seed)
    model.requires_grad_(False)
    tutored = Tutored(model, tagger, heads)
    for part in (tutored.head, tutored.tags):
        if part is not None:
            part.requires_grad_(True)
    study(tutored, tutored.student, tutored.loss, sounds, folder / "tutored.pt", steps, batch, rate, seed, log)


def _directions(head: nn.Module, pooled: Tensor) -> Tensor:
    """Pooled features (n, w, F) -> what a head says of them, (n, w, D), of length 1."""
    said: Tensor = head(pooled.flatten(0, 1))
    return F.normalize(said, dim=1).unflatten(0, pooled.shape[:2])
