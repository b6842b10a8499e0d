"""Tar shards in webdataset's layout, local or by URL, streamed repeatedly, for sets larger than a disk.

An example's files follow one another in a tar file and share their name up to the first dot: a picture (jpg, jpeg,
png), a sound (wav, flac, mp3, ogg) and, if known, a json with any of `boxes` (for each annotator a list of boxes
[x0, y0, x1, y1], shares of width and height), `ambient`, `label`, `video` and `split`. Other files are passed over;
nothing is ever unpickled.
"""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import DataFileError, InputError, PanoSoundError
from .bad_files import BadFileCounter
from .examples import Example, checked, read_sound

PICTURES = ("jpg", "jpeg", "png")
SOUNDS = ("wav", "flac", "mp3", "ogg")
_TIMEOUT = 60  # s of waiting for a server


def is_shards(name: str) -> bool:
    """Whether a path or URL names tar shards."""
    return name.endswith(".tar")


def shard_names(names: Sequence[str]) -> list[str]:
    """The paths and URLs that patterns stand for. Raises DataFileError if `webdataset` is not installed."""
    try:
        from braceexpand import braceexpand
    except ImportError as error:
        hint = "pip install 'pano-sound[train]'"
        raise DataFileError("tar shards need the package webdataset", hint=hint) from error
    try:
        return [str(shard) for name in names for shard in braceexpand(name)]
    except ValueError:
        raise DataFileError("the braces do not match", path=", ".join(names)) from None


class Shards:
    """The examples of tar shards.

    Args:
        names: paths or http(s) URLs; `{000..012}` stands for numbers, `{a,b}` for alternatives.
        split: only examples of this split are given, and those that name none.
        boxed: only examples with boxes are given.
        seed: of the order of shards, and of examples within a buffer.
        buffer: size of the shuffle buffer in examples, which hold their files in memory. 0: the order of the files.
        part: (rank, count): each of several processes takes every count-th shard.

    Raises:
        DataFileError: no such file, an invalid name, fewer shards than processes, or `webdataset` is not installed.
    """

    def __init__(
        self,
        names: Sequence[str],
        split: str = "train",
        seed: int = 0,
        buffer: int = 200,
        part: tuple[int, int] = (0, 1),
        boxed: bool = False,
    ) -> None:
        shards = shard_names(names)
        for shard in shards:
            if not _is_url(shard) and not Path(shard).is_file():
                raise DataFileError("there is no such shard", path=shard)
        if len(shards) < part[1]:
            raise DataFileError(f"{len(shards)} shards are too few for {part[1]} processes", path=names[0])
        self.names, self.shards = tuple(names), shards[part[0] :: part[1]]
        self.split, self.seed, self.buffer, self.part, self.boxed = split, seed, buffer, part, boxed
        self.bad_files = BadFileCounter(", ".join(names))

    def __iter__(self) -> Iterator[Example]:
        """Every example once, in the order of the first round."""
        return self.round(0)

    def forever(self, skip: int = 0) -> Iterator[Example]:
        """Round after round, each in another order; the first `skip` examples are skipped.

        Raises:
            DataFileError: a round had no examples, or too many shards or examples are bad.
        """
        number = 0
        while True:
            empty = True
            for example in self.round(number):
                empty = False
                if skip:
                    skip -= 1
                else:
                    yield example
            if empty:
                wanted = f"of split {self.split!r}" + (" with boxes" if self.boxed else "")
                raise DataFileError(f"the shards hold no pair of picture and sound {wanted}", path=self.bad_files.where)
            number += 1

    def round(self, number: int) -> Iterator[Example]:
        """Every example once, in the order of round `number`."""
        rng = np.random.default_rng((self.seed, number, self.part[0]))
        order = rng.permutation(len(self.shards)) if self.buffer else range(len(self.shards))
        waiting: list[Example] = []
        for example in self._read([self.shards[i] for i in order]):
            waiting.append(example)
            if len(waiting) > self.buffer:
                yield waiting.pop(int(rng.integers(len(waiting))))
        while waiting:
            yield waiting.pop(int(rng.integers(len(waiting))) if self.buffer else 0)

    def _read(self, shards: Sequence[str]) -> Iterator[Example]:
        from webdataset.tariterators import group_by_keys, tar_file_expander

        current = {"url": ""}

        def opened() -> Iterator[dict[str, Any]]:
            for shard in shards:
                current["url"] = shard
                try:
                    with _open(shard) as stream:
                        yield {"url": shard, "stream": stream}
                except (OSError, urllib.error.URLError) as error:
                    self.bad_files.bad(shard, error)

        def broken(error: Exception) -> bool:
            if isinstance(error, PanoSoundError):
                raise error
            reason = str(error).partition(" @ <")[0]  # webdataset adds the stream as Python shows it
            self.bad_files.bad(current["url"], ValueError(reason or type(error).__name__))
            return True

        files = tar_file_expander(opened(), handler=broken, select_files=_is_wanted)
        for sample in group_by_keys(files, handler=broken):
            key = str(sample["__key__"])
            try:
                example = self._example(key, sample)
            except (TypeError, ValueError) as error:
                self.bad_files.bad(f"{sample['__url__']}: {key}", error)
                continue
            self.bad_files.good()
            if example.split == self.split and (not self.boxed or (any(example.boxes) and not example.ambient)):
                yield example

    def _example(self, key: str, sample: Mapping[str, Any]) -> Example:
        """Raises ValueError or TypeError when it is not a whole example."""
        picture = next((sample[kind] for kind in PICTURES if kind in sample), None)
        sound = next(((kind, sample[kind]) for kind in SOUNDS if kind in sample), None)
        if picture is None or sound is None:
            raise ValueError("it has no " + ("picture" if picture is None else "sound"))
        try:
            about = json.loads(sample["json"]) if "json" in sample else {}
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its json cannot be read: {error}") from error
        if not isinstance(about, dict):
            raise ValueError("its json is not an object")
        boxes = tuple(
            tuple(checked((float(a), float(b), float(c), float(d))) for a, b, c, d in drawn)
            for drawn in about.get("boxes", ())
        )
        return Example(
            key,
            str(about.get("video", key)),
            partial(_decode_picture, key, picture),
            partial(_decode_sound, *sound),
            boxes,
            bool(about.get("ambient", False)),
            str(about.get("label", "")),
            str(about.get("split", self.split)),
        )


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def _is_wanted(name: str) -> bool:
    return name.rpartition(".")[2].lower() in (*PICTURES, *SOUNDS, "json")


def _open(shard: str) -> IO[bytes]:
    # Not with webdataset's own opener, which runs a shell for "pipe:" and curl for URLs.
    if _is_url(shard):
        response: IO[bytes] = urllib.request.urlopen(shard, timeout=_TIMEOUT)
        return response
    return open(shard, "rb")


def _decode_picture(key: str, data: bytes) -> NDArray[np.uint8]:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # too many pixels
        picture = None
    if picture is None:
        raise InputError("the picture cannot be read", path=key)
    return np.ascontiguousarray(picture[..., ::-1])


def _decode_sound(kind: str, data: bytes, rate: int) -> NDArray[np.float32]:
    # Through a file, because `media.inputs` checks only files.
    with tempfile.NamedTemporaryFile(suffix=f".{kind}") as file:
        file.write(data)
        file.flush()
        return read_sound(Path(file.name), rate)
