"""The boxes of mp4 and mov files.

A box is: 4 bytes size, 4 bytes type, content; a size of 1 means that 8 bytes of size follow, 0 that it goes on to
the end of the file.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

PICTURE_ENTRY_FIELDS = 78
"""Bytes in a picture track's sample entry before its boxes."""
_INDEX_BYTES = 1 << 28
_TOP_LEVEL_BOXES = 10_000
_DAMAGE = (OSError, ValueError, OverflowError, struct.error)
"""What reading damaged files raises."""


def box(kind: bytes, content: bytes) -> bytes:
    """One box with a 32-bit size."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def box_header(head: bytes, room: int) -> tuple[bytes, int, int]:
    """(type, length of the header, size of the whole box) from a box's first 16 bytes, or fewer where there are fewer.

    `room`: bytes from its start to the end of what holds it.
    """
    size, kind = struct.unpack_from(">I4s", head)
    if size == 1 and len(head) == 16:
        return kind, 16, int(struct.unpack_from(">Q", head, 8)[0])
    return kind, 8, size or room


def children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, content) of each box in `data`.

    Raises:
        ValueError: the sizes do not add up.
    """
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            if not any(data[at:]):
                return  # QuickTime may end a list of boxes with four zero bytes.
            raise ValueError("a box is cut off")
        kind, header, size = box_header(data[at : at + 16], len(data) - at)
        if size < header or at + size > len(data):
            raise ValueError("a box is longer than what holds it")
        yield kind, data[at + header : at + size]
        at += size


def descend(data: bytes, *names: bytes) -> bytes:
    """The content of the first box called names[-1] in that called names[-2] …; b'' where one lacks.

    Raises:
        ValueError: the sizes do not add up.
    """
    for name in names:
        data = next((content for kind, content in children(data) if kind == name), b"")
    return data


def track_id(trak: bytes) -> int:
    """The number of a track. Raises ValueError and struct.error for damaged ones."""
    head = descend(trak, b"tkhd")
    (number,) = struct.unpack_from(">I", head, 20 if head[:1] == b"\1" else 12)
    return int(number)


def read_index(file: BinaryIO) -> bytes | None:
    """The content of `moov`, the index of an mp4 or mov file; None where there is none, or a damaged one."""
    with contextlib.suppress(*_DAMAGE):
        for kind, at, header, size in _top_level(file):
            if kind == b"moov":
                file.seek(at + header)
                content = file.read(min(size - header, _INDEX_BYTES))
                return content if len(content) == size - header else None
    return None


def bytes_cut_off(file: BinaryIO) -> int:
    """How many bytes of pictures and sound an mp4 or mov file states and lacks, because it ends before."""
    with contextlib.suppress(*_DAMAGE):
        end = file.seek(0, os.SEEK_END)
        for kind, at, _, size in _top_level(file):
            if at + size > end:
                # Some cameras end their files with something of their own.
                return at + size - end if kind == b"mdat" else 0
    return 0


def _top_level(file: BinaryIO) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind, beginning, and sizes of header and all, in bytes, of each box of a file, up to a damaged one. The last may
    reach beyond the file. Raises _DAMAGE."""
    end, at = file.seek(0, os.SEEK_END), 0
    for _ in range(_TOP_LEVEL_BOXES):
        file.seek(at)
        kind, header, size = box_header(file.read(16), end - at)
        if size < header:
            return
        yield kind, at, header, size
        at += size
