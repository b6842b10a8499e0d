import contextlib
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import films
import numpy as np
import pytest
from test_sound import onsets, whole

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.encoders import ENCODERS
from pano_sound.errors import OutputError
from pano_sound.media.hardware import usable
from pano_sound.media.info import MediaInfo
from pano_sound.media.output_file import VideoFormat
from pano_sound.media.output_format import check_output
from pano_sound.media.probe import probe
from pano_sound.media.reader import Colour, Picture, VideoReader
from pano_sound.media.soundtrack import SoundPlan
from pano_sound.media.writer import VideoWriter
from pano_sound.options.input import InputOptions
from pano_sound.options.steps import RenderOptions
from pano_sound.options.video import VideoOptions

TICK = Fraction(1, 30000)
FAST = VideoOptions(encoder_preset="ultrafast")


def grey(pts, level=128, time_base=TICK, depth=8, size=(64, 32), colour=None):
    width, height = size
    kind = np.uint16 if depth > 8 else np.uint8
    chroma = np.full((height // 2, width // 2), 128 << (depth - 8), kind)
    luma = np.full((height, width), level << (depth - 8), kind)
    return Picture((luma, chroma, chroma), pts, time_base, depth, colour or Colour())


def writer(path, size=(64, 32), encoding=FAST, sound=None, overwrite=False, **picture):
    pictures = replace(VideoFormat(*size, TICK, Fraction(30)), **picture)
    return VideoWriter(path, pictures, encoding, sound=sound, overwrite=overwrite)


def rewrite(source, path, ambisonics=None, encoding=FAST, with_sound=True, **picture):
    """Copy a film picture by picture, as `render` and `overlay` do."""
    info = source if isinstance(source, MediaInfo) else probe(source, InputOptions(ambisonics=ambisonics))
    pictures = replace(VideoFormat(*info.eye, info.video.time_base, info.video.fps), **picture)
    sound = SoundPlan.of(info) if with_sound else None
    with VideoReader(info) as reader, VideoWriter(path, pictures, encoding, sound=sound, source=info) as out:
        for picture in reader.pictures():
            out.write(picture)
    return probe(path)


def names(folder):
    return sorted(p.name for p in Path(folder).iterdir())


TIMES = {
    "30": films.steady(75),
    "29.97": films.steady(75, films.NTSC),
    "29.97 from 0.7": films.steady(75, films.NTSC, start=Fraction(7, 10)),
    "variable": [Fraction(n, 30) + Fraction(n * n % 17, 600) for n in range(60)],
    "variable from 1/3": [Fraction(1, 3) + Fraction(n * n, 900) for n in range(50)],
}


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES.keys())
def test_time_stamps_survive_a_round_trip(tmp_path, container, times):
    """With B-frames, which are stored in another order than shown."""
    path = tmp_path / f"a.{container}"
    with writer(path, encoding=VideoOptions()) as out:
        for n, t in enumerate(times):
            out.write(grey(round(t / TICK), 40 + 23 * n % 160))
    read = list(VideoReader(probe(path)).pictures())
    given = [float(round(t / TICK) * TICK) for t in times]
    assert np.allclose([p.t for p in read], given, atol=6e-4 if container == "mkv" else 1e-9)
    shown = [p.planes[0].mean() for p in read]
    assert np.abs(np.array(shown) - [40 + 23 * n % 160 for n in range(len(times))]).max() < 6


def test_duration_is_the_inputs(tmp_path):
    source = films.make_film(tmp_path / "a.mp4", films.steady(60, films.NTSC))
    assert rewrite(source, tmp_path / "b.mp4").duration == pytest.approx(probe(source).duration, abs=1 / 60)


@pytest.mark.parametrize("output", ["b.mp4", *(pytest.param(o, marks=pytest.mark.slow) for o in ("b.mkv", "b.mov"))])
@pytest.mark.parametrize(
    ("container", "sound_codec", "layout", "start", "sound_start"),
    [
        ("mp4", "aac", "stereo", 0, 0),
        ("mp4", "aac", "stereo", Fraction(1, 2), Fraction(1, 2)),
        ("mkv", "aac", "mono", 0, Fraction(3, 10)),
        ("mkv", "flac", "stereo", Fraction(2, 10), 0),
        ("webm", "libopus", "quad", Fraction(1, 10), Fraction(4, 10)),
        ("ts", "aac", "stereo", 10, 10),
        ("mkv", "pcm_f32le", "stereo", 0, 0),
    ],
)
def test_flash_and_click_stay_together(tmp_path, output, container, sound_codec, layout, start, sound_start):
    """Whether sound is copied or encoded, late or early, the click follows the flash as in the source."""
    levels = [200 if n % 30 == 15 else 30 for n in range(75)]
    flashes = [0.5, 1.5]
    clicks = films.clicks(
        2.2, [f + float(start - sound_start) for f in flashes], channels={"mono": 1, "quad": 4}.get(layout, 2)
    )
    source = films.make_film(
        tmp_path / f"a.{container}",
        films.steady(75, start=start),
        levels=levels,
        codec="libvpx" if container == "webm" else "libx264",
        sound=clicks,
        sound_codec=sound_codec,
        layout=layout,
        sound_start=sound_start,
    )
    made = rewrite(source, tmp_path / output)
    pictures = list(VideoReader(probe(tmp_path / output)).pictures())
    seen = [p.t - made.start for p in pictures if p.planes[0].mean() > 120]
    assert seen == pytest.approx(flashes, abs=2e-3)
    assert onsets(whole(tmp_path / output, 48000), 48000) == pytest.approx(seen, abs=4e-3)
    assert made.start == pytest.approx(probe(source).start, abs=1e-3)


@pytest.mark.parametrize(
    ("sound_codec", "layout", "output", "expected"),
    [
        ("aac", "stereo", "b.mp4", ("aac", "stereo", True)),
        ("aac", "5.1", "b.mp4", ("aac", "5.1", True)),
        ("flac", "mono", "b.mkv", ("flac", "mono", True)),
        ("flac", "stereo", "b.mov", ("aac", "stereo", False)),
        ("pcm_f32le", "mono", "b.mp4", ("aac", "mono", False)),
        ("pcm_f32le", "stereo", "b.mkv", ("pcm_f32le", "2 channels", True)),
        ("pcm_s16le", "stereo", "b.mov", ("pcm_s16le", "2 channels", True)),
        ("pcm_s16le", "stereo", "b.mp4", ("aac", "stereo", False)),
        ("libopus", "stereo", "b.mp4", ("aac", "stereo", False)),
        ("libopus", "stereo", "b.mkv", ("opus", "stereo", True)),
        ("libopus", "5.1", "b.mp4", ("aac", "5.1", False)),
        ("flac", "5.1", "b.mov", ("aac", "5.1", False)),
        ("pcm_s16le", "5.1", "b.mp4", ("aac", "5.1", False)),
        ("ac3", "5.1", "b.mp4", ("ac3", "5.1(side)", True)),
        ("aac", "4.0", "b.mp4", ("aac", "stereo", False)),
    ],
)
def test_sound_is_copied_where_it_plays_and_encoded_elsewhere(tmp_path, sound_codec, layout, output, expected):
    channels = {"mono": 1, "stereo": 2, "5.1": 6, "4.0": 4}[layout]
    sound = films.tone(0.5, channels=channels)
    source = films.make_film(tmp_path / "a.mkv", films.steady(15), sound=sound, sound_codec=sound_codec, layout=layout)
    audio = rewrite(source, tmp_path / output).audio
    assert (audio.codec, audio.layout) == expected[:2]
    assert (packets(source) == packets(tmp_path / output)) is expected[2]


@pytest.mark.parametrize("sound_codec", ["libopus", "pcm_s16le"])
def test_surround_channels_keep_their_places(tmp_path, sound_codec):
    """Each speaker with a tone of its own: left, right, middle, bass, and two behind."""
    pitches = [300, 500, 700, 60, 900, 1100]
    sound = np.concatenate([films.tone(2, channels=1, hz=hz, level=0.3) for hz in pitches])
    source = films.make_film(tmp_path / "a.mkv", films.steady(60), sound=sound, sound_codec=sound_codec, layout="5.1")
    assert rewrite(source, tmp_path / "b.mp4").audio.layout == "5.1"
    with av.open(str(tmp_path / "b.mp4")) as film:
        heard = np.concatenate([f.to_ndarray() for f in film.decode(audio=0)], axis=1)[:, 9600 : 9600 + 48000]
    assert np.argmax(np.abs(np.fft.rfft(heard)), axis=1).tolist() == pitches
    assert np.abs(heard).max(axis=1) == pytest.approx([0.3] * 6, abs=0.05)


def packets(path):
    with av.open(str(path)) as film:
        return [bytes(p) for p in film.demux(audio=0) if p.size]


def test_ambisonics_become_left_and_right(tmp_path):
    """A source 90° to the left (W = Y) is heard on the left only, one in front (Y = 0) on both sides."""
    left, front = films.tone(1, channels=1, hz=300)[0], films.tone(1, channels=1, hz=1100)[0]
    sound = np.stack([(left + front) / 2, left / 2, 0 * left, front / 2])
    source = films.make_film(tmp_path / "a.mkv", films.steady(30), sound=sound, layout="4.0", sound_codec="flac")
    rewrite(source, tmp_path / "b.mp4", ambisonics="ambix")
    with av.open(str(tmp_path / "b.mp4")) as film:
        heard = np.concatenate([f.to_ndarray() for f in film.decode(audio=0)], axis=1)[:, :48000]
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum[1, 300] < spectrum[0, 300] / 100
    assert spectrum[1, 1100] == pytest.approx(spectrum[0, 1100], rel=0.02)


def test_a_source_without_sound_and_no_sound_asked_for(tmp_path):
    silent = films.make_film(tmp_path / "a.mp4")
    assert rewrite(silent, tmp_path / "b.mp4").audio is None
    loud = films.make_film(tmp_path / "c.mp4", sound=films.tone(0.4))
    assert rewrite(loud, tmp_path / "d.mp4", with_sound=False).audio is None


def test_sound_longer_than_the_picture_is_kept(tmp_path):
    source = films.make_film(tmp_path / "a.mp4", films.steady(15), sound=films.clicks(3, [2.5]))
    rewrite(source, tmp_path / "b.mp4")
    assert onsets(whole(tmp_path / "b.mp4"), 16000) == pytest.approx([2.5], abs=2e-3)


@pytest.mark.parametrize(("container", "sound_codec"), [("mp4", "aac"), ("mkv", "flac")])
def test_ten_seconds_of_sound_after_the_picture_are_kept(tmp_path, caplog, container, sound_codec):
    """Whether it is copied or encoded; the rest is left out, but not damaged."""
    source = tmp_path / f"a.{container}"
    films.make_film(source, films.steady(6), sound=films.tone(13), sound_codec=sound_codec)
    assert rewrite(source, tmp_path / "b.mp4").audio.end == pytest.approx(10.2, abs=0.05)
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("colour", [Colour(1, 1, 1, 1), Colour(2, 5, 5, 6), Colour(1, 9, 9, 16)])
def test_depth_and_colour_are_carried_through(tmp_path, depth, colour):
    with writer(tmp_path / "a.mp4", bit_depth=depth, colour=colour) as out:
        for n in range(3):
            out.write(grey(n * 1000, depth=depth))
    picture = next(VideoReader(probe(tmp_path / "a.mp4")).pictures())
    assert picture.colour == colour
    assert picture.bit_depth == depth
    assert picture.planes[0].mean() == pytest.approx(128 << (depth - 8), abs=2 << (depth - 8))


def test_date_and_title_are_kept_and_the_index_comes_first(tmp_path):
    when = "2024-05-06T07:08:09.000000Z"
    source = films.make_film(tmp_path / "a.mp4", metadata={"title": "Été", "creation_time": when})
    metadata = rewrite(source, tmp_path / "b.mp4").metadata
    assert (metadata["title"], metadata["creation_time"]) == ("Été", when)
    content = (tmp_path / "b.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_impossible_outputs_are_refused_before_any_work(tmp_path, monkeypatch):
    source = films.make_film(tmp_path / "a.mp4", sound=films.tone(0.4))
    sound = SoundPlan.of(probe(source))
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "link.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    (tmp_path / "folder.mp4").mkdir()
    cases = {
        "there.mp4": ("exists already", False),
        "a.mp4": ("is an input", True),
        "link.mp4": ("is an input", True),
        "hard.mp4": ("is an input", True),
        "folder.mp4": ("is a folder", True),
        "none/b.mp4": ("the folder does not exist", False),
        "b.avi": ("cannot write '.avi' files", False),
        "b": ("has no extension", False),
    }
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    for name, (word, overwrite) in cases.items():
        with pytest.raises(OutputError, match=word):
            check_output(tmp_path / name, [source], overwrite)
        with pytest.raises(OutputError, match=word):
            writer(tmp_path / name, sound=sound, overwrite=overwrite)
    check_output(tmp_path / "there.mp4", [source], overwrite=True)
    monkeypatch.chdir(tmp_path)
    check_output("new.mp4", ["a.mp4"])
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


@pytest.mark.parametrize(("width", "height"), [(63, 32), (64, 31), (0, 32)])
def test_sizes_that_cannot_be_encoded_are_refused(tmp_path, width, height):
    with pytest.raises(OutputError, match="even numbers"):
        writer(tmp_path / "a.mp4", (width, height))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("codec", "container", "depth", "expected"),
    [
        ("libx264", "mkv", 8, ("h264", "yuv420p")),
        ("libx264", "mp4", 10, ("h264", "yuv420p10le")),
        ("libx265", "mov", 10, ("hevc", "yuv420p10le")),
        ("libsvtav1", "mp4", 8, ("av1", "yuv420p")),
        ("libsvtav1", "mkv", 10, ("av1", "yuv420p10le")),
        ("prores_ks", "mov", 8, ("prores", "yuv422p10le")),
        ("prores_ks", "mkv", 10, ("prores", "yuv422p10le")),
    ],
)
def test_encoders_by_name_keep_times_depth_and_light(tmp_path, codec, container, depth, expected):
    path = tmp_path / f"a.{container}"
    times = [n * 1001 + n * n * 13 % 200 for n in range(20)]
    colour = Colour(1, 9, 9, 18)
    with writer(path, (128, 64), VideoOptions(codec=codec), bit_depth=depth, colour=colour) as out:
        for pts in times:
            out.write(grey(pts, 200, depth=depth, size=(128, 64), colour=colour))
    read = list(VideoReader(probe(path)).pictures())
    info = probe(path)
    assert (info.video.codec, info.video.pix_fmt) == expected
    assert [p.t for p in read] == pytest.approx([t / 30000 for t in times], abs=6e-4 if container == "mkv" else 1e-9)
    brightness = [p.planes[0].mean() / (1 << (p.bit_depth - 8)) for p in read]
    assert brightness == pytest.approx([200] * 20, abs=1.5)
    if codec != "prores_ks":
        assert read[0].colour == colour


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_films_of_a_few_pictures_are_written(tmp_path, codec, count):
    """x265 gives invalid decoding times to films shorter than its delay."""
    with writer(tmp_path / "a.mp4", (128, 64), VideoOptions(codec=codec)) as out:
        for n in range(count):
            out.write(grey(n * 1000, size=(128, 64)))
    assert [p.pts * p.time_base for p in VideoReader(probe(tmp_path / "a.mp4")).pictures()] == [
        Fraction(n, 30) for n in range(count)
    ]


def test_fewer_bits_make_smaller_files(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [grey(n * 1000, size=(128, 64)) for n in range(60)]
    for picture in pictures:
        picture.planes[0][:] = rng.integers(0, 255, picture.planes[0].shape)
    sizes = {}
    for name, quality in {"crf 20": {"crf": 20}, "crf 40": {"crf": 40}, "100k": {"bitrate": "100k"}}.items():
        with writer(tmp_path / f"{name}.mp4", (128, 64), VideoOptions(**quality)) as out:
            for picture in pictures:
                out.write(picture)
        sizes[name] = (tmp_path / f"{name}.mp4").stat().st_size
    assert sizes["crf 40"] < sizes["crf 20"] / 2
    assert sizes["100k"] < 2 * 100_000 / 8 * 2


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("name", [name for name, encoder in ENCODERS.items() if encoder.instead])
def test_an_encoder_that_does_not_open_is_replaced_with_a_warning(tmp_path, caplog, monkeypatch, name, depth):
    """The machine lacks it: FFmpeg does not know the encoder, or cannot open it."""
    if name in av.codecs_available:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if usable(name, 128, 64, depth) == name:
        pytest.skip("this machine has it")
    caplog.clear()
    quality = 30 if ENCODERS[name].default is not None else None
    with writer(tmp_path / "a.mp4", (128, 64), VideoOptions(codec=name, crf=quality), bit_depth=depth) as out:
        out.write(grey(0, depth=depth, size=(128, 64)))
    instead = ENCODERS[name].instead
    assert probe(tmp_path / "a.mp4").video.codec == {
        "libx264": "h264",
        "libx265": "hevc",
        "libsvtav1": "av1",
    }.get(instead)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert f"{instead} is used instead" in caplog.text


def test_a_hardware_encoder_gets_its_own_options(tmp_path, caplog, monkeypatch):
    """x264 stands in for a GPU's encoder."""
    card = replace(ENCODERS["libx264"], instead="libx265", pix_fmts=("nv12", None), default=30)
    monkeypatch.setitem(ENCODERS, "libx264", card)
    assert usable("libx264", 128, 64, 8) == "libx264"
    assert usable("libx264", 128, 64, 10) == "libx265"
    caplog.clear()
    with writer(tmp_path / "a.mp4", size=(128, 64), colour=Colour(1, 1, 1, 1)) as out:
        out.write(grey(0, 200, size=(128, 64)))
    picture = next(VideoReader(probe(tmp_path / "a.mp4")).pictures())
    assert picture.planes[0].mean() == pytest.approx(200, abs=1.5)
    assert not caplog.records


@pytest.mark.parametrize(("codec", "name"), [("prores_ks", "a.mp4"), ("libsvtav1", "a.mov"), ("av1_nvenc", "a.mov")])
def test_encoders_that_the_container_cannot_hold_are_refused(tmp_path, codec, name):
    with pytest.raises(OutputError, match=r"cannot be written into \.(mp4|mov) files \(use \.m"):
        writer(tmp_path / name, encoding=VideoOptions(codec=codec))
    assert names(tmp_path) == []


def test_encoders_that_do_not_open_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS, "libx264", replace(ENCODERS["libx264"], preset="nonsense"))
    with pytest.raises(OutputError), writer(tmp_path / "a.mp4", encoding=VideoOptions()) as out:
        out.write(grey(0))
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, GeneratorExit])
@pytest.mark.parametrize("count", [0, 1, 80])
def test_nothing_is_left_behind_when_interrupted(tmp_path, error, count):
    sound = SoundPlan.of(probe(films.make_film(tmp_path / "a.mp4", sound=films.tone(0.4))))
    (tmp_path / "b.mp4").write_bytes(b"old")
    with contextlib.suppress(error), writer(tmp_path / "b.mp4", sound=sound, overwrite=True) as out:
        for n in range(count):
            out.write(grey(n * 1000))
        raise error
    assert names(tmp_path) == ["a.mp4", "b.mp4"]
    assert (tmp_path / "b.mp4").read_bytes() == b"old"


def test_replaces_only_when_done_and_takes_any_name(tmp_path):
    name = tmp_path / ("ü" * 120 + " 'q\" 🎥.mp4")
    name.write_bytes(b"old")
    with writer(name, overwrite=True) as out:
        out.write(grey(0))
        assert name.read_bytes() == b"old"
        assert len(names(tmp_path)) == 2
    assert probe(name).video.width == 64
    assert names(tmp_path) == [name.name]


def test_a_film_without_pictures_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no picture"), writer(tmp_path / "a.mp4"):
        pass
    assert names(tmp_path) == []


@pytest.fixture
def file_limit():
    """Limits the size of files, as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("limit", [0, 300, 60_000])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, file_limit, container, limit):
    rng = np.random.default_rng(0)
    file_limit(limit)

    def write():
        with writer(tmp_path / f"a.{container}") as out:
            for n in range(100):
                picture = grey(n * 1000)
                picture.planes[0][:] = rng.integers(0, 255, picture.planes[0].shape)
                out.write(picture)

    with pytest.raises(OutputError, match="cannot hold so large a file"):
        write()
    assert names(tmp_path) == []


def test_a_picture_of_another_size_raises_value_error(tmp_path):
    with pytest.raises(ValueError, match="size"), writer(tmp_path / "a.mp4") as out:
        out.write(grey(0, size=(32, 32)))
    assert names(tmp_path) == []


@pytest.mark.parametrize("seed", range(4))
def test_damage_in_copied_sound_does_not_stop_the_film(tmp_path, seed):
    """A transport stream's AAC has its own headers, which muxers refuse when they are damaged."""
    source = films.make_film(tmp_path / "a.ts", films.steady(30), sound=films.tone(1))
    content = bytearray(source.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(2000, len(content), 60):
        content[at] = rng.integers(256)
    source.write_bytes(content)
    assert rewrite(source, tmp_path / "b.mp4").audio.codec == "aac"


def test_sound_with_a_lost_header_is_encoded_again(tmp_path):
    source = films.make_film(tmp_path / "a.mkv", films.steady(15), sound=films.tone(0.5), sound_codec="libopus")
    content = source.read_bytes()
    at = content.index(b"OpusHead")
    source.write_bytes(content[:at] + b"OpusHurt" + content[at + 8 :])
    assert rewrite(source, tmp_path / "b.mp4").video is not None


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no such thing on this system")
@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_encoders_take_no_priority_over_other_programs(tmp_path, codec):
    """As root, SVT-AV1 would take real-time priority, for itself and all that this process starts."""
    seen = set()

    def look(*_):
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):  # It has ended since.
                seen.add(os.sched_getscheduler(int(thread)))

    film = films.make_film(tmp_path / "a.mp4", films.steady(4))
    path = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
    pano_sound.render(film, path, tmp_path / "b.mp4", RenderOptions(codec=codec), progress=look)
    assert seen == {os.SCHED_OTHER}
