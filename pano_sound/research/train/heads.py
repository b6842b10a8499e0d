"""What the recipe `base` trains above cached features of sounds, pictures and scenes: heads that match and localize."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from ...errors import PanoSoundError
from ...localize.nets import weights
from ...localize.nets.localizer import Localizer
from ...presence import PEAK
from . import losses
from .checkpoints import StageState
from .log import Log
from .recipe import BaseRecipe
from .sampling import Sampler


class Head(nn.Module):
    """What is trained above the cached features: the trunk's upper layers and the heads. The presence curve continues
    from the model's. Dropout is used in training only.

    Args:
        model: the model to train; parts of it that stay as they are require no gradients.
        visual: whether what is above the cached features of pictures learns; otherwise these are embeddings already.
    """

    def __init__(self, model: Localizer, visual: bool = True) -> None:
        super().__init__()
        self.model, self.visual = model, visual
        steepness, middle = model.presence
        self.steepness = nn.Parameter(torch.tensor(float(steepness)))
        self.middle = nn.Parameter(torch.tensor(float(middle)))
        self.drop_seen, self.drop_heard = nn.Dropout(0.3), nn.Dropout(0.2)

    def train(self, mode: bool = True) -> Head:
        """As usual, but the sound encoder keeps its BatchNorm statistics: with `live` it hears in each step."""
        super().train(mode)
        self.model.sound_encoder.eval()
        return self

    def maps(self, features: Tensor, wrap: bool) -> Tensor:
        """Output of the trunk's `lower` (n, channels, rows, columns) -> embeddings (n, D, cells)."""
        if not self.visual:
            return features.flatten(2)
        self.model.trunk.set_wrap(wrap)
        with torch.autocast(features.device.type, torch.bfloat16, enabled=weights.has_bfloat16(features.device)):
            return self.model.embed_map(self.drop_seen(self.model.trunk.upper(features))).flatten(2)

    def embeddings(self, sounds: Tensor) -> Tensor:
        """Pooled sound features (n, F) -> h (n, D). Dropped features take their mean."""
        norm = self.model.audio_head[0]
        assert isinstance(norm, nn.BatchNorm1d)
        assert norm.running_mean is not None
        mean = norm.running_mean.clone()
        return self.model.sound_embedding(self.drop_heard(sounds - mean) + mean)

    def loss(
        self, batch: dict[str, Tensor], scenes: dict[str, Tensor], recipe: BaseRecipe
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of all losses for a batch of `Sampler.pairs` and one of `Sampler.scene_batch`, and its parts."""
        temperature = self.model.log_temperature.exp().clamp(0.02, 0.5)
        both = self.embeddings(torch.cat([batch["sounds"], scenes["sounds"]]))
        h, h_scene = both[: len(batch["sounds"])], both[len(batch["sounds"]) :]
        v, v_scene = self.maps(batch["maps"], wrap=False), self.maps(scenes["maps"], wrap=True)
        raw = torch.einsum("sd,pdc->spc", h, v)
        scores = losses.soft_maximum(raw, temperature)
        match, targets, boxed = batch["match"], batch["targets"], batch["boxed"]
        pairs = torch.arange(len(targets))  # the first sounds and pictures belong together one by one
        own = raw[pairs, pairs]
        scene_raw = torch.einsum("sd,pdc->spc", h_scene, v_scene)
        scene_own = scene_raw[torch.arange(len(h_scene)), scenes["scene"]]
        curve = self.steepness, self.middle
        parts = {
            "contrast": losses.contrast(scores, match, len(targets), temperature),
            "mosaic": losses.inside(*mosaics(raw, targets, match, recipe.mosaic), temperature),
            "box": losses.place(own[boxed], targets[boxed], temperature),
            "extent": losses.extent(own[boxed], targets[boxed]),
            "scene": losses.place(scene_own, scenes["targets"], temperature)
            + losses.inside(scene_own, scenes["targets"], temperature),
            "presence": losses.presence(losses.soft_maximum(raw, PEAK), match, *curve)
            + losses.presence(losses.soft_maximum(scene_raw, PEAK), scenes["match"], *curve),
        }
        total = (
            parts["contrast"]
            + recipe.weight_mosaic * parts["mosaic"]
            + recipe.weight_box * parts["box"]
            + recipe.weight_extent * parts["extent"]
            + recipe.weight_scene * parts["scene"]
            + recipe.weight_presence * parts["presence"]
        )
        return total, parts


def mosaics(raw: Tensor, targets: Tensor, match: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Each sound's responses to its own picture and to others that do not match, side by side as one map.

    Args:
        raw: (sounds, pictures, cells), of which the first `len(targets)` belong together one by one.
        targets: (n, cells).
        match: bool (sounds, pictures).
        count: pictures in a mosaic, if there are so many.

    Returns:
        responses and targets, both (n, k * cells), k <= count; -inf and 0 in the place of pictures that a sound lacks.
    """
    n = len(targets)
    wrong = torch.rand(match.shape, device=raw.device).masked_fill(match, -1.0)[:n]
    drawn = wrong.topk(min(count, wrong.shape[1]) - 1)
    chosen = torch.cat([torch.arange(n, device=raw.device)[:, None], drawn.indices], dim=1)
    joint = raw[torch.arange(n, device=raw.device)[:, None], chosen]
    missing = F.pad(drawn.values < 0, (1, 0))  # the own picture comes first, and is never missing
    joint = joint.masked_fill(missing[..., None], -math.inf)
    return joint.flatten(1), F.pad(targets, (0, drawn.indices.shape[1] * targets.shape[1]))


def fit(head: Head, sampler: Sampler, recipe: BaseRecipe, folder: Path, log: Log) -> None:
    """Train everything above the cached features. Continues from `folder/head.pt`, written every 200 steps."""
    learning = [p for p in head.parameters() if p.requires_grad]
    trunk = [p for p in head.model.trunk.parameters() if p.requires_grad]
    curve = [head.steepness, head.middle]  # without decay: their size says nothing of how much they depend on the data
    numbers = {id(p) for p in trunk + curve}
    heads = [p for p in learning if id(p) not in numbers]
    groups = [
        {"params": heads, "rate": recipe.rate},
        {"params": trunk, "rate": recipe.trunk_rate},
        {"params": curve, "rate": recipe.rate, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW([group for group in groups if group["params"]], weight_decay=0.02)
    state = StageState(folder / "head.pt", "head", head, optimiser)
    start = state.restore()
    log.rewind(start, stage="head")
    for step in tqdm(range(start, recipe.steps), "head", initial=start, total=recipe.steps, disable=None):
        rng = np.random.default_rng((recipe.seed, step))
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        schedule = min(1.0, (step + 1) / 60) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * schedule
        head.train()
        total, parts = head.loss(sampler.pairs(rng), sampler.scene_batch(rng, recipe.scenes_per_step), recipe)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(learning, 10.0)
        optimiser.step()
        if step % 20 == 0 or step == recipe.steps - 1:
            if not torch.isfinite(total):
                hint = "try a smaller rate"
                raise PanoSoundError(f"the loss is {float(total.detach())} at step {step} of the head", hint=hint)
            values = {name: float(value.detach()) for name, value in parts.items()}
            log.write(stage="head", step=step, loss=float(total.detach()), temperature=head.model.temperature, **values)
        if (step + 1) % 200 == 0 or step == recipe.steps - 1:
            state.save(step + 1)
    head.eval()
