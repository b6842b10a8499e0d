import threading
import wave
from fractions import Fraction

import films
import numpy as np
import pytest

from pano_sound.localize.cue import Cue, Pictures, Sound
from pano_sound.media.probe import probe
from pano_sound.media.sound import SoundReader
from pano_sound.options.input import InputOptions
from pano_sound.pipeline.passes import FilmPart, Schedule, feed_pictures, feed_sound


def silent(stage, done, total):
    pass


class Recorder(Cue):
    names = ("recorder",)

    def __init__(self, pictures, sound=None):
        self.pictures, self.sound, self.log = pictures, sound, []

    def add_sound(self, block):
        self.log.append(("sound", block.shape[-1]))

    def add_picture(self, t, picture):
        self.log.append(("picture", t, picture.shape, int(picture.mean())))

    def request(self, t):
        self.log.append(("request", t))

    def of(self, what):
        return [entry[1] for entry in self.log if entry[0] == what]

    def evidence(self, times):
        return {}


def test_each_cue_gets_the_pictures_it_needs_from_one_pass(tmp_path):
    film = films.make_film(tmp_path / "a.mp4", films.steady(60, 30), size=(128, 64), sound=films.tone(2.0))
    film_part = FilmPart(probe(film))
    each, fast, slow, asked = (Recorder(Pictures(16, 8, grey=True, rate=r)) for r in (60.0, 15.0, 1.0, 0.0))
    colour = Recorder(Pictures(16, 8, rate=15.0), Sound(8000))
    cues = [each, fast, slow, asked, colour]
    feed_sound(film_part, cues, silent)
    found = feed_pictures(film_part, cues, 0.5, silent)
    assert found.times == pytest.approx([0, 0.5, 1.0, 1.5], abs=0.04)
    for cue, count in ((each, 60), (fast, 30), (slow, 2), (asked, 4), (colour, 30)):
        assert len(cue.of("picture")) == count
        assert np.ptp(np.diff(cue.of("picture"))) < 0.04
        assert cue.of("request") == found.times
    assert fast.log[0][2] == (8, 16)
    first = next(entry for entry in colour.log if entry[0] == "picture")
    assert first[2] == (8, 16, 3)
    assert sum(colour.of("sound")) == pytest.approx(16000, abs=400)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize(("fps", "start"), [(30, 0.45), (60, 0.525), (50, 0.55), (30, 0.48), (films.NTSC, 0.5)])
def test_a_part_s_pictures_are_as_evenly_spaced_as_the_film_s(tmp_path, fps, start, ending):
    film = films.make_film(tmp_path / f"a.{ending}", films.steady(120, fps), size=(128, 64))
    fast = Recorder(Pictures(16, 8, grey=True, rate=15.0))
    feed_pictures(FilmPart(probe(film, InputOptions(start=start))), [fast], 0.5, silent)
    # The first one, which is on the screen when the part begins, comes early.
    assert np.diff(fast.of("picture"))[1:] == pytest.approx(round(float(fps) / 16) / float(fps), abs=0.002)


def test_sound_is_read_once_for_all_that_want_it_alike(tmp_path, monkeypatch):
    film = films.make_film(tmp_path / "a.mp4", films.steady(60, 30), size=(128, 64), sound=films.tone(2.0))
    read = []

    class Counting(SoundReader):
        def __init__(self, info, rate, channels):
            read.append((rate, channels, info.footage.start))
            super().__init__(info, rate, channels)

    monkeypatch.setattr("pano_sound.pipeline.passes.SoundReader", Counting)
    wanted = Sound(16_000), Sound(16_000, hop=4000), Sound(16_000, hop=6000), Sound(8000)
    cues = [Recorder(None, sound) for sound in wanted]
    feed_sound(FilmPart(probe(film)), cues, silent)
    assert read == [(16_000, "mono", None), (8000, "mono", None)]
    assert [sum(cue.of("sound")) for cue in cues] == pytest.approx([32_000, 32_000, 32_000, 16_000], abs=800)


def test_pictures_come_from_the_twin_at_the_films_times(tmp_path):
    film = films.make_film(tmp_path / "a.mp4", films.steady(30, 30), size=(128, 64), levels=[40] * 30)
    twin = films.make_film(tmp_path / "b.mp4", films.steady(30, 30), size=(64, 32), levels=[200] * 30)
    cue = Recorder(Pictures(16, 8, grey=True, rate=15.0))
    found = feed_pictures(FilmPart(probe(film), twin=probe(twin)), [cue], 0.5, silent)
    assert found.times == pytest.approx([0, 0.5], abs=0.04)
    assert len(cue.of("picture")) == 15
    assert min(entry[3] for entry in cue.log if entry[0] == "picture") > 120


def test_films_of_variable_rate_have_enough_pictures_throughout(tmp_path):
    fast, slow = films.steady(90, 45), [2 + Fraction(2 * n + 1, 30) for n in range(30)]  # On average 30 per second.
    film = films.make_film(tmp_path / "a.mp4", fast + slow, time_base=Fraction(1, 90000))
    cue = Recorder(Pictures(16, 8, grey=True, rate=15.0))
    feed_pictures(FilmPart(probe(film)), [cue], 0.5, silent)
    times = np.array(cue.of("picture"))
    assert (times < 2).sum() >= 30
    assert (times > 2).sum() == 30


def test_one_picture_is_due_in_each_period_and_every_picture_without_one():
    times = [Fraction(n, 30) + 1 for n in range(60)]
    schedule = Schedule(0.5, Fraction(1))
    assert [t for t in times if schedule.due(t)] == [1, Fraction(3, 2), 2, Fraction(5, 2)]
    assert all(map(Schedule(0.0, Fraction(1)).due, times))


@pytest.mark.parametrize("call", ["add_picture", "add_cut", "request", "end_pictures"])
def test_an_exception_in_a_cue_ends_the_pass_and_its_threads(tmp_path, monkeypatch, call):
    film = films.make_film(tmp_path / "a.mp4", films.steady(60, 30), size=(128, 64))
    cues = [Recorder(Pictures(16, 8)), Recorder(Pictures(16, 8, grey=True, rate=15.0))]

    def fail(*_):
        raise MemoryError(call)

    monkeypatch.setattr(cues[1], call, fail)
    monkeypatch.setattr("pano_sound.media.cuts.CutFinder.add", lambda self, t, frame: self.cuts.append(t))
    before = set(threading.enumerate())
    with pytest.raises(MemoryError, match=call):
        feed_pictures(FilmPart(probe(film)), cues, 0.5, silent)
    assert not set(threading.enumerate()) - before


def test_sound_without_pictures_is_analysed(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.full(32_000, 8000, np.int16).tobytes())
    level = feed_sound(FilmPart(probe(tmp_path / "a.wav")), [], lambda *_: None)
    assert level.at([1.0], 0.5)[0] == pytest.approx(20 * np.log10(8000 / 32768), abs=0.1)
