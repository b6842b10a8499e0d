"""The recipe `base`, from the data folder to the weights file.

Distil the sound encoder from one tagger and refine it with another, cache what the frozen parts compute of sounds,
pictures and made scenes, then train the heads to match and to localize.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ... import __version__
from ...atomic_file import written_whole
from ...errors import DataFileError, ModelError, PanoSoundError
from ...localize.nets import weights
from ...localize.nets.joint_encoder import JointEncoder
from ...localize.nets.network import BASE, Localizer
from ...localize.nets.trunks import channels_last
from ...presence import PEAK
from ..datasets.examples import PICTURE_SIZE, read_picture
from ..datasets.labelled import Item, read_items, read_pairs, useful_pictures
from . import losses
from .caches import WaveCache, cached_maps
from .distil import Crops, Teacher, distil
from .knowledge import Knowledge
from .log import Log
from .pretrained import lite0, soundnet_start
from .refine import Tagger, joint_encoder, lower, refine
from .sampling import (
    CLIP,
    Sampler,
    SoundBank,
    clip_frames,
    make_scenes,
    pieces_of,
    training_sounds,
    with_knowledge,
)


@dataclass
class Recipe:
    """All hyperparameters of the training.

    Attributes:
        start: weights of the same architecture to continue from; empty: distil the encoder and start with new heads.
        distil_steps, refine_steps, steps: training steps with the first teacher, with the second, and of the heads.
            With `start`, `steps` may be 0: the heads stay as they are.
        refine_rate: learning rate of the encoder's upper layers; 0: they stay, and only the tags are learnt.
        sounds, pictures: at most this many per label.
        frames: pictures per film of `clips/`.
        scenes, real_scenes: numbers of made panoramas, and of real ones with a detector's boxes.
        visual: whether to train the visual head, too; if not, only the sound head (quick, with `start`).
        names_per_step, scenes_per_step: labels and scenes in a batch for the heads.
        versions: distant versions of each sound, in addition to the original.
    """

    seed: int = 0
    start: str = ""
    distil_steps: int = 7000
    refine_steps: int = 3000
    refine_rate: float = 1e-3
    sounds: int = 200
    pictures: int = 200
    frames: int = 6
    scenes: int = 1200
    real_scenes: int = 120
    steps: int = 1200
    rate: float = 1.5e-3
    visual: bool = True
    names_per_step: int = 72
    scenes_per_step: int = 16
    mosaic: int = 6
    versions: int = 1
    weight_mosaic: float = 1.5
    weight_box: float = 1.0
    weight_extent: float = 4.0
    weight_scene: float = 1.0
    weight_presence: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for impossible values."""
        least_of = {"mosaic": 2, "names_per_step": 6, "real_scenes": 0, "steps": 0 if self.start else 1}
        for name in (
            *("distil_steps", "refine_steps", "sounds", "pictures", "frames", "scenes"),
            *least_of,
        ):
            least = least_of.get(name, 1)
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more, not {getattr(self, name)}")
        for name in ("seed", "versions"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)}")
        if not 1 <= self.scenes_per_step <= self.scenes:
            raise ValueError(f"scenes_per_step is between 1 and scenes, not {self.scenes_per_step}")
        if self.refine_rate < 0:
            raise ValueError(f"refine_rate is 0 or more, not {self.refine_rate}")
        if not self.rate > 0:
            raise ValueError(f"rate is more than 0, not {self.rate}")


class Head(nn.Module):
    """The trained layers above the frozen trunk and sound net. The presence temperatures are used in training only.

    Args:
        model: the model to train.
        embedded: whether `maps` gets embeddings (see `embedded_maps`), because the visual head is frozen.
    """

    def __init__(self, model: Localizer, embedded: bool = False) -> None:
        super().__init__()
        self.model = model
        self.embedded = embedded
        self.steepness = nn.Parameter(torch.tensor(12.0))
        self.middle = nn.Parameter(torch.tensor(0.25))

    def maps(self, features: Tensor) -> Tensor:
        """Output of the trunk's `body` (n, channels, rows, columns) -> embeddings (n, D, cells)."""
        if self.embedded:
            return features.flatten(2)
        with torch.autocast(features.device.type, torch.bfloat16, enabled=weights.has_bfloat16()):
            with torch.no_grad():
                features = self.model.trunk.last(features)
            return self.model.embed_map(features).flatten(2)

    def loss(
        self, batch: dict[str, Tensor], scenes: dict[str, Tensor], recipe: Recipe, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Weighted sum of all losses for a batch of `Sampler.pairs` and one of `Sampler.scene_batch`, and its parts."""
        temperature = self.model.log_temperature.exp().clamp(0.02, 0.5)
        both = self.model.sound_embedding(torch.cat([batch["sounds"], scenes["sounds"]]))
        h, h_scene = both[: len(batch["sounds"])], both[len(batch["sounds"]) :]
        v, v_scene = self.maps(batch["maps"]), self.maps(scenes["maps"])
        raw = torch.einsum("sd,pdc->spc", h, v)
        scores = losses.soft_maximum(raw, temperature)
        match, pairs = batch["match"], int(batch["match"].any(dim=1).sum())
        own = raw[torch.arange(pairs), torch.arange(pairs)]
        boxed = batch["boxed"][:pairs]
        scene_raw = torch.einsum("sd,pdc->spc", h_scene, v_scene)
        scene_own = scene_raw[torch.arange(len(h_scene)), scenes["scene"]]
        parts = {
            "contrast": losses.contrast(scores, match, temperature),
            "mosaic": self.mosaic(raw, batch, pairs, recipe.mosaic, temperature, rng),
            "box": losses.place(own[boxed], batch["targets"][:pairs][boxed], temperature),
            "extent": losses.extent(own[boxed], batch["targets"][:pairs][boxed]),
            "scene": losses.place(scene_own, scenes["targets"], temperature)
            + losses.inside(scene_own, scenes["targets"], temperature),
            "presence": losses.presence(
                losses.soft_maximum(raw, PEAK), match, torch.ones_like(match), self.steepness, self.middle
            )
            + losses.presence(
                losses.soft_maximum(scene_raw, PEAK),
                scenes["match"],
                torch.ones_like(scenes["match"]),
                self.steepness,
                self.middle,
            ),
        }
        total = (
            parts["contrast"]
            + recipe.weight_mosaic * parts["mosaic"]
            + recipe.weight_box * parts["box"]
            + recipe.weight_extent * parts["extent"]
            + recipe.weight_scene * parts["scene"]
            + recipe.weight_presence * parts["presence"]
        )
        return total, {name: float(value.detach()) for name, value in parts.items()}

    def mosaic(
        self,
        raw: Tensor,
        batch: dict[str, Tensor],
        pairs: int,
        count: int,
        temperature: Tensor,
        rng: np.random.Generator,
    ) -> Tensor:
        """The loss of each sound against its own picture and others that do not match, side by side as one map."""
        joint, target = [], []
        cells_of = raw.shape[2]
        for k in range(pairs):
            wrong = np.flatnonzero(~batch["match"][k].numpy())
            others = rng.choice(wrong, count - 1, replace=False)
            joint.append(raw[k, [k, *others]].flatten())
            target.append(torch.cat([batch["targets"][k], torch.zeros(cells_of * (count - 1))]))
        return losses.inside(torch.stack(joint), torch.stack(target), temperature)


def fit(head: Head, sampler: Sampler, recipe: Recipe, folder: Path, log: Log) -> None:
    """Train everything above the frozen parts. Continues from `folder/head.pt` and writes it every 100 steps."""
    learning = [p for p in head.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=recipe.rate, weight_decay=0.02)
    at, start = folder / "head.pt", 0
    if at.exists():
        kept = torch.load(at, weights_only=True)
        head.load_state_dict(kept["head"])
        optimiser.load_state_dict(kept["optimiser"])
        start = int(kept["step"])
    log.rewind(start, stage="head")
    for step in tqdm(range(start, recipe.steps), "head", initial=start, total=recipe.steps, disable=None):
        rng = np.random.default_rng((recipe.seed, step))
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            warm = min(1.0, (step + 1) / 60)
            group["lr"] = recipe.rate * warm * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
        head.model.audio_head.train()
        total, parts = head.loss(sampler.pairs(rng), sampler.scene_batch(rng, recipe.scenes_per_step), recipe, rng)
        optimiser.zero_grad(set_to_none=True)
        if not torch.isfinite(total):
            raise PanoSoundError(f"the loss is {float(total)} at step {step} of the head", hint="try a smaller rate")
        total.backward()
        optimiser.step()
        if step % 20 == 0 or step == recipe.steps - 1:
            log.write(stage="head", step=step, loss=float(total.detach()), temperature=head.model.temperature, **parts)
        if (step + 1) % 100 == 0 or step == recipe.steps - 1:
            state = {"head": head.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            with written_whole(at) as file:
                torch.save(state, file)
    head.eval()


def train(data: Path, out: Path, folder: Path, recipe: Recipe | None = None, overwrite: bool = True) -> Localizer:
    """From the data folder to a weights file.

    Args:
        data: folder with sounds.csv, pictures.csv, pairs.csv (see `datasets/labelled.py`), stills/, teachers/, and
            perhaps clips/ and coco/.
        out: the weights file to write.
        folder: for caches and checkpoints; another run with the same folder resumes.
        recipe: the hyperparameters; None: the defaults.
        overwrite: whether `out` may be replaced.

    Raises:
        DataFileError: a table cannot be read, or `folder` holds another training.
    """
    recipe = recipe or Recipe()
    _claim(folder, {"data": str(data.resolve()), **asdict(recipe)})
    log = Log(folder / "log.jsonl")
    torch.manual_seed(recipe.seed)
    tagger, pairs = Tagger(data), read_pairs(data)
    model = Localizer(**{**BASE, "tags": tagger.names})
    sounds = training_sounds(data, recipe.sounds, recipe.seed)
    waves = WaveCache(folder, "waves", [item.path for item in sounds])
    if recipe.start:
        start_from(model, Path(recipe.start))
    else:
        _begin(model, data, waves, sounds, folder, recipe, log)
    model.requires_grad_(True).eval()
    bank, pairs = learn_sounds(model, tagger, waves, sounds, pairs, folder, recipe, log)

    if recipe.steps:
        learn_heads(model, bank, pairs, data, folder, recipe, log)
    metadata = {"name": out.stem, "version": __version__, "recipe": json.dumps(asdict(recipe))}
    weights.save(model, out, metadata, overwrite)
    return model


def learn_heads(
    model: Localizer,
    bank: SoundBank,
    pairs: dict[str, list[str]],
    data: Path,
    folder: Path,
    recipe: Recipe,
    log: Log,
) -> None:
    """Train the heads in place, on cached outputs of the frozen parts for all pictures and scenes."""
    frames = clip_frames(data, folder, recipe.frames)
    pictures = useful_pictures(read_items(data, "pictures"), pairs, recipe.pictures)
    pictures = [item for item in pictures if item.split == "train"] + frames
    channels_last(model.trunk)
    size = (PICTURE_SIZE, PICTURE_SIZE)
    maps = cached_maps(
        folder, "pictures", len(pictures), lambda i: read_picture(pictures[i].path, size), model.trunk.body
    )
    model.trunk.set_wrap(True)
    sounding = [label for seen in pairs.values() for label in seen if not label.startswith(CLIP)]
    scenes = make_scenes(data, folder, frames, sounding, recipe.scenes, recipe.real_scenes, model.trunk.body)

    for part in (model.trunk, model.sound_encoder, model.tag_head):
        if part is not None:
            part.requires_grad_(False)
    if not recipe.visual:
        model.visual_head.requires_grad_(False)
        maps, scenes = embedded_maps(model, maps), (embedded_maps(model, scenes[0]), scenes[1])
    head = Head(model, embedded=not recipe.visual)
    fit(head, Sampler(bank, pictures, maps, scenes, pairs, recipe.names_per_step), recipe, folder, log)
    model.set_presence(head.steepness.item(), head.middle.item())


def learn_sounds(
    model: Localizer,
    tagger: Tagger,
    waves: WaveCache,
    sounds: Sequence[Item],
    pairs: dict[str, list[str]],
    folder: Path,
    recipe: Recipe,
    log: Log,
) -> tuple[SoundBank, dict[str, list[str]]]:
    """Refine the sound encoder in place. Returns its features of all pieces of sound, and the pairs extended by the
    tagger."""
    pieces = pieces_of(sounds, waves, recipe.seed)
    known = lower(joint_encoder(model), tagger, waves, pieces, folder, recipe.versions, recipe.seed)
    features = refine(
        model, tagger, known, pieces, folder, recipe.refine_steps, recipe.refine_rate, seed=recipe.seed, log=log
    )
    with torch.inference_mode():
        means = [
            torch.from_numpy(t[:n]).float().mean(0) for t, n in zip(known.taught[0], known.lengths[0], strict=True)
        ]
        tags = tagger.scores(torch.stack(means)).numpy()
    labels = [piece.label for piece in pieces]
    pairs, groups = with_knowledge(pairs, labels, Knowledge(tagger.names).of(tags))
    return SoundBank(labels, features, known.lengths, groups), pairs


def embedded_maps(model: Localizer, maps: NDArray[np.float16], batch: int = 8) -> NDArray[np.float16]:
    """Output of the trunk's `body` (n, rows, columns, channels) -> embeddings (n, rows, columns, D)."""
    out = np.empty((*maps.shape[:3], model.config["embedding"]), np.float16)
    with torch.inference_mode():
        for first in range(0, len(maps), batch):
            x = torch.from_numpy(maps[first : first + batch].astype(np.float32)).permute(0, 3, 1, 2)
            v = model.embed_map(model.trunk.last(x.contiguous(memory_format=torch.channels_last)))
            out[first : first + batch] = v.permute(0, 2, 3, 1).numpy()
    return out


def start_from(model: Localizer, path: Path) -> None:
    """Load all weights of a file except its tags. Raises ModelError if they do not fit."""
    start = weights.load(path)
    theirs = {k: v for k, v in start.state_dict().items() if not k.startswith("tag_head.")}
    ours = model.state_dict()
    if any(k not in theirs or theirs[k].shape != v.shape for k, v in ours.items() if not k.startswith("tag_head.")):
        raise ModelError("the weights to start from are of another architecture", path=path)
    model.load_state_dict({**ours, **theirs})
    model.set_presence(*start.presence)


def _begin(
    model: Localizer, data: Path, waves: WaveCache, sounds: Sequence[Item], folder: Path, recipe: Recipe, log: Log
) -> None:
    """Load the public weights of the trunk, and distil a sound encoder from the first teacher."""
    student = JointEncoder(BASE["sound_encoder"]["parts"][:2])
    student.parts[1].load_state_dict(soundnet_start())
    labels = [None if item.label.startswith(CLIP) else item.label for item in sounds]
    crops = Crops(waves, range(len(sounds)), labels)
    distil(student, Teacher(data), crops, folder, recipe.distil_steps, seed=recipe.seed, log=log)
    states = [*(part.state_dict() for part in student.parts), soundnet_start()]
    for part, state in zip(joint_encoder(model).parts, states, strict=True):
        part.load_state_dict(state)
    model.trunk.load_state_dict(lite0().state_dict())


def _claim(folder: Path, training: dict[str, object]) -> None:
    """Record in the work folder what is trained there. Raises DataFileError if it is used for another training."""
    at = folder / "training.json"
    if at.exists():
        if json.loads(at.read_text(encoding="utf-8")) != training:
            raise DataFileError("the folder holds another training", folder, "use another --work")
        return
    folder.mkdir(parents=True, exist_ok=True)
    at.write_text(json.dumps(training), encoding="utf-8")
