"""The losses. Every function takes raw responses (cosines) and a temperature.

contrast   the right sound for a picture and the right picture for a sound, of all in the batch
place      equation 8 of the paper: attention should lie where it is known to sound
inside     the same, without saying how it is spread over the thing
extent     what is above the middle of the response's range should be the whole thing and nothing else
presence   the raw response itself: high where the thing is that sounds, low for everything else, so that
           it can be used as a confidence (off-screen and ambient sounds are the negatives that count)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_maximum(raw: Tensor, temperature: Tensor | float, dim: int = -1) -> Tensor:
    """Smooth maximum of responses over cells, on the scale of responses: log-mean-exp at that temperature."""
    count = raw.shape[dim]
    return temperature * (torch.logsumexp(raw / temperature, dim) - math.log(count))


def contrast(scores: Tensor, match: Tensor, pairs: int, temperature: Tensor | float) -> Tensor:
    """Cross entropy over the batch, both ways: the own picture of each sound, and the own sound of each picture.

    All else that belongs together is left out, neither right nor wrong. If any match counted as right, the easiest
    would do, and the own pair would hardly be learnt.

    Args:
        scores: (sounds, pictures), one response for each pair.
        match: bool (sounds, pictures), which belong together.
        pairs: how many of the first sounds and pictures are pairs one by one; others are only examples of wrong ones.
    """
    own = torch.zeros_like(match)
    own.diagonal()[:pairs] = True
    logits = (scores / temperature).masked_fill(match & ~own, -math.inf)
    right = torch.arange(pairs, device=scores.device)
    return (F.cross_entropy(logits[:pairs], right) + F.cross_entropy(logits.T[:pairs], right)) / 2


def place(raw: Tensor, target: Tensor, temperature: Tensor | float) -> Tensor:
    """Equation 8: cross entropy between attention and the sounding thing; 0 without any example.

    Args:
        raw: (n, cells) responses.
        target: (n, cells), >= 0; how much of each cell the sounding thing covers. Scaled to sum to 1 here.
    """
    attention = torch.log_softmax(raw / temperature, dim=1)
    return -(attention * target / target.sum(dim=1, keepdim=True)).sum() / max(len(raw), 1)


def inside(raw: Tensor, target: Tensor, temperature: Tensor | float) -> Tensor:
    """-log of the attention on the sounding thing, anywhere on it: (n, cells), (n, cells) -> scalar."""
    attention = torch.softmax(raw / temperature, dim=1)
    share = target / target.amax(dim=1, keepdim=True)
    return -torch.log((attention * share).sum(dim=1) + 1e-6).mean()


def extent(raw: Tensor, target: Tensor, steepness: float = 10.0) -> Tensor:
    """1 - a soft cIoU (equation 10) of what the response answers at τ = 0.5 once it is stretched to [0, 1]; 0 without
    any example.

    Args:
        raw: (n, cells) responses.
        target: (n, cells) in [0, 1], how much of each cell the sounding thing covers.
        steepness: of the logistic curve that stands for the threshold.
    """
    low, high = raw.amin(dim=1, keepdim=True), raw.amax(dim=1, keepdim=True)
    answer = torch.sigmoid(steepness * ((raw - low) / (high - low + 1e-6) - 0.5))
    hit, wrong = (answer * target).sum(dim=1), (answer * (1 - target)).sum(dim=1)
    return (1 - hit / (target.sum(dim=1) + wrong)).sum() / max(len(raw), 1)


def presence(scores: Tensor, match: Tensor, steepness: Tensor | float, middle: Tensor | float) -> Tensor:
    """Binary cross entropy of whether a sound's source is in a picture; matches and non-matches have equal weight, and
    none if there are none.

    Args:
        scores: (sounds, pictures), the highest response of each pair.
        match: bool, whether they belong together.
        steepness, middle: the logistic curve over responses.
    """
    logits = steepness * (scores - middle)
    each = F.binary_cross_entropy_with_logits(logits, match.float(), reduction="none")
    positive, negative = each[match], each[~match]
    return (positive.sum() / max(len(positive), 1) + negative.sum() / max(len(negative), 1)) / 2
