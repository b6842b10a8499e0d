"""Films as cameras, stitchers and editors make them: containers, codecs, rates and oddities against what was put in.

Each is made here, read, and written again as `render` does: every picture is there, in order and at its own time, the
click in the sound comes with the flash, and the output has the same times. One of each kind runs always; with
`-m slow` any two of container, codec, rate and oddity meet.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import astuple, dataclass, replace
from fractions import Fraction

import av
import films
import numpy as np
import pytest
from combinations import covering
from test_sound import onsets
from test_writer import rewrite

from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.sound import SoundReader

RATES = {
    "24": films.steady(36, 24),
    "25": films.steady(38, 25),
    "29.97": films.steady(45, films.NTSC),
    "59.94": films.steady(90, Fraction(60000, 1001)),
    "variable": [Fraction(n * n + 4 * n, 1200) for n in range(42)],
}
CODECS = {
    "libx264": {},
    "libx264 10 bit": {"codec": "libx264", "pix_fmt": "yuv420p10le"},
    "libx265": {},
    "libx265 10 bit": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "libvpx": {},
    "libvpx-vp9": {},
    "libsvtav1": {},
    "prores_ks": {"pix_fmt": "yuv422p10le"},
    "mpeg2video": {},
    "mjpeg": {"pix_fmt": "yuvj420p"},
    "ffv1": {"pix_fmt": "yuv444p"},
}
H26X = ("libx264", "libx264 10 bit", "libx265", "libx265 10 bit")
WEB = ("libvpx", "libvpx-vp9", "libsvtav1")
TAKEN = {
    "mp4": (*H26X, "libvpx-vp9", "libsvtav1", "mpeg2video", "mjpeg"),
    "fragmented mp4": (*H26X, "libsvtav1"),
    "mov": (*H26X, "prores_ks", "mjpeg"),
    "mkv": (*H26X, *WEB, "prores_ks", "mpeg2video", "mjpeg", "ffv1"),
    "webm": WEB,
    "ts": (*H26X, "mpeg2video"),
}
"""Codecs by container."""
SOUND = {"webm": "libopus", "mov": "pcm_s16le", "ts": "aac", "mkv": "flac"}


@dataclass(frozen=True)
class Case:
    container: str = "mp4"
    codec: str = "libx264"
    rate: str = "29.97"
    oddity: str = "none"

    def __str__(self) -> str:
        return ", ".join([self.container, self.codec, self.rate, self.oddity])

    @property
    def can_be_made(self) -> bool:
        fits = ODDITIES[self.oddity][1]
        if self.codec == "mpeg2video" and (self.rate == "variable" or "start" in ODDITIES[self.oddity][0]):
            return False  # Its times are whole pictures.
        return fits is None or self.container in fits


ODDITIES: dict[str, tuple[dict, tuple[str, ...] | None]] = {
    # Deviations from the usual film, and the containers that can express each.
    "none": ({}, None),
    "picture begins late": ({"start": Fraction(7, 10)}, None),
    "sound begins late": ({"sound_start": Fraction(4, 10)}, None),
    "sound ends early": ({"sound_seconds": 0.9}, None),
    "sound is longer": ({"sound_seconds": 3.0}, None),
    "sound has a hole": ({"holes": [(0.2, 0.5)]}, ("mp4", "mkv", "webm")),
    "no sound": ({"sound_seconds": 0.0}, None),
    "begins below zero": ({}, ("mp4", "mov", "mkv")),
    "far from zero": ({"start": Fraction(5000), "sound_start": Fraction(5000)}, ("mkv", "ts")),
    "edit list": ({}, ("mp4", "mov")),
    "index in front": ({"options": {"movflags": "+faststart"}}, ("mp4", "mov")),
}
MADE_TICK = 1 / 30000
"""make_film rounds times to this, in seconds."""
FLASH = 0.75
"""Seconds after the first picture at which a bright one and a click come."""
CUT = 8
"""How many pictures edit lists leave out at the start."""


def flash_at(times):
    """The number of the picture nearest to FLASH s after the first."""
    return int(np.argmin([abs(float(t - times[0]) - FLASH) for t in times]))


def made(folder, case):
    """(film, times of its pictures, number of the flash) of a case; times are those that the file should tell."""
    how = dict(ODDITIES[case.oddity][0])
    # FFmpeg lets the first picture that an edit list shows begin with it; so it begins with one here.
    below = -RATES[case.rate][CUT] if case.oddity == "begins below zero" else 0
    start = how.pop("start", below)
    times = [t + start for t in RATES[case.rate]]
    number = flash_at(times)
    levels = [235 if n == number else 30 + 11 * (n % 4) for n in range(len(times))]
    sound_start = how.pop("sound_start", below)
    seconds = how.pop("sound_seconds", 2.0)
    clicks = films.clicks(max(seconds, 0.01), [float(times[number] - sound_start)]) if seconds else None
    codec = CODECS[case.codec]
    given = {
        "size": (256, 128),
        "codec": case.codec.split()[0],
        "levels": levels,
        "sound": clicks,
        "sound_codec": SOUND.get(case.container, "aac"),
        "sound_start": sound_start,
        **codec,
        **how,
    }
    if case.container == "fragmented mp4":
        given["options"] = {"movflags": "frag_keyframe+delay_moov"}
    if case.codec == "mpeg2video":
        given["time_base"] = 1 / ((len(times) - 1) / (times[-1] - times[0]))
    path = films.make_film(folder / f"a.{case.container.split()[-1]}", times, **given)
    if case.oddity == "edit list":
        _skip(path, times[CUT])
        times = [t - times[CUT] for t in times]
    return path, times, number


def _skip(path, seconds):
    """Make an mp4's edit lists start that much later in the media, as editors do that cut without encoding."""
    content = bytearray(path.read_bytes())
    at = content.index(b"moov")
    while (at := content.find(b"trak", at + 1)) >= 0:
        scale_at = content.index(b"mdhd", at) + 4 + 12
        (scale,) = struct.unpack_from(">I", content, scale_at)
        elst = content.find(b"elst", at, content.index(b"mdia", at))
        (count,) = struct.unpack_from(">I", content, elst + 8)
        for entry in range(count):
            place = elst + 12 + 12 * entry
            (media,) = struct.unpack_from(">i", content, place + 4)
            if media >= 0:
                struct.pack_into(">i", content, place + 4, media + round(seconds * scale))
    path.write_bytes(content)


def check(folder, case):
    path, times, number = made(folder, case)
    info = probe(path)
    assert info.problem is None
    tick = max(float(info.video.time_base), 1e-6)
    if case.container in ("mp4", "mov", "fragmented mp4"):
        tick = 1e-3  # of edit lists, as they are made here
    reader = VideoReader(info)
    pictures = list(reader.pictures())
    assert reader.corrupt_frames == 0
    read = np.array([p.t for p in pictures])
    lost = 0
    if case.oddity in ("edit list", "begins below zero") and case.container != "mkv":
        # What is before the edit is not shown.
        lost = sum(t < -tick for t in times)
        assert lost > 0
    expected = np.array([float(t) for t in times[lost:]])
    # Clocks of transport streams, and Matroska's below zero, begin anywhere.
    anywhere = case.container == "ts" or (case.oddity == "begins below zero" and case.container == "mkv")
    shift = read[0] - expected[0] if anywhere else 0.0
    assert len(read) == len(expected)
    assert read - shift == pytest.approx(expected, abs=2.1 * tick + MADE_TICK)
    assert (np.diff(read) > 0).all()
    brightest = int(np.argmax([p.planes[0].mean() for p in pictures]))
    assert brightest == number - lost

    has_sound = case.oddity != "no sound"
    assert (info.audio is not None) == has_sound
    if has_sound:
        heard = np.concatenate(list(SoundReader(info, 16000).blocks(1)))
        assert onsets(heard, 16000) == pytest.approx([read[brightest] - info.start], abs=2 * tick + 6e-3)

    out = folder / ("b.mkv" if case.container in ("mkv", "webm") else "b.mp4")
    again = rewrite(path, out, bit_depth=pictures[0].bit_depth)
    written = [p.t for p in VideoReader(again).pictures()]
    assert written == pytest.approx(read, abs=1.1e-3 if out.suffix == ".mkv" else 2e-4)
    if has_sound:
        heard = np.concatenate(list(SoundReader(again, 16000).blocks(1)))
        assert onsets(heard, 16000) == pytest.approx([written[brightest] - again.start], abs=2 * tick + 6e-3)


PLAIN = Case()
ALWAYS = [replace(PLAIN, container=container, codec=codecs[0]) for container, codecs in TAKEN.items()]
ALWAYS += [Case(next(c for c in ("mp4", "mov", "mkv") if codec in TAKEN[c]), codec) for codec in CODECS]
ALWAYS += [replace(PLAIN, container="mkv", rate=rate) for rate in RATES]
ALWAYS += [replace(PLAIN, oddity=name, container=(where or ["mp4"])[0]) for name, (_, where) in ODDITIES.items()]
ALWAYS = sorted(set(ALWAYS), key=str)
CASES = [
    case
    for container in TAKEN
    for case in (Case(container, *rest) for rest in itertools.product(TAKEN[container], RATES, ODDITIES))
    if case.can_be_made and (case.oddity == "none" or case.rate in ("29.97", "variable"))
]
REST = covering(CASES, [astuple(case) for case in CASES], ALWAYS)


@pytest.mark.parametrize("case", ALWAYS, ids=str)
def test_every_kind_of_input_is_panned(tmp_path, case):
    check(tmp_path, case)


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_sound_that_an_edit_list_hides_does_not_come_back_in_matroska(tmp_path, container):
    path, times, _ = made(tmp_path, Case(container, oddity="edit list"))
    shown = min(t for t in times if t >= 0)
    assert -min(times) > 0.2  # seconds that are hidden
    assert rewrite(path, tmp_path / "b.mkv").audio.codec == probe(path).audio.codec
    with av.open(str(tmp_path / "b.mkv")) as film:
        begins = min(float(packet.pts * packet.time_base) for packet in film.demux(audio=0) if packet.pts is not None)
    assert shown - 0.05 < begins < shown + 0.001  # AAC needs the packet before


@pytest.mark.slow
@pytest.mark.parametrize("case", REST, ids=str)
def test_every_pair_of_kinds_is_panned(tmp_path, case):
    check(tmp_path, case)
