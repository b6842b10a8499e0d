"""A film's tags about its projection: Spherical Video V1 (XML), V2 (boxes), Matroska's and the stream's own.

FFmpeg decodes V2 and Matroska, but ignores values that it does not know, and drops V1's cropped area. So the container
itself is examined here as well, and takes precedence over the stream. V1's initial view says where a player looks
first, not how the sphere is oriented, and is ignored.
https://github.com/google/spatial-media (spherical-video-rfc, spherical-video-v2-rfc), RFC 9559 (StereoMode)
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from av.sidedata.sidedata import Type

from .boxes import PICTURE_ENTRY_FIELDS, children, descend, track_id
from .matroska import VideoTrack

PROJECTIONS = (
    "equirectangular",
    "cubemap",
    "equirectangular-tile",
    "half-equirectangular",
    "rectilinear",
    "fisheye",
    "parametric-immersive",
)
"""Names of FFmpeg's AVSphericalProjection values, in order. A tile is a part of the sphere."""

_V1_STEREO = {"mono": "mono", "left-right": "left-right", "right-left": "left-right", "top-bottom": "top-bottom"}
_ST3D = ("mono", "top-bottom", "left-right", "unknown", "left-right")
"""By value of the box: 3 is a layout defined by a mesh, 4 is right-left."""
_STEREO3D = ("mono", "left-right", "top-bottom", *["interleaved"] * 5)
"""By FFmpeg's AVStereo3DType. Alternating frames, checkerboards, lines and columns are all interleaved."""
_STEREO_MODE = (
    "mono",
    "left-right",
    "top-bottom",
    "top-bottom",
    *["interleaved"] * 6,
    "anaglyph",
    "left-right",
    "anaglyph",
    "interleaved",
    "interleaved",
)
"""By Matroska's StereoMode. Which eye comes first does not matter."""

V1_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
_UNTOLD = {0: "rectilinear", 3: "mesh"}
"""Values of Matroska's ProjectionType that FFmpeg ignores."""
_HALF = (0.25, 0.0, 0.25, 0.0)
_WHOLE = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Spherical:
    """What is known about a film's projection.

    projection: one of PROJECTIONS, 'eac', 'mesh', 'unknown', or None for untagged files.
    stereo: 'mono', 'top-bottom' or 'left-right', whichever eye comes first; 'interleaved' or 'anaglyph' for mixed eyes;
        'unknown' for values outside the standards.
    tag: the source of this: 'v2' (also Matroska's), 'v1', 'stereo3d', joined by '+'; 'option' for the user's options;
        '' for untagged.
    missing: what the picture lacks, as shares of the whole sphere's width and height: left, top, right, bottom.
    pose: orientation of the stored sphere: yaw, pitch, roll, degrees.
    padding: pixels around each face of a cubemap that do not belong to it.
    stitched: False if the tags say that the lens images are not stitched yet.
    """

    projection: str | None = None
    stereo: str = "mono"
    tag: str = ""
    missing: tuple[float, float, float, float] = _WHOLE
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    padding: int = 0
    stitched: bool = True

    def with_options(self, projection: str | None, stereo: str | None) -> Spherical:
        """The same with the user's options in place of tags."""
        changed = self if projection is None else replace(self, stitched=True)
        if projection is not None and projection != self.projection:
            missing = _HALF if projection == "half-equirectangular" else _WHOLE
            changed = Spherical(projection, self.stereo, "option", missing)
        return changed if stereo is None else replace(changed, stereo=stereo)


@dataclass(frozen=True)
class ContainerTags:
    """What a container itself says about one of its video tracks.

    xml: Spherical Video V1; '' without.
    has_v2: whether it has boxes or elements of V2's kind.
    projection: V2's, if FFmpeg ignores it: 'rectilinear', 'mesh' or 'unknown'.
    stereo: as in Spherical; None: not said.
    """

    xml: str = ""
    has_v2: bool = False
    projection: str = "unknown"
    stereo: str | None = None

    @property
    def is_spherical(self) -> bool:
        """Whether the tags say that this is 360° footage."""
        return (self.has_v2 and self.projection != "rectilinear") or "Spherical" in self.xml


def read_tags(frame: Any, container: ContainerTags) -> Spherical:
    """The tags of a film.

    Args:
        frame: its first decoded PyAV VideoFrame.
        container: what the container says of the track.
    """
    found, tags = Spherical(), []
    stereo = container.stereo
    mapping, layout = frame.side_data.get(Type.SPHERICAL), frame.side_data.get(Type.STEREO3D)
    if mapping is not None and (container.has_v2 or not container.xml):
        found = _of_mapping(bytes(mapping))
        tags.append("v2")
    elif container.has_v2:
        found = Spherical(container.projection)
        tags.append("v2")
    elif container.xml:
        found, said = parse_v1(container.xml)
        stereo = stereo or said
        tags.append("v1")
    if layout is not None:
        (value,) = struct.unpack_from("=i", bytes(layout))
        stereo = stereo or _named(_STEREO3D, value)
    if stereo not in (None, "mono"):
        tags.append("stereo3d")
    return replace(found, stereo=stereo or "mono", tag="+".join(tags))


def is_mirrored(frame: Any) -> bool:
    """Whether a decoded PyAV VideoFrame is to be shown mirrored, whatever its rotation."""
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return bool(a * d < b * c)


def _named(names: tuple[str, ...], value: int) -> str:
    return names[value] if 0 <= value < len(names) else "unknown"


def _of_mapping(data: bytes) -> Spherical:
    """AVSphericalMapping: projection, yaw, pitch, roll (16.16), bounds (0.32), padding."""
    value, yaw, pitch, roll, left, top, right, bottom, padding = struct.unpack_from("=4i5I", data)
    projection = PROJECTIONS[value] if 0 <= value < len(PROJECTIONS) else "unknown"
    missing = _WHOLE
    if projection == "half-equirectangular":
        missing = _HALF
    elif projection == "equirectangular-tile":
        missing = (left / 2**32, top / 2**32, right / 2**32, bottom / 2**32)
    # V2 turns counter-clockwise, we to the right.
    pose = (-yaw / 65536, pitch / 65536, roll / 65536)
    usable = all(abs(angle) <= 180 for angle in pose)
    return Spherical(
        projection,
        missing=missing if missing[0] + missing[2] < 1 and missing[1] + missing[3] < 1 else _WHOLE,
        pose=tuple(angle + 0.0 for angle in pose) if usable else (0.0, 0.0, 0.0),
        padding=padding if projection == "cubemap" else 0,
    )


def parse_v1(xml: str) -> tuple[Spherical, str | None]:
    """What Spherical Video V1 says, and its stereo layout or None. Both elements and attributes are in use."""
    # Values end at any bracket or quote; otherwise a malicious file could make this take hours.
    pairs = re.findall(r"(?<!/)GSpherical:(\w+)\s*(?:>|=\s*[\"'])([^<>\"']*)[<\"']", xml)
    found = {name: value.strip() for name, value in pairs}
    if found.get("Spherical", "").lower() != "true":
        return Spherical(), None
    projection = found.get("ProjectionType", "equirectangular").lower()
    mode = found.get("StereoMode", "").lower()
    stereo = _V1_STEREO.get(mode, "unknown") if mode else None
    stitched = found.get("Stitched", "true").lower() != "false"
    spherical = Spherical(projection if projection in PROJECTIONS else "unknown", stitched=stitched)
    names = (
        ("CroppedAreaLeftPixels", "CroppedAreaImageWidthPixels", "FullPanoWidthPixels"),
        ("CroppedAreaTopPixels", "CroppedAreaImageHeightPixels", "FullPanoHeightPixels"),
    )
    shares = []
    for three in names:
        numbers = [found.get(name, "") for name in three]
        if not all(n.isdecimal() and len(n) < 10 for n in numbers):
            return spherical, stereo
        before, length, whole = map(int, numbers)
        if not (length > 0 and before + length <= whole):
            return spherical, stereo
        shares.append((before / whole, 1 - (before + length) / whole))
    (left, right), (top, bottom) = shares
    return replace(spherical, missing=(left, top, right, bottom)), stereo


def tags_in_index(moov: bytes, stream_id: int) -> ContainerTags:
    """What the index of an mp4 or mov file says about one track; nothing if it is damaged."""
    try:
        whole = _v1_in(moov)
        for kind, trak in children(moov):
            if kind != b"trak" or track_id(trak) != stream_id:
                continue
            entries = descend(trak, b"mdia", b"minf", b"stbl", b"stsd")[8:]
            boxes = [box for _, entry in children(entries) for box in children(entry[PICTURE_ENTRY_FIELDS:])]
            v2 = [content for kind, content in boxes if kind == b"sv3d"]
            modes = [content[4] if len(content) > 4 else -1 for kind, content in boxes if kind == b"st3d"]
            return ContainerTags(
                xml=(_v1_in(trak) or whole).decode("utf-8", "replace"),
                has_v2=bool(v2),
                projection="mesh" if any(descend(content, b"proj", b"mshp") for content in v2) else "unknown",
                stereo=_named(_ST3D, modes[0]) if modes else None,
            )
    except (ValueError, struct.error):
        pass
    return ContainerTags()


def _v1_in(data: bytes) -> bytes:
    return next((c[16:] for k, c in children(data) if k == b"uuid" and c[:16] == V1_UUID), b"")


def tags_in_matroska(track: VideoTrack, *metadata: Mapping[str, str]) -> ContainerTags:
    """What a Matroska file says about one track.

    Args:
        metadata: the track's, then the file's, as FFmpeg gives them.
    """
    xml = (text for given in metadata for name, text in given.items() if name.upper() == "SPHERICAL-VIDEO")
    return ContainerTags(
        xml=next(xml, ""),
        has_v2=track.projection is not None,
        projection=_UNTOLD.get(track.projection or 0, "unknown"),
        # A file without the element has 0, too.
        stereo=_named(_STEREO_MODE, track.stereo_mode) if track.stereo_mode else None,
    )
