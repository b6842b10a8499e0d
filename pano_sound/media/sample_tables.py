"""Checking the index of mp4 and mov files before FFmpeg builds its own tables from it.

FFmpeg trusts the number of samples that a file states and allocates 36 bytes for each, so a file of 20 kB can make it
fill gigabytes. Here the number is compared with the file's size, because every sample has at least one byte. FFmpeg
tolerates sizes that do not add up, and so does this: a box ends, at the latest, where its parent ends.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .boxes import box_header

_MOST_SAMPLES = 1 << 24
"""A day of 120 pictures a second and its sound are 15 million."""
_SPARE = 1 << 16
"""This many samples are accepted in any file."""
_INDEX_BYTES = 1 << 28
_UNPACKED_BYTES = 16_000_000
"""Most bytes of an unpacked index; only small QuickTime films of around 2000 have a compressed one."""
_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"}
_MAYBE_INDEX = {b"free", b"hoov"}
"""FFmpeg accepts these as an index if they begin like one."""
_FEWEST_PER_ENTRY = 160
"""An entry for uncompressed sound has at least this many samples."""
_DEEPEST = 16

_Tables = dict[bytes, list[bytes]]
"""The contents of a track's boxes, by type."""


def check_sample_tables(name: str, file: BinaryIO, fragments: bool = True) -> None:
    """Check the sample tables of an mp4 or mov file. Other files pass.

    Args:
        file: positioned at its beginning; its position afterwards is undefined.
        fragments: look at all the fragments of a fragmented file, not just the first.

    Raises:
        InputError: the index states more samples than the file can hold.
    """
    size = file.seek(0, os.SEEK_END)
    try:
        _check(file, size, fragments)
    except (ValueError, struct.error, zlib.error) as error:
        hint = "copy it again from the camera, or repair it with its software"
        raise InputError(f"the file's index is damaged: {error}", name, hint) from None


def _check(file: BinaryIO, size: int, fragments: bool) -> None:
    in_fragments = 0
    for kind, content in _index_boxes(file, size):
        if kind == b"moof":
            in_fragments += sum(
                struct.unpack_from(">I", table, 4)[0] for _, name, table in _tables(content) if name == b"trun"
            )
            _compare(in_fragments, size)
            if not fragments:
                return
        else:
            _compare(_samples_of(content), min(size, _MOST_SAMPLES))


def _compare(samples: int, most: int) -> None:
    if samples > most + _SPARE:
        raise ValueError(f"it states {samples:,} samples, more than the file can hold")


def _index_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bytes]]:
    """('moov' or 'moof', content) of a file's own boxes of these kinds."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        kind, header, length = box_header(head, size - at)
        if length < header:
            return
        length = min(length, size - at)
        hidden = kind in _MAYBE_INDEX and head[12:16] in (b"cmov", b"mvhd")
        if kind in (b"moov", b"moof") or hidden:
            if length > _INDEX_BYTES:
                raise ValueError(f"it has {length / 1e6:.0f} MB")
            file.seek(at + header)
            yield b"moof" if kind == b"moof" else b"moov", file.read(length - header)
        at += length


def _tables(data: bytes, track: int = 0, depth: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """(number of the track's box, or 0, type, content) of all boxes that hold no others."""
    at, number = 0, track
    while at + 8 <= len(data):
        kind, header, length = box_header(data[at : at + 16], len(data) - at)
        if length < header:
            return
        content = data[at + header : at + length]
        number += kind == b"trak"
        if depth == _DEEPEST:
            raise ValueError("it is nested too deeply")
        if kind == b"cmov":
            yield from _tables(_unpacked(content), number, depth + 1)
        elif kind in _CONTAINERS:
            yield from _tables(content, number, depth + 1)
        else:
            yield number, kind, content
        at += length


def _unpacked(cmov: bytes) -> bytes:
    """A compressed index: a box that names the method, and one with the unpacked size and the data."""
    if cmov[16:20] != b"cmvd":
        return b""
    index = zlib.decompressobj().decompress(cmov[24:], _UNPACKED_BYTES + 1)
    (said,) = struct.unpack_from(">I", cmov, 20)
    if max(len(index), said) > _UNPACKED_BYTES:
        raise ValueError(f"it unpacks to more than {_UNPACKED_BYTES / 1e6:.0f} MB")
    return index


def _samples_of(moov: bytes) -> int:
    """The number of entries that FFmpeg would make for the tracks of an index."""
    tracks: dict[int, _Tables] = {}
    movie_ticks = 1
    for number, kind, content in _tables(moov):
        tracks.setdefault(number, {}).setdefault(kind, []).append(content)
        if kind == b"mvhd":
            movie_ticks = _ticks(content)
    return sum(_samples_of_track(tables, movie_ticks) for tables in tracks.values())


def _samples_of_track(tables: _Tables, movie_ticks: int) -> int:
    sizes, packed_sizes = _the(b"stsz", tables), _the(b"stz2", tables)
    fixed, samples = 0, 2 * len(packed_sizes)
    if len(sizes) >= 12:
        fixed, said = struct.unpack_from(">II", sizes, 4)
        samples += said if fixed else min(said, len(sizes) // 4)
    durations, chunks = _rows(_the(b"stts", tables), 2), _rows(_the(b"stsc", tables), 3)
    handlers = {content[8:12] for content in tables.get(b"hdlr", [])}
    if b"soun" in handlers and b"vide" not in handlers and len(durations) == 1 and durations[0, 1] == 1:
        count = max(len(_the(b"stco", tables)) // 4, len(_the(b"co64", tables)) // 8)
        lengths = np.diff(np.append(chunks[:, 0], count + 1)).clip(0, count)
        return int((lengths * -(-chunks[:, 1] // _FEWEST_PER_ENTRY)).sum())
    return samples + _repeated(tables, durations, samples, movie_ticks)


def _repeated(tables: _Tables, durations: NDArray[np.int64], samples: int, movie_ticks: int) -> int:
    """Samples that a track's edits show again, each from the key frame before it."""
    edits = _edits(_the(b"elst", tables))
    if len(edits) < 2 or not len(durations):
        return 0
    track_ticks = _ticks(_the(b"mdhd", tables))
    counts = np.append(0, durations[:, 0].cumsum())
    times = np.append(0, durations.prod(axis=1).cumsum()).astype(np.float64)
    begin, length = edits[:, 1].astype(np.float64), edits[:, 0] * (track_ticks / max(movie_ticks, 1))
    first, last = (np.interp(t, times, counts) for t in (begin, begin + length))
    keys = _rows(_the(b"stss", tables), 1)[:, 0]
    if len(keys):
        first = np.append(0, np.sort(keys) - 1)[np.searchsorted(np.sort(keys) - 1, first, "right")]
    shown = (last - first + 1).clip(1)[begin >= 0]
    return max(0, int(shown.sum()) - 2 * samples - _SPARE)


def _the(kind: bytes, tables: _Tables) -> bytes:
    """A track's only table of a kind; b'' if there is none."""
    found = tables.get(kind, [b""])
    if len(found) > 1:
        raise ValueError(f"it has {len(found)} tables '{kind.decode()}' for one track")
    return found[0]


def _ticks(head: bytes) -> int:
    """Ticks per second of an mvhd or mdhd box."""
    at = 20 if head[:1] == b"\1" else 12
    return int(struct.unpack_from(">I", head, at)[0]) if len(head) >= at + 4 else 1


def _rows(table: bytes, columns: int) -> NDArray[np.int64]:
    """A table of 32-bit numbers after version and count, as far as there are bytes."""
    count = min(struct.unpack_from(">I", table, 4)[0], (len(table) - 8) // (4 * columns)) if len(table) >= 8 else 0
    return np.frombuffer(table[8 : 8 + 4 * columns * count], ">u4").reshape(count, columns).astype(np.int64)


def _edits(elst: bytes) -> NDArray[np.int64]:
    """Of each edit, its length in the movie's ticks and its time in the track's ticks (negative: nothing is shown)."""
    wide = elst[:1] == b"\1"
    kind = np.dtype([("length", ">u8" if wide else ">u4"), ("time", ">i8" if wide else ">i4"), ("rate", ">u4")])
    count = max(0, len(elst) - 8) // kind.itemsize
    rows = np.frombuffer(elst[8 : 8 + kind.itemsize * count], kind)
    return np.stack([rows["length"].astype(np.int64), rows["time"].astype(np.int64)], axis=1)
