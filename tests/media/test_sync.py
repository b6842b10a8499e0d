"""Pictures keep their times to the tick, and sound stays in sync with them, over ten minutes.

Everything is measured with PyAV alone, from the time stamps that any player goes by.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import av
import films
import numpy as np
import pytest
from combinations import covering

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.options.steps import RenderOptions

PATH = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
RATE = 48000


def phone(seconds, fps=30):
    """Times as phones make them: each picture early or late, some left out, now and then one for half a second."""
    rng = np.random.default_rng(0)
    number, times = 0, []
    while number < seconds * fps:
        times.append(Fraction(round((number / fps + rng.uniform(0, 0.4) / fps) * 90000), 90000))
        number += int(rng.choice([1, 2, 15], p=[0.949, 0.05, 0.001]))
    return times


@dataclass(frozen=True)
class Case:
    """A film in which a flash and a beep begin together, about each second."""

    fps: Fraction | int | None
    name: str
    output: str
    sound_codec: str
    start: Fraction = Fraction(0)
    sound_start: Fraction = Fraction(0)
    layout: str = "mono"
    holes: bool = False

    def __str__(self) -> str:
        return f"{'variable' if self.fps is None else round(float(self.fps), 3)}-{self.name}-{self.sound_codec}"

    def times(self, seconds):
        times = phone(seconds) if self.fps is None else films.steady(round(seconds * self.fps), self.fps)
        return [t + self.start for t in times]

    def holes_of(self, seconds):
        """A second is lost early on, and there is one long silence."""
        return ((0.1 * seconds, 0.1 * seconds + 1), (0.5 * seconds, 0.75 * seconds)) if self.holes else ()


CASES = [
    Case(films.NTSC, "a.mp4", "b.mp4", "aac"),
    Case(Fraction(24000, 1001), "a.mov", "b.mov", "pcm_s16le"),
    Case(Fraction(60000, 1001), "a.ts", "b.mp4", "aac", start=Fraction(10), sound_start=Fraction(10)),
    Case(25, "a.mkv", "b.mkv", "libopus", layout="quad"),
    Case(None, "a.mp4", "b.mp4", "aac", start=Fraction(1, 2), sound_start=Fraction(3, 10)),
    Case(None, "a.mkv", "b.mp4", "flac", holes=True),
]


def make(folder, case, seconds):
    """(path, times of the pictures, numbers of those that flash)."""
    times = case.times(seconds)
    numbers = [next(n for n, t in enumerate(times) if t - case.start >= s) for s in np.arange(0.5, seconds - 1)]
    levels = np.full(len(times), 30)
    levels[numbers] = 200
    beeps = films.clicks(seconds, [float(times[n] - case.sound_start) for n in numbers], RATE, 1)
    channels = {"mono": 1, "quad": 4}[case.layout]
    path = films.make_film(
        folder / case.name,
        times,
        time_base=Fraction(1, 90000) if case.fps is None else Fraction(1, 30000),
        levels=levels.tolist(),
        sound=np.repeat(beeps, channels, axis=0),
        sound_codec=case.sound_codec,
        sound_start=case.sound_start,
        layout=case.layout,
        holes=case.holes_of(seconds),
        options={"movflags": "faststart"} if case.name.endswith("mp4") else {},
    )
    return path, times, numbers


def stamps(path):
    """Exact presentation times in s, and how bright the pictures are."""
    with av.open(str(path)) as film:
        base = Fraction(film.streams.video[0].time_base)
        shown = [(f.pts * base, f.to_ndarray()[:64].mean()) for f in film.decode(video=0)]
    return [t for t, _ in shown], np.array([level for _, level in shown])


def beeps(path):
    """Presentation times in s at which sound begins after at least 0.3 s of silence."""
    found, latest = [], -1.0
    with av.open(str(path)) as film:
        base = Fraction(film.streams.audio[0].time_base)
        for frame in film.decode(audio=0):
            samples = frame.to_ndarray().astype(float)
            scale = 32768 if frame.format.name.startswith("s16") else 2**31 if frame.format.name[0] == "s" else 1
            loud = np.abs(samples.reshape(-1, frame.layout.nb_channels) if frame.format.is_packed else samples.T)
            begin = float(frame.pts * base)
            for at in np.flatnonzero(loud.max(axis=1) / scale > 0.2) / frame.sample_rate + begin:
                if at - latest > 0.3:
                    found.append(at)
                latest = at
    return np.array(found)


def measured(folder, case, seconds):
    """Seconds by which each beep comes after its flash, in the output of `render`; and their times."""
    source, times, numbers = make(folder, case, seconds)
    output = folder / case.output
    pano_sound.render(source, PATH, output, RenderOptions(encoder_preset="ultrafast"))
    shown, levels = stamps(output)
    assert len(shown) == len(times)
    assert np.flatnonzero(levels > 110).tolist() == numbers
    flashes = np.array([float(shown[n]) for n in numbers])
    heard = beeps(output)
    silent = np.zeros(len(flashes), bool)
    for begin, end in case.holes_of(seconds):
        silent |= (flashes > begin - 0.1) & (flashes < end + 0.1)
    offsets = []
    for flash in flashes[~silent]:
        nearest = heard[np.argmin(np.abs(heard - flash))]
        offsets.append(nearest - flash)
    assert len(heard) - len(offsets) <= silent.sum()
    return np.array(offsets), flashes[~silent]


@pytest.mark.parametrize(
    "case", [*CASES[:2], *(pytest.param(case, marks=pytest.mark.slow) for case in CASES[2:])], ids=str
)
def test_flash_and_beep_stay_together(tmp_path, case):
    offsets, _ = measured(tmp_path, case, 8)
    assert len(offsets) >= 4
    assert np.abs(offsets).max() < 0.005


LONG = [(case, 600 if case is CASES[0] else 200) for case in CASES]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "seconds"), LONG, ids=str)
def test_flash_and_beep_do_not_drift_apart(tmp_path, case, seconds):
    """To 5 ms at the worst, where a picture at the highest of these rates is shown for 17; to 1 ms in ten minutes."""
    offsets, flashes = measured(tmp_path, case, seconds)
    drift = np.polyfit(flashes, offsets, 1)[0] * 600
    print(f"| {case} | {len(offsets)} | {1e3 * offsets.min():+.1f} … {1e3 * offsets.max():+.1f} | {1e3 * drift:+.2f} |")
    assert len(offsets) > 0.66 * seconds
    assert np.abs(offsets).max() < 0.005
    assert abs(drift) < 0.001


TIMES = {
    "23.976": (films.steady(50, Fraction(24000, 1001)), Fraction(1, 24000)),
    "25": (films.steady(50, 25), Fraction(1, 12800)),
    "29.97": (films.steady(50, films.NTSC), Fraction(1, 30000)),
    "59.94": (films.steady(50, Fraction(60000, 1001)), Fraction(1, 60000)),
    "29.97 from 0.7": (films.steady(50, films.NTSC, start=Fraction(7, 10)), Fraction(1, 30000)),
    "from an hour on": (films.steady(20, 30, start=3600), Fraction(1, 30000)),
    "variable": (phone(2), Fraction(1, 90000)),
    "variable from 1/3": ([t + Fraction(1, 3) for t in phone(2)], Fraction(1, 90000)),
    "one a minute": (films.steady(4, Fraction(1, 60)), Fraction(1, 1000)),
}


STAMPED = list(itertools.product(TIMES, ["a.mp4", "a.mov", "a.mkv"], ["b.mp4", "b.mov", "b.mkv"]))


@pytest.mark.parametrize(("times", "name", "output"), covering(STAMPED, STAMPED, []))
def test_every_picture_keeps_its_time_stamp(tmp_path, times, name, output):
    """To the tick; Matroska has none finer than 1 ms."""
    given, time_base = TIMES[times]
    source = films.make_film(tmp_path / name, given, time_base=time_base)
    pano_sound.render(source, PATH, tmp_path / output, RenderOptions(encoder_preset="fast"))
    read, _ = stamps(source)
    written, _ = stamps(tmp_path / output)
    assert len(read) == len(given)
    assert all(a < b for a, b in itertools.pairwise(written))
    if output != "b.mkv":
        assert written == read
    else:
        assert max(abs(a - b) for a, b in zip(written, read, strict=True)) <= Fraction(1, 2000)
