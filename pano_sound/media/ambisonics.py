"""Ambisonics in a sound track, known by its tags or from the user.

Tags are the SA3D box of mp4 and mov (https://github.com/google/spatial-media, spatial-audio-rfc), and FFmpeg's
ambisonic layouts, which it makes of Opus' mapping families 2 and 3 (RFC 8486). FFmpeg itself reads SA3D only where
the channels are in their usual order, so the box is read here.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedInputError
from .boxes import children, descend, track_id

_SOUND_ENTRY_FIELDS = {0: 28, 1: 44, 2: 64}
_GAINS = {"sn3d": (1.0, 1.0, 1.0, 1.0), "n3d": (1.0, *3 * (3**-0.5,)), "fuma": (2**0.5, 1.0, 1.0, 1.0)}
"""What makes SN3D of W, Y, Z, X."""
_ORDERS = {"ambix": (0, 1, 2, 3), "n3d": (0, 1, 2, 3), "fuma": (0, 2, 3, 1)}


@dataclass(frozen=True)
class Ambisonics:
    """Which channels of a track hold a first-order sound field.

    order: that of the whole track; orders above the first are not used.
    channels: the stored channels, from 0, of W, Y, Z, X.
    head_locked: the stored channels of head-locked left and right, or none.
    norm: 'sn3d'; 'n3d', whose Y, Z and X are louder by 4.8 dB; 'fuma', whose W is softer by 3 dB.
    certain: whether the order of the channels is known. Otherwise it may also be FuMa's.
    """

    order: int
    channels: tuple[int, ...]
    head_locked: tuple[int, ...] = ()
    norm: str = "sn3d"
    certain: bool = True

    @property
    def count(self) -> int:
        """The number of its channels; a track may have more."""
        return (self.order + 1) ** 2 + len(self.head_locked)

    @property
    def box(self) -> bytes:
        """The content of an SA3D box for this sound field (in SN3D), for a track without other channels."""
        count = self.count
        others = tuple(c for c in range(count) if c not in self.channels + self.head_locked)
        given = self.channels + others + self.head_locked
        if self.head_locked:
            given = tuple(given.index(channel) for channel in range(count))
        kind = 0x80 if self.head_locked else 0
        return struct.pack(f">BBIBBI{count}I", 0, kind, self.order, 0, 0, count, *given)

    def matrix(self, layout: str, count: int) -> NDArray[np.float32]:
        """The matrix from the track's `count` channels to a layout, (outputs, count).

        Args:
            layout: 'mono': W; '4.0': W, Y, Z, X in SN3D; '4.0+2': these, and left and right of head-locked sound.

        Raises:
            ValueError: there are too few channels, as in a damaged packet.
        """
        if max(self.channels + self.head_locked) >= count:
            raise ValueError(f"the sound field is not in {count} channels")
        first = np.zeros((4, count), np.float32)
        first[range(4), self.channels] = _GAINS[self.norm]
        if layout == "mono":
            return first[:1]
        if layout == "4.0":
            return first
        locked = np.zeros((2, count), np.float32)
        locked[range(len(self.head_locked)), self.head_locked] = 1
        return np.concatenate([first, locked])


FIRST_ORDER = Ambisonics(1, (0, 1, 2, 3))
"""W, Y, Z, X and nothing else: what most players take ambisonics for."""
FUMA = Ambisonics(1, (0, 2, 3, 1), norm="fuma")
"""W, X, Y, Z."""


def ambisonics_of(
    path: str | os.PathLike[str],
    moov: bytes | None,
    stream_id: int,
    layout: str,
    channels: int,
    said: str | None = None,
) -> tuple[Ambisonics | None, str | None]:
    """The ambisonics of a sound track, None for plain channels; and what was assumed, in words, if its tag is unknown
    or does not fit the track, else None.

    Args:
        moov: the content of the index of an mp4 or mov file; None for others.
        stream_id: the track's number in the file.
        layout, channels: FFmpeg's name for its channels, and how many.
        said: the user's option: 'ambix', 'fuma', 'n3d', 'none'; None: as tagged.

    Raises:
        UnsupportedInputError: the option says ambisonics, but the track has fewer than four channels.
    """
    if said == "none":
        return None, None
    if said is not None:
        if channels < 4:
            what = f"the sound has {channels} channel{'s' if channels > 1 else ''}, first-order ambisonics have four"
            raise UnsupportedInputError(what, path, "leave `ambisonics` out, or choose another `audio_track`")
        norm = "sn3d" if said == "ambix" else said
        return Ambisonics(math.isqrt(channels) - 1, _ORDERS[said], norm=norm), None
    if layout.startswith("ambisonic "):
        field = math.isqrt(channels) ** 2
        head_locked = (field, field + 1) if "stereo" in layout else ()
        return Ambisonics(math.isqrt(channels) - 1, (0, 1, 2, 3), head_locked), None
    box = None if moov is None else _sa3d(moov, stream_id)
    if box is None:
        return None, None
    found = _understood(box, channels)
    if found is None:
        what = f"the sound's ambisonics tag (SA3D) is of a kind that is not known, or damaged: its {channels} channels"
        return None, f"{what} are taken for plain ones; if they are ambisonics, say `ambisonics='ambix'`, fuma or n3d"
    if found.count == channels:
        return found, None
    return found, (
        f"the sound has {channels} channels, {found.count} of them ambisonics by its tag: the others are left out"
    )


def _understood(box: bytes, channels: int) -> Ambisonics | None:
    """The meaning of an SA3D box, if it is known and fits the track's number of channels."""
    try:
        version, kind, order, ordering, norm, count = struct.unpack_from(">BBIBBI", box)
        given = struct.unpack_from(f">{min(count, channels)}I", box, 12)
    except struct.error:
        return None
    stereo = 2 if kind == 0x80 else 0
    known = version == 0 and kind in (0, 0x80) and ordering == 0 and norm == 0 and 1 <= order <= 10
    if not known or count != len(given) or count != (order + 1) ** 2 + stereo or len({*given}) != count:
        return None
    if max(given) >= (count if stereo else channels):
        return None
    # The standard's examples disagree: without head-locked sound the map says in which stored channel each component
    # is (0, 2, 3, 1 for W, X, Y, Z), with it what each stored channel is.
    places = tuple(given.index(component) for component in range(count)) if stereo else given
    return Ambisonics(order, places[:4], places[count - stereo :])


def _sa3d(moov: bytes, stream_id: int) -> bytes | None:
    """The content of the SA3D box of a track of an mp4 or mov file; None if there is none, or it cannot be reached."""
    try:
        for kind, trak in children(moov):
            if kind == b"trak" and track_id(trak) == stream_id:
                entries = descend(trak, b"mdia", b"minf", b"stbl", b"stsd")[8:]
                return next((box for _, entry in children(entries) for box in _in_entry(entry)), None)
    except (ValueError, struct.error):
        pass
    return None


def _in_entry(entry: bytes) -> Iterator[bytes]:
    """The SA3D boxes of one sample entry."""
    (version,) = struct.unpack_from(">H", entry, 8)
    for kind, content in children(entry[_SOUND_ENTRY_FIELDS.get(version, 28) :]):
        if kind == b"SA3D":
            yield content
