import gc
import logging
from fractions import Fraction

import av
import films
import numpy as np
import pytest

from pano_sound.errors import InputError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.input import InputOptions


def decoded_levels(path):
    with VideoReader(probe(path)) as reader:
        return [int(p.planes[0].mean()) for p in reader.pictures()]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    "times",
    [
        films.steady(40),
        films.steady(40, films.NTSC, start=Fraction(7, 10)),
        [Fraction(n * n, 400) for n in range(1, 30)],
    ],
    ids=["30", "29.97 from 0.7", "variable"],
)
def test_time_stamps_are_those_of_the_file(tmp_path, container, times):
    path = films.make_film(tmp_path / f"a.{container}", times)
    read = [p.t for p in VideoReader(probe(path)).pictures()]
    # A transport stream's clock starts anywhere: its times are read from its own beginning on.
    first = times[0] if container == "ts" else 0
    assert np.allclose(read, [float(t - first) for t in times], atol=6e-4)


@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_every_picture_of_windows_media_is_read_at_its_time(tmp_path, b_frames):
    path = films.make_film(tmp_path / "a.wmv", films.steady(40, 20), encoder={"bf": b_frames, "b_adapt": "0"})
    pictures = list(VideoReader(probe(path)).pictures())
    assert [float(p.planes[0].mean()) for p in pictures] == [
        pytest.approx(16 + level * 219 / 255, abs=3) for level in films.grey_levels(40)
    ]
    assert np.diff([p.t for p in pictures]) == pytest.approx(0.05, abs=2e-3)


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
@pytest.mark.parametrize(("b_frames", "between_keys"), [("2", "9"), ("0", "5"), ("2", "12")])
def test_every_picture_of_a_program_stream_is_read_at_its_time(tmp_path, codec, b_frames, between_keys):
    """Where many small pictures share a packet, FFmpeg gives some of them the times of others."""
    path = films.make_film(
        tmp_path / "a.mpg",
        films.steady(250, 25),
        levels=[128] * 250,
        codec=codec,
        time_base=Fraction(1, 25),
        encoder={"bf": b_frames, "g": between_keys},
    )
    with VideoReader(probe(path)) as reader:
        assert [p.t for p in reader.pictures()] == pytest.approx([n / 25 for n in range(250)])
        assert reader.corrupt_frames == 0


def test_a_pause_in_a_program_stream_stays(tmp_path):
    times = [t + (Fraction(1, 5) if t >= 1 else 0) for t in films.steady(50, 25)]
    whole = films.make_film(tmp_path / "a.mpg", times, size=(256, 128), codec="mpeg2video", time_base=Fraction(1, 25))
    found = [p.t for p in VideoReader(probe(whole)).pictures()]
    assert len(found) == 50
    assert found[-1] == pytest.approx(float(times[-1]), abs=0.01)


@pytest.mark.parametrize(("start", "first"), [(None, 0), ("3", 75)])
def test_a_yuv4mpeg_file_is_a_film_without_sound(tmp_path, start, first):
    path = tmp_path / "a.y4m"
    levels = [30 + n % 200 for n in range(100)]
    frames = [b"FRAME\n" + bytes([level]) * 128 * 64 + bytes([128]) * 64 * 64 for level in levels]
    path.write_bytes(b"YUV4MPEG2 W128 H64 F25:1 Ip A1:1 C420jpeg\n" + b"".join(frames))
    info = probe(path, InputOptions(start=start))
    assert (info.audio, info.duration) == (None, pytest.approx(4 - float(start or 0)))
    pictures = list(VideoReader(info).pictures())
    times = [n / 25 - float(start or 0) for n in range(first, 100)]
    assert [p.t for p in pictures] == pytest.approx(times)
    assert [float(p.planes[0].mean()) for p in pictures] == levels[first:]


def test_pictures_stay_valid_and_in_order(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(60))
    kept = list(VideoReader(probe(path)).pictures())
    gc.collect()
    expected = np.array(films.grey_levels(60)) * 219 / 255 + 16
    assert np.abs([p.planes[0].mean() for p in kept] - expected).max() < 3
    picture = kept[0]
    assert [p.shape for p in picture.planes] == [(64, 128), (32, 64), (32, 64)]
    assert all(p.dtype == np.uint8 and not p.flags.writeable for p in picture.planes)


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "depth", "kind"),
    [
        ("yuv420p10le", "libx264", 10, np.uint16),
        ("yuv422p10le", "libx264", 10, np.uint16),
        ("yuvj420p", "mjpeg", 8, np.uint8),
        ("yuv422p", "libx264", 8, np.uint8),
        ("yuv444p", "libx264", 8, np.uint8),
        ("rgb24", "png", 8, np.uint8),
    ],
)
def test_every_format_becomes_420_without_changing_brightness(tmp_path, pix_fmt, codec, depth, kind):
    path = films.make_film(
        tmp_path / "a.mov", levels=[128] * 12, pix_fmt=pix_fmt, codec=codec, time_base=Fraction(1, 30)
    )
    picture = next(VideoReader(probe(path)).pictures())
    assert picture.bit_depth == depth
    assert all(p.dtype == kind for p in picture.planes)
    assert picture.planes[1].shape == (32, 64)
    middle = picture.planes[0].mean() / 2 ** (depth - 8)
    assert middle == pytest.approx(128 if picture.colour.range == 2 else 16 + 128 * 219 / 255, abs=2)
    assert picture.planes[1].mean() / 2 ** (depth - 8) == pytest.approx(128, abs=1)


def test_small_pictures_are_rgb_at_their_own_times(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(60, films.NTSC, start=Fraction(1, 2)), halves=True)
    taken = [(p.t, p.rgb(960, 480)) for n, p in enumerate(VideoReader(probe(path)).stored()) if n % 15 == 0]
    assert np.allclose([float(t) for t, _ in taken], [0.5 + n * 1001 / 30000 for n in (0, 15, 30, 45)], atol=1e-6)
    picture = taken[1][1]
    assert picture.shape == (480, 960, 3)
    assert picture.dtype == np.uint8
    assert picture[100, 100].max() < 12
    assert np.abs(picture[400, 800].astype(int) - films.grey_levels(60)[15]).max() < 6


@pytest.mark.parametrize(("stereo", "value"), [("top-bottom", 2), ("left-right", 1)])
def test_one_eye_is_read(tmp_path, stereo, value):
    """x264's frame packing message tags stereo: 3 side by side, 4 top-bottom."""
    size = (128, 128) if stereo == "top-bottom" else (256, 64)
    path = films.make_film(tmp_path / "a.mp4", size=size, stereo=stereo)
    info = probe(path)
    assert info.spherical.stereo == stereo
    assert info.problem is None
    assert info.eye == (128, 64)
    picture = next(VideoReader(probe(path)).pictures())
    assert [p.shape for p in picture.planes] == [(64, 128), (32, 64), (32, 64)]
    assert next(VideoReader(probe(path)).stored()).rgb(960, 480).shape == (480, 960, 3)


def test_damage_inside_is_skipped_and_reported_once(tmp_path, caplog):
    path = films.make_film(tmp_path / "a.mp4", films.steady(90), codec="mjpeg", pix_fmt="yuvj420p")
    films.damage(path, range(30, 33))
    reader = VideoReader(probe(path))
    with caplog.at_level(logging.WARNING, "pano_sound"):
        count = len(list(reader.pictures()))
    assert count == 87
    assert reader.corrupt_frames == 3
    assert [r.message for r in caplog.records] == [f"{path}: damaged frames skipped: 3"]


@pytest.mark.parametrize("container", ["mkv", "ts", "mp4"])
def test_a_truncated_film_is_read_to_its_end(tmp_path, container):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 255, 90).tolist()
    options = {"movflags": "+faststart"} if container == "mp4" else {}
    path = films.make_film(tmp_path / f"a.{container}", films.steady(90), levels=levels, options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    count = len(list(VideoReader(probe(path)).pictures()))
    assert 20 <= count < 90


def test_frames_without_time_stamps_are_evenly_spaced(tmp_path):
    """A bare H.264 stream has no time stamps of its own."""
    path = films.make_film(tmp_path / "a.h264", films.steady(20))
    times = [p.t for p in VideoReader(probe(path)).pictures()]
    assert len(times) == 20
    assert (np.diff(times) > 0).all()


def test_pictures_of_avi_come_in_display_order(tmp_path):
    """With B frames pictures are stored in another order than they are shown in."""
    path = films.make_film(tmp_path / "a.avi", films.steady(60), levels=[*range(40, 220, 3)], time_base=Fraction(1, 30))
    for start, first in ((None, 0), (1, 30)):
        reader = VideoReader(probe(path, InputOptions(start=start)))
        pictures = list(reader.pictures())
        assert reader.corrupt_frames == 0
        assert [p.t for p in pictures] == pytest.approx([n / 30 for n in range(60 - first)], abs=1e-6)
        luma = [p.planes[0].mean() for p in pictures]
        assert luma == pytest.approx([16 + (40 + 3 * n) * 219 / 255 for n in range(first, 60)], abs=2)


def test_pictures_that_change_size_are_scaled_to_the_first(tmp_path):
    one = films.make_film(tmp_path / "1.ts", films.steady(10))
    two = films.make_film(tmp_path / "2.ts", films.steady(10, start=1), size=(192, 96))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    shapes = {p.planes[0].shape for p in VideoReader(probe(both)).pictures()}
    assert shapes == {(64, 128)}


def test_tracks_that_begin_inside_a_transport_stream_are_skipped(tmp_path):
    path = films.make_film(tmp_path / "a.ts", films.steady(90), sound=films.tone(3))
    content = bytearray(path.read_bytes())
    # Where a picture begins, in the packets of track 0x100, put a track that no table announces.
    begins = [at for at in range(0, len(content), 188) if content[at + 1 : at + 3] == b"\x41\x00"]
    content[begins[60] + 2] = 8
    path.write_bytes(content)
    assert len(list(VideoReader(probe(path)).pictures())) == 89


def test_sound_only_has_no_pictures(tmp_path):
    path = films.make_sound(tmp_path / "a.wav", films.tone(0.2))
    with pytest.raises(InputError, match="no picture"):
        VideoReader(probe(path))


def test_leaving_early_closes_the_file(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(60))
    with VideoReader(probe(path)) as reader:
        pictures = reader.pictures()
        first = next(pictures)
    assert list(pictures) == []
    assert first.planes[0].shape == (64, 128)


def test_av_is_not_imported_by_the_package():
    import subprocess
    import sys

    code = "import sys, pano_sound, pano_sound.media; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert av.__name__ == "av"


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(
    ("only", "expected"),
    [("all", range(26)), ("reference", [*range(0, 13, 2), *range(13, 26, 2)]), ("key", [0, 13])],
    ids=["all", "reference", "key"],
)
def test_analysis_decodes_only_the_pictures_it_asks_for_at_their_times(tmp_path, codec, only, expected):
    # Two groups of 13, in which every second picture is predicted from its neighbours and is no reference for others.
    params = "keyint=13:min-keyint=13:scenecut=0:bframes=1:b-adapt=0:open-gop=0"
    encoder = {codec.removeprefix("lib") + "-params": params}
    path = films.make_film(tmp_path / "a.mp4", films.steady(26), codec=codec, encoder=encoder)
    with VideoReader(probe(path), for_analysis=True, only=only) as reader:
        pictures = list(reader.pictures())
    times = [round(p.t * 30) for p in pictures]
    assert times == list(expected)
    levels = np.array(films.grey_levels(26))[times] * 219 / 255 + 16
    assert np.abs([p.planes[0].mean() for p in pictures] - levels).max() < 3
    assert reader.corrupt_frames == 0
