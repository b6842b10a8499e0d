"""Adaptation: the ImageNet trunk learns to name small things in wide pictures, before any sound is heard.

ImageNet's pictures show one thing across the whole picture. In 360° footage it is 40 to 200 pixels high. Here the later
blocks of the trunk learn, cell by cell, which label of the training pictures is there, or none, on panoramas with
dozens of small pictures pasted in.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from ..localize.trunks import EfficientNetLite0
from .log import Log
from .scenes import Crowds, Pixels

FROZEN = 5  # blocks (down to stride 8) that stay as they are: edges and textures are the same everywhere
WARM = 150
MOVED = 0.4


def adapt(
    trunk: EfficientNetLite0, crowds: Crowds, folder: Path, steps: int, rate: float = 4e-4, log: Log | None = None
) -> EfficientNetLite0:
    """Train the later blocks of a trunk in place. Goes on from `folder/trunk.pt`; writes it every 100 steps.

    For the first WARM steps only the names are learnt, so that they do not drag the trunk about. In the end the trunk
    is moved MOVED of the way from what it was to what it has learnt: that names small things better than either end,
    and large ones as well as before (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
    """
    original = {name: value.clone() for name, value in trunk.state_dict().items()}
    torch.manual_seed(crowds.seed)
    namer = nn.Conv2d(trunk.channels, len(crowds.sounding) + 1, 1)
    trunk.set_wrap(True)
    learning = [*trunk.blocks[FROZEN:].parameters(), *trunk.head.parameters()]
    groups = [{"params": learning, "share": 1.0}, {"params": list(namer.parameters()), "share": 10.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=0.02)
    at, start = folder / "trunk.pt", 0
    if at.exists():
        kept = torch.load(at, weights_only=True)
        trunk.load_state_dict(kept["trunk"])
        namer.load_state_dict(kept["namer"])
        optimiser.load_state_dict(kept["optimiser"])
        start = int(kept["step"])
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(crowds.make, start)
        for step in tqdm(range(start, steps), "adapt", initial=start, total=steps, disable=None):
            scene, ahead = ahead.result(), pool.submit(crowds.make, step + 1)
            for group in optimiser.param_groups:
                rise = (step - WARM + 1) / 50 if group["share"] == 1.0 else 1.0
                group["lr"] = rate * group["share"] * float(np.clip(rise, 0.0, 1.0)) * _cosine(step / steps)
            target = torch.from_numpy(crowds.targets(scene.objects, trunk.stride)).flatten()
            trunk.requires_grad_(False)
            if step >= WARM:
                trunk.blocks[FROZEN:].requires_grad_(True)
                trunk.head.requires_grad_(True)
            loss, right = _name(trunk, namer, scene.picture, target)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 5.0)
            optimiser.step()
            if log is not None and (step % 20 == 0 or step == steps - 1):
                log.write(stage="adapt", step=step, loss=float(loss.detach()), right=right)
            if (step + 1) % 100 == 0 or step == steps - 1:
                state = {"trunk": trunk.state_dict(), "namer": namer.state_dict(), "step": step + 1}
                torch.save({**state, "optimiser": optimiser.state_dict()}, at.with_suffix(".part"))
                at.with_suffix(".part").replace(at)
    trunk.load_state_dict({k: torch.lerp(original[k], v, MOVED) for k, v in trunk.state_dict().items()})
    return trunk.requires_grad_(False)


def _name(trunk: EfficientNetLite0, namer: nn.Conv2d, picture: Pixels, target: Tensor) -> tuple[Tensor, float]:
    """Cross entropy of all cells' names, things weighing three times what the rest weighs; share of things right."""
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float().contiguous(memory_format=torch.channels_last)
    logits = namer(trunk(x))[0].flatten(1).T
    none = namer.out_channels - 1
    thing, rest = (target >= 0) & (target != none), target == none
    named = F.cross_entropy(logits[thing], target[thing], label_smoothing=0.1)
    empty = F.cross_entropy(logits[rest], target[rest])
    right = (logits[thing].argmax(1) == target[thing]).float().mean()
    return 0.75 * named + 0.25 * empty, float(right)


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))
