"""The recipe `base`, from the data folder to the weights file.

Distil the sound encoder from a tagger, cache what the frozen parts compute of sounds, pictures and made scenes, then
train the heads to match and to localize. On a GPU if there is one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ... import __version__
from ...errors import DataFileError, PanoSoundError
from ...localize.nets import weights
from ...localize.nets.localizer import BASE, Localizer
from ...localize.nets.trunks import channels_last
from ..datasets.examples import PICTURE_SIZE, read_picture
from ..datasets.labelled import Item, read_pairs, read_stills
from .caches import WaveCache, cached_maps
from .claim import Claim
from .distil import Features, Sounds, distil, features_of, joint_encoder
from .heads import Head, fit
from .knowledge import Knowledge
from .live import LivePictures, LiveScenes, LiveSounds
from .log import Log
from .parallel import Processes
from .recipe import BaseRecipe
from .sampling import (
    VERSIONS,
    CachedPictures,
    CachedScenes,
    PictureSource,
    Sampler,
    SceneSource,
    SoundBank,
    SoundSource,
    altered,
)
from .scenes import scene_maps
from .start import head_width, start_from, start_from_public_weights
from .tagger import Tagger
from .training_set import (
    CLIP,
    TrainingScenes,
    clip_frames,
    pieces_of,
    training_pictures,
    training_sounds,
    with_knowledge,
)

_MAKERS = 8
"""Processes that make scenes, at most: more would take this one's time to receive them."""


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
    width = {"hidden": head_width(Path(recipe.start))} if recipe.start else {}
    model = Localizer(**{**BASE, **width, "tags": tagger.names})
    known_tags = False
    if recipe.start:
        known_tags = start_from(model, Path(recipe.start), new_tags=recipe.sound_steps > 0)
    else:
        start_from_public_weights(model)
    model.requires_grad_(True).to(device).eval()
    claim.write()  # Only now: what is refused leaves nothing behind.
    log = Log(folder / "log.jsonl")
    sounds, pairs = learn_sounds(model, tagger, pairs, data, folder, recipe, log, known_tags)
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
    known_tags: bool,
) -> tuple[SoundSource, dict[str, list[str]]]:
    """Train the sound encoder and the tags in place; with `known_tags`, on from the model's. Returns all pieces of
    sound, and the pairs extended by the tagger."""
    items = training_sounds(data, recipe.sounds, recipe.seed)
    waves = WaveCache(folder, "waves", [item.path for item in items])
    labels = [None if item.label.startswith(CLIP) else item.label for item in items]
    sounds = Sounds(waves, labels, next(model.parameters()).device)
    if recipe.sound_steps:
        steps, batch, rate = recipe.sound_steps, recipe.sound_batch, recipe.sound_rate
        distil(model, tagger, sounds, folder, steps, batch, rate, recipe.seed, log, known_tags)
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
