"""Sounds, pictures and made scenes for the heads, altered anew in each step, on a card that can compute them as fast.

The counterparts of what `sampling.py` draws from caches: a cache holds a few versions of everything, and a network with
many layers to learn soon knows them by heart.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from threading import Event, Lock, Thread
from types import TracebackType

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...errors import PanoSoundError
from ...localize.architecture import RATE
from ...localize.nets.sound_encoder import SoundEncoder
from ...localize.nets.weights import has_bfloat16
from ..datasets.examples import PICTURE_SIZE, Box, read_picture
from ..datasets.labelled import Item
from . import augment
from .distil import FASTEST, Piece, Sounds, alone, random_windows
from .sampling import STRIDE, box_cells, too_few_scenes
from .scenes import HEIGHT, WIDTH, Pasted, Scene
from .tagger import SAMPLES, STEPS

_NEAR = RATE * 2  # samples by which a piece of sound is moved, at most
_CLEAN = 0.25  # of the sounds stay as they are
_TRIES = 6  # for a part of a picture that shows enough of its thing
_SHOWN = 0.6  # of a thing's box must be in the part
_REPLACED = 3  # times that the made scenes are replaced in search of useful ones
_WAITING = 2  # scenes that each process makes ahead


class LiveSounds:
    """Pieces of sounds, most of them mixed, filtered, in rooms or far away, through the frozen encoder.

    Args:
        encoder: the sound encoder.
        sounds: all sounds.
        pieces: what is drawn from.
        groups: named groups of pieces.
    """

    def __init__(
        self, encoder: SoundEncoder, sounds: Sounds, pieces: Sequence[Piece], groups: dict[str, list[int]]
    ) -> None:
        self.encoder, self.sounds, self.device = encoder, sounds, sounds.samples.device
        self.numbers = np.array([piece.sound for piece in pieces])
        self.first = np.array([piece.first for piece in pieces], float)
        self.by_label: dict[str, list[int]] = {}
        for i, piece in enumerate(pieces):
            self.by_label.setdefault(piece.label, []).append(i)
        self.by_label |= groups
        self.generator = torch.Generator(self.device)

    @torch.no_grad()
    def draw(self, labels: Sequence[str], rng: np.random.Generator) -> Tensor:
        """For each label the mean feature of one of its sounds over a random window: (n, F)."""
        self.generator.manual_seed(int(rng.integers(2**62)))
        n = len(labels)
        chosen = np.array([self.by_label[label][int(rng.integers(len(self.by_label[label])))] for label in labels])
        numbers, altered = self.numbers[chosen], rng.random(n) >= _CLEAN
        speed = np.where(altered & (rng.random(n) < 0.3), FASTEST ** rng.uniform(-1, 1, n), 1.0)
        spare = np.maximum(0.0, self.sounds.lengths[numbers] - SAMPLES * speed)
        first = np.clip(self.first[chosen] + rng.uniform(-_NEAR, _NEAR, n), 0, np.maximum(spare, 0))
        waves, lengths = self.sounds.pieces(numbers, first, speed, altered)
        # The next sound of the batch is of another label: always quieter than what is asked for.
        distant = augment.mix(waves, self.generator, share=0.4, quietest=-25.0, loudest=-6.0)[0]
        distant = augment.reverberate(augment.colour(distant, self.generator), self.generator)
        distant = augment.far(distant, self.generator)
        features = waves.new_zeros(n, STEPS, self.encoder.features)
        if altered.any():
            features[altered] = self.encoder.from_waves(distant[altered])[:, :STEPS].float()
        if not altered.all():
            # As they are measured and used: with nothing after them.
            samples = self.sounds.lengths[numbers[~altered]] - first[~altered]
            features[~altered], lengths[~altered] = alone(self.encoder, waves[~altered], samples)
        windows = random_windows(lengths, 1, rng)[:, 0].to(self.device)
        return torch.einsum("nsf,ns->nf", features, windows)


class LivePictures:
    """Pictures, of which each step sees other parts, mirrored, in other colours, coarse.

    Args:
        items: the pictures.
        lower: pictures (n, 3, H, W) -> what the head takes.
        device: where they are kept, 0.3 MB each.
    """

    def __init__(
        self, items: Sequence[Item], lower: Callable[[Tensor], Tensor], device: torch.device | str = "cpu"
    ) -> None:
        self.items, self.lower = items, lower
        self.pixels = torch.empty(len(items), 3, PICTURE_SIZE, PICTURE_SIZE, dtype=torch.uint8, device=device)
        for i, item in enumerate(items):
            picture = read_picture(item.path, (PICTURE_SIZE, PICTURE_SIZE))
            self.pixels[i] = torch.from_numpy(picture).permute(2, 0, 1).to(device)

    @torch.no_grad()
    def draw(self, numbers: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A version of each of these pictures.

        Returns:
            the output of `lower`; targets (n, rows, columns), how much of each of its cells the thing covers.
        """
        parts = np.stack([_part(self.items[i].box, rng) for i in numbers])
        mirrored = rng.random(len(numbers)) < 0.5
        x0, y0, x1, y1 = parts.T
        scale_x, scale_y = (x1 - x0) * np.where(mirrored, -1, 1), y1 - y0
        theta = np.zeros((len(numbers), 2, 3), np.float32)
        theta[:, 0, 0], theta[:, 0, 2] = scale_x, x0 + x1 - 1
        theta[:, 1, 1], theta[:, 1, 2] = scale_y, y0 + y1 - 1
        device = self.pixels.device
        chosen = self.pixels[torch.tensor(list(numbers), device=device)].float()
        grid = F.affine_grid(torch.from_numpy(theta).to(device), list(chosen.shape), align_corners=False)
        seen = F.grid_sample(chosen, grid, padding_mode="reflection", align_corners=False)
        maps = looked_at(self.lower, recoloured(coarse(seen, rng), rng))
        side = PICTURE_SIZE // STRIDE
        boxes = [_box_in_part(self.items[i].box, part, m) for i, part, m in zip(numbers, parts, mirrored, strict=True)]
        targets = np.stack([box_cells(box, side, side) for box in boxes])
        return maps, torch.from_numpy(targets).to(device)


class LiveScenes:
    """Made scenes, which other processes make as fast as they can: the oldest are replaced. A context manager.

    Each time one is drawn it is turned, perhaps mirrored, and in other colours.

    Args:
        make: scene number i; can be pickled.
        real: that many of the first scenes are real ones and stay.
        kept: how many are kept, 5.5 MB each.
        lower: pictures (n, 3, H, W) -> what the head takes.
        processes: that make scenes.
        device: where they are kept.
    """

    def __init__(
        self,
        make: Callable[[int], Scene],
        real: int,
        kept: int,
        lower: Callable[[Tensor], Tensor],
        processes: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.make, self.real, self.kept, self.lower, self.processes = make, real, kept, lower, processes
        self.pixels = torch.empty(kept, 3, HEIGHT, WIDTH, dtype=torch.uint8, device=device)
        self.objects: list[list[Pasted]] = []
        self.made = 0
        self.failed: BaseException | None = None
        self._lock, self._stop = Lock(), Event()
        self._thread = Thread(target=self._fill, daemon=True)

    def __enter__(self) -> LiveScenes:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _fill(self) -> None:
        try:
            with ProcessPoolExecutor(self.processes, get_context("forkserver"), _begin, (self.make,)) as pool:
                numbers = itertools.count()
                waiting: deque[Future[Scene]] = deque()
                while not self._stop.is_set():
                    while len(waiting) < _WAITING * self.processes:
                        waiting.append(pool.submit(_make, next(numbers)))
                    self._keep(waiting.popleft().result())  # In order: the first slots are for the real ones.
                pool.shutdown(cancel_futures=True)
        except BaseException as error:  # said where the scenes are wanted
            self.failed = error

    def _keep(self, scene: Scene) -> None:
        picture = torch.from_numpy(np.ascontiguousarray(scene.picture)).to(self.pixels.device).permute(2, 0, 1)
        with self._lock:
            slot = self.made
            if slot >= self.kept:
                slot = self.real + (self.made - self.real) % (self.kept - self.real)
                self.objects[slot] = list(scene.objects)
            else:
                self.objects.append(list(scene.objects))
            self.pixels[slot] = picture
            self.made += 1

    def wait_for(self, count: int) -> None:
        """Wait until there are so many scenes. Raises PanoSoundError if none can be made."""
        while self.made < min(count, self.kept):
            self._more()

    def _more(self) -> None:
        """Give the other processes time."""
        self._check()
        self._stop.wait(0.2)

    def _check(self) -> None:
        if self.failed is not None:
            raise PanoSoundError(f"no scenes can be made: {self.failed}") from self.failed

    @torch.no_grad()
    def draw(
        self, count: int, useful: Callable[[list[Pasted]], bool], rng: np.random.Generator
    ) -> tuple[Tensor, list[list[Pasted]]]:
        """`count` different useful scenes: the output of `lower`, and what is where in each.

        Raises PanoSoundError if no more can be made, or if too few of many are useful.
        """
        self._check()
        self.wait_for(4 * count)
        enough = max(self.made, self.kept) + _REPLACED * (self.kept - self.real)
        while True:
            with self._lock:
                fitting = [k for k, things in enumerate(self.objects) if useful(things)]
                if len(fitting) >= count:
                    chosen = rng.choice(fitting, count, replace=False).tolist()
                    objects = [self.objects[k] for k in chosen]
                    scenes = self.pixels[torch.tensor(chosen, device=self.pixels.device)]
                    break
                if self.made >= enough:
                    raise too_few_scenes(len(fitting), len(self.objects), count)
            self._more()
        turned = []
        for k, scene in enumerate(scenes):
            shift, mirrored = int(rng.integers(WIDTH)), bool(rng.random() < 0.5)
            picture = scene.roll(shift, 2)
            turned.append(picture.flip(2) if mirrored else picture)
            objects[k] = [turned_thing(thing, shift, mirrored) for thing in objects[k]]
        seen = torch.stack(turned).float()
        return looked_at(self.lower, recoloured(seen, rng)), objects


def turned_thing(thing: Pasted, shift: int, mirrored: bool) -> Pasted:
    """Where a thing of a scene is after the scene was turned by so many pixels to the right, then mirrored."""
    x0 = thing.x0 + shift
    wide = thing.x1 - thing.x0
    x0 = (WIDTH - x0 - wide if mirrored else x0) % WIDTH
    return Pasted(thing.label, x0, thing.y0, x0 + wide, thing.y1)


def looked_at(lower: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """The output of `lower`, float32, channels last."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast(pictures.device.type, torch.bfloat16, enabled=has_bfloat16(pictures.device)):
        return lower(pictures).float().contiguous(memory_format=torch.channels_last)


def recoloured(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (n, 3, H, W) in 0..255, most of them brighter, darker or of another tint, some nearly grey or noisy."""
    n, device = len(pictures), pictures.device

    def drawn(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(device).reshape(n, -1, 1, 1)

    gain = rng.uniform(0.7, 1.25, (n, 1)) * np.where(rng.random((n, 1)) < 0.4, rng.uniform(0.85, 1.15, (n, 3)), 1.0)
    grey = np.where(rng.random((n, 1)) < 0.15, rng.uniform(0.5, 1.0, (n, 1)), 0.0)
    noise = np.where(rng.random((n, 1)) < 0.25, rng.uniform(2.0, 15.0, (n, 1)), 0.0)
    out = torch.lerp(pictures, pictures.mean(dim=1, keepdim=True), drawn(grey)) * drawn(gain)
    return (out + torch.randn_like(out) * drawn(noise)).clamp(0, 255)


def coarse(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (n, 3, H, W), a third of them with a fifth to a half of the detail, as small things are seen."""
    chosen = torch.from_numpy(np.flatnonzero(rng.random(len(pictures)) < 1 / 3)).to(pictures.device)
    if len(chosen):
        size = round(pictures.shape[-1] * float(rng.uniform(0.2, 0.5)))
        small = F.interpolate(pictures[chosen], size=(size, size), mode="area")
        pictures[chosen] = F.interpolate(small, size=pictures.shape[-2:], mode="bicubic").clamp(0, 255)
    return pictures


def _part(box: Box | None, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random part (x0, y0, x1, y1) of a picture, perhaps a little more than all of it, that shows most of a box."""
    for _ in range(_TRIES):
        size = rng.uniform(0.55, 1.1) * np.exp(rng.uniform(-0.15, 0.15) * np.array([1.0, -1.0]))
        first = rng.uniform(np.minimum(0, 1 - size), np.maximum(0, 1 - size))
        part = np.concatenate([first, first + size])
        if box is None or _share(box, part) >= _SHOWN:
            return part
    return np.array([0.0, 0.0, 1.0, 1.0])


def _share(box: Box, part: NDArray[np.float64]) -> float:
    """How much of a box lies in a part of the picture."""
    wide = min(box[2], part[2]) - max(box[0], part[0])
    high = min(box[3], part[3]) - max(box[1], part[1])
    return max(0.0, wide) * max(0.0, high) / max((box[2] - box[0]) * (box[3] - box[1]), 1e-6)


def _box_in_part(box: Box | None, part: NDArray[np.float64], mirrored: bool) -> Box | None:
    """A box as shares of a part of its picture; what lies outside the part is below 0 or above 1."""
    if box is None:
        return None
    x0, x1 = (float((x - part[0]) / (part[2] - part[0])) for x in (box[0], box[2]))
    y0, y1 = (float((y - part[1]) / (part[3] - part[1])) for y in (box[1], box[3]))
    return (1 - x1, y0, 1 - x0, y1) if mirrored else (x0, y0, x1, y1)


_maker: Callable[[int], Scene] | None = None  # of this process, which keeps what it has read


def _begin(make: Callable[[int], Scene]) -> None:
    global _maker
    cv2.setNumThreads(1)
    _maker = make


def _make(i: int) -> Scene:
    assert _maker is not None
    return _maker(i)
