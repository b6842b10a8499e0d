"""Batches of pictures with their own sounds and sounds of other recordings, determined by seed and step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ...errors import DataFileError, InputError
from ...localize.nets.localizer import Localizer
from ...localize.nets.torch_network import pooled
from ..datasets.bad_files import BadFileCounter
from ..datasets.examples import PICTURE_SIZE, Example, square
from ..datasets.shards import Shards
from .caches import cached_maps, maps_known
from .objective import box_target

WINDOW = 20.0
"""Seconds of sound around a picture (section 3.1 of the paper)."""

_READERS = 4  # threads; decoding waits for the disk and mostly runs in parallel

Batch = dict[str, Any]
"""What `Objective.forward` takes."""


class Batches(Protocol):
    """Gives the batch of each step."""

    def batch(self, step: int) -> Batch:
        """This process's part of batch number `step`."""


def window(example: Example, rate: int) -> NDArray[np.float32]:
    """The middle WINDOW seconds of an example's sound, or all of it if it is shorter. Raises InputError."""
    wave = example.sound(rate)
    if not len(wave):
        raise InputError("there is no sound in it", path=example.key)
    spare = max(0, len(wave) - round(WINDOW * rate))
    return wave[spare // 2 : len(wave) - (spare - spare // 2)]


def targets_of(examples: Sequence[Example], grid: tuple[int, int], picks: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """alpha_GT by one annotator of each example, and which examples have one.

    Args:
        picks: a random number for each example, to choose an annotator by.

    Returns:
        (n, cells) and (n,), float32 of 0 and 1.
    """
    targets = []
    for example, pick in zip(examples, picks, strict=True):
        drawn = [boxes for boxes in example.boxes if boxes] if not example.ambient else []
        targets.append(box_target(drawn[int(pick) % len(drawn)] if drawn else (), *grid).ravel())
    stacked = torch.from_numpy(np.stack(targets))
    return stacked, stacked.any(dim=1).float()


def select(
    examples: Sequence[Example], mode: str, labelled: int, unlabelled: int, seed: int
) -> list[tuple[int, Example]]:
    """Select the examples to train on, with their numbers. Boxes that must not be used are removed.

    Args:
        mode: "supervised" takes only examples with boxes, "unsupervised" takes all without their boxes, "semi" takes
            both.
        labelled, unlabelled: at most this many of each, drawn at random; a larger number includes the draw of a smaller
            one. -1: all (those with boxes as labelled).

    Raises:
        DataFileError: nothing is left.
    """
    order = np.random.default_rng((seed, 1)).permutation(len(examples))
    boxed = [int(i) for i in order if any(examples[i].boxes) and not examples[i].ambient]
    known = [] if mode == "unsupervised" else boxed[: len(boxed) if labelled < 0 else labelled]
    chosen = [(i, examples[i]) for i in known]
    if mode != "supervised":
        taken = set(known)
        hidden = [int(i) for i in order if int(i) not in taken]
        hidden = hidden[: len(hidden) if unlabelled < 0 else unlabelled]
        chosen += [(i, replace(examples[i], boxes=())) for i in hidden]
    if not chosen:
        if mode == "supervised":
            raise DataFileError("no example has boxes to learn from", hint="add boxes, or use mode unsupervised")
        raise DataFileError("there are no examples")
    return chosen


def share_of(count: int, processes: int) -> int:
    """The examples of a batch for each process: equally many, because the processes' means are averaged. Raises
    DataFileError if that cannot be."""
    if count % processes:
        hint = "set batch to a multiple of their number"
        raise DataFileError(f"batches of {count} examples cannot be shared evenly by {processes} processes", hint=hint)
    return count // processes


class Draw:
    """Draws the examples of each step.

    Args:
        examples: the whole set.
        count: examples in a batch, over all processes; in a smaller set as many as can be shared evenly.
        seed: of the draw.
        part: (rank, count) of this process; each takes every count-th example of a batch.

    Raises:
        DataFileError: all examples are from one recording, so there are no negatives; or a batch cannot be divided
            evenly among the processes, or there are fewer examples than processes.
    """

    def __init__(self, examples: Sequence[Example], count: int, seed: int, part: tuple[int, int] = (0, 1)) -> None:
        share_of(count, part[1])
        self.count, self.seed, self.part = min(count, len(examples)) // part[1] * part[1], seed, part
        names = {video: i for i, video in enumerate(dict.fromkeys(example.video for example in examples))}
        if len(names) < 2:
            hint = "add others, whose sounds serve as negatives"
            raise DataFileError("all examples are from one recording", hint=hint)
        if not self.count:
            what = f"{len(examples)} examples cannot be shared by {part[1]} processes"
            raise DataFileError(what, hint="start fewer processes")
        self.videos = np.array([names[example.video] for example in examples])

    def step(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """This process's examples, with a negative from another recording and a random number for each."""
        rng = np.random.default_rng((self.seed, step))
        anchors = rng.choice(len(self.videos), self.count, replace=False)
        picks = rng.integers(2**31, size=self.count)
        negatives = rng.integers(len(self.videos), size=self.count)
        while (same := self.videos[negatives] == self.videos[anchors]).any():
            negatives[same] = rng.integers(len(self.videos), size=int(same.sum()))
        rank, world = self.part
        return anchors[rank::world], negatives[rank::world], picks[rank::world]


class Cached:
    """Batches of cached outputs of the frozen trunk and sound net.

    Args:
        model: whose trunk and sound net are frozen.
        examples: the set; bad ones are left out.
        folder: the cache; its files are named by set and trunk.
    """

    def __init__(self, model: Localizer, examples: Sequence[Example], folder: Path, where: str = "the set") -> None:
        bad_files = BadFileCounter(where, len(examples))
        name = fingerprint(model, examples)
        sounds, deaf = self._sounds(model, examples, folder / f"sounds-{name}.npz", bad_files)
        maps, blind = self._maps(model, examples, folder, f"maps-{name}", bad_files)
        self.kept = np.array([i for i in range(len(examples)) if i not in deaf | blind])
        self.examples = [examples[i] for i in self.kept]
        self.sounds, self.maps = torch.from_numpy(sounds[self.kept]), maps
        body = torch.from_numpy(np.array(maps[:1], np.float32)).permute(0, 3, 1, 2)
        self.grid: tuple[int, int] = (body.shape[2], body.shape[3])
        self.device = next(model.parameters()).device

    def draw(
        self, chosen: Sequence[tuple[int, Example]], count: int, seed: int, part: tuple[int, int] = (0, 1)
    ) -> Drawn:
        """Batches of `chosen`, which `select` made of `self.examples`; the rest as of `Draw`."""
        return Drawn(self, chosen, count, seed, part)

    def maps_of(self, chosen: NDArray[np.intp]) -> Tensor:
        """Maps of these examples, float32 (n, channels, rows, columns)."""
        maps = torch.from_numpy(self.maps[self.kept[chosen]].astype(np.float32))
        return maps.permute(0, 3, 1, 2).to(self.device)

    @staticmethod
    def _sounds(
        model: Localizer, examples: Sequence[Example], at: Path, bad_files: BadFileCounter
    ) -> tuple[NDArray[np.float32], set[int]]:
        if at.exists():
            try:
                with np.load(at) as kept:
                    found, deaf = kept["features"], set(kept["bad"].tolist())
            except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
                raise DataFileError("the file is damaged", at, "remove it: it will be made again") from error
            bad_files.left_out(examples[i].key for i in deaf)
            return found, deaf
        bad: list[int] = []
        features = np.zeros((len(examples), model.sound_encoder.features), np.float32)
        heard: dict[int, int] = {}  # examples may share a sound
        for i, example in enumerate(tqdm(examples, "sounds", leave=False, disable=None)):
            try:
                first = heard.setdefault(id(example.sound), i)
                known = first < i and first not in bad
                features[i] = features[first] if known else pooled(model, window(example, model.sound_rate)).numpy()
            except InputError as error:
                bad_files.bad(example.key, error)
                bad.append(i)
        at.parent.mkdir(parents=True, exist_ok=True)
        part = at.with_suffix(".part.npz")
        np.savez(part, features=features, bad=np.array(bad, int))
        part.replace(at)
        return features, set(bad)

    @staticmethod
    def _maps(
        model: Localizer, examples: Sequence[Example], folder: Path, name: str, bad_files: BadFileCounter
    ) -> tuple[NDArray[np.float16], set[int]]:
        listing = folder / f"{name}.bad"
        done = maps_known(folder, name)
        known = [i for i in _numbers(listing) if i < done]  # the others are read again
        if len(known) < len(_numbers(listing)):
            listing.write_text("".join(f"{i}\n" for i in known), encoding="utf-8")
        bad_files.left_out(examples[i].key for i in known)

        def picture(i: int) -> NDArray[np.uint8]:
            try:
                return square(examples[i].picture())
            except InputError as error:
                with open(listing, "a", encoding="utf-8") as file:
                    file.write(f"{i}\n")
                bad_files.bad(examples[i].key, error)
                return np.zeros((PICTURE_SIZE, PICTURE_SIZE, 3), np.uint8)

        model.trunk.set_wrap(False)
        maps = cached_maps(folder, name, len(examples), picture, _on(model, model.trunk.body))
        return maps, set(_numbers(listing))


def _numbers(listing: Path) -> list[int]:
    """The numbers in a file, one a line; none without a file."""
    return [int(line) for line in listing.read_text(encoding="utf-8").split()] if listing.exists() else []


class Drawn:
    """Batches from a `Cached` set."""

    def __init__(
        self, cache: Cached, chosen: Sequence[tuple[int, Example]], count: int, seed: int, part: tuple[int, int]
    ) -> None:
        self.cache, self.numbers = cache, np.array([i for i, _ in chosen])
        self.examples = [example for _, example in chosen]
        self.drawing = Draw(self.examples, count, seed, part)

    def batch(self, step: int) -> Batch:
        cache = self.cache
        anchors, negatives, picks = self.drawing.step(step)
        targets, labelled = targets_of([self.examples[i] for i in anchors], cache.grid, picks)
        return {
            "maps": cache.maps_of(self.numbers[anchors]),
            "sounds": cache.sounds[self.numbers[anchors]].to(cache.device),
            "negatives": cache.sounds[self.numbers[negatives]].to(cache.device),
            "targets": targets.to(cache.device),
            "labelled": labelled.to(cache.device),
        }


class Live:
    """Batches that are read on demand: for training whole nets, and for endless sets.

    An example that cannot be read is left out of its batch.

    Args:
        model: the model to train.
        examples: a set, or shards.
        count, seed, part: as of `Draw`.
        first: the first step that will be asked for; shards are read on from there.
    """

    def __init__(
        self,
        model: Localizer,
        examples: Sequence[Example] | Shards,
        count: int,
        seed: int,
        part: tuple[int, int] = (0, 1),
        first: int = 0,
    ) -> None:
        self.rate, self.seed, self.rank = model.sound_rate, seed, part[0]
        self.device = next(model.parameters()).device
        with torch.no_grad():
            blank = torch.zeros(1, 3, PICTURE_SIZE, PICTURE_SIZE, device=self.device)
            rows, columns = model.trunk.body(blank).shape[2:]
        self.grid = (rows, columns)
        self.readers = ThreadPoolExecutor(_READERS)
        self.stream: Iterator[Example] | None = None
        if isinstance(examples, Shards):
            self.count = share_of(count, part[1])
            if self.count < 2:  # a negative is another example of the process's part
                what = f"tar shards need 2 examples of a batch for each process, and {count} are too few for {part[1]}"
                raise DataFileError(what, hint=f"set batch to at least {2 * part[1]}")
            self.stream = examples.forever(skip=first * self.count)
            self.bad_files = examples.bad_files
        else:
            self.examples = examples
            self.drawing = Draw(examples, count, seed, part)
            self.bad_files = BadFileCounter("the set", len(examples))

    def batch(self, step: int) -> Batch:
        """Raises DataFileError if nothing of a batch can be read, or all of it is from one recording."""
        if self.stream is not None:
            rng = np.random.default_rng((self.seed, step, self.rank))
            anchors = [next(self.stream) for _ in range(self.count)]
            negatives = [_another(anchors, example, rng) for example in anchors]
            picks = rng.integers(2**31, size=self.count)
        else:
            own, others, picks = self.drawing.step(step)
            anchors, negatives = [self.examples[i] for i in own], [self.examples[i] for i in others]
        pictures = self.readers.map(self._look, anchors)
        waves, wrong = self.readers.map(self._listen, anchors), self.readers.map(self._listen, negatives)
        triplets = list(zip(pictures, waves, wrong, strict=True))
        whole = [i for i, parts in enumerate(triplets) if all(part is not None for part in parts)]
        if not whole:
            what = f"in batch {step} each example is unreadable, or lacks a sound of another recording as its negative"
            raise DataFileError(what)
        seen, heard, unlike = zip(*(triplets[i] for i in whole), strict=True)
        targets, labelled = targets_of([anchors[i] for i in whole], self.grid, picks[whole])
        return {
            "pictures": torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).float().to(self.device),
            "sounds": [torch.from_numpy(wave).to(self.device) for wave in heard],
            "negatives": [torch.from_numpy(wave).to(self.device) for wave in unlike],
            "targets": targets.to(self.device),
            "labelled": labelled.to(self.device),
        }

    def _look(self, example: Example) -> NDArray[np.uint8] | None:
        try:
            return square(example.picture())
        except InputError as error:
            self.bad_files.bad(example.key, error)
            return None

    def _listen(self, example: Example | None) -> NDArray[np.float32] | None:
        try:
            return None if example is None else window(example, self.rate)
        except InputError as error:
            self.bad_files.bad(example.key if example else "", error)
            return None


def _another(examples: Sequence[Example], than: Example, rng: np.random.Generator) -> Example | None:
    """One of these from another recording; None if there is none."""
    others = [example for example in examples if example.video != than.video]
    return others[int(rng.integers(len(others)))] if others else None


def _on(model: Localizer, trunk: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A trunk that takes and returns CPU tensors."""
    device = next(model.parameters()).device
    return lambda pictures: trunk(pictures.to(device)).cpu()


def identity(examples: Sequence[Example] | Shards) -> str:
    """A hash of a set, independent of its folder, which changes with its examples and boxes."""
    if isinstance(examples, Shards):
        said: object = (examples.names, examples.split, examples.boxed)
    else:
        said = [(e.key, e.video, e.boxes, e.ambient, e.label, e.split) for e in examples]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]


def digest(model: Localizer) -> str:
    """A hash of the weights of trunk and sound net."""
    found = hashlib.sha256()
    for part in (model.trunk, model.sound_encoder):
        for tensor in part.state_dict().values():
            found.update(tensor.detach().cpu().numpy().tobytes())
    return found.hexdigest()[:12]


def fingerprint(model: Localizer, examples: Sequence[Example]) -> str:
    """A hash of the files of a set and the frozen weights."""
    files = [(example.key, _files(example.picture), _files(example.sound)) for example in examples]
    return hashlib.sha256(repr((files, digest(model))).encode()).hexdigest()[:12]


def _files(read: Callable[..., object]) -> str:
    """The files of an example's reader, their sizes and times of change, as far as they are known."""
    if not isinstance(read, partial):
        return ""
    states = [path.stat() for path in read.args if isinstance(path, Path) and path.is_file()]
    return repr((read.args, [(state.st_size, state.st_mtime_ns) for state in states]))
