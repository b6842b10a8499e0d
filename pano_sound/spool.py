"""Arrays on disk instead of in memory: the maps of an hour take 26 MB of each kind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import DiskError


class Spool:
    """Arrays of one shape and type, in order, in a temporary file that vanishes with this object.

    A slice of it is an array, read anew each time.

    Args:
        shape: of each array; dtype: of its numbers.
    """

    def __init__(self, shape: Sequence[int], dtype: DTypeLike = np.float16) -> None:
        self._shape, self._dtype, self._count = tuple(shape), np.dtype(dtype), 0
        self._turn = Lock()  # Reading moves the file's position.
        with _room_on_disk():
            self._file = tempfile.TemporaryFile(prefix="pano-sound-")  # noqa: SIM115

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, *shape) of all of them as one array."""
        return (self._count, *self._shape)

    def extend(self, arrays: NDArray[np.floating]) -> None:
        """Append arrays, (n, *shape). Raises DiskError if the disk is full."""
        if arrays.shape[1:] != self._shape:
            raise ValueError(f"arrays of {arrays.shape[1:]} do not fit {self._shape}")
        with self._turn, _room_on_disk():
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(arrays, self._dtype).data)
        self._count += len(arrays)

    def __getitem__(self, part: slice) -> NDArray[np.floating]:
        begin, end, step = part.indices(self._count)
        found = np.empty((max(end - begin, 0), *self._shape), self._dtype)
        with self._turn, _room_on_disk():  # What was written last may still have to go there.
            self._file.seek(begin * found[:1].nbytes if len(found) else 0)
            self._file.readinto(found.reshape(-1).view(np.uint8).data)
        return found[::step]


class SpooledMaps(Mapping[str, NDArray[np.float16]]):
    """Maps by name, as float16, converted or read from disk each time they are asked for."""

    def __init__(self, maps: Mapping[str, NDArray[np.floating] | Spool]) -> None:
        self._maps = maps

    def __getitem__(self, name: str) -> NDArray[np.float16]:
        return self._maps[name][:].astype(np.float16, copy=False)

    def __reduce__(self) -> tuple[type[dict], tuple[dict[str, NDArray[np.float16]]]]:
        return dict, (dict(self),)  # Copies and other processes get arrays.

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)


@contextmanager
def _room_on_disk() -> Iterator[None]:
    """Turn errors of the temporary file into a DiskError."""
    try:
        yield
    except OSError as error:
        what = f"a temporary file cannot be used: {error.strerror or error}"
        raise DiskError(what, tempfile.gettempdir(), "make room there, or name another folder in TMPDIR") from error
