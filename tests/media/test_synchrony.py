"""Separate recordings of a film's sound."""

import re

import films
import numpy as np
import pytest
from test_ambisonics import wav
from test_writer import rewrite

from pano_sound.errors import UnsupportedInputError
from pano_sound.media.footage import Footage
from pano_sound.media.info import require_pannable
from pano_sound.media.probe import probe
from pano_sound.media.samples import stretched
from pano_sound.media.sound import SoundReader
from pano_sound.media.synchrony import synchronize
from pano_sound.options.input import InputOptions

RATE = 8000


def syllables(seconds, seed):
    """Noise that grows and fades five times a second."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.uniform(0.02, 0.3, round(seconds * 5) + 1) ** 2, RATE // 5)[: round(seconds * RATE)]
    return rng.normal(size=len(loud)) * loud * 3


def sampled(sound, at):
    """Sound at fractional places, by a spline; zero outside."""
    from scipy.interpolate import CubicSpline

    inside = (at >= 0) & (at <= len(sound) - 1)
    return np.where(inside, CubicSpline(np.arange(len(sound)), sound)(np.clip(at, 0, len(sound) - 1)), 0.0)


def noisy(sound, seed, level=0.005):
    return sound + level * np.random.default_rng(seed).normal(size=len(sound))


def recorded(sound, offset, drift, seconds):
    """What a recorder hears that starts `offset` seconds after the film and whose clock drifts."""
    at = (offset + np.arange(round(seconds * RATE)) / RATE * (1 + drift)) * RATE
    return noisy(sampled(sound, at), 2)


@pytest.mark.parametrize(("offset", "drift", "length"), [(3.7, 40e-6, 24), (-5.3, -90e-6, 24)])
def test_offset_and_drift_are_found_within_5_ms(tmp_path, offset, drift, length):
    sound = syllables(length, 1)
    film = wav(tmp_path / "film.wav", noisy(sound, 1)[None] * 0.8, RATE)
    other = wav(tmp_path / "recorder.wav", recorded(sound, offset, drift, length + 10)[None] * 0.8, RATE)
    found = synchronize(Footage((str(film),)), 0.0, length, other)
    for t in (max(0, -offset), length / 2, length - max(0, offset)):
        assert found.begin + t * (1 + found.drift) == pytest.approx(offset + t * (1 + drift), abs=0.005)
    assert found.agreeing >= 0.8 * found.pieces
    assert "; sure: " in str(found)


def test_another_recording_is_refused(tmp_path):
    film = wav(tmp_path / "film.wav", syllables(25, 1)[None], RATE)
    for other, why in (
        (syllables(50, 2), "does not match"),
        (np.zeros(50 * RATE), "does not match"),
        (syllables(1, 1), "3 s"),
    ):
        with pytest.raises(UnsupportedInputError, match=why):
            synchronize(Footage((str(film),)), 0.0, 25.0, wav(tmp_path / "other.wav", other[None], RATE))


def test_it_is_said_whose_sound_is_missing(tmp_path):
    mute = films.make_film(tmp_path / "mute.mp4")
    film = films.make_film(tmp_path / "a.mp4", sound=films.tone(0.4))
    for path in (film, mute):
        with pytest.raises(UnsupportedInputError, match=r"mute\.mp4: the recording has no sound"):
            probe(path, InputOptions(sound=mute))
    with pytest.raises(UnsupportedInputError, match=r"mute\.mp4: the film has no sound"):
        probe(mute, InputOptions(sound=film))


@pytest.mark.parametrize(
    ("length", "told"), [(6, "it ends 5.0 s before the film, which is silent from there"), (14, "")]
)
def test_a_recording_that_ends_before_the_film_is_told(tmp_path, length, told):
    sound = syllables(12, 1)
    film = films.make_film(tmp_path / "a.mkv", films.steady(12, 1), sound=sound[None], rate=RATE, layout="mono")
    recorder = wav(tmp_path / "r.wav", recorded(sound, 1.0, 0.0, length)[None], RATE)
    said = probe(film, InputOptions(sound=recorder)).audio.assumed
    assert told in said
    assert ("silent" in said) == bool(told)


@pytest.mark.slow
def test_a_film_is_heard_through_its_recorder(tmp_path, caplog):
    """The output has the recorder's sound, in time, and only as long as the film."""
    sound = syllables(12, 1)
    path = films.make_film(
        tmp_path / "a.mkv", films.steady(12, 1), sound=np.tile(sound[::1], (2, 1)), rate=RATE, sound_codec="pcm_s16le"
    )
    other = recorded(sound, 1.5, 0.0, 14)
    recorder = wav(tmp_path / "r.wav", np.tile(other, (2, 1)) * 0.5, RATE)
    info = require_pannable(probe(path, InputOptions(sound=recorder)))
    told = re.search(r"r\.wav: it begins 1\.(\d+) s after the film.*sure: \d of \d pieces", caplog.text)
    assert abs(float(f"1.{told[1]}") - 1.5) < 0.005
    heard = np.concatenate(list(SoundReader(info, RATE).blocks(1.0)))
    assert len(heard) == pytest.approx(12 * RATE, abs=RATE / 20)
    assert np.abs(heard[: round(1.4 * RATE)]).max() < 1e-3
    at = round(3.0 * RATE)
    assert np.corrcoef(heard[at : at + RATE], sampled(sound, np.arange(at, at + RATE)))[0, 1] > 0.9
    part = probe(path, InputOptions(sound=recorder, start=2.0, end=4.0))
    again = np.concatenate(list(SoundReader(part, RATE).blocks(1.0)))
    assert np.corrcoef(again[:RATE], heard[2 * RATE : 3 * RATE])[0, 1] > 0.99
    made = rewrite(info, tmp_path / "b.mp4")
    assert made.audio.end == pytest.approx(12.0, abs=0.1)


@pytest.mark.parametrize("length", [1.0, 1.0004, 0.9997])
def test_stretched_sound_is_the_same_sound_at_other_times(length):
    t = np.arange(40000) / RATE
    sound = np.sin(2 * np.pi * 500 * t)[None].astype(np.float32)
    found = np.concatenate(list(stretched([sound[:, :777], sound[:, 777:30000], sound[:, 30000:]], length)), axis=1)
    n = np.arange(100, 39000)
    assert found.shape[1] == pytest.approx(40000 * length, abs=2)
    assert found[0, n] == pytest.approx(np.sin(2 * np.pi * 500 * n / RATE / length), abs=2e-3)


@pytest.mark.parametrize("length", [1.0, 1.0004, 0.9997])
@pytest.mark.parametrize("sizes", [[2, 3], [23, 1], [1, 1, 8998], [1] * 300, [11, 13, 8000, 24, 25, 0, 7]], ids=str)
def test_stretched_sound_may_come_in_pieces_of_any_length(sizes, length):
    sound = np.random.default_rng(3).normal(size=(2, sum(sizes))).astype(np.float32)
    padded = np.pad(sound, ((0, 0), (0, 100)))
    whole = np.concatenate(list(stretched([padded], length)), axis=1)
    found = np.concatenate(list(stretched(np.split(sound, np.cumsum(sizes)[:-1], axis=1), length)), axis=1)
    assert found.shape[1] == pytest.approx(sum(sizes) * length, abs=2)
    assert np.allclose(found, whole[:, : found.shape[1]], atol=1e-6)
