import logging
from fractions import Fraction

import films
import numpy as np
import pytest

from pano_sound.media.probe import probe
from pano_sound.media.sound import SoundReader


def whole(path, rate=16000, seconds=0.5):
    return np.concatenate([np.zeros(0, np.float32), *SoundReader(probe(path), rate).blocks(seconds)])


def onsets(sound, rate):
    """Times in s at which it becomes loud after at least 50 ms of quiet."""
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    return [] if not len(loud) else [loud[0] / rate, *(loud[1:][np.diff(loud) > rate // 20] / rate)]


def test_blocks_have_the_requested_size(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(60), sound=films.tone(2))
    blocks = list(SoundReader(probe(path), 22050).blocks(0.3))
    assert [len(b) for b in blocks[:-1]] == [6615] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= 6615
    assert sum(len(b) for b in blocks) == pytest.approx(2 * 22050, abs=22050 * 0.03)
    assert all(b.dtype == np.float32 for b in blocks)
    assert np.abs(blocks[2]).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("start", [0, Fraction(3, 10)])
def test_clicks_are_where_they_were_put(tmp_path, container, start):
    """`start`: of both picture and sound. The encoder's priming must not move anything."""
    times = [0.25, 0.8, 1.5]
    path = films.make_film(
        tmp_path / f"a.{container}",
        films.steady(60, start=start),
        sound=films.clicks(2, times),
        sound_start=start,
    )
    assert onsets(whole(path), 16000) == pytest.approx(times, abs=2e-3)


def test_late_sound_is_silence_before_and_early_sound_is_cut(tmp_path):
    sound = films.clicks(1, [0.5])
    late = films.make_film(tmp_path / "a.mp4", films.steady(60), sound=sound, sound_start=Fraction(7, 10))
    assert onsets(whole(late), 16000) == pytest.approx([1.2], abs=2e-3)
    early = films.make_film(tmp_path / "b.mp4", films.steady(60, start=Fraction(2, 10)), sound=sound)
    assert onsets(whole(early), 16000) == pytest.approx([0.3], abs=2e-3)
    assert len(whole(early)) == pytest.approx(0.8 * 16000, abs=400)


def test_gaps_are_silent_and_overlaps_dropped(tmp_path):
    sound = films.clicks(3, [0.5, 1.0, 2.5])
    path = films.make_film(tmp_path / "a.mkv", films.steady(90), sound=sound, holes=[(1.2, 2.2)])
    heard = whole(path)
    assert onsets(heard, 16000) == pytest.approx([0.5, 1.0, 2.5], abs=2e-3)
    assert len(heard) == pytest.approx(3 * 16000, abs=500)


def test_a_false_time_stamp_does_not_fill_the_disk_with_silence(tmp_path):
    path = films.make_film(tmp_path / "a.mkv", films.steady(30), sound=films.clicks(1, [0.2]), jump=(0.5, 40_000_000))
    assert len(whole(path)) < 2 * 16000


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1"), (4, "quad")])
def test_loud_channels_stay_within_full_scale(tmp_path, channels, layout):
    sound = films.tone(0.5, channels=channels, level=0.99)
    path = films.make_film(tmp_path / "a.mkv", size=(160, 120), sound=sound, layout=layout, sound_codec="flac")
    heard = np.abs(whole(path))
    assert 0.5 < heard.max() <= 1


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_sound_is_resampled_to_any_rate(tmp_path, rate):
    path = films.make_sound(tmp_path / "a.wav", films.tone(1, rate=44100, hz=1000), rate=44100)
    heard = whole(path, rate)
    assert len(heard) == pytest.approx(rate, abs=2)
    assert np.argmax(np.abs(np.fft.rfft(heard[:rate]))) == pytest.approx(1000, abs=1)


def test_a_film_without_sound_has_no_blocks(tmp_path):
    reader = SoundReader(probe(films.make_film(tmp_path / "a.mp4")), 16000)
    assert list(reader.blocks(1)) == []


def test_damage_is_skipped_keeps_time_and_is_reported_once(tmp_path, caplog):
    path = films.make_film(tmp_path / "a.mp4", films.steady(60), sound=films.clicks(2, [0.3, 1.6]))
    films.damage(path, range(40, 48), "audio")
    reader = SoundReader(probe(path), 16000)
    with caplog.at_level(logging.WARNING, "pano_sound"):
        heard = np.concatenate(list(reader.blocks(1)))
    assert onsets(heard, 16000) == pytest.approx([0.3, 1.6], abs=2e-3)
    assert reader.damaged_packets > 0
    assert len(caplog.records) == 1
