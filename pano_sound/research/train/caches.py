"""Caches on disk of what the frozen parts compute, so that training can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ...atomic_file import written_whole
from ...errors import DataFileError
from ...localize.architecture import RATE
from ...localize.nets.weights import has_bfloat16
from ..datasets.examples import read_samples


class WaveCache:
    """Many sounds as int16 in one memory-mapped file: `cache[i]` is a wave (samples,) float32 in [-1, 1] at RATE."""

    def __init__(self, folder: Path, name: str, paths: Sequence[Path]) -> None:
        at, index = folder / f"{name}.npy", folder / f"{name}.json"
        if not index.exists():
            folder.mkdir(parents=True, exist_ok=True)
            # Processes, because most of decoding a short sound holds Python's lock.
            with ProcessPoolExecutor(mp_context=get_context("forkserver")) as pool:
                waves = pool.map(partial(read_samples, rate=RATE), paths, chunksize=8)
                parts = list(tqdm(waves, "sounds", len(paths), disable=None))
            np.save(at, np.concatenate(parts))
            with written_whole(index, "w") as file:
                json.dump([len(part) for part in parts], file)
        self.edges = np.concatenate([[0], np.cumsum(json.loads(index.read_text()))])
        self.samples = np.load(at, mmap_mode="c")  # copy on write, as PyTorch wants it

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __getitem__(self, i: int) -> NDArray[np.float32]:
        return self.samples[self.edges[i] : self.edges[i + 1]].astype(np.float32) / 32767


def cached_maps(
    folder: Path,
    name: str,
    count: int,
    picture: Callable[[int], NDArray[np.uint8]],
    trunk: Callable[[Tensor], Tensor],
    batch: int = 16,
    device: torch.device | str = "cpu",
) -> NDArray[np.float16]:
    """Trunk maps of `count` pictures, computed once: a memory-mapped float16 array (count, rows, columns, channels).

    Args:
        picture: i -> RGB uint8 (H, W, 3), all of one size; called from threads.
        trunk: (n, 3, H, W) float -> (n, channels, rows, columns), on `device`.

    Raises:
        DataFileError: what an earlier run left is damaged.
    """
    at, done_at = folder / f"{name}.npy", folder / f"{name}.done"
    folder.mkdir(parents=True, exist_ok=True)
    done = maps_known(folder, name)
    store: NDArray[np.float16] | None = _kept(at) if done else None
    if store is not None and len(store) < count:
        store = _longer(at, store, done, count)
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(total=count, initial=done, desc=name, disable=None) as bar:
        for first, pictures in _ahead(pool, picture, range(done, count), batch):
            x = torch.from_numpy(pictures).permute(0, 3, 1, 2)  # channels last in memory
            x = x.to(device)
            with torch.inference_mode(), torch.autocast(x.device.type, torch.bfloat16, enabled=has_bfloat16(x.device)):
                maps = trunk(x.float()).permute(0, 2, 3, 1).half().cpu().numpy()
            if store is None:
                store = np.lib.format.open_memmap(at, mode="w+", dtype=np.float16, shape=(count, *maps.shape[1:]))
            store[first : first + len(maps)] = maps
            part = done_at.with_name(f"{done_at.name}.part")
            part.write_text(str(first + len(maps)))
            part.replace(done_at)
            bar.update(len(maps))
    return np.load(at, mmap_mode="c")[:count]


def maps_known(folder: Path, name: str) -> int:
    """How many maps are in a cache of `cached_maps`. Raises DataFileError if it does not say so."""
    at, done_at = folder / f"{name}.npy", folder / f"{name}.done"
    try:
        return int(done_at.read_text()) if done_at.exists() and at.exists() else 0
    except ValueError as error:
        raise DataFileError("the file is damaged", done_at, "remove it: it will be made again") from error


def _kept(at: Path) -> NDArray[np.float16]:
    """The memory-mapped file of an earlier run. Raises DataFileError if it is damaged."""
    try:
        np.load(at, mmap_mode="r")  # fails for a file that is too short; "r+" would fill it up with zeros
        return np.lib.format.open_memmap(at, mode="r+")
    except (OSError, EOFError, ValueError) as error:
        raise DataFileError("the file is damaged", at, "remove it: it will be made again") from error


def _longer(at: Path, store: NDArray[np.float16], done: int, count: int) -> NDArray[np.float16]:
    """Extend a memory-mapped file to `count` maps, keeping the first `done`."""
    part = at.with_suffix(".part")
    longer = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=(count, *store.shape[1:]))
    longer[:done] = store[:done]
    longer.flush()
    part.replace(at)
    return longer


def _ahead(
    pool: ThreadPoolExecutor, picture: Callable[[int], NDArray[np.uint8]], indices: range, batch: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(first index, pictures (n, H, W, 3)) batch by batch, reading one batch ahead."""

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
