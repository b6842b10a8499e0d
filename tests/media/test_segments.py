"""A film made segment by segment against the same film made at once."""

from __future__ import annotations

import dataclasses
import struct
from fractions import Fraction

import av
import films
import numpy as np
import pytest
from test_matrix import CODECS, SOUND, TAKEN

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.errors import InputError, OutputError
from pano_sound.media.joining import join
from pano_sound.media.probe import probe
from pano_sound.media.reader import NoPictureError, VideoReader
from pano_sound.media.segments import WHOLE, Segment, segments
from pano_sound.media.sound import SoundReader
from pano_sound.options.input import InputOptions
from pano_sound.options.listening import ListeningOptions
from pano_sound.options.steps import RenderOptions
from pano_sound.options.video import VideoOptions
from pano_sound.pipeline import render_segment
from pano_sound.pipeline.analyse import analyse_segment, joined

EVEN = films.steady(80, 10)
NTSC = films.steady(100, Fraction(12000, 1001), start=Fraction(3, 10))
VARIABLE = [Fraction(n * n + 40 * n, 1700) for n in range(101)]
PATH = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90], [9.0, 90, 0, 0, 90]]))


def silent(stage, done, total):
    pass


def made(folder, container="mp4", codec="libx264", times=EVEN, **how):
    given = {"codec": codec.split()[0], "encoder": {"g": "12"}, **CODECS[codec], **how}
    if container == "fragmented mp4":
        given["options"] = {"movflags": "frag_keyframe+delay_moov"}
    if codec == "mpeg2video":
        given["time_base"] = Fraction(1, 10)
    seconds = float(times[-1] - times[0])
    sound = films.clicks(seconds, [t for t in (1.0, 3.9, 4.1, 7.0) if t < seconds - 0.1], 48000)
    name = folder / f"film.{container.split()[-1]}"
    return films.make_film(name, times, sound=sound, sound_codec=SOUND.get(container, "aac"), **given)


def both(film, folder, ending=".mp4", seconds=2.0, **options):
    """The film made at once and in segments: two files."""
    info = probe(film)
    at_once, in_parts = folder / f"once{ending}", folder / f"parts{ending}"
    pano_sound.render(film, PATH, at_once, RenderOptions(**options))
    parts = []
    for number, segment in enumerate(segments(info, seconds)):
        part = folder / f"{number}{'.mov' if ending == '.mov' else '.mp4'}"
        render_segment(info, segment, PATH, part, VideoOptions(**options), silent)
        assert probe(part).audio is None
        parts.append((segment.begin or 0, part))
    assert len(parts) > 2
    join(parts, in_parts, info, options.get("codec"))
    return at_once, in_parts


def pictures(film):
    with VideoReader(probe(film)) as reader:
        return [(p.pts * p.time_base, float(p.planes[0].mean())) for p in reader.pictures()]


def heard(film):
    return np.concatenate(list(SoundReader(probe(film), 16000).blocks(1)))


def same(one, other):
    """Two films have equal pictures and sound."""
    here, there = pictures(one), pictures(other)
    assert [t for t, _ in here] == [t for t, _ in there]
    assert [level for _, level in here] == pytest.approx([level for _, level in there], abs=2.5)
    assert np.array_equal(heard(one), heard(other))
    a, b = probe(one), probe(other)
    assert (a.video.codec, a.video.bit_depth) == (b.video.codec, b.video.bit_depth)
    assert float(a.video.fps) == pytest.approx(float(b.video.fps), rel=2e-4)  # The last picture's length is rounded.
    assert (a.start, a.duration, a.metadata) == (b.start, pytest.approx(b.duration, abs=2e-3), b.metadata)
    with av.open(str(one)) as x, av.open(str(other)) as y:
        for name in ("codec_tag", "color_range", "colorspace", "color_primaries", "color_trc", "profile"):
            x_has, y_has = (getattr(file.streams.video[0].codec_context, name) for file in (x, y))
            assert x_has == y_has, name


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        *(
            pytest.param(container, codecs[0], marks=() if container == "mp4" else pytest.mark.slow)
            for container, codecs in TAKEN.items()
        ),
        *(pytest.param("mkv", codec, marks=pytest.mark.slow) for codec in TAKEN["mkv"][1:]),
    ],
)
def test_segments_of_every_kind_of_source_equal_the_whole(tmp_path, container, codec):
    film = made(tmp_path, container, codec)
    same(*both(film, tmp_path))


@pytest.mark.parametrize(
    ("times", "ending"),
    [
        pytest.param(NTSC, ".mp4", id="ntsc-mp4", marks=pytest.mark.slow),
        pytest.param(VARIABLE, ".mkv", id="variable-mkv"),
        *(pytest.param(NTSC, ending, id=f"ntsc-{ending[1:]}", marks=pytest.mark.slow) for ending in (".mov", ".mkv")),
        *(
            pytest.param(VARIABLE, ending, id=f"variable-{ending[1:]}", marks=pytest.mark.slow)
            for ending in (".mp4", ".mov")
        ),
    ],
)
def test_segments_of_every_rate_and_container_equal_the_whole(tmp_path, times, ending):
    same(*both(made(tmp_path, times=times), tmp_path, ending))


@pytest.mark.parametrize(
    ("codec", "ending"),
    [
        pytest.param("libx265", ".mp4", marks=pytest.mark.slow),
        pytest.param("libsvtav1", ".mp4", marks=pytest.mark.slow),
        pytest.param("libx265", ".mkv", marks=pytest.mark.slow),
        pytest.param("prores_ks", ".mov", marks=pytest.mark.slow),
    ],
)
def test_segments_of_every_encoder_equal_the_whole(tmp_path, codec, ending):
    same(*both(made(tmp_path, times=NTSC), tmp_path, ending, codec=codec))


@pytest.mark.slow
def test_ten_bits_stay(tmp_path):
    film = made(tmp_path, codec="libx265 10 bit")
    one, other = both(film, tmp_path)
    same(one, other)
    assert probe(other).video.bit_depth == 10


def test_times_grow_and_none_is_shown_before_it_is_decoded(tmp_path):
    _, film = both(made(tmp_path, times=VARIABLE), tmp_path)
    with av.open(str(film)) as container:
        packets = [(p.dts, p.pts) for p in container.demux(container.streams.video[0]) if p.size]
    decoded = [dts for dts, _ in packets]
    assert decoded == sorted(set(decoded))
    assert all(dts <= pts for dts, pts in packets)
    assert [pts for _, pts in packets] != sorted(pts for _, pts in packets)  # Else B-frames were not tried.


def shown_until(film):
    """When the last picture of an mp4 or Matroska film ends."""
    with av.open(str(film)) as container:
        last = max((p for p in container.demux(video=0) if p.size), key=lambda p: p.pts)
        if film.suffix == ".mkv":
            return float((last.pts + last.duration) * last.time_base)
    content = film.read_bytes()
    (scale,) = struct.unpack_from(">I", content, content.index(b"mvhd") + 16)
    (ticks,) = struct.unpack_from(">I", content, content.index(b"tkhd") + 24)
    return ticks / scale


@pytest.mark.parametrize(("container", "ending"), [("mp4", ".mkv"), ("mkv", ".mp4")])
def test_segments_show_the_last_picture_as_long_as_the_whole(tmp_path, container, ending):
    steady = films.make_film(tmp_path / "a.mp4", films.steady(80, 10), encoder={"g": "12"})
    path = tmp_path / f"film.{container}"
    with av.open(str(steady)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux() if packet.size]
        max(packets, key=lambda p: p.pts).duration += round(1 / packets[0].time_base)
        for packet in packets:
            packet.stream = stream
            out.mux(packet)
    at_once, in_parts = both(path, tmp_path, ending)
    assert shown_until(at_once) == pytest.approx(9, abs=5e-3)
    assert shown_until(in_parts) == pytest.approx(shown_until(at_once), abs=5e-3)
    assert pictures(at_once)[-1][0] == pictures(in_parts)[-1][0]


def test_a_part_of_a_film(tmp_path):
    film = made(tmp_path, times=films.steady(120, 10))
    info = probe(film, InputOptions(start="2.05", end="9.5"))
    parts = segments(info, 2.0)
    files = []
    for number, segment in enumerate(parts):
        render_segment(info, segment, PATH, tmp_path / f"{number}.mp4", VideoOptions(), silent)
        files.append((segment.begin or 0, tmp_path / f"{number}.mp4"))
    join(files, tmp_path / "parts.mp4", info, None)
    pano_sound.render(film, PATH, tmp_path / "once.mp4", RenderOptions(start="2.05", end="9.5"))
    same(tmp_path / "once.mp4", tmp_path / "parts.mp4")


@pytest.mark.slow
def test_several_files_are_one_film(tmp_path):
    films_of_it = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        films_of_it.append(made(tmp_path / name))
    info = probe(films_of_it)
    files = []
    for number, segment in enumerate(segments(info, 3.0)):
        render_segment(info, segment, PATH, tmp_path / f"{number}.mp4", VideoOptions(), silent)
        files.append((segment.begin or 0, tmp_path / f"{number}.mp4"))
    join(files, tmp_path / "parts.mp4", info, None)
    pano_sound.render(films_of_it, PATH, tmp_path / "once.mp4")
    same(tmp_path / "once.mp4", tmp_path / "parts.mp4")


def test_a_segment_without_pictures_raises_and_leaves_no_file(tmp_path):
    times = [t if t < 3 else t + 5 for t in EVEN]
    info = probe(made(tmp_path, times=times))
    ticks = [round(t / info.video.time_base) for t in (4, 6)]
    with pytest.raises(NoPictureError):
        render_segment(info, Segment(*ticks), PATH, tmp_path / "a.mp4", VideoOptions(), silent)
    assert not (tmp_path / "a.mp4").exists()


def test_segments_of_different_encoders_are_not_joined(tmp_path):
    info = probe(made(tmp_path))
    parts = segments(info, 3.9)
    for number, codec in enumerate(("libx264", "libx265")):
        render_segment(info, parts[number], PATH, tmp_path / f"{number}.mp4", VideoOptions(codec=codec), silent)
    files = [(segment.begin or 0, tmp_path / f"{n}.mp4") for n, segment in enumerate(parts)]
    with pytest.raises(OutputError, match="different encoders"):
        join(files, tmp_path / "out.mp4", info, None)
    (tmp_path / "1.mp4").write_bytes(b"no film")
    with pytest.raises(InputError, match="segment"):
        join(files, tmp_path / "out.mp4", info, None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.mp4", "1.mp4", "film.mp4"]


def test_segments_follow_one_another_without_gaps(tmp_path):
    info = probe(made(tmp_path))
    assert segments(info, 4.1) == [WHOLE]
    found = segments(info, 1.9)
    assert [found[0].begin, found[-1].end] == [None, None]
    assert [s.end for s in found[:-1]] == [s.begin for s in found[1:]]
    assert len(found) == 4
    edges = [float(s.begin * info.video.time_base) for s in found[1:]]
    assert edges == pytest.approx([2, 4, 6], abs=1e-3)
    assert all(s.begin % 2 == 0 for s in found[1:])
    assert segments(dataclasses.replace(info, duration=0.0)) == [WHOLE]
    # Its header says that it is longer than it is.
    assert segments(dataclasses.replace(info, duration=900.0), 100.0) == [WHOLE]


@pytest.mark.parametrize(
    ("times", "every"),
    [
        pytest.param(VARIABLE[:61], 0.5, id="variable-short", marks=pytest.mark.slow),
        pytest.param(VARIABLE, 0.5, id="variable-0.5", marks=pytest.mark.slow),
        pytest.param(EVEN, 0.5, id="even-0.5", marks=pytest.mark.slow),
        pytest.param(NTSC, 0.3, id="ntsc-0.3", marks=pytest.mark.slow),
        pytest.param(EVEN, 0.3, id="even-0.3", marks=pytest.mark.slow),
        pytest.param(VARIABLE, 0.0, id="variable-0", marks=pytest.mark.slow),
    ],
)
def test_sound_maps_are_those_of_the_whole(tmp_path, tiny, times, every):
    info = probe(made(tmp_path, times=times))
    settings = ListeningOptions(model=tiny, every=every, window=1.0)
    whole = analyse_segment(info, settings, silent)
    cut = segments(info, info.duration / 4.1)
    assert len(cut) > 3
    found = joined([analyse_segment(info, settings, silent, segment) for segment in cut])
    assert np.array_equal(found.times, whole.times)
    assert found.level_db == pytest.approx(whole.level_db, abs=0.01)
    # The network's convolutions round differently over other lengths of sound, and sharp maps show it more.
    assert found.posterior == pytest.approx(whole.posterior, abs=2e-3)
    assert found.elsewhere == pytest.approx(whole.elsewhere, abs=2e-3)
    assert found.cues.keys() == whole.cues.keys()
    for name, maps in found.cues.items():
        assert maps == pytest.approx(whole.cues[name], abs=0.02), name
    assert found.source == whole.source


@pytest.mark.slow
def test_cuts_at_the_ends_of_segments_are_found(tmp_path, tiny):
    levels = [40] * 20 + [200] * 20 + [90] * 15 + [230] * 25
    info = probe(made(tmp_path, levels=levels))
    settings = ListeningOptions(model=tiny)
    whole = analyse_segment(info, settings, silent)
    assert whole.cuts == pytest.approx([1.95, 3.95, 5.45])
    found = joined([analyse_segment(info, settings, silent, segment) for segment in segments(info, 2.0)])
    assert found.cuts == pytest.approx(whole.cuts)


def test_a_segment_without_pictures_has_an_empty_sound_map(tmp_path, tiny):
    info = probe(made(tmp_path, times=[t if t < 3 else t + 9 for t in EVEN]))
    ticks = [round(t / info.video.time_base) for t in (6, 9)]
    found = analyse_segment(info, ListeningOptions(model=tiny), silent, Segment(*ticks))
    assert len(found) == 0
