"""Training data: the tables of labelled sounds and pictures, and caches of what never changes about them.

The folder has `sounds.csv` (file, label, source, group, split, seconds), `pictures.csv` (file, label, source, split,
x0, y0, x1, y1, box_by) and `pairs.csv` (sound, picture: labels that belong together). Everything that the frozen
parts compute is kept in a cache folder, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..errors import DataFileError, InputError
from ..localize.listener import RATE, mel_bank, mel_magnitudes
from ..media.sound import SoundReader

PICTURE_SIZE = 320  # pixels; training pictures are squeezed into this square, as in the paper
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """One sound or picture: its file, label, split ('train' or 'val') and, for a picture, its box or None.

    The box is (x0, y0, x1, y1) as shares of width and height."""

    path: Path
    label: str
    split: str
    box: Box | None = None


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file. Raises DataFileError when it cannot be read."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataFileError(f"the table cannot be read: {error}", path=path) from error


def read_items(data: Path, kind: str) -> list[Item]:
    """All rows of `sounds.csv` or `pictures.csv` (kind: 'sounds' or 'pictures') of a data folder."""
    items = []
    for row in read_table(data / f"{kind}.csv"):
        corners = [row.get(name, "") for name in ("x0", "y0", "x1", "y1")]
        box = tuple(float(c) for c in corners) if all(corners) else None
        items.append(Item(data / row["file"], row["label"], row["split"], box))  # type: ignore[arg-type]
    return items


def read_pairs(data: Path) -> dict[str, list[str]]:
    """Sound label -> the picture labels that it belongs to."""
    pairs: dict[str, list[str]] = {}
    for row in read_table(data / "pairs.csv"):
        pairs.setdefault(row["sound"], []).append(row["picture"])
    return pairs


def read_people(data: Path) -> list[Item]:
    """Whole people, which `pictures.csv` hardly has: the boxes drawn by people around COCO's persons in `boxed/`.

    Only the pictures with COCO's numbers are used for training; the others are left for judging."""
    folder = data / "boxed"
    if not (folder / "boxes.csv").exists():
        return []
    items = []
    for row in read_table(folder / "boxes.csv"):
        box = tuple(float(row[name]) for name in ("x0", "y0", "x1", "y1"))
        tall = box[3] - box[1] > 0.25
        if row["label"].lower() == "person" and row["file"][0].isdigit() and tall:
            items.append(Item(folder / row["file"], "person", "train", box))  # type: ignore[arg-type]
    return items


def read_sound(path: Path, rate: int) -> NDArray[np.float32]:
    """A whole sound file as mono float32 at that rate."""
    blocks = list(SoundReader(path, rate).blocks(10.0))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def read_picture(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A picture file as RGB uint8 (H, W, 3), squeezed to size (width, height) if given."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError("the picture cannot be read", path=path)
    if size is not None:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[..., ::-1])


class MelCache:
    """Mel magnitudes of many sounds, float16, in one memory-mapped file: `cache[i]` is (frames, BANDS)."""

    def __init__(self, folder: Path, name: str, items: Sequence[Item]) -> None:
        at, index = folder / f"{name}.npy", folder / f"{name}.json"
        if not index.exists():
            folder.mkdir(parents=True, exist_ok=True)
            bank = mel_bank()
            waves = (torch.from_numpy(read_sound(item.path, RATE)) for item in tqdm(items, "sounds"))
            parts = [mel_magnitudes(wave, bank).half().numpy() for wave in waves]
            np.save(at, np.concatenate(parts))
            index.write_text(json.dumps([len(part) for part in parts]))
        self.edges = np.concatenate([[0], np.cumsum(json.loads(index.read_text()))])
        self.frames = np.load(at, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __getitem__(self, i: int) -> NDArray[np.float16]:
        return self.frames[self.edges[i] : self.edges[i + 1]]


def cached_maps(
    folder: Path,
    name: str,
    count: int,
    picture: Callable[[int], NDArray[np.uint8]],
    trunk: Callable[[Tensor], Tensor],
    batch: int = 16,
) -> NDArray[np.float16]:
    """Trunk maps of `count` pictures, computed once: a memory-mapped float16 array (count, rows, columns, channels).

    Args:
        picture: i -> RGB uint8 (H, W, 3), all of one size; called from threads.
        trunk: (n, 3, H, W) float -> (n, channels, rows, columns).
    """
    at, done_at = folder / f"{name}.npy", folder / f"{name}.done"
    folder.mkdir(parents=True, exist_ok=True)
    done = int(done_at.read_text()) if done_at.exists() and at.exists() else 0
    store: NDArray[np.float16] | None = np.lib.format.open_memmap(at, mode="r+") if done else None
    if store is not None and len(store) < count:
        store = _longer(at, store, done, count)
    with ThreadPoolExecutor(2) as pool, tqdm(total=count, initial=done, desc=name) as bar:
        for first, pictures in _ahead(pool, picture, range(done, count), batch):
            x = torch.from_numpy(pictures).permute(0, 3, 1, 2)  # channels last in memory
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                maps = trunk(x.float()).permute(0, 2, 3, 1).float().numpy().astype(np.float16)
            if store is None:
                store = np.lib.format.open_memmap(at, mode="w+", dtype=np.float16, shape=(count, *maps.shape[1:]))
            store[first : first + len(maps)] = maps
            done_at.write_text(str(first + len(maps)))
            bar.update(len(maps))
    return np.load(at, mmap_mode="r")[:count]


def _longer(at: Path, store: NDArray[np.float16], done: int, count: int) -> NDArray[np.float16]:
    """The same memory-mapped file with room for `count` maps, the first `done` of which are kept."""
    part = at.with_suffix(".part")
    longer = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=(count, *store.shape[1:]))
    longer[:done] = store[:done]
    longer.flush()
    part.replace(at)
    return longer


def _ahead(
    pool: ThreadPoolExecutor, picture: Callable[[int], NDArray[np.uint8]], indices: range, batch: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(first index, pictures (n, H, W, 3)) batch by batch, the next batch being read while this one is used."""

    def start(chunk: range) -> list:
        return [pool.submit(picture, i) for i in chunk]

    chunks: Iterable[range] = [indices[i : i + batch] for i in range(0, len(indices), batch)]
    waiting = None
    for chunk in chunks:
        started = (chunk.start, start(chunk))
        if waiting is not None:
            yield waiting[0], np.stack([f.result() for f in waiting[1]])
        waiting = started
    if waiting is not None:
        yield waiting[0], np.stack([f.result() for f in waiting[1]])


def useful_pictures(items: Sequence[Item], pairs: dict[str, list[str]], others: int = 15) -> list[Item]:
    """The pictures whose label has a sound, and up to `others` of each other label (things that are silent)."""
    heard = {picture for pictures in pairs.values() for picture in pictures}
    counts: dict[str, int] = {}
    chosen = []
    for item in items:
        counts[item.label] = counts.get(item.label, 0) + 1
        if item.label in heard or counts[item.label] <= others:
            chosen.append(item)
    return chosen
