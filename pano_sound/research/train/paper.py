"""The paper's training (its sections 4 and 5): unsupervised, supervised or both, of its network or of `base`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from ... import __version__
from ...errors import ModelError, PanoSoundError
from ...localize.nets import weights
from ...localize.nets.localizer import Localizer
from ...localize.nets.paper import PAPER, PaperLocalizer
from ...localize.nets.pretrained import imported
from ...localize.nets.trunks import channels_last
from ...pipeline.ahead import Ahead
from ..datasets.examples import Example
from ..datasets.shards import Shards
from .batches import Batches, Cached, Live, digest, identity, select, share_of
from .checkpoints import Checkpoint
from .curves import Curves
from .log import Log
from .objective import Objective
from .parallel import Processes

log = logging.getLogger("pano_sound")

MODES = ("unsupervised", "supervised", "semi")


@dataclass
class PaperRecipe:
    """All hyperparameters of the training. The defaults are the paper's (section 5).

    Attributes:
        mode: "unsupervised" (equation 6, boxes ignored), "supervised" (equation 8) or "semi" (equation 7).
        start: "paper": the paper's network, with imported VGG-16 and SoundNet and the rest new; or a model's name or
            path, for its trunk and sound net with new heads.
        heads: take the heads of `start` too (not of "paper").
        balance: in mode "semi", the weight of equation 6; equation 8 has the rest (Table V).
        mechanism: the attention mechanism, 1 or 2 (equations 2 and 3).
        labelled, unlabelled: the most examples to use with and without boxes; -1: all. In mode "semi" all examples with
            boxes count as labelled by default.
        whole: train trunk and sound net too. Otherwise they are frozen, as in the authors' published code, and their
            outputs are computed once.
    """

    mode: str = "unsupervised"
    start: str = "paper"
    heads: bool = False
    seed: int = 0
    steps: int = 10_000
    batch: int = 30
    rate: float = 1e-4
    balance: float = 0.5
    mechanism: int = 1
    labelled: int = -1
    unlabelled: int = -1
    whole: bool = False
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        """Raises ValueError for impossible values."""
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if self.mechanism not in (1, 2):
            raise ValueError(f"mechanism must be 1 or 2, not {self.mechanism}")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"balance must be from 0 to 1, not {self.balance}")
        for name in ("steps", "batch", "checkpoint_every"):
            least = 2 if name == "batch" else 1
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, not {self.seed}")
        for name in ("labelled", "unlabelled"):
            if getattr(self, name) < -1:
                raise ValueError(f"{name} must be at least -1, not {getattr(self, name)}")
        if not self.rate > 0:
            raise ValueError(f"rate must be more than 0, not {self.rate}")

    @property
    def weight(self) -> float:
        """The weight of the unsupervised loss in `Objective`."""
        return {"unsupervised": 1.0, "supervised": 0.0, "semi": self.balance}[self.mode]


def start(name: str, mechanism: int, seed: int, heads: bool = False, whole: bool = False) -> tuple[Localizer, str]:
    """The initial model (`PaperRecipe.start`, `heads`, `whole`), and a description of where its nets are from.

    Its tags belong to its sound net: they come with it, and are left out where it will learn, because they do not.

    Raises:
        ModelError: no such model.
    """
    torch.manual_seed(seed)
    if name == "paper":
        model: Localizer = PaperLocalizer(**PAPER, mechanism=mechanism)
        channels_last(model.trunk)
        origins = [_begin(model.trunk, "vgg16"), _begin(model.sound_encoder, "soundnet")]
        return model, ", ".join(origins)
    kept = weights.load(name)
    tags = [] if whole else kept.tags
    model = weights.build({**kept.config, "mechanism": mechanism, "tags": tags})
    parts = "" if heads else ("trunk.", "sound_encoder.", "tag_head.")
    taken = {k: v for k, v in kept.state_dict().items() if k.startswith(parts) and k in model.state_dict()}
    model.load_state_dict(taken, strict=False)
    return model, f"{'all' if heads else 'trunk and sound net'} of {Path(name).stem}"


def _begin(net: nn.Module, name: str) -> str:
    """Load public weights into a net, or warn that there are none. Returns a description."""
    try:
        net.load_state_dict(imported(name))
    except ModelError as error:
        log.warning("%s begins with random weights: %s", name, error)
        return f"{name} random"
    return f"{name} imported"


def fit(
    objective: Objective,
    batches: Batches,
    recipe: PaperRecipe,
    checkpoint: Checkpoint,
    curves: Log | None,
    processes: Processes,
) -> None:
    """Train all parameters that require gradients. Continues from the checkpoint with the next batches.

    Args:
        curves: where losses are written every 20 steps; None: write nothing, not even checkpoints, because this process
            is not the first.

    Raises:
        DataFileError: the checkpoint is damaged or of another recipe or set, or the set cannot be read.
        PanoSoundError: the loss is no longer finite.
    """
    learning = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(learning, lr=recipe.rate)
    done = checkpoint.restore(objective, optimiser)
    if curves is not None:
        curves.rewind(done)
    shared = processes.shared(objective, idle=recipe.weight == 0)
    shared.train()
    quiet = not processes.first or not log.isEnabledFor(logging.WARNING)
    bar = tqdm(range(done, recipe.steps), recipe.mode, initial=done, total=recipe.steps, disable=quiet)
    with Ahead(map(batches.batch, range(done, recipe.steps))) as ready:
        for step, batch in zip(bar, ready, strict=True):
            torch.manual_seed((recipe.seed * 1_000_003 + step) * processes.count + processes.rank)
            losses = shared(batch)
            optimiser.zero_grad(set_to_none=True)
            losses["total"].mean().backward()
            optimiser.step()
            losses = {name: each.detach() for name, each in losses.items()}
            if curves is None:
                continue
            loss, last = float(losses["total"].mean()), step == recipe.steps - 1
            if not math.isfinite(loss):
                raise PanoSoundError(f"the loss is {loss} at step {step}", hint="try a smaller rate")
            if step % 20 == 0 or last:
                labelled = float(batch["labelled"].sum())
                parts = {"unsupervised": float(losses["unsupervised"].mean())} if recipe.weight > 0 else {}
                if labelled and recipe.weight < 1:
                    parts["supervised"] = float(losses["supervised"].sum()) / labelled
                curves.write(step=step, loss=loss, **parts)
            if (step + 1) % recipe.checkpoint_every == 0 or last:
                checkpoint.save(step + 1, objective, optimiser)
    objective.eval()


def train(
    examples: Sequence[Example] | Shards,
    out: Path,
    folder: Path,
    recipe: PaperRecipe | None = None,
    overwrite: bool = True,
) -> Localizer:
    """From a set to a weights file.

    Args:
        examples: a set, or tar shards (`Shards` of this process's part; then boxes cannot be hidden, and `labelled` and
            `unlabelled` are ignored).
        out: the weights file to write.
        folder: for checkpoints, logs and caches; another run with the same folder, set and recipe resumes.
        recipe: the hyperparameters; None: the paper's.
        overwrite: whether `out` may be replaced.

    Raises:
        DataFileError, InputError, ModelError: the set or the model cannot be used.
        OutputError: the weights cannot be written.
    """
    recipe = recipe or PaperRecipe()
    with Processes() as processes:
        share_of(recipe.batch, processes.count)  # before features are computed for hours
        model, origin = start(recipe.start, recipe.mechanism, recipe.seed, recipe.heads, recipe.whole)
        checkpoint = Checkpoint(folder, asdict(recipe), identity(examples), digest(model))
        done = checkpoint.steps()
        model.to(processes.device)
        model.requires_grad_(True)
        for net in (model.trunk, model.sound_encoder):
            net.requires_grad_(recipe.whole).eval()
        for name, parameter in model.named_parameters():
            if name.startswith(("log_temperature", "tag_head.")):  # of `base`; no loss of the paper's reaches them
                parameter.requires_grad_(False)
        batches, counts = _batches(model, examples, recipe, folder, done, processes)
        curves = Curves(folder) if processes.first else None
        fit(Objective(model, recipe.weight), batches, recipe, checkpoint, curves, processes)
        if curves is not None:
            curves.close()
            about = {**asdict(recipe), **counts, "origin": origin, "start": Path(recipe.start).name}  # not where it lay
            metadata = {"name": out.stem, "version": __version__, "recipe": json.dumps(about)}
            weights.save(model, out, metadata, overwrite)
        processes.wait()
    return model


def _batches(
    model: Localizer,
    examples: Sequence[Example] | Shards,
    recipe: PaperRecipe,
    folder: Path,
    done: int,
    processes: Processes,
) -> tuple[Batches, dict[str, int | None]]:
    """The batches of this process after the first `done`, and the numbers of examples with and without boxes (None of
    shards: nobody knows)."""
    count, seed, part = recipe.batch, recipe.seed, processes.part
    if isinstance(examples, Shards):
        return Live(model, examples, count, seed, part, done), {"labelled": None, "unlabelled": None}
    chosen = [example for _, example in select(examples, recipe.mode, recipe.labelled, recipe.unlabelled, seed)]
    batches: Batches
    if recipe.whole:
        batches = Live(model, chosen, count, seed, part)
    else:
        if not processes.first:
            processes.wait()  # for the first one, which fills the cache
        cached = Cached(model, chosen, folder)
        if processes.first:
            processes.wait()
        chosen = cached.examples
        batches = cached.draw(list(enumerate(chosen)), count, seed, part)
    labelled = sum(any(example.boxes) for example in chosen)
    return batches, {"labelled": labelled, "unlabelled": len(chosen) - labelled}
