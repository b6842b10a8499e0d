"""What a film's tags say of its projection: Spherical Video V1 (XML), V2 (boxes), Matroska's and the stream's own.

V2 and Matroska come decoded from FFmpeg. Of V1 FFmpeg keeps no cropped area, and no mesh of V2, so mp4's index is
looked at here as well. V1's initial view says where a player looks first, not how the sphere lies, and is left alone.
https://github.com/google/spatial-media (spherical-video-rfc, spherical-video-v2-rfc)
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import Any

from av.sidedata.sidedata import Type

from .boxes import children, descend, track_id

PROJECTIONS = (
    "equirectangular",
    "cubemap",
    "equirectangular-tile",
    "half-equirectangular",
    "rectilinear",
    "fisheye",
    "parametric-immersive",
)
"""Names of FFmpeg's AVSphericalProjection values, in their order. A tile is a part of the sphere."""

STEREO_LAYOUTS = ("mono", "left-right", "top-bottom")
"""Names of FFmpeg's first AVStereo3DType values, in their order."""

V1_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
_PICTURE_ENTRY_FIELDS = 78
_HALF = (0.25, 0.0, 0.25, 0.0)
_WHOLE = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Spherical:
    """What is known of a film's projection.

    projection: one of PROJECTIONS, 'eac', 'mesh', 'unknown', or None when the file has no tag.
    stereo: 'mono', 'top-bottom' or 'left-right'; 'other' for layouts that interleave the eyes.
    tag: where this was read: 'v2' (also Matroska's), 'v1', 'stereo3d', joined by '+'; 'option' for what the user
        said; '' for untagged.
    missing: shares of the whole sphere's width and height that the picture lacks: left, top, right, bottom.
    pose: how the stored sphere is turned in the world: yaw, pitch, roll, degrees.
    padding: pixels round each face of a cubemap that are not part of it.
    """

    projection: str | None = None
    stereo: str = "mono"
    tag: str = ""
    missing: tuple[float, float, float, float] = _WHOLE
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    padding: int = 0

    def with_options(self, projection: str | None, stereo: str | None) -> Spherical:
        """The same where the user said nothing, and what the user said elsewhere."""
        changed = self
        if projection is not None and projection != self.projection:
            missing = _HALF if projection == "half-equirectangular" else _WHOLE
            changed = Spherical(projection, self.stereo, "option", missing)
        return changed if stereo is None else replace(changed, stereo=stereo)


def read_tags(frame: Any, moov: bytes | None, stream_id: int) -> Spherical:
    """The tags of a film.

    Args:
        frame: its first decoded PyAV VideoFrame.
        moov: the content of the index of an mp4 or mov file; None for others.
        stream_id: the number of the video track in it.
    """
    xml, has_v2, mesh = _in_index(moov, stream_id)
    found, tags = Spherical(), []
    mapping, layout = frame.side_data.get(Type.SPHERICAL), frame.side_data.get(Type.STEREO3D)
    if mapping is not None and (has_v2 or not xml):
        found = _of_mapping(bytes(mapping))
        tags.append("v2")
    elif mesh:
        found = Spherical("mesh")
        tags.append("v2")
    elif xml:
        found = _of_xml(xml)
        tags.append("v1")
    stereo = found.stereo
    if layout is not None:
        (value,) = struct.unpack_from("=i", bytes(layout))
        stereo = STEREO_LAYOUTS[value] if 0 <= value < len(STEREO_LAYOUTS) else "other"
        tags.append("stereo3d")
    return replace(found, stereo=stereo, tag="+".join(tags))


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


def _of_xml(xml: str) -> Spherical:
    """Spherical Video V1. Elements and attributes are both in use."""
    # Values stop at any bracket or quote: were they allowed to run on, files could make this take hours.
    pairs = re.findall(r"(?<!/)GSpherical:(\w+)\s*(?:>|=\s*[\"'])([^<>\"']*)[<\"']", xml)
    found = {name: value.strip() for name, value in pairs}
    if found.get("Spherical", "").lower() != "true":
        return Spherical()
    projection = found.get("ProjectionType", "equirectangular").lower()
    spherical = Spherical(
        projection if projection in PROJECTIONS else "unknown",
        {"left-right": "left-right", "top-bottom": "top-bottom"}.get(found.get("StereoMode", ""), "mono"),
    )
    names = (
        ("CroppedAreaLeftPixels", "CroppedAreaImageWidthPixels", "FullPanoWidthPixels"),
        ("CroppedAreaTopPixels", "CroppedAreaImageHeightPixels", "FullPanoHeightPixels"),
    )
    shares = []
    for three in names:
        numbers = [found.get(name, "") for name in three]
        if not all(n.isdecimal() and len(n) < 10 for n in numbers):
            return spherical
        before, length, whole = map(int, numbers)
        if not (length > 0 and before + length <= whole):
            return spherical
        shares.append((before / whole, 1 - (before + length) / whole))
    (left, right), (top, bottom) = shares
    return replace(spherical, missing=(left, top, right, bottom))


def _in_index(moov: bytes | None, stream_id: int) -> tuple[str, bool, bool]:
    """(V1's XML or '', whether there are V2 boxes, whether they tell of a mesh) of one track."""
    try:
        for kind, trak in children(moov or b""):
            if kind != b"trak" or track_id(trak) != stream_id:
                continue
            xml = next((c[16:] for k, c in children(trak) if k == b"uuid" and c[:16] == V1_UUID), b"")
            entries = descend(trak, b"mdia", b"minf", b"stbl", b"stsd")[8:]
            v2 = [descend(entry[_PICTURE_ENTRY_FIELDS:], b"sv3d") for _, entry in children(entries)]
            mesh = any(descend(c, b"proj", b"mshp") for c in v2)
            return xml.decode("utf-8", "replace"), any(v2), mesh
    except (ValueError, struct.error):
        pass
    return "", False, False
