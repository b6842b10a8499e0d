"""The recipe `base`, from the data folder to the weights file.

Distil the sound encoder from a tagger, cache what the frozen parts compute of sounds, pictures and made scenes, then
train the heads to match and to localize. On a GPU if there is one.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ... import __version__
from ...errors import DataFileError, PanoSoundError
from ...localize.architecture import LITE0_STAGES
from ...localize.nets import weights
from ...localize.nets.localizer import BASE, Localizer
from ...localize.nets.trunks import channels_last
from ...presence import PEAK
from ..datasets.examples import PICTURE_SIZE, read_picture
from ..datasets.labelled import Item, read_pairs, read_stills
from . import losses
from .caches import WaveCache, cached_maps
from .checkpoints import StageState
from .claim import Claim
from .distil import Features, Sounds, Tagger, distil, features_of, joint_encoder
from .knowledge import Knowledge
from .live import LivePictures, LiveScenes, LiveSounds
from .log import Log
from .parallel import Processes
from .sampling import (
    CLIP,
    VERSIONS,
    CachedPictures,
    CachedScenes,
    PictureSource,
    Sampler,
    SceneSource,
    SoundBank,
    SoundSource,
    TrainingScenes,
    altered,
    clip_frames,
    pieces_of,
    training_pictures,
    training_sounds,
    with_knowledge,
)
from .scenes import scene_maps
from .start import start_from, start_from_public_weights

BLOCKS = sum(repeats for *_, repeats in LITE0_STAGES)
"""Blocks of the trunk."""

_MAKERS = 8
"""Processes that make scenes, at most: more would take this one's time to receive them."""


@dataclass
class BaseRecipe:
    """All hyperparameters of the training.

    Attributes:
        start: weights of the same architecture to continue from; empty: begin with public weights and new heads.
        sound_steps: training steps of the sound encoder and the tags. With `start` it may be 0: both stay as they are.
        sound_batch: pieces of sound in a step.
        sound_rate, rate: learning rates of the sound encoder, and of the heads.
        steps: training steps of the heads. With `start` it may be 0: they stay as they are.
        sounds, pictures: at most this many per label.
        frames: pictures per film of `clips/`.
        scenes, real_scenes: numbers of made panoramas, and of real ones with a detector's boxes.
        names_per_step, scenes_per_step: labels and scenes in a batch for the heads.
        versions: distant versions of each sound, in addition to the original.
        trunk_rate: learning rate of the trunk's upper layers.
        blocks: that many of the trunk's last blocks learn, and its last convolution; caches keep what is below.
        visual: whether the visual net's heads and upper layers learn; otherwise only the sound's head does.
        live: alter sounds, pictures and scenes anew in each step instead of keeping a few versions of each. This needs
            a GPU, 24 GB of its memory, and other processors to make scenes.
    """

    seed: int = 0
    start: str = ""
    live: bool = False
    visual: bool = True
    sound_steps: int = 8000
    sound_batch: int = 192
    sound_rate: float = 2e-3
    sounds: int = 200
    pictures: int = 200
    frames: int = 6
    scenes: int = 3000
    real_scenes: int = 120
    steps: int = 5000
    rate: float = 1e-3
    trunk_rate: float = 1.5e-4
    blocks: int = 1
    names_per_step: int = 96
    scenes_per_step: int = 24
    mosaic: int = 6
    versions: int = 3
    weight_mosaic: float = 1.5
    weight_box: float = 1.0
    weight_extent: float = 4.0
    weight_scene: float = 1.0
    weight_presence: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for impossible values."""
        may_be_none = 0 if self.start else 1
        least_of = {
            **dict.fromkeys(("sound_steps", "steps"), may_be_none),
            **dict.fromkeys(("sound_batch", "sounds", "pictures", "frames", "scenes"), 1),
            "mosaic": 2,
            "names_per_step": 6,
            "real_scenes": 0,
            "blocks": 0,
        }
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more, not {getattr(self, name)}")
        for name in ("seed", "versions"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)}")
        if self.blocks > BLOCKS:
            raise ValueError(f"blocks is {BLOCKS} or less, not {self.blocks}")
        if self.live and not self.visual:
            raise ValueError("live training is for the visual net: leave visual on")
        if not 1 <= self.scenes_per_step <= self.scenes:
            raise ValueError(f"scenes_per_step is between 1 and scenes, not {self.scenes_per_step}")
        for name in ("rate", "trunk_rate", "sound_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is more than 0, not {getattr(self, name)}")


class Head(nn.Module):
    """What is trained above the cached features: the trunk's upper layers and the heads. The presence temperatures and
    dropout are used in training only.

    Args:
        model: the model to train; parts of it that stay as they are require no gradients.
        visual: whether what is above the cached features of pictures learns; otherwise these are embeddings already.
    """

    def __init__(self, model: Localizer, visual: bool = True) -> None:
        super().__init__()
        self.model, self.visual = model, visual
        self.steepness = nn.Parameter(torch.tensor(12.0))
        self.middle = nn.Parameter(torch.tensor(0.25))
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
            "contrast": losses.contrast(scores, match, temperature),
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
    numbers = {id(p) for p in trunk}
    heads = [p for p in learning if id(p) not in numbers]
    groups = [{"params": heads, "rate": recipe.rate}, {"params": trunk, "rate": recipe.trunk_rate}]
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


def train(data: Path, out: Path, folder: Path, recipe: BaseRecipe | None = None, overwrite: bool = True) -> Localizer:
    """From the data folder to a weights file.

    Args:
        data: folder with sounds.csv, pictures.csv, pairs.csv (see `datasets/labelled.py`), stills/, teachers/, and
            perhaps clips/ and coco/.
        out: the weights file to write.
        folder: for caches and checkpoints; another run with the same folder resumes.
        recipe: the hyperparameters; None: the defaults.
        overwrite: whether `out` may be replaced.

    Raises:
        DataFileError: a table cannot be read, no sound has a picture, there are no panoramas, or `folder` holds
            another training.
    """
    recipe = recipe or BaseRecipe()
    if Processes().count > 1:
        raise PanoSoundError("the recipe base trains in a single process", hint="start it without torchrun")
    claim = Claim(folder, data, asdict(recipe))
    claim.check()
    device = Processes().device
    torch.manual_seed(recipe.seed)
    tagger, pairs = Tagger(data, device), read_pairs(data)
    if recipe.steps and not read_stills(data, "train"):
        raise DataFileError("there are no panoramas (.jpg) of the split train", data / "stills")
    model = Localizer(**{**BASE, "tags": tagger.names})
    if recipe.start:
        start_from(model, Path(recipe.start), new_tags=recipe.sound_steps > 0)
    else:
        start_from_public_weights(model)
    model.requires_grad_(True).to(device).eval()
    claim.write()  # Only now: what is refused leaves nothing behind.
    log = Log(folder / "log.jsonl")
    sounds, pairs = learn_sounds(model, tagger, pairs, data, folder, recipe, log)
    if recipe.steps:
        learn_heads(model, sounds, pairs, data, folder, recipe, log)
    about = {**asdict(recipe), "start": Path(recipe.start).name}  # not where it lay
    metadata = {"name": out.stem, "version": __version__, "recipe": json.dumps(about)}
    weights.save(model.cpu(), out, metadata, overwrite)
    return model


def learn_sounds(
    model: Localizer,
    tagger: Tagger,
    pairs: dict[str, list[str]],
    data: Path,
    folder: Path,
    recipe: BaseRecipe,
    log: Log,
) -> tuple[SoundSource, dict[str, list[str]]]:
    """Train the sound encoder and the tags in place. Returns all pieces of sound, and the pairs extended by the
    tagger."""
    items = training_sounds(data, recipe.sounds, recipe.seed)
    waves = WaveCache(folder, "waves", [item.path for item in items])
    labels = [None if item.label.startswith(CLIP) else item.label for item in items]
    sounds = Sounds(waves, labels, next(model.parameters()).device)
    if recipe.sound_steps:
        steps, batch, rate = recipe.sound_steps, recipe.sound_batch, recipe.sound_rate
        distil(model, tagger, sounds, folder, steps, batch, rate, recipe.seed, log)
    pieces = pieces_of(items, waves, recipe.seed)
    kept = folder / "sounds-features.npz"
    if not kept.exists():
        versions = 0 if recipe.live else recipe.versions
        features_of(model, tagger, sounds, pieces, versions, recipe.seed).save(kept)
    features = Features.load(kept, sounds.samples.device)
    names = [piece.label for piece in pieces]
    pairs, groups = with_knowledge(pairs, names, Knowledge(tagger.names).of(features.tags))
    if recipe.live:
        return LiveSounds(joint_encoder(model), sounds, pieces, groups), pairs
    return SoundBank(names, features, groups), pairs


def learn_heads(
    model: Localizer,
    sounds: SoundSource,
    pairs: dict[str, list[str]],
    data: Path,
    folder: Path,
    recipe: BaseRecipe,
    log: Log,
) -> None:
    """Train the heads and the trunk's last blocks in place. Raises DataFileError if no sound has a picture."""
    for part in (model.sound_encoder, model.tag_head):
        if part is not None:
            part.requires_grad_(False)
    channels_last(model.trunk)
    model.trunk.learn_upper(recipe.blocks)
    if not recipe.visual:
        model.requires_grad_(False)
        model.audio_head.requires_grad_(True)
    items = training_pictures(data, pairs, recipe.pictures)
    heard = {label for sound, seen in pairs.items() if sound in sounds.by_label for label in seen}
    if not heard & {item.label for item in items}:
        hint = "pairs.csv says which labels belong together"
        raise DataFileError("no sound of the split train has a picture of that split", data, hint)
    frames = clip_frames(data, folder, recipe.frames)
    items += frames
    sounding = [label for seen in pairs.values() for label in seen if not label.startswith(CLIP)]
    make = TrainingScenes(data, frames, sounding, recipe.real_scenes, recipe.seed)
    things = Knowledge(model.tags).things
    head = Head(model, recipe.visual).to(sounds.device)
    with ExitStack() as stack:
        pictures: PictureSource
        scenes: SceneSource
        if recipe.live:
            processes = min(_MAKERS, max(1, (os.cpu_count() or 1) - 2))
            scenes = LiveScenes(make, make.real, make.real + recipe.scenes, wrapped(model), processes, sounds.device)
            stack.enter_context(scenes)
            pictures = LivePictures(items, flat(model), sounds.device)
        else:
            pictures, scenes = look(model, items, make, folder, recipe)
        fit(head, Sampler(sounds, pictures, scenes, pairs, recipe.names_per_step, things), recipe, folder, log)
    model.set_presence(head.steepness.item(), head.middle.item())


def look(
    model: Localizer, items: list[Item], make: TrainingScenes, folder: Path, recipe: BaseRecipe
) -> tuple[CachedPictures, CachedScenes]:
    """The output of the trunk's `lower` for all pictures and scenes, from `folder` where it is known. Without `visual`,
    their embeddings."""
    of_picture, of_scene = flat(model), wrapped(model)
    if not recipe.visual:
        of_picture, of_scene = partial(model.visual, wrap=False), partial(model.visual, wrap=True)
    device = next(model.parameters()).device

    def picture(i: int) -> NDArray[np.uint8]:
        shown = read_picture(items[i // VERSIONS].path, (PICTURE_SIZE, PICTURE_SIZE))
        return altered(shown, i % VERSIONS, np.random.default_rng((i, 9, recipe.seed)))

    maps = cached_maps(folder, "pictures", VERSIONS * len(items), picture, of_picture, device=device)
    scenes = scene_maps(folder, "scenes", make, make.real + recipe.scenes, of_scene, device)
    return CachedPictures(items, maps, device), CachedScenes(*scenes, device)


def flat(model: Localizer) -> Callable[[Tensor], Tensor]:
    """The trunk's `lower` for pictures with borders."""
    return partial(_lower, model, False)


def wrapped(model: Localizer) -> Callable[[Tensor], Tensor]:
    """The trunk's `lower` for panoramas."""
    return partial(_lower, model, True)


def _lower(model: Localizer, wrap: bool, pictures: Tensor) -> Tensor:
    model.trunk.set_wrap(wrap)
    return model.trunk.lower(pictures)
