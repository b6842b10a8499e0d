"""Time and memory depend on a file's real size, not on what it claims."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import films
import numpy as np
import pytest

from pano_sound.camera import formats
from pano_sound.camera_path import CameraPath
from pano_sound.errors import DataFileError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.tags import Spherical, parse_v1

MEGABYTE = 1_000_000
CSV_HEAD = "t,yaw,pitch,roll,hfov\n"
SENDCMD_HEAD = "# ffmpeg v360=yaw=1:pitch=1:roll=0:h_fov=90\n"
AE_HEAD = "Adobe After Effects 8.0 Keyframe Data\nTransform\tX Rotation\n"


def megabyte(of: str) -> str:
    return of * (MEGABYTE // len(of))


XML = ["{}", "GSpherical:{}", "GSpherical:a{}", "GSpherical:a>{}", "GSpherical:a='{}", "GSpherical:a={}"]


@pytest.mark.parametrize("before", XML)
@pytest.mark.parametrize("unit", [" ", "a", ">", "GSpherical:", "GSpherical:a>", "GSpherical:a=' ", "GSpherical:a = "])
def test_tags_are_read_in_linear_time(before, unit):
    """What takes more than linear time takes hours for a megabyte."""
    assert parse_v1(before.format(megabyte(unit)))[0] == Spherical()


def test_tags_with_a_megabyte_of_spaces_are_still_read():
    space = megabyte(" ")
    xml = f"<GSpherical:Spherical>{space}true{space}</GSpherical:Spherical><GSpherical:StereoMode{space}='top-bottom'/>"
    assert parse_v1(xml) == (Spherical("equirectangular"), "top-bottom")


TEXTS = [
    *[("csv", CSV_HEAD + megabyte(unit)) for unit in ("a", "1", '"', ",", "\n", "\0")],
    ("csv", megabyte("t,yaw,pitch,roll,hfov,")),
    *[("sendcmd", before + megabyte(unit)) for before in ("", "v360=") for unit in ("a", "a=", "v360=", ":")],
    *[
        ("sendcmd", f"{SENDCMD_HEAD}0.0 {before}{megabyte(unit)}';")
        for before in ("", "[expr] v360 yaw '")
        for unit in ("lerp(", "lerp(1,", "0", "0-", "[expr] v360 yaw 'lerp(", "[enter] v360 yaw 1")
    ],
    *[("ae", AE_HEAD + megabyte(unit)) for unit in ("a", "\t", "\t1.2.3\t4\n", "\t1", "Transform\tX Rotation\n")],
    ("ae", "Adobe After Effects 8.0 Keyframe Data\nUnits Per Second\t0\nTransform\tX Rotation\n\t0\t1\n\t1\t2\n"),
    *[("humanedit", megabyte(unit)) for unit in ("[", '{"a":', "9", '"')],
    ("humanedit", '{"a": {"b": {"0": [[' + "9" * 5000 + ", 0]]}}}"),
]


@pytest.mark.parametrize(("kind", "text"), TEXTS, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(TEXTS)])
def test_files_of_other_programs_are_read_or_refused_in_linear_time(tmp_path, kind, text):
    file = tmp_path / "a.file"
    file.write_text(text)
    with warnings.catch_warnings(), contextlib.suppress(DataFileError):
        warnings.simplefilter("error")
        assert len(formats.read(file, kind, (128, 64), 30).samples) == 1


@pytest.mark.parametrize("kind", ["ae", "humanedit", "sendcmd"])
def test_a_path_that_lasts_years_is_not_written_frame_by_frame(kind):
    path = CameraPath(128, 64, np.array([[0.0, 0, 0, 0, 90], [36e6, 90, 0, 0, 90]]))
    with pytest.raises(DataFileError, match="the path is 1e\\+04 hours long"):
        formats.WRITERS[kind](path, 30)


@pytest.mark.parametrize("kind", ["pins", "masks"])
def test_absurd_numbers_of_pins_or_masks_are_refused(tmp_path, kind):
    file = tmp_path / "a.path.json"
    pin = {"pins": {"yaw": 0, "pitch": 0}, "masks": {"yaw": [0, 1], "pitch": [0, 1]}}[kind]
    path = CameraPath(128, 64, np.array([[0.0, 0, 0, 0, 90]])).to_json()
    path[kind] = [{"from": i, "to": i + 0.5, **pin} for i in range(1000)]
    file.write_text(json.dumps(path))
    assert len(getattr(CameraPath.load(file), kind)) == 1000
    path[kind].append({"from": 1000, "to": 1001, **pin})
    file.write_text(json.dumps(path))
    with pytest.raises(DataFileError, match=f"{kind}: there are 1001"):
        CameraPath.load(file)


def test_samples_too_close_in_time_are_refused(tmp_path):
    file = tmp_path / "a.path.json"
    CameraPath(128, 64, np.array([[0.0, 0, 0, 0, 90], [1.0, 90, 0, 0, 90]])).save(file)
    text = file.read_text().replace('"t": 1.0, "yaw": 90.0', '"t": 5e-324, "yaw": 90.0')
    file.write_text(text)
    with pytest.raises(DataFileError, match=r"samples\[1\]: t must be greater"):
        CameraPath.load(file)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def changed(data: bytes, path: list[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """Boxes, the content of the first one at `path` changed."""
    out, at, done = b"", 0, False
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        if kind == path[0] and not done:
            content, done = change(content) if len(path) == 1 else changed(content, path[1:], change), True
        out += box(kind, content)
        at += size
    return out


STBL = [b"moov", b"trak", b"mdia", b"minf", b"stbl"]
MANY = 80_000_000


def sized(film: bytes, count: int, duration: int = 1) -> bytes:
    """As if the film had `count` pictures of one byte in one chunk."""
    film = changed(film, [*STBL, b"stsz"], lambda _: struct.pack(">3I", 0, 1, count))
    film = changed(film, [*STBL, b"stts"], lambda _: struct.pack(">4I", 0, 1, count, duration))
    return changed(film, [*STBL, b"stsc"], lambda _: struct.pack(">5I", 0, 1, 1, count, 1))


def edited(film: bytes) -> bytes:
    edits = b"".join(struct.pack(">IiI", 1000, 0, 1 << 16) for _ in range(4000))
    elst = box(b"edts", box(b"elst", struct.pack(">2I", 0, 4000) + edits))
    return changed(sized(film, 60_000), [b"moov", b"trak"], lambda trak: elst + trak.replace(b"edts", b"skip"))


def as_sound(film: bytes) -> bytes:
    film = changed(film, [b"moov", b"trak", b"mdia", b"hdlr"], lambda hdlr: hdlr.replace(b"vide", b"soun"))
    return changed(sized(film, MANY), [*STBL, b"stsc"], lambda _: struct.pack(">5I", 0, 1, 1, 2**32 - 1, 1))


def with_other_sizes(film: bytes) -> bytes:
    other = box(b"stsz", struct.pack(">3I", 0, 5, 10))
    return changed(sized(film, MANY), STBL, lambda stbl: other + stbl)


def renamed(film: bytes) -> bytes:
    return sized(film, MANY).replace(b"moov", b"hoov")


def compressed(film: bytes, empty: int = 100_000_000) -> bytes:
    """The index as QuickTime compressed it, with so many bytes of nothing in it."""
    at = film.index(b"moov") - 4
    size = struct.unpack_from(">I", film, at)[0]
    index = film[at : at + size]
    index = box(b"moov", index[8:] + box(b"free", bytes(empty)))
    packed = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", len(index)) + zlib.compress(index, 1))
    # The index goes behind the pictures, which must not move.
    return film[:at] + box(b"free", bytes(size - 8)) + film[at + size :] + box(b"moov", box(b"cmov", packed))


def in_a_fragment(film: bytes) -> bytes:
    return changed(film, [b"moof", b"traf", b"trun"], lambda trun: struct.pack(">2I", 1, MANY) + trun[8:12])


INDEX_ATTACKS = [
    *(lambda film: sized(film, MANY), lambda film: sized(film, 3_000_000), edited, as_sound, with_other_sizes),
    *(renamed, compressed, in_a_fragment),
]
PEAK = """
import sys
from pano_sound.errors import InputError
from pano_sound.media.probe import probe
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
probe(sys.argv[1])
before = peak()
for name in sys.argv[2:]:
    try:
        probe(name)
        print("read:", name)
    except InputError as error:
        if "index" not in str(error):
            print(error)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="where Linux keeps a process's peak")
def test_an_index_that_lies_takes_no_memory(tmp_path):
    """FFmpeg alone would take gigabytes for each."""
    film = films.make_film(tmp_path / "film.mp4", films.steady(60, 30))
    pieces = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    fragmented = films.make_film(tmp_path / "fragmented.mp4", films.steady(60, 30), options=pieces)
    bad = []
    for i, attack in enumerate(INDEX_ATTACKS):
        bad.append(tmp_path / f"{i}.mp4")
        bad[-1].write_bytes(attack((fragmented if attack is in_a_fragment else film).read_bytes()))
        assert bad[-1].stat().st_size < 500_000
    said = subprocess.run([sys.executable, "-c", PEAK, film, *bad], capture_output=True, text=True, check=True).stdout
    assert int(said) < 50_000_000


@pytest.mark.parametrize("empty", [0, 5_000_000])
def test_an_honest_compressed_index_is_read(tmp_path, empty):
    film = films.make_film(tmp_path / "film.mp4", films.steady(60, 30))
    film.write_bytes(compressed(film.read_bytes(), empty))
    assert probe(film).duration == 2.0
    assert len(list(VideoReader(probe(film)).pictures())) == 60
