"""Tags that FFmpeg does not write into mp4 and mov files: 360°, ambisonics, and the place in the form that phones use.

Both Spherical Video V1 (XML in a `uuid` box of the video track) and V2 (`st3d` and `sv3d` boxes in the video sample
entry) are written, because some players and sites know only one of them. For the place FFmpeg writes 3GPP's `loci` into
mp4, but most programs look only for QuickTime's `©xyz`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ..atomic_file import new_partial, output_error, remove_partial
from ..errors import OutputError
from .boxes import PICTURE_ENTRY_FIELDS, box, box_header, children
from .tags import V1_UUID

_V1_XML = (
    b'<?xml version="1.0"?><rdf:SphericalVideo '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    b'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
    b"<GSpherical:Spherical>true</GSpherical:Spherical>"
    b"<GSpherical:Stitched>true</GSpherical:Stitched>"
    b"<GSpherical:StitchingSoftware>pano-sound</GSpherical:StitchingSoftware>"
    b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"
    b"</rdf:SphericalVideo>"
)
_SOUND_ENTRY_FIELDS = {0: 28, 1: 44, 2: 64}
"""Bytes in a sound track's sample entry before its boxes, by its version."""
_ENTRY_ENDING = (b"pasp", b"clap", b"colr", b"btrt", b"fiel")
_COPY_BYTES = 1 << 22
_PLACE = b"\xa9xyz"
_UNDETERMINED = 0x55C4
"""The language 'und', as mp4 packs it."""


def _edited(data: bytes, edits: dict[bytes, Callable[[bytes], bytes]]) -> bytes:
    """The boxes in `data`, with the content of those named in `edits` passed through a function."""
    return b"".join(box(kind, edits[kind](c) if kind in edits else c) for kind, c in children(data))


def _v2_boxes() -> bytes:
    full = struct.pack(">I", 0)
    st3d = box(b"st3d", full + b"\0")
    svhd = box(b"svhd", full + b"pano-sound\0")
    prhd = box(b"prhd", full + struct.pack(">3i", 0, 0, 0))
    equi = box(b"equi", full + struct.pack(">4I", 0, 0, 0, 0))
    return st3d + box(b"sv3d", svhd + box(b"proj", prhd + equi))


def _with_sample_entries(trak: bytes, edit: Callable[[bytes], bytes]) -> bytes:
    def stsd(content: bytes) -> bytes:
        return content[:8] + b"".join(box(kind, edit(c)) for kind, c in children(content[8:]))

    to_stbl = {b"stbl": lambda c: _edited(c, {b"stsd": stsd})}
    to_minf = {b"minf": lambda c: _edited(c, to_stbl)}
    return _edited(trak, {b"mdia": lambda c: _edited(c, to_minf)})


def _tagged_picture_entry(content: bytes) -> bytes:
    fields, extensions = content[:PICTURE_ENTRY_FIELDS], content[PICTURE_ENTRY_FIELDS:]
    kept = [(k, c) for k, c in children(extensions) if k not in (b"st3d", b"sv3d")]
    first = next((i for i, (k, _) in enumerate(kept) if k in _ENTRY_ENDING), len(kept))
    boxes = [box(k, c) for k, c in kept]
    return fields + b"".join(boxes[:first]) + _v2_boxes() + b"".join(boxes[first:])


def _tagged_sound_entry(content: bytes, sa3d: bytes) -> bytes:
    (version,) = struct.unpack_from(">H", content, 8)
    if version not in _SOUND_ENTRY_FIELDS:
        return content
    fields = _SOUND_ENTRY_FIELDS[version]
    kept = [box(k, c) for k, c in children(content[fields:]) if k != b"SA3D"]
    return content[:fields] + b"".join(kept) + box(b"SA3D", sa3d)


def _tagged_trak(content: bytes, spherical: bool, sa3d: bytes | None) -> bytes:
    parts = dict(children(content))
    handler = dict(children(parts.get(b"mdia", b""))).get(b"hdlr", b"")[8:12]
    if handler == b"soun" and sa3d is not None:
        return _with_sample_entries(content, lambda entry: _tagged_sound_entry(entry, sa3d))
    if handler != b"vide" or not spherical:
        return content
    tagged = _with_sample_entries(content, _tagged_picture_entry)
    kept = [(k, c) for k, c in children(tagged) if not (k == b"uuid" and c[:16] == V1_UUID)]
    return b"".join(box(k, c) for k, c in kept) + box(b"uuid", V1_UUID + _V1_XML)


def _with_place(moov: bytes, location: str) -> bytes:
    text = location.encode("ascii")
    place = box(_PLACE, struct.pack(">HH", len(text), _UNDETERMINED) + text)
    boxes = list(children(moov))
    if not any(kind == b"udta" for kind, _ in boxes):
        boxes.append((b"udta", b""))
    kept = {k: b"".join(box(kind, c) for kind, c in children(c) if kind != _PLACE) for k, c in boxes if k == b"udta"}
    return b"".join(box(k, kept[k] + place if k in kept else c) for k, c in boxes)


def _shifted_stbl(content: bytes, beyond: int, by: int, wide: bool) -> bytes:
    """A sample table with chunk offsets from byte `beyond` on increased by `by`; `wide` makes all of them 64-bit."""
    out = []
    for kind, c in children(content):
        if kind in (b"stco", b"co64"):
            (count,) = struct.unpack_from(">I", c, 4)
            offsets = struct.unpack_from(f">{count}{'Q' if kind == b'co64' else 'I'}", c, 8)
            moved = [o + by if o >= beyond else o for o in offsets]
            if kind == b"co64" or wide:
                out.append(box(b"co64", c[:8] + struct.pack(f">{count}Q", *moved)))
            else:
                out.append(box(b"stco", c[:8] + struct.pack(f">{count}I", *moved)))
        else:
            out.append(box(kind, c))
    return b"".join(out)


def _shifted_moov(moov: bytes, beyond: int, by: int, wide: bool) -> bytes:
    to_minf = {b"stbl": lambda c: _shifted_stbl(c, beyond, by, wide)}
    to_mdia = {b"minf": lambda c: _edited(c, to_minf)}
    to_trak = {b"mdia": lambda c: _edited(c, to_mdia)}
    return _edited(moov, {b"trak": lambda c: _edited(c, to_trak)})


def _top_level(file: BinaryIO, length: int) -> Iterator[tuple[bytes, int, int, int]]:
    """(type, start, start of content, end) of each top-level box."""
    at = 0
    while at + 8 <= length:
        file.seek(at)
        head = file.read(16)
        kind, header, size = box_header(head, length - at)
        if size < header or at + size > length:
            raise ValueError("a box is longer than the file")
        yield kind, at, at + header, at + size
        at += size


def _copy(source: BinaryIO, target: BinaryIO, start: int, end: int) -> None:
    source.seek(start)
    left = end - start
    while left:
        piece = source.read(min(left, _COPY_BYTES))
        if not piece:
            raise ValueError("the file became shorter")
        target.write(piece)
        left -= len(piece)


def tag_mp4(
    path: str | os.PathLike[str], sa3d: bytes | None = None, spherical: bool = True, location: str | None = None
) -> None:
    """Tag an mp4/mov file. A new file is written beside it and then replaces it, so that a failure leaves it unchanged.

    Args:
        sa3d: the content of an SA3D box, which marks its sound as ambisonics.
        spherical: mark its video as a full mono equirectangular sphere, replacing earlier 360° tags.
        location: where it was recorded (ISO 6709), replacing an earlier `©xyz`.

    Raises:
        OutputError: the file is not an mp4/mov with a video track, or the new one cannot be written.
    """
    name = os.fspath(path)
    beside = None
    try:
        with open(name, "rb") as source:
            length = os.fstat(source.fileno()).st_size
            parts = list(_top_level(source, length))
            where = next((p for p in parts if p[0] == b"moov"), None)
            if where is None:
                raise ValueError("it has no index")
            _, start, content_start, end = where
            source.seek(content_start)
            old = source.read(end - content_start)
            tagged = _edited(old, {b"trak": lambda c: _tagged_trak(c, spherical, sa3d)})
            if location is not None:
                tagged = _with_place(tagged, location)
            if spherical and b"sv3d" not in tagged:
                raise ValueError("it has no video track")
            # Data after the index moves by the growth of the index. Offsets too big for 32 bits get 64.
            wide = length + len(tagged) - len(old) + 16 >= 1 << 32
            size = len(_shifted_moov(tagged, end, 0, wide))
            by = size + 8 - (end - start)
            moov = box(b"moov", _shifted_moov(tagged, end, by, wide))
            beside = new_partial(name)
            with open(beside, "wb") as target:
                _copy(source, target, 0, start)
                target.write(moov)
                _copy(source, target, end, length)
        os.replace(beside, name)
    except (ValueError, struct.error) as error:
        raise OutputError(f"cannot be tagged: {error}", name) from None
    except OSError as error:
        raise output_error(error, name) from None
    finally:
        if beside is not None:
            remove_partial(beside)
