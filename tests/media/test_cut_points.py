"""What is on the screen at a cut is the first picture of a part, and its sound is from that instant."""

from __future__ import annotations

import functools
import struct
from fractions import Fraction

import av
import films
import numpy as np
import pytest

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.media.inputs import open_source
from pano_sound.media.joining import join
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.segments import segments
from pano_sound.options.input import InputOptions
from pano_sound.options.steps import RenderOptions
from pano_sound.options.video import VideoOptions
from pano_sound.pipeline import render_segment

PATH = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
RARE = [Fraction(4 * n) for n in range(5)]
"""A film with a picture every 4 s; the last one is shown until 20 s."""
LEVELS = [40, 80, 120, 160, 200]


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """Makes such a film in a container, once."""
    folder = tmp_path_factory.mktemp("rare")

    @functools.cache
    def make(container="mp4"):
        sound = films.clicks(20, [n + 0.5 for n in range(20)])
        return films.make_film(folder / f"a.{container}", RARE, levels=LEVELS, sound=sound)

    return make


def read(path, **part):
    """[(time, number of the picture in LEVELS or grey_levels)] of a part of a film."""
    info = probe(path, InputOptions(**part))
    with VideoReader(info) as reader:
        return info, [(p.t, float(p.planes[0].mean())) for p in reader.pictures()]


def level(grey):
    return pytest.approx(16 + grey * 219 / 255, abs=3)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (2, None, [(0, 0), (2, 1), (6, 2), (10, 3), (14, 4)]),
        (5, 7, [(0, 1)]),
        (4, 9, [(0, 1), (4, 2)]),
        ("3.9999", 9, [(0, 1), (4, 2)]),
        ("4.0001", 9, [(0, 1), (4, 2)]),
        (11, "12.5", [(0, 2), (1, 3)]),
        (None, 6, [(0, 0), (4, 1)]),
        (16, None, [(0, 4)]),
        (19, None, [(0, 4)]),
    ],
)
def test_the_picture_on_the_screen_comes_first(rare, container, start, end, expected):
    path = rare(container)
    whole = probe(path)
    if float(start or 0) > whole.duration:
        pytest.skip("a transport stream does not say how long its last picture is shown")
    # A transport stream's clock begins with its sound's priming.
    start, end = (None if t is None else f"{float(t) + whole.start:.6f}" for t in (start, end))
    slack = whole.start + 0.0011
    info, pictures = read(path, start=start, end=end)
    assert [t for t, _ in pictures] == pytest.approx([t for t, _ in expected], abs=slack)
    assert [grey for _, grey in pictures] == [level(LEVELS[n]) for _, n in expected]
    assert pictures[0][0] == pytest.approx(0, abs=slack if start is None else 0)
    assert info.start == pictures[0][0]
    if container != "ts":
        assert info.duration == pytest.approx(float(end or 20) - float(start or 0), abs=0.03)


@pytest.mark.parametrize(
    "fps",
    [30, *(pytest.param(fps, marks=pytest.mark.slow) for fps in (films.NTSC, 25, Fraction(60000, 1001)))],
    ids=["30", "29.97", "25", "59.94"],
)
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_cut_is_never_a_picture_late(tmp_path, fps, container):
    """At the time of each picture, as people write it, in the middle between two, and just before one."""
    count = 30
    levels = [30 + 7 * n for n in range(count)]
    path = films.make_film(tmp_path / f"a.{container}", films.steady(count, fps), levels=levels)
    times = [p.t for p in VideoReader(probe(path)).pictures()]
    for number in range(1, count - 1, 4):
        for text in (f"{times[number]:.3f}", f"{times[number]:.6f}", f"{times[number] + 0.5 / float(fps):.6f}"):
            _, pictures = read(path, start=text)
            assert pictures[0] == (pytest.approx(0, abs=1e-9), level(levels[number])), text
            assert len(pictures) == count - number
        _, pictures = read(path, start=f"{times[number] - 0.004:.6f}")
        assert [grey for _, grey in pictures[:2]] == [level(levels[number - 1]), level(levels[number])]
        assert pictures[1][0] == pytest.approx(0.004, abs=1e-5)


def contents(path):
    """(pictures as (time, level), when the last one ends, sound at 48 kHz from time 0 on, when it ends)."""
    if path.suffix == ".mkv":
        with av.open(str(path)) as film:
            last = max((p for p in film.demux(video=0) if p.size), key=lambda p: p.pts)
            end = float((last.pts + last.duration) * last.time_base)
    else:
        content = path.read_bytes()
        (scale,) = struct.unpack_from(">I", content, content.index(b"mvhd") + 16)
        (ticks,) = struct.unpack_from(">I", content, content.index(b"tkhd") + 24)
        end = ticks / scale
    with av.open(str(path)) as film:
        pictures = [(float(f.pts * f.time_base), f.to_ndarray()[:48].mean()) for f in film.decode(video=0)]
    with av.open(str(path)) as film:
        frames = list(film.decode(audio=0))
        sound = np.concatenate([f.to_ndarray()[0] for f in frames])
        begin = float(frames[0].pts * frames[0].time_base)
    return pictures, end, sound[max(0, round(-begin * 48000)) :], begin + len(sound) / 48000


@pytest.mark.parametrize("output", ["b.mp4", "b.mov", "b.mkv"])
@pytest.mark.parametrize(
    ("start", "end", "times"), [(5, 7, [0]), (2, 9, [0, 2, 6]), (None, 6, [0, 4]), (19, None, [0])]
)
def test_what_is_written_lasts_from_cut_to_cut(rare, tmp_path, output, start, end, times):
    pano_sound.render(rare(), PATH, tmp_path / output, RenderOptions(start=start, end=end))
    pictures, picture_end, sound, sound_end = contents(tmp_path / output)
    length = (end or 20) - (start or 0)
    assert [t for t, _ in pictures] == pytest.approx(times, abs=1e-3)
    assert picture_end == pytest.approx(length, abs=2e-3)
    assert sound_end == pytest.approx(length, abs=0.025)
    loud = np.flatnonzero(np.abs(sound) > 0.2) / 48000
    assert sorted({round(t - 0.5, 2) for t in loud[np.diff(loud, prepend=-1) > 0.1]}) == list(range(length))


@pytest.fixture(scope="module")
def long_at_the_end(tmp_path_factory):
    """Makes a film of ten pictures a second for 6 s, of which the last is shown for 2 s longer, in a container."""
    folder = tmp_path_factory.mktemp("long")
    films.make_film(folder / "even.mp4", films.steady(60, 10), sound=films.tone(4), encoder={"bf": "0"})

    @functools.cache
    def make(container):
        path = folder / f"a.{container}"
        with av.open(str(folder / "even.mp4")) as given, av.open(str(path), "w") as out:
            streams = [out.add_stream_from_template(stream) for stream in given.streams]
            packets = [packet for packet in given.demux() if packet.size]
            pictures = [packet for packet in packets if packet.stream.type == "video"]
            pictures[-1].duration += round(2 / pictures[0].time_base)
            for packet in packets:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
        return path

    return make


@pytest.mark.parametrize("output", ["b.mp4", "b.mov", "b.mkv"])
@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_the_last_picture_is_shown_as_long_as_in_the_film(long_at_the_end, tmp_path, container, output):
    path = long_at_the_end(container)
    pano_sound.render(path, PATH, tmp_path / output)
    pictures, end, _, _ = contents(tmp_path / output)
    assert end - pictures[-1][0] == pytest.approx(2.1, abs=2e-3)


def test_the_last_picture_does_not_last_until_an_end_that_is_missing(tmp_path):
    path = films.make_film(tmp_path / "a.mkv", films.steady(60, 10), options={"cluster_time_limit": "500"})
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
    info = probe(path)
    pano_sound.render(path, PATH, tmp_path / "b.mkv")
    with VideoReader(probe(tmp_path / "b.mkv")) as reader:
        last = [p.t for p in reader.pictures()][-1]
    assert info.duration > last + 1
    with av.open(str(tmp_path / "b.mkv")) as film:
        assert max((p.pts + p.duration) * p.time_base for p in film.demux(video=0) if p.size) < last + 0.2


CHIRP_RATE = 600


def chirp(seconds):
    """A sweep: its pitch tells where it was cut."""
    t = np.arange(round(seconds * 48000)) / 48000
    return np.tile(0.4 * np.sin(2 * np.pi * (200 * t + CHIRP_RATE / 2 * t * t)), (2, 1)).astype(np.float32)


@pytest.mark.parametrize(
    "sound_codec", ["aac", *(pytest.param(c, marks=pytest.mark.slow) for c in ("mp3", "ac3", "libopus", "flac"))]
)
@pytest.mark.parametrize("output", ["b.mp4", "b.mkv"])
def test_sound_is_from_the_instant_of_the_cut(tmp_path, sound_codec, output):
    """To 0.1 ms, whole from its first sample on, copied and encoded."""
    wave = chirp(4)
    path = films.make_film(tmp_path / "a.mp4", films.steady(8, 2), sound=wave, sound_codec=sound_codec)
    pano_sound.render(path, PATH, tmp_path / output, RenderOptions(start="1.2345", end=3))
    _, _, sound, end = contents(tmp_path / output)
    begin = round(1.2345 * 48000)
    found = sound[24000:28000]
    lags = range(-100, 101)
    lag = max(lags, key=lambda d: float(found @ wave[0, begin + 24000 + d :][:4000]))
    assert abs(lag) <= 4
    # Nothing fades in that is loud in the film.
    assert np.abs(sound[:480] - wave[0, begin : begin + 480]).max() < 0.12
    assert end == pytest.approx(3 - 1.2345, abs=0.025)


def test_reading_sound_stops_soon_after_the_part(rare):
    """Films may be large, and far away."""
    info = probe(rare(), InputOptions(end=3))
    with open_source(info.footage) as source:
        base = source.audio.time_base
        assert [p.pts * base for p in source.packets(source.audio)][-1] == pytest.approx(3, abs=0.025)
        following = next(source.container.demux(source.audio))
        assert following.size
        assert following.pts * base < 4


@pytest.mark.parametrize("start", [None, "1.5", 5])
def test_in_segments_each_picture_comes_once(rare, tmp_path, start):
    """Borders between two pictures, a part's begin between two: as if made at once."""
    path = rare()
    info = probe(path, InputOptions(start=start, end=19))
    parts = []
    for number, segment in enumerate(segments(info, 5.0)):
        render_segment(info, segment, PATH, tmp_path / f"{number}.mp4", VideoOptions(), lambda *_: None)
        parts.append((segment.begin or 0, tmp_path / f"{number}.mp4"))
    assert len(parts) > 2
    join(parts, tmp_path / "parts.mp4", info, None)
    pano_sound.render(path, PATH, tmp_path / "once.mp4", RenderOptions(start=start, end=19))
    one, other = contents(tmp_path / "once.mp4"), contents(tmp_path / "parts.mp4")
    assert [t for t, _ in one[0]] == [t for t, _ in other[0]]
    assert [grey for _, grey in one[0]] == pytest.approx([grey for _, grey in other[0]], abs=2.5)
    assert one[1] == pytest.approx(other[1], abs=1e-3)
    assert one[1] == pytest.approx(19 - float(start or 0), abs=2e-3)
    assert np.array_equal(one[2], other[2])
