"""Clocks that restart or jump inside a file: the film goes on where it stopped, with picture and sound in sync."""

from __future__ import annotations

import logging
from fractions import Fraction
from types import SimpleNamespace

import films
import numpy as np
import pytest
from test_sound import onsets
from test_writer import rewrite

from pano_sound.media.clock import read_clock
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.segments import part, segments
from pano_sound.media.sound import SoundReader
from pano_sound.options.input import InputOptions


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


FPS, SECONDS = 30, 2
FLASH = 0.5
"""Seconds after the start of each second at which a bright picture and a click come."""


def piece(path, start, sound=True, codec="libx264"):
    levels = [200 if n % FPS == FPS * FLASH else 40 for n in range(SECONDS * FPS)]
    clicks = films.clicks(SECONDS, [n + FLASH for n in range(SECONDS)])
    return films.make_film(
        path,
        films.steady(SECONDS * FPS, FPS, start=Fraction(start)),
        levels=levels,
        codec=codec,
        time_base=Fraction(1, FPS) if codec == "mpeg2video" else Fraction(1, 30000),
        sound=clicks if sound else None,
        sound_start=Fraction(start),
    )


def spliced(folder, starts, **how):
    """Transport streams, each of SECONDS, whose clocks begin at these seconds, one after another in one file."""
    path = folder / "film.ts"
    path.write_bytes(b"".join(piece(folder / f"{n}.ts", s, **how).read_bytes() for n, s in enumerate(starts)))
    return path


def stalled(folder, container, seconds):
    """A recorder that pauses after SECONDS for that long, picture and sound alike."""
    count = SECONDS * FPS
    times = [t + (seconds if n >= count else 0) for n, t in enumerate(films.steady(2 * count, FPS))]
    levels = [200 if n % FPS == FPS * FLASH else 40 for n in range(2 * count)]
    return films.make_film(
        folder / f"film.{container}",
        times,
        levels=levels,
        sound=films.clicks(2 * SECONDS, [n + FLASH for n in range(2 * SECONDS)]),
        jump=(SECONDS - 0.01, seconds),
    )


def check(path, pieces, caplog, sound=True, out=None):
    """All pictures are there, evenly, with a flash and a click each second; and one line says that the clock jumps."""
    with caplog.at_level(logging.WARNING, "pano_sound"):
        info = probe(path)
        with VideoReader(info) as reader:
            pictures = list(reader.pictures())
            assert reader.corrupt_frames == 0
        heard = SoundReader(info, 16000)
        clicks = np.array(onsets(np.concatenate([np.zeros(0), *heard.blocks(1)]), 16000)) + info.start
        assert heard.damaged_packets == 0
    assert len(caplog.messages) == 1
    assert "the jumps are left out" in caplog.messages[0]
    caplog.clear()
    times = np.array([p.t for p in pictures])
    assert len(times) == pieces * SECONDS * FPS
    assert np.diff(times) == pytest.approx(1 / FPS, abs=2e-3)
    flashes = times[[p.planes[0].mean() > 120 for p in pictures]]
    assert flashes - times[0] == pytest.approx(np.arange(pieces * SECONDS) + FLASH, abs=5e-3)
    if sound:
        assert clicks == pytest.approx(flashes, abs=5e-3)
    assert info.duration == pytest.approx(pieces * SECONDS, abs=0.01)
    if out is not None:
        made = rewrite(info, out)
        check_written(out, made, pieces, sound)


def check_written(out, made, pieces, sound):
    pictures = list(VideoReader(made).pictures())
    assert len(pictures) == pieces * SECONDS * FPS
    flashes = [p.t for p in pictures if p.planes[0].mean() > 120]
    assert np.diff(flashes) == pytest.approx(1, abs=5e-3)
    if sound:
        clicks = onsets(np.concatenate(list(SoundReader(made, 16000).blocks(1))), 16000)
        assert np.array(clicks) + made.start == pytest.approx(flashes, abs=5e-3)
    assert made.duration == pytest.approx(pieces * SECONDS, abs=0.05)


@pytest.mark.parametrize(
    "starts",
    [(0, 0), (100, 3), (0, 5000), *(slow(starts) for starts in [(0, 0, 0), (3, 2), (0, 40000), (7, 7000, 1, 90)])],
    ids=lambda starts: "-".join(map(str, starts)),
)
def test_spliced_transport_streams(tmp_path, starts, caplog):
    check(spliced(tmp_path, starts), len(starts), caplog, out=tmp_path / "b.mp4")


@pytest.mark.parametrize("starts", [(0, 1.5), (0, 5000, 5001.5)], ids=["no jump before", "after a jump"])
def test_pictures_that_repeat_the_same_times_are_damage(tmp_path, starts):
    with VideoReader(probe(spliced(tmp_path, starts))) as reader:
        pictures = len(list(reader.pictures()))
    assert reader.corrupt_frames == len(starts) * SECONDS * FPS - pictures > 0


@pytest.mark.parametrize("starts", [(0, 0), (50, 3), (0, 5000)], ids=lambda starts: "-".join(map(str, starts)))
@pytest.mark.parametrize("codec", ["libx264", slow("libx265"), slow("mpeg2video")])
def test_spliced_streams_without_sound(tmp_path, starts, codec, caplog):
    check(spliced(tmp_path, starts, sound=False, codec=codec), len(starts), caplog, sound=False)


@pytest.mark.parametrize("seconds", [11, slow(4000)])
@pytest.mark.parametrize("container", ["mp4", slow("mov"), "mkv", slow("ts")])
def test_a_recording_that_was_paused(tmp_path, container, seconds, caplog):
    check(stalled(tmp_path, container, seconds), 2, caplog, out=tmp_path / "b.mp4")


def test_a_piece_without_sound_is_silent(tmp_path, caplog):
    path = tmp_path / "film.ts"
    pieces = [piece(tmp_path / "0.ts", 0), piece(tmp_path / "1.ts", 0, sound=False), piece(tmp_path / "2.ts", 0)]
    path.write_bytes(b"".join(p.read_bytes() for p in pieces))
    info = probe(path)
    clicks = onsets(np.concatenate(list(SoundReader(info, 16000).blocks(1))), 16000)
    assert clicks == pytest.approx([0.5, 1.5, 4.5, 5.5], abs=5e-3)
    assert len(list(VideoReader(info).pictures())) == 3 * SECONDS * FPS


@pytest.mark.parametrize("start", ["1.25", "2.5", "4.75"])
def test_parts_of_a_spliced_stream_are_in_time(tmp_path, start):
    info = probe(spliced(tmp_path, (0, 0, 0)), InputOptions(start=start))
    with VideoReader(info) as reader:
        flashes = [p.t for p in reader.pictures() if p.planes[0].mean() > 120]
    shift = 0.0213  # its sound's priming, with which a transport stream's clock begins
    expected = [n + FLASH + shift - float(start) for n in range(6) if n + FLASH + shift >= float(start)]
    assert flashes == pytest.approx(expected, abs=5e-3)
    clicks = onsets(np.concatenate(list(SoundReader(info, 16000).blocks(1))), 16000)
    assert np.array(clicks) + info.start == pytest.approx(flashes, abs=5e-3)


def test_segments_of_a_spliced_stream_hold_each_picture_once(tmp_path):
    info = probe(spliced(tmp_path, (5, 0, 900)))
    whole = [p.t for p in VideoReader(info).pictures()]
    found = []
    for segment in segments(info, 1.5):
        begin, end = (None if t is None else t * info.video.time_base for t in (segment.begin, segment.end))
        own = part(info, begin, end)
        found += [p.t + own.origin for p in VideoReader(own).pictures()]
    assert found == pytest.approx(whole, abs=1e-4)


def test_a_chapter_of_a_longer_film(tmp_path):
    plain = piece(tmp_path / "a.mp4", 0)
    info = probe([plain, spliced(tmp_path, (9, 0)), plain])
    pictures = list(VideoReader(info).pictures())
    flashes = [p.t for p in pictures if p.planes[0].mean() > 120]
    assert flashes == pytest.approx(np.arange(8) + FLASH, abs=5e-3)
    clicks = onsets(np.concatenate(list(SoundReader(info, 16000).blocks(1))), 16000)
    assert clicks == pytest.approx(flashes, abs=5e-3)


NO_JUMPS = {
    "a picture each minute": {"times": films.steady(6, Fraction(1, 60)), "time_base": Fraction(1, 1000)},
    "a picture that is shown for 20 s while sound goes on": {
        "times": [Fraction(n, 10) + (20 if n > 15 else 0) for n in range(30)],
        "sound": films.tone(23),
    },
    "sound with a hole": {"times": films.steady(18, 1), "sound": films.tone(18), "holes": [(3, 15)]},
    "a last picture of false time": {"times": [*films.steady(30), Fraction(4000)]},
}


@pytest.mark.parametrize("container", ["mp4", slow("mkv"), slow("ts")])
@pytest.mark.parametrize("name", NO_JUMPS)
def test_differences_that_are_not_jumps(tmp_path, name, container, caplog):
    if container == "ts" and "minute" in name:
        pytest.skip("FFmpeg takes such a transport stream for one of a second or so")
    path = films.make_film(tmp_path / f"a.{container}", **NO_JUMPS[name])
    with caplog.at_level(logging.WARNING, "pano_sound"):
        info = probe(path)
    assert caplog.messages == []
    assert info.footage.clocks == ()
    times = np.array([p.t for p in VideoReader(info).pictures()])
    if "false" not in name:
        assert np.diff(times) == pytest.approx(np.diff(np.array(NO_JUMPS[name]["times"], float)), abs=2e-3)


class Container:
    """Packets as PyAV returns them: (stream, time in s) in file order, a byte each."""

    def __init__(self, packets):
        self.format = SimpleNamespace(name="mpegts")
        self._packets = [
            SimpleNamespace(stream_index=s, dts=round(t * 1000), pts=round(t * 1000), size=1, pos=n)
            for n, (s, t) in enumerate(packets)
        ]

    def demux(self, _):
        return iter(self._packets)


PICTURE, SOUND = (SimpleNamespace(index=n, time_base=Fraction(1, 1000)) for n in (0, 1))


def interleaved(*pieces):
    """Packets of picture and sound each tenth of a second, of pieces (begin, seconds)."""
    return [(s, a + n / 10) for a, seconds in pieces for n in range(round(seconds * 10)) for s in (0, 1)]


@pytest.mark.parametrize(
    ("pieces", "shifts"),
    [
        ([(0, 5)], None),
        ([(0, 5), (0, 5)], [5]),
        ([(0, 5), (0, 3), (50, 5)], [5, -42]),
        ([(0, 5), (5.5, 5)], None),
        ([(0, 5), (14, 5)], None),
        ([(0, 5), (16, 5)], [-11]),
        ([(10, 5), (14.5, 5)], None),
        ([(10, 5), (13, 5)], [2]),
    ],
)
def test_jumps_of_the_clock_are_told_apart_from_gaps(pieces, shifts):
    clock = read_clock(Container(interleaved(*pieces)), PICTURE, SOUND, 100)
    assert ([float(jump.shift) for jump in clock.jumps] if clock else None) == shifts
    if clock:
        assert float(clock.end) == pytest.approx(pieces[0][0] + sum(seconds for _, seconds in pieces), abs=1e-3)


@pytest.mark.parametrize("false", [-30, -2, 15, 1e5])
@pytest.mark.parametrize("where", [1, 17, 48, 49])
@pytest.mark.parametrize("count", [1, 2])
def test_damaged_time_stamps_are_not_jumps(false, where, count):
    packets = interleaved((100, 5))
    for n in range(where, min(where + count, 50)):
        packets[2 * n] = (0, packets[2 * n][1] + false * (1 + n))
    assert read_clock(Container(packets), PICTURE, SOUND, 100) is None


def test_sound_may_jump_later_in_the_file_than_the_picture():
    """Containers store sound and picture of one moment up to a second apart."""
    packets = interleaved((0, 5), (0, 5))
    pictures, sound = [p for p in packets if p[0] == 0], [p for p in packets if p[0] == 1]
    late = [x for n in range(100) for x in ((pictures[n],) if n < 8 else (pictures[n], sound[n - 8]))]
    clock = read_clock(Container(late + sound[92:]), PICTURE, SOUND, 100)
    (jump,) = clock.jumps
    assert float(jump.shift) == 5
    stored = late + sound[92:]
    assert [stored[place] for _, place in jump.places] == [(0, 0.0), (1, 0.0)]
