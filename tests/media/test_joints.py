"""Sound stays in place where files are joined, and where an edit list leaves something out."""

from __future__ import annotations

import logging
import struct

import films
import numpy as np
import pytest
from test_sound import onsets
from test_writer import rewrite

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.errors import InputError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.sound import SoundReader
from pano_sound.options.input import InputOptions
from pano_sound.options.steps import RenderOptions

CHAPTERS = 20
RATE = 48000
KINDS = {
    # (container, codec, seconds of sound beside 0.5 s of pictures)
    "AAC in mp4": ("mp4", "aac", 0.5),
    "AAC in mov": ("mov", "aac", 0.5),
    "AAC in mkv": ("mkv", "aac", 0.5),
    "AAC in ts": ("ts", "aac", 0.5),
    "MP3": ("mp4", "mp3", 0.5),
    "AC-3": ("mp4", "ac3", 0.5),
    "Opus": ("mkv", "libopus", 0.5),
    "FLAC": ("mkv", "flac", 0.5),
    "PCM": ("mov", "pcm_s16le", 0.5),
    "sound that is shorter": ("mp4", "aac", 0.47),
    "sound that is longer": ("mp4", "aac", 0.55),
}


STILL = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))


def heard(path, info=None):
    reader = SoundReader(info or probe(path), RATE)
    return np.concatenate([np.zeros(0, np.float32), *reader.blocks(1)]), reader.damaged_packets


ALWAYS = ("AAC in mp4", "AAC in ts", "Opus", "sound that is shorter", "sound that is longer")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in ALWAYS else pytest.mark.slow) for kind in KINDS]
)
def test_sound_does_not_drift_from_chapter_to_chapter(tmp_path, kind):
    container, codec, seconds = KINDS[kind]
    path = films.make_film(
        tmp_path / f"a.{container}", films.steady(15), sound=films.clicks(seconds, [0.25]), sound_codec=codec
    )
    info = probe([path] * CHAPTERS)
    assert info.duration == pytest.approx(CHAPTERS / 2, abs=1e-3)
    pictures = [p.t for p in VideoReader(info).pictures()]
    assert len(pictures) == 15 * CHAPTERS
    begins = np.array(pictures[::15])
    sound, damaged = heard(path, info)
    assert damaged == 0
    clicks = np.array(onsets(sound, RATE))
    assert len(clicks) == CHAPTERS
    drift = clicks - (begins - info.start)
    assert np.abs(drift - drift[0]).max() < 0.5e-3


@pytest.mark.parametrize("output", ["b.mp4", pytest.param("b.mkv", marks=pytest.mark.slow)])
def test_sound_does_not_drift_in_what_is_written_either(tmp_path, output):
    path = films.make_film(tmp_path / "a.mp4", films.steady(15), sound=films.clicks(0.5, [0.25]))
    made = rewrite(probe([path] * CHAPTERS), tmp_path / output)
    clicks = np.array(onsets(heard(tmp_path / output)[0], RATE))
    assert clicks - clicks[0] == pytest.approx(0.5 * np.arange(CHAPTERS), abs=0.5e-3)
    assert clicks[0] == pytest.approx(0.25, abs=1.5e-3)
    assert made.duration == pytest.approx(CHAPTERS / 2, abs=0.01)


@pytest.mark.parametrize("output_sound", [None, "keep", "mono"])
def test_a_chapter_without_sound_is_silent(tmp_path, output_sound, caplog):
    loud = films.make_film(tmp_path / "a.mp4", films.steady(15), sound=films.clicks(0.5, [0.25]))
    silent = films.make_film(tmp_path / "b.mp4", films.steady(15))
    chapters = [loud, silent, loud, silent]
    assert onsets(heard(loud, probe(chapters))[0], RATE) == pytest.approx([0.25, 1.25], abs=1.5e-3)
    assert "b.mp4: has no sound: it stays silent" in caplog.text
    assert probe(chapters, InputOptions(audio_track=1)).audio.track == 1
    with pytest.raises(InputError, match="sound track 1 is not there"):
        probe([silent, loud], InputOptions(audio_track=1))
    pano_sound.render(chapters, STILL, tmp_path / "c.mp4", RenderOptions(output_sound=output_sound))
    assert onsets(heard(tmp_path / "c.mp4")[0], RATE) == pytest.approx([0.25, 1.25], abs=1.5e-3)
    made = rewrite(probe(chapters), tmp_path / "d.mp4")
    assert made.duration == pytest.approx(2, abs=0.01)
    assert onsets(heard(tmp_path / "d.mp4")[0], RATE) == pytest.approx([0.25, 1.25], abs=1.5e-3)


@pytest.mark.parametrize("output", ["c.mp4", "c.mkv"])
@pytest.mark.parametrize("last", [None, 0.1], ids=["silent", "shorter"])
def test_the_sound_lasts_as_long_as_the_film(tmp_path, last, output):
    loud = films.make_film(tmp_path / "a.mp4", films.steady(15), sound=films.clicks(0.5, [0.25]))
    sound = None if last is None else films.clicks(last, [])
    end = films.make_film(tmp_path / "b.mp4", films.steady(15), sound=sound)
    pano_sound.render([loud, loud, end, end], STILL, tmp_path / output)
    sound, _ = heard(tmp_path / output)
    assert len(sound) / RATE == pytest.approx(2, abs=0.025)
    assert onsets(sound, RATE) == pytest.approx([0.25, 0.75], abs=1.5e-3)


@pytest.mark.parametrize(("start", "end"), [(0.25, 0.9), (0.6, 0.9)], ids=["from before", "from within"])
def test_a_part_that_ends_in_a_silent_chapter_has_sound_to_its_end(tmp_path, start, end):
    loud = films.make_film(tmp_path / "a.mp4", films.steady(15), sound=films.tone(0.5))
    silent = films.make_film(tmp_path / "b.mp4", films.steady(15))
    pano_sound.render([loud, silent], STILL, tmp_path / "c.mp4", RenderOptions(start=start, end=end))
    sound, _ = heard(tmp_path / "c.mp4")
    assert len(sound) / RATE == pytest.approx(end - start, abs=0.025)
    assert np.abs(sound[round(max(0.3, 0.55 - start) * RATE) :]).max(initial=0) < 1e-3


def test_no_silence_follows_where_the_last_chapter_is_cut_short(tmp_path):
    """Such a file says that it is longer than its pictures are."""
    loud = films.make_film(tmp_path / "a.mp4", films.steady(15), sound=films.tone(0.5))
    options = {"movflags": "+faststart"}
    silent = films.make_film(tmp_path / "b.mp4", films.steady(150), options=options, encoder={"g": "15"})
    content = silent.read_bytes()
    silent.write_bytes(content[: len(content) * 6 // 10])
    pano_sound.render([loud, silent], STILL, tmp_path / "c.mp4")
    made = probe(tmp_path / "c.mp4")
    assert 1 < made.duration < 5
    assert made.audio.end == pytest.approx(made.duration, abs=0.1)


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_a_tone_goes_on_without_a_hole(tmp_path, container):
    """Chapters hold whole periods, so the tone should not change where they meet."""
    path = films.make_film(tmp_path / f"a.{container}", films.steady(15), sound=films.tone(0.5, hz=400))
    sound, _ = heard(path, probe([path] * 4))
    t = np.arange(len(sound)) / RATE
    wave = 0.5 * np.sin(2 * np.pi * 400 * t)
    inside = slice(2000, round(1.9 * RATE))
    assert np.abs(sound - wave)[inside].max() < 0.06


def with_edits(path, edits):
    """Give both tracks of an mp4 film of films.make_film these edits, (seconds, from which second of the media on)."""
    content = path.read_bytes()
    moov = content.index(b"moov") - 4
    (scale,) = struct.unpack_from(">I", content, content.index(b"mvhd") + 16)

    def changed(boxes, media_scale=0):
        out, at = b"", 0
        while at < len(boxes):
            size, name = struct.unpack_from(">I4s", boxes, at)
            inside = boxes[at + 8 : at + size]
            if name == b"trak":
                (media_scale,) = struct.unpack_from(">I", inside, inside.index(b"mdhd") + 16)
            if name in (b"moov", b"trak", b"edts"):
                inside = changed(inside, media_scale)
            elif name == b"elst":
                (count,) = struct.unpack_from(">I", inside, 4)
                (first,) = struct.unpack_from(">i", inside, 12 * count)
                entries = [(round(d * scale), first + round(m * media_scale), 1 << 16) for d, m in edits]
                inside = struct.pack(">II", 0, len(edits)) + b"".join(struct.pack(">IiI", *e) for e in entries)
            out += struct.pack(">I4s", len(inside) + 8, name) + inside
            at += size
        return out

    path.write_bytes(content[:moov] + changed(content[moov:]))
    return path


EDITS = {
    # Edits, and when the clicks at each half second of the media are heard.
    "from inside": ([(3, 1)], [0.5, 1.5, 2.5]),
    "two pieces": ([(1.4, 0.3), (1.2, 3.2)], [0.2, 1.2, 1.7]),
    "three pieces": ([(1, 0.1), (1, 2.1), (0.6, 4.1)], [0.4, 1.4, 2.4]),
    "backwards": ([(1, 3.1), (1, 1.1)], [0.4, 1.4]),
}


@pytest.mark.parametrize("container", ["mp4", pytest.param("mov", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", EDITS)
def test_packets_that_an_edit_list_leaves_out_are_not_damage(tmp_path, name, container, caplog):
    edits, clicks = EDITS[name]
    path = films.make_film(
        tmp_path / f"a.{container}",
        films.steady(150),
        levels=[40 + n for n in range(150)],
        sound=films.clicks(5, [0.5, 1.5, 2.5, 3.5, 4.5]),
        # With B-frames FFmpeg gives two pictures at such joints the times of their neighbours.
        encoder={"bf": "0"} if name == "three pieces" else {},
    )
    with_edits(path, edits)
    # FFmpeg places the sound of a later piece to the packet.
    slack = 1024 / RATE if len(edits) > 1 else 4e-3
    numbers = [round(30 * m) + n for d, m in edits for n in range(round(30 * d))]
    with caplog.at_level(logging.WARNING, "pano_sound"):
        with VideoReader(probe(path)) as reader:
            pictures = list(reader.pictures())
            assert reader.corrupt_frames == 0
        sound, damaged = heard(path)
        made = rewrite(path, tmp_path / "b.mp4")
        again = list(VideoReader(made).pictures())
    assert damaged == 0
    assert caplog.messages == []
    for read in (pictures, again):
        assert [p.planes[0].mean() for p in read] == pytest.approx([16 + (40 + n) * 219 / 255 for n in numbers], abs=2)
        assert [p.t for p in read] == pytest.approx([n / 30 for n in range(len(numbers))], abs=1e-3)
    assert onsets(sound, RATE) == pytest.approx(clicks, abs=slack)
    assert onsets(heard(tmp_path / "b.mp4")[0], RATE) == pytest.approx(clicks, abs=slack)
