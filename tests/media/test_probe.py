import json
import os
from fractions import Fraction

import av
import cv2
import films
import numpy as np
import pytest
import spheres

from pano_sound.errors import InputError, UnsupportedInputError
from pano_sound.media.info import require_pannable
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.input import InputOptions


def test_picture_and_sound_are_reported(tmp_path):
    path = films.make_film(
        tmp_path / "a.mp4",
        films.steady(30, 25, start=Fraction(1, 5)),
        sound=films.tone(1.2),
        metadata={"title": "Été"},
    )
    info = probe(path)
    assert (info.video.width, info.video.height, info.video.codec) == (128, 64, "h264")
    assert (info.video.pix_fmt, info.video.bit_depth, info.video.rotation) == ("yuv420p", 8, 0)
    assert float(info.video.fps) == pytest.approx(25, abs=0.01)
    assert info.start == pytest.approx(0.2)
    assert info.duration == pytest.approx(1.2, abs=0.01)
    assert (info.audio.codec, info.audio.rate, info.audio.channels, info.audio.ambisonic) == (
        "aac",
        48000,
        2,
        None,
    )
    assert info.metadata["title"] == "Été"
    assert info.size_bytes == os.path.getsize(path)
    assert info.problem is None
    require_pannable(info)


def test_json_is_plain(tmp_path):
    info = probe(films.make_film(tmp_path / "a.mkv"))
    plain = json.loads(json.dumps(info.to_json()))
    assert plain["video"]["time_base"] == "1/1000"
    assert plain["audio"] is None
    assert plain["problem"] is None


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm", "ts"])
def test_start_and_duration_agree_between_containers(tmp_path, container):
    codec, sound_codec = ("libvpx", "libopus") if container == "webm" else ("libx264", "aac")
    info = probe(
        films.make_film(
            tmp_path / f"a.{container}",
            films.steady(30),
            codec=codec,
            sound=films.tone(1),
            sound_codec=sound_codec,
        )
    )
    # A transport stream's clock is taken to start with what comes first: here the sound's priming.
    assert info.start == pytest.approx(0, abs=0.08 if container == "ts" else 1e-3)
    assert info.duration == pytest.approx(1, abs=0.05)


def test_codecs_have_their_own_names_not_those_of_decoders(tmp_path):
    """FFmpeg's decoders of AV1 and MP3 are libdav1d and mp3float."""
    info = probe(films.make_film(tmp_path / "a.mp4", codec="libsvtav1", sound=films.tone(0.4), sound_codec="mp3"))
    assert (info.video.codec, info.audio.codec) == ("av1", "mp3")


@pytest.mark.parametrize(
    ("container", "movflags"), [("mp4", "faststart"), ("mov", "frag_keyframe+empty_moov"), ("mkv", "")]
)
def test_a_film_whose_end_is_missing_is_told(tmp_path, caplog, container, movflags):
    options = {"movflags": movflags} if movflags else {}
    path = films.make_film(tmp_path / f"a.{container}", films.steady(60), sound=films.tone(2.0), options=options)
    whole = path.read_bytes()
    probe(path)
    path.write_bytes(whole + bytes([1, 2, 3, 4]) + b"my own")  # As some cameras do.
    probe(path)
    assert caplog.messages == []
    path.write_bytes(whole[: len(whole) * 3 // 4])
    probe(path)
    (told,) = caplog.messages
    assert told.endswith("% of the file is missing: was the copy or the recording interrupted?")


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """A film whose own times begin at 100 s."""
    path = tmp_path_factory.mktemp("late") / "late.mkv"
    return films.make_film(path, films.steady(60, start=100), sound=films.tone(2.0), sound_start=100)


def test_without_a_start_the_duration_counts_from_the_first_picture(late):
    part = probe(late, InputOptions(duration=0.5))
    assert (part.start, part.duration) == (pytest.approx(100), pytest.approx(0.5))
    assert len(list(VideoReader(require_pannable(part)).pictures())) == 15


@pytest.mark.parametrize(("start", "told"), [(2, True), (99.5, False), (100.5, False)])
def test_a_part_that_begins_long_before_the_film_is_named(late, start, told, caplog):
    probe(late, InputOptions(start=start, end=101))
    named = "late.mkv: begins at 100.00 s: from 2 s to there the part has neither picture nor sound"
    assert (named in caplog.text) == told


@pytest.mark.parametrize("options", [{"end": 2}, {"start": 1, "end": 2}, {"start": 1, "duration": 1}])
def test_a_part_before_the_film_says_when_the_film_begins(late, options):
    with pytest.raises(InputError, match=r"ends at 2 s, before the film's first frame at 100\.00 s"):
        probe(late, InputOptions(**options))


@pytest.mark.parametrize(
    ("size", "word"),
    [((160, 120), "ordinary video"), ((32, 16), "too small"), ((128, 66), "not 2:1"), ((124, 64), "not 2:1")],
)
def test_shape_decides_without_tags(tmp_path, size, word):
    info = probe(films.make_film(tmp_path / "a.mp4", size=size))
    assert word in info.problem
    with pytest.raises(UnsupportedInputError, match=word):
        require_pannable(info)


def test_a_sphere_that_tags_put_on_its_side_is_named_as_it_is_shown(tmp_path):
    spheres.film(tmp_path / "a.mp4", np.zeros((64, 128, 3), np.uint8), turn=90)
    assert "is 64x128 when turned as its tags ask, not 2:1" in probe(tmp_path / "a.mp4").problem


def test_sound_only_is_a_problem_not_an_error(tmp_path):
    info = probe(films.make_sound(tmp_path / "a.wav", films.tone(0.5)))
    assert info.video is None
    assert info.duration == pytest.approx(0.5)
    assert "only sound" in info.problem


def test_pixel_aspect_can_make_a_picture_a_full_sphere(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height = 96, 64
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")
        out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    info = probe(path)
    assert info.video.sample_aspect_ratio == Fraction(4, 3)
    assert info.problem is None


@pytest.mark.parametrize("name", ["take 1:30.mp4", "concat:a.mp4", "Ünïcode 🎥 'q\".mp4", "%03d.mp4"])
def test_file_names_may_hold_any_character(tmp_path, name):
    assert probe(films.make_film(tmp_path / "a.mp4").rename(tmp_path / name)).video.width == 128


@pytest.mark.parametrize("relative", ["-a.mp4", "file:a.mp4", "http:a.mp4"])
def test_names_that_look_like_options_or_urls_are_files(tmp_path, monkeypatch, relative):
    films.make_film(tmp_path / "a.mp4").rename(tmp_path / relative)
    monkeypatch.chdir(tmp_path)
    assert probe(relative).video.width == 128


def test_metadata_that_is_not_utf8(tmp_path):
    path = films.make_film(tmp_path / "a.mkv", metadata={"title": "caf____"})
    path.write_bytes(path.read_bytes().replace(b"caf____", b"caf\xe9\xff\xfe_"))
    assert probe(path).metadata["title"].startswith("caf")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"hello, this is a text and no film\n" * 99, "not a media file"),
        (b"#EXTM3U\n#EXTINF:10,\na.ts\n", "not a media file"),
        (b"ffconcat version 1.0\nfile 'a.mp4'\n", "not a media file"),
        (bytes(range(256)) * 64, "not a media file"),
    ],
)
def test_files_that_are_not_media_are_refused(tmp_path, content, word):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=word) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp"])
def test_photos_are_named_as_such(tmp_path, kind):
    path = tmp_path / "a.mp4"
    path.write_bytes(cv2.imencode(kind, np.zeros((48, 96, 3), np.uint8))[1].tobytes())
    with pytest.raises(InputError, match="a photo, not a film"):
        probe(path)


def test_missing_files_folders_and_pipes_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="is a folder"):
        probe(tmp_path)
    with pytest.raises(InputError, match="not a valid file name"):
        probe("a\0b.mp4")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.mp4")
        with pytest.raises(InputError, match="not a regular file"):
            probe(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.9])
def test_a_truncated_mp4_is_refused(tmp_path, keep):
    """An mp4 whose index, at its end, is lost."""
    path = films.make_film(tmp_path / "a.mp4")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(InputError, match=r"damaged|cannot be decoded|no picture"):
        probe(path)
