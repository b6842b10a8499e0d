"""Made scenes: training pictures pasted into panoramas, small, anywhere, among others.

The training pictures show one big thing in the middle. In 360° footage the same thing is 15 to 60° wide, stands near
the horizon, perhaps across the seam, and other things that could sound are in view too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...localize.nets.localizer import BASE
from ..datasets.examples import Box, read_picture
from ..datasets.labelled import Item, Photograph
from .caches import cached_maps

HEIGHT, WIDTH = BASE["panorama"]
MANY = 24  # things to paste into a crowd, if there is room
SMALLEST, LARGEST = 64, 720  # pixels that a thing is high, 12 to 135°; it is 12 to 202° wide (1.5 * LARGEST)
LARGEST_IN_CROWD = 400
SMALLEST_BOXED = 24  # pixels; of a photograph of many things, smaller ones are not asked for
APART = 16  # pixels between two things
Pixels = NDArray[np.uint8]
_read = lru_cache(4096)(read_picture)  # about 1 GB


@dataclass(frozen=True)
class Pasted:
    """One object in a scene: its label and its extent in pixels; x1 may pass WIDTH when it crosses the seam."""

    label: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Scene:
    """A made panorama (HEIGHT, WIDTH, 3) RGB and the objects pasted into it."""

    picture: Pixels
    objects: tuple[Pasted, ...]


class SceneMaker:
    """Makes scene number i, always the same one for the same seed.

    Args:
        stills: equirectangular photographs to paste into.
        pictures: what is pasted; each label of `sounding` is drawn with equal chance, the others now and then.
        sounding: labels that have sounds; the first object of a scene is one of these.
        often: labels drawn more often than others, with their chance.
        seed: of everything random.
        photographs: pictures of several things; two in five scenes hold one.
        frames: pictures of films, pasted whole; two in five things are one.

    Attributes:
        largest: the height of a thing at most, in pixels.
    """

    largest = LARGEST

    def __init__(
        self,
        stills: Sequence[Path],
        pictures: Sequence[Item],
        sounding: Sequence[str],
        often: dict[str, float] | None = None,
        seed: int = 0,
        photographs: Sequence[Photograph] = (),
        frames: Sequence[Item] = (),
    ) -> None:
        self.stills = [read_picture(path, (WIDTH, HEIGHT)) for path in stills]
        self.by_label: dict[str, list[Item]] = {}
        for item in pictures:
            self.by_label.setdefault(item.label, []).append(item)
        self.sounding = sorted(set(sounding) & set(self.by_label))
        self.others = sorted(set(self.by_label) - set(self.sounding))
        self.often = often or {}
        self.seed = seed
        self.photographs = list(photographs)
        self.films = sorted({item.label for item in frames})
        for item in frames:
            self.by_label.setdefault(item.label, []).append(item)

    def make(self, i: int) -> Scene:
        """Scene number i."""
        rng = np.random.default_rng((self.seed, i))
        canvas: NDArray = np.roll(self.stills[int(rng.integers(len(self.stills)))], int(rng.integers(WIDTH)), axis=1)
        if rng.random() < 0.5:
            canvas = canvas[:, ::-1]
        canvas = canvas.astype(np.float32) * rng.uniform(0.7, 1.2)
        if rng.random() < 0.3:
            canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(1.0, 4.0))
        objects: list[Pasted] = []
        taken: list[Pasted] = []
        if self.photographs and rng.random() < 0.4:
            objects += self._photograph(rng, canvas, taken)
        for label in self._labels(rng):
            placed = self._place(rng, label, taken)
            if placed is not None:
                objects.append(placed[0])
                taken.append(placed[0])
                _paste(canvas, *placed)
        if rng.random() < 0.3:
            canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 2.0))
        turn = int(rng.integers(WIDTH))  # last, so that the seam may cut an object
        objects = [Pasted(o.label, *_turned(o, turn)) for o in objects]
        picture = np.roll(np.clip(canvas, 0, 255), turn, axis=1).astype(np.uint8)
        return Scene(compressed(picture, rng) if rng.random() < 0.5 else picture, tuple(objects))

    def _labels(self, rng: np.random.Generator) -> list[str]:
        """2 to 5 different labels, the first one with a sound."""
        labels: list[str] = []
        for k in range(int(rng.integers(2, 6))):
            label, left = "", rng.random()
            for favourite, chance in self.often.items():
                if 0 <= left < chance:
                    label = favourite
                left -= chance
            if not label and self.films and rng.random() < 0.4:
                label = str(rng.choice(self.films))
            if not label:
                pool = self.others if k and self.others and rng.random() < 0.2 else self.sounding
                label = str(rng.choice(pool))
            if label not in labels and label in self.by_label:
                labels.append(label)
        return labels

    def _place(
        self, rng: np.random.Generator, label: str, objects: Sequence[Pasted]
    ) -> tuple[Pasted, NDArray[np.float32], NDArray[np.float32]] | None:
        """A new object in a free place, its pixels and its opacity; None if the scene is full."""
        item = self.by_label[label][int(rng.integers(len(self.by_label[label])))]
        whole = label in self.films or rng.random() < 0.3  # the picture as it is, with straight edges
        picture = _read(item.path)
        patch = picture if whole else cut_out(picture, item.box, rng)
        for _ in range(10):
            height = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(self.largest))))
            width = height * patch.shape[1] / patch.shape[0]
            if not SMALLEST <= width <= 1.5 * self.largest:
                continue
            size = (max(8, round(width)), max(8, round(height)))
            spot = self._spot(rng, *size, objects)
            if spot is None:
                continue
            pixels: NDArray = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
            if rng.random() < 0.5:
                pixels = pixels[:, ::-1]
            alpha = np.ones((*pixels.shape[:2], 1), np.float32) if whole else opacity(pixels, item.box is not None, rng)
            x, y = spot
            gain = rng.uniform(0.7, 1.25)
            return Pasted(label, x, y, x + size[0], y + size[1]), pixels.astype(np.float32) * gain, alpha
        return None

    def _photograph(self, rng: np.random.Generator, canvas: NDArray, taken: list[Pasted]) -> list[Pasted]:
        """Paste one of the photographs; the things in it that can still be seen."""
        chosen = self.photographs[int(rng.integers(len(self.photographs)))]
        picture = _read(chosen.path)
        height = int(np.exp(rng.uniform(np.log(240), np.log(600))))
        width = round(height * picture.shape[1] / picture.shape[0])
        spot = self._spot(rng, width, height, taken)
        if spot is None:
            return []
        x, y = spot
        pixels = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        frame = Pasted("", x, y, x + width, y + height)
        taken.append(frame)
        _paste(canvas, frame, pixels, np.ones((height, width, 1), np.float32))
        placed = [
            Pasted(label, x + x0 * width, y + y0 * height, x + x1 * width, y + y1 * height)
            for label, (x0, y0, x1, y1) in chosen.things
        ]
        return [thing for thing in placed if min(thing.x1 - thing.x0, thing.y1 - thing.y0) >= SMALLEST_BOXED]

    def _spot(
        self, rng: np.random.Generator, width: int, height: int, objects: Sequence[Pasted]
    ) -> tuple[float, float] | None:
        """Upper left corner for something of that size near the horizon, with nothing above or below; None if taken."""
        x = rng.uniform(0, WIDTH - width)
        y = np.clip(HEIGHT * rng.normal(0.53, 0.07) - height / 2, 0, HEIGHT - height)
        if any(x < o.x1 + APART and o.x0 < x + width + APART for o in objects):
            return None
        return float(int(x)), float(int(y))


def as_scene(still: Photograph) -> Scene:
    """A boxed panorama as a scene, the things as they are in it."""
    things = [
        Pasted(label, x0 * WIDTH, y0 * HEIGHT, x1 * WIDTH, y1 * HEIGHT) for label, (x0, y0, x1, y1) in still.things
    ]
    return Scene(read_picture(still.path, (WIDTH, HEIGHT)), tuple(things))


class Crowds(SceneMaker):
    """Panoramas with as many small pictures as fit around the horizon; every label is drawn with equal chance."""

    largest = LARGEST_IN_CROWD

    def __init__(self, stills: Sequence[Path], pictures: Sequence[Item], seed: int) -> None:
        super().__init__(stills, pictures, sorted({item.label for item in pictures}), seed=seed)

    def _labels(self, rng: np.random.Generator) -> list[str]:
        return [str(label) for label in rng.choice(self.sounding, MANY)]

    def _spot(
        self, rng: np.random.Generator, width: int, height: int, objects: Sequence[Pasted]
    ) -> tuple[float, float] | None:
        x = int(rng.integers(WIDTH - width))
        y = int(np.clip(HEIGHT * rng.normal(0.52, 0.12) - height / 2, 0, HEIGHT - height))
        if any(x < o.x1 and o.x0 < x + width and y < o.y1 and o.y0 < y + height for o in objects):
            return None
        return float(x), float(y)


def scene_maps(
    folder: Path,
    name: str,
    make: Callable[[int], Scene],
    count: int,
    trunk: Callable[[Tensor], Tensor],
    device: torch.device | str = "cpu",
) -> tuple[NDArray[np.float16], list[list[Pasted]]]:
    """Trunk maps (count, rows, columns, channels) of the first `count` scenes and what is in them; made once."""
    listing = folder / f"{name}.jsonl"

    def picture(i: int) -> Pixels:
        scene = make(i)
        line = json.dumps({"scene": i, "objects": [asdict(o) for o in scene.objects]})
        with open(listing, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        return scene.picture

    maps = cached_maps(folder, name, count, picture, trunk, batch=8, device=device)
    objects: list[list[Pasted]] = [[] for _ in range(count)]
    for line in listing.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["scene"] < count:
            objects[record["scene"]] = [Pasted(**o) for o in record["objects"]]
    return maps, objects


def compressed(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture with the marks of strong compression, as frames of films have them: RGB (H, W, 3)."""
    quality = int(rng.integers(15, 70))
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    found = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert found is not None
    return np.asarray(found, np.uint8)[..., ::-1]


def cut_out(picture: Pixels, box: Box | None, rng: np.random.Generator) -> Pixels:
    """The part of a picture that shows its thing: its box with a random margin, or most of the picture."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box or (0.05, 0.05, 0.95, 0.95)
    margin = rng.uniform(0.0, 0.1)
    left, right = int(max(0.0, x0 - margin) * width), int(np.ceil(min(1.0, x1 + margin) * width))
    top, bottom = int(max(0.0, y0 - margin) * height), int(np.ceil(min(1.0, y1 + margin) * height))
    return picture[top : max(bottom, top + 8), left : max(right, left + 8)]


def opacity(pixels: NDArray, boxed: bool, rng: np.random.Generator) -> NDArray[np.float32]:
    """How much of the object covers the scene, (h, w, 1) in [0, 1]: white paper vanishes, edges soft or straight."""
    height, width = pixels.shape[:2]
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if boxed and np.median(border.min(axis=1)) > 235 and rng.random() < 0.8:
        shown = (pixels.min(axis=2) < 238).astype(np.uint8)
        shown = cv2.morphologyEx(shown, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8), iterations=2)
        alpha = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), 1.0)
    else:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        power = 2.0 if rng.random() < 0.5 else 8.0  # an ellipse, or nearly a rectangle
        radius = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
        alpha = np.clip((1.08 - radius) / rng.uniform(0.05, 0.25), 0, 1)
    return alpha.astype(np.float32)[..., None]


def cells(thing: Pasted, rows: int, columns: int, stride: int) -> NDArray[np.float32]:
    """Proportion of each cell that an object covers, (rows, columns) in [0, 1]; columns wrap round.

    Cell i spans the pixels from stride * i on."""

    def cover(first: float, last: float, count: int, period: int | None) -> NDArray[np.float64]:
        begin = np.arange(count) * stride
        total = np.zeros(count)
        for shift in (0,) if period is None else (-period, 0, period):
            total += np.clip(np.minimum(begin + stride, last + shift) - np.maximum(begin, first + shift), 0, None)
        return total / stride

    rows_covered = cover(thing.y0, thing.y1, rows, None)
    return np.outer(rows_covered, cover(thing.x0, thing.x1, columns, WIDTH)).astype(np.float32)


def _paste(canvas: NDArray, thing: Pasted, pixels: NDArray, alpha: NDArray) -> None:
    x, y = int(thing.x0), int(thing.y0)
    view = canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]]
    view += alpha[: view.shape[0], : view.shape[1]] * (pixels[: view.shape[0], : view.shape[1]] - view)


def _turned(thing: Pasted, turn: int) -> tuple[float, float, float, float]:
    x0 = (thing.x0 + turn) % WIDTH
    return x0, thing.y0, x0 + thing.x1 - thing.x0, thing.y1
