"""Files that lie about their size or length, decompression bombs, raw camera files, and badly damaged films."""

import contextlib
import logging
import struct
import time
from fractions import Fraction

import av
import films
import numpy as np
import pytest

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.errors import InputError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.input import InputOptions
from pano_sound.options.steps import RenderOptions


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
    assert probe(path, InputOptions(max_megapixels=3)).video.width == 2048
    with pytest.raises(InputError, match="larger than 2 megapixels") as caught:
        probe(path, InputOptions(max_megapixels=2))
    assert "`max_megapixels`" in str(caught.value)


def test_a_header_that_lies_does_not_help(tmp_path):
    path = black(tmp_path / "a.mov", 2048, 1024)
    content = path.read_bytes()
    entry = content.index(b"png ", content.index(b"stsd"))
    path.write_bytes(content[: entry + 28] + struct.pack(">HH", 128, 64) + content[entry + 32 :])
    with pytest.raises(InputError, match="larger than 2 megapixels"):
        probe(path, InputOptions(max_megapixels=2))


def test_growing_pictures_inside_a_film_are_damage(tmp_path, caplog):
    one = films.make_film(tmp_path / "1.ts", films.steady(20))
    two = films.make_film(tmp_path / "2.ts", films.steady(5, start=1), size=(1024, 512))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    info = probe(both, InputOptions(max_megapixels=0.1))
    with caplog.at_level(logging.WARNING, "pano_sound"):
        shapes = {p.planes[0].shape for p in VideoReader(info).pictures()}
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
    begin = time.process_time()
    with contextlib.suppress(InputError):
        assert len(list(VideoReader(probe(path)).pictures())) <= 12
    assert time.process_time() - begin < 20


@pytest.mark.parametrize("duration", [0, 1, 48000 * 3600, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("output", ["b.mp4", "b.mov", "b.mkv"])
def test_a_last_sound_sample_of_false_duration_does_no_harm(tmp_path, duration, output):
    path = films.make_film(tmp_path / "a.mp4", films.steady(30), sound=films.tone(1.0))
    content = bytearray(path.read_bytes())
    times = content.index(b"stts", content.index(b"soun", content.index(b"moov"))) + 8
    (entries,) = struct.unpack_from(">I", content, times)
    struct.pack_into(">I", content, times + 8 * entries, duration)
    path.write_bytes(content)
    view = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
    pano_sound.render(path, view, tmp_path / output, RenderOptions(encoder_preset="ultrafast"))
    with av.open(str(tmp_path / output)) as film:
        (sound,) = film.streams.audio
        ends = [(p.pts + (p.duration or 0)) * p.time_base for p in film.demux(sound) if p.pts is not None]
    assert 0.98 <= max(ends) <= 1.05


def test_more_damage_than_allowed_stops_the_work(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(60), codec="mjpeg", pix_fmt="yuvj420p")
    films.damage(path, range(10, 50))
    with pytest.raises(InputError, match="40 damaged frames, more than 50% of the film") as caught:
        list(VideoReader(probe(path)).pictures())
    assert "`max_damage`" in str(caught.value)
    assert len(list(VideoReader(probe(path, InputOptions(max_damage=0.7))).pictures())) == 20


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pictures_that_a_decoder_gives_up_without_a_word_are_counted(tmp_path, codec, caplog):
    """After a damaged picture HEVC's gives out none up to the next one that stands alone."""
    path = films.make_film(tmp_path / "a.mp4", films.steady(60), codec=codec)
    films.damage(path, range(40, 44))
    reader = VideoReader(probe(path))
    with caplog.at_level(logging.WARNING, "pano_sound"):
        count = len(list(reader.pictures()))
    assert count < 60
    assert reader.corrupt_frames == 60 - count
    assert caplog.messages == [f"{path}: damaged frames skipped: {60 - count}"]


def test_in_long_films_damage_stops_the_work_early(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(400), codec="mjpeg", pix_fmt="yuvj420p")
    films.damage(path, range(10, 390))
    read = []
    with pytest.raises(InputError, match="damaged frames"):
        read.extend(VideoReader(probe(path)).pictures())
    assert len(read) <= 11
