"""Files that lie about their size or length, bombs, raw camera files, and films that are damaged too much."""

import contextlib
import logging
import struct
import time
from fractions import Fraction

import av
import films
import numpy as np
import pytest
import spheres

from pano_sound.errors import InputError
from pano_sound.media.cameras import looks_like_two_fisheyes
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader


def black(path, width, height):
    """One black picture, which hardly takes a byte."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png" if path.suffix == ".mov" else "ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "gray"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((height, width), np.uint8), format="gray")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("container", ["mov", "mkv"])
def test_larger_pictures_than_allowed_are_not_decoded(tmp_path, container):
    path = black(tmp_path / f"a.{container}", 2048, 1024)
    assert probe(path, max_megapixels=3).video.width == 2048
    with pytest.raises(InputError, match="larger than 2 megapixels") as caught:
        probe(path, max_megapixels=2)
    assert "`max_megapixels`" in str(caught.value)


def test_a_header_that_lies_does_not_help(tmp_path):
    path = black(tmp_path / "a.mov", 2048, 1024)
    content = path.read_bytes()
    entry = content.index(b"png ", content.index(b"stsd"))
    path.write_bytes(content[: entry + 28] + struct.pack(">HH", 128, 64) + content[entry + 32 :])
    with pytest.raises(InputError, match="larger than 2 megapixels"):
        probe(path, max_megapixels=2)


def test_growing_pictures_inside_a_film_are_damage(tmp_path, caplog):
    one = films.make_film(tmp_path / "1.ts", films.steady(20))
    two = films.make_film(tmp_path / "2.ts", films.steady(5, start=1), size=(1024, 512))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    info = probe(both, max_megapixels=0.1)
    with caplog.at_level(logging.WARNING, "pano_sound"):
        shapes = {p.planes[0].shape for p in VideoReader(both, info).pictures()}
    assert shapes == {(64, 128)}


def patched(path, name, at, fmt, *values):
    """Numbers overwritten in the first box `name` of an mp4 file, `at` bytes after its name."""
    content = bytearray(path.read_bytes())
    struct.pack_into(fmt, content, content.index(name, content.index(b"moov")) + 4 + at, *values)
    path.write_bytes(content)


def test_lengths_that_lie_are_refused(tmp_path):
    path = films.make_film(tmp_path / "a.mkv", [Fraction(t) for t in (0, 1, 100_000)], time_base=Fraction(1, 1000))
    with pytest.raises(InputError, match=r"says that it is [0-9.]+ hours long") as caught:
        probe(path)
    assert "`max_hours`" in str(caught.value)


@pytest.mark.parametrize("size", [0, 1])
def test_a_thousand_million_declared_pictures_take_no_time(tmp_path, size):
    path = films.make_film(tmp_path / "a.mp4")
    patched(path, b"stsz", 4, ">II", size, 1_000_000_000)
    patched(path, b"stts", 8, ">II", 1_000_000_000, 1)
    begin = time.monotonic()
    with contextlib.suppress(InputError):
        assert len(list(VideoReader(path).pictures())) <= 12
    assert time.monotonic() - begin < 20


def test_more_damage_than_allowed_stops_the_work(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(60), codec="mjpeg", pix_fmt="yuvj420p")
    films.damage(path, range(10, 50))
    with pytest.raises(InputError, match="40 damaged frames, more than 50% of the film") as caught:
        list(VideoReader(path).pictures())
    assert "`max_damage`" in str(caught.value)
    assert len(list(VideoReader(path, probe(path, max_damage=0.7)).pictures())) == 20


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pictures_that_a_decoder_gives_up_without_a_word_are_counted(tmp_path, codec, caplog):
    """After a damaged picture HEVC's gives out none up to the next one that stands alone."""
    path = films.make_film(tmp_path / "a.mp4", films.steady(60), codec=codec)
    films.damage(path, range(40, 44))
    reader = VideoReader(path)
    with caplog.at_level(logging.WARNING, "pano_sound"):
        count = len(list(reader.pictures()))
    assert count < 60
    assert reader.corrupt_frames == 60 - count
    assert caplog.messages == [f"{path}: {60 - count} damaged frames were skipped"]


def test_in_long_films_damage_stops_the_work_early(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(400), codec="mjpeg", pix_fmt="yuvj420p")
    films.damage(path, range(10, 390))
    read = []
    with pytest.raises(InputError, match="damaged frames"):
        read.extend(VideoReader(path).pictures())
    assert len(read) <= 11


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GS010042.360", ["GoPro", "GoPro Player"]),
        ("VID_20240101_00_001.insv", ["Insta360", "Insta360 Studio"]),
        ("CAM_0001.OSV", ["DJI", "DJI Studio"]),
    ],
)
def test_raw_camera_files_are_recognised(tmp_path, name, words):
    film = films.make_film(tmp_path / "a.mp4").rename(tmp_path / name)
    assert all(word in probe(film).problem for word in words)


def fisheyes(level=150, background=0):
    """Two lens pictures side by side, (256, 512, 3)."""
    y, x = np.mgrid[:256, :256]
    lens = np.where(np.hypot(x - 127.5, y - 127.5) < 126, level + 40 * np.sin(x / 9), background)
    return np.repeat(np.hstack([lens, lens])[..., None], 3, axis=2).astype(np.uint8)


def frame_of(rgb):
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")


@pytest.mark.parametrize("level", [60, 110, 200])
def test_two_lens_pictures_are_recognised(level):
    assert looks_like_two_fisheyes(frame_of(fisheyes(level)))


def test_a_film_of_two_lens_pictures_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 512, 256, "yuv420p"
        out.mux(stream.encode(frame_of(fisheyes()).reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    assert "two round lens pictures" in probe(path).problem
    assert probe(path, projection="equirectangular").problem is None


def test_stitched_spheres_are_no_lens_pictures():
    sphere = spheres.colours(spheres.sphere(512, 256))
    night = sphere // 8
    capped = sphere.copy()
    capped[:60] = capped[200:] = 0
    for rgb in (sphere, night, capped, np.zeros_like(sphere), np.full_like(sphere, 255)):
        assert not looks_like_two_fisheyes(frame_of(rgb))
