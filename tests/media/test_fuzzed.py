"""Damage that `benchmarks/fuzz.py` once found to end in an unexpected error."""

import av
import films
import numpy as np
import pytest
from test_writer import rewrite

from pano_sound.media.cuts import CutFinder
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.sound import SoundReader


@pytest.mark.parametrize(("codec", "sound_codec"), [("mpeg2video", "ac3"), ("libx264", "aac")])
def test_a_sound_track_without_readable_packets_is_silent(tmp_path, codec, sound_codec):
    """A transport stream announces the track; no packet says how many channels it has."""
    path = films.make_film(
        tmp_path / "a.ts",
        films.steady(20, 25),
        time_base=films.Fraction(1, 25),
        codec=codec,
        sound=films.tone(0.5),
        sound_codec=sound_codec,
        holes=[(-1, 100)],
    )
    assert sum(1 for _ in VideoReader(probe(path)).pictures()) == 20
    assert not any(block.any() for block in SoundReader(probe(path), 16000).blocks(1))
    rewrite(path, tmp_path / "b.mp4")
    assert sum(1 for _ in VideoReader(probe(tmp_path / "b.mp4")).pictures()) == 20


@pytest.mark.parametrize("sound_codec", ["flac", "aac", "libopus"])
@pytest.mark.parametrize("output", ["b.mp4", "b.mkv"])
def test_a_track_that_states_no_channels_is_read_and_written(tmp_path, sound_codec, output):
    path = films.make_film(tmp_path / "a.mkv", films.steady(20), sound=films.tone(0.7), sound_codec=sound_codec)
    content = path.read_bytes()
    at = content.index(b"\x9f\x81\x02")  # Channels, one byte: 2
    path.write_bytes(content[:at] + b"\x9f\x81\x00" + content[at + 3 :])
    assert probe(path).video is not None
    list(SoundReader(probe(path), 16000).blocks(1))
    rewrite(path, tmp_path / output)
    assert sum(1 for _ in VideoReader(probe(tmp_path / output)).pictures()) == 20


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_pictures_that_claim_to_last_for_days(tmp_path, container):
    """The film's length is right, but not its frame rate: run 126 of seed 14."""
    path = films.make_film(tmp_path / f"a.{container}", films.steady(12), sound=films.tone(0.4))
    content = bytearray(path.read_bytes())
    at = content.index(b"stts") + 16  # the length of each picture, after version, number of entries and of pictures
    content[at : at + 4] = (2298479592).to_bytes(4, "big")
    path.write_bytes(content)
    assert probe(path).duration == pytest.approx(0.4, abs=0.01)
    rewrite(path, tmp_path / "b.mp4")
    assert probe(tmp_path / "b.mp4").duration < 10


@pytest.mark.parametrize("sound_codec", ["aac", "flac", "libopus", "ac3"])
def test_copied_sound_that_does_not_decode_is_left_out(tmp_path, sound_codec, caplog):
    """A file with such packets stops some players."""
    path = films.make_film(tmp_path / "a.mp4", films.steady(60), sound=films.tone(2), sound_codec=sound_codec)
    films.damage(path, [10, 11, 12], "audio")
    rewrite(path, tmp_path / "b.mp4")
    made = SoundReader(probe(tmp_path / "b.mp4"), 16000)
    assert sum(len(block) for block in made.blocks(1)) == pytest.approx(32000, abs=1500)
    assert made.damaged_packets == 0


@pytest.mark.parametrize("at", range(9))
def test_one_picture_of_another_size_is_no_cut(at):
    """A damaged header of a Motion JPEG picture: run 1592 of seed 1."""
    finder = CutFinder()
    for n in range(9):
        black = np.zeros((96, 130 if n == at else 128), np.uint8)
        finder.add(n / 10, av.VideoFrame.from_ndarray(black, format="yuv420p"))
    finder.finish()
    assert finder.cuts == []


def test_a_cut_is_found_after_a_picture_of_another_size():
    finder = CutFinder()
    for n in range(40):
        grey = np.full((64, 130 if n == 5 else 128, 3), 40 if n < 20 else 200, np.uint8)
        finder.add(n / 10, av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p"))
    finder.finish()
    assert finder.cuts == [pytest.approx(1.95)]
