"""Films of spheres whose every direction has a colour of its own, in every layout, made without the code under test."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np

from pano_sound.sphere.convention import directions, pixel_to_angles

AHEAD, LEFT, UP = np.eye(3)


def colours(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 3) -> smooth RGB (..., 3) uint8, another one for each direction."""
    return np.round(127.5 + 100 * vectors).astype(np.uint8)


def sphere(width: int, height: int) -> np.ndarray:
    """Unit vectors of an equirectangular picture's pixels, (height, width, 3)."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    return directions(*pixel_to_angles(u, v, width, height))


def _face(size: int, forward: np.ndarray, up: np.ndarray, equal_angles: bool) -> np.ndarray:
    t = (np.arange(size) + 0.5) / size * 2 - 1
    if equal_angles:
        t = np.tan(t * np.pi / 4)
    across, down = np.meshgrid(t, t)
    rays = forward + across[..., None] * np.cross(forward, up) - down[..., None] * up
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def cubemap(size: int, padding: int = 0) -> np.ndarray:
    """Unit vectors of a 3x2 cubemap as players read V2's layout 0: right left up / down front back, (h, w, 3)."""
    faces = [(-LEFT, UP), (LEFT, UP), (UP, -AHEAD), (-UP, AHEAD), (AHEAD, UP), (-AHEAD, UP)]
    edge = ((padding, padding), (padding, padding), (0, 0))
    grids = [np.pad(_face(size, *looks, equal_angles=False), edge, mode="edge") for looks in faces]
    return np.vstack([np.hstack(grids[:3]), np.hstack(grids[3:])])


def eac(size: int) -> np.ndarray:
    """Unit vectors of YouTube's equi-angular cubemap: left front right, and below them down back up, turned so that
    they follow one another. (h, w, 3)."""
    faces = [(LEFT, UP), (AHEAD, UP), (-LEFT, UP), (-UP, -LEFT), (-AHEAD, -LEFT), (UP, -LEFT)]
    grids = [_face(size, *looks, equal_angles=True) for looks in faces]
    return np.vstack([np.hstack(grids[:3]), np.hstack(grids[3:])])


def film(path: Path, vectors: np.ndarray, pix_fmt: str = "yuv444p", turn: int = 0, mirrored: bool = False) -> Path:
    """Three pictures of the colours of these directions (h, w, 3), nearly lossless; all of chroma is kept, because
    in half of it the faces of a cube run into each other.

    `turn`: what players are asked to turn the picture by, degrees counter-clockwise, in mp4 and mov; `mirrored`: they
    are asked to flip it upside down before.
    """
    height, width = vectors.shape[:2]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = 5, 1
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(colours(vectors), format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace="ITU601", dst_color_range=1)
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    if turn or mirrored:
        _turn(path, turn, mirrored)
    return path


def _turn(path: Path, degrees: int, mirrored: bool) -> None:
    content = path.read_bytes()
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    one = 1 << 16
    down = -one if mirrored else one
    upright = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", cos * one, -sin * one, 0, sin * down, cos * down, 0, 0, 0, 1 << 30)
    at = content.index(upright, content.index(b"tkhd"))
    path.write_bytes(content[:at] + turned + content[at + 36 :])


def insert(path: Path, into: str, box: bytes) -> None:
    """Append a box to that one of an mp4 file, whose index is at its end, which `into` names: 'moov/trak'."""
    data = bytearray(path.read_bytes())
    begin, end, sizes = 0, len(data), []
    for name in into.split("/"):
        while data[begin + 4 : begin + 8] != name.encode():
            begin += struct.unpack_from(">I", data, begin)[0]
            assert begin < end, name
        sizes.append(begin)
        end = begin + struct.unpack_from(">I", data, begin)[0]
        begin += {"stsd": 16, "avc1": 86}.get(name, 8)
    for at in sizes:
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(box))
    data[end:end] = box
    path.write_bytes(data)


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def tag_v2(
    path: Path, kind: bytes, content: bytes, pose: tuple[float, float, float] = (0, 0, 0), stereo: int = 0
) -> None:
    """Spherical Video V2: the projection's box `kind`, e.g. equi with its bounds; pose as the box has it, degrees."""
    fixed = struct.pack(">3i", *(round(angle * 65536) for angle in pose))
    full = bytes(4)
    sv3d = box(
        b"sv3d",
        box(b"svhd", full, b"by hand\0"),
        box(b"proj", box(b"prhd", full, fixed), box(kind, full, content)),
    )
    insert(path, "moov/trak/mdia/minf/stbl/stsd/avc1", box(b"st3d", full, bytes([stereo])) + sv3d)


def v1_xml(**values: object) -> str:
    """Spherical Video V1 with these values, e.g. ProjectionType."""
    given = {"Spherical": "true", "Stitched": "true", "ProjectionType": "equirectangular", **values}
    lines = "".join(f"<GSpherical:{k}>{v}</GSpherical:{k}>" for k, v in given.items())
    return (
        '<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        f'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">{lines}</rdf:SphericalVideo>'
    )


def tag_v1(path: Path, **values: object) -> None:
    """`v1_xml`, in an mp4 or mov file."""
    xml = v1_xml(**values).encode()
    insert(path, "moov/trak", box(b"uuid", bytes.fromhex("ffcc8263f8554a938814587a02521fdd"), xml))
