"""Random phrases of instruments as MIDI files: melodies and, for percussion, rhythms; and single notes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Note = tuple[int, int, int, int]
"""Begin and end (ms), MIDI key (60: middle C) and velocity (1..127)."""


class Instrument(NamedTuple):
    """Zero-based General MIDI programs, the lowest and highest key that is played, the most notes of a chord, and keys
    that sound throughout."""

    programs: tuple[int, ...]
    low: int
    high: int
    voices: int = 1
    drones: tuple[int, ...] = ()


INSTRUMENTS = {
    "accordion": Instrument((21, 23), 53, 89, 3),
    "concertina": Instrument((23,), 55, 91, 3),
    "harmonica": Instrument((22,), 60, 91, 2),
    "electric_guitar": Instrument((26, 27, 28, 29, 30), 40, 84, 4),
    "guitar": Instrument((24, 25), 40, 79, 4),
    "banjo": Instrument((105,), 48, 81, 3),
    "harp": Instrument((46,), 36, 96, 4),
    "sitar": Instrument((104,), 48, 77),
    "trumpet": Instrument((56, 59), 55, 84),
    "trombone": Instrument((57,), 40, 70),
    "french_horn": Instrument((60,), 41, 77),
    "tuba": Instrument((58,), 29, 58),
    "saxophone": Instrument((64, 65, 66, 67), 49, 75),
    "clarinet": Instrument((71,), 50, 91),
    "flute": Instrument((73,), 60, 96),
    "recorder": Instrument((74,), 65, 96),
    "ocarina": Instrument((79,), 67, 88),
    "pan_flute": Instrument((75,), 62, 91),
    "bagpipes": Instrument((109,), 67, 81, drones=(45, 57)),
    "violin": Instrument((40,), 55, 96),
    "cello": Instrument((42,), 36, 74),
    "piano": Instrument((0, 1), 28, 100, 4),
    "clavichord": Instrument((7, 6), 36, 84, 3),
    "xylophone": Instrument((13, 12), 60, 96, 2),
    "dulcimer": Instrument((15,), 48, 84, 2),
    "steel_drum": Instrument((114,), 52, 84, 2),
    "church_organ": Instrument((19,), 36, 84, 4),
    "timpani": Instrument((47,), 38, 57),
}
PERCUSSION = {
    "tambourine": (54,),
    "bongo_drum": (60, 61),
    "marakas": (70,),
    "guiro": (73, 74),
    "cowbell": (56,),
    "drum": (35, 36, 38, 40, 41, 43, 45, 47, 48, 50),
    "cymbal_hihat": (42, 44, 46, 49, 51, 57),
}
"""Keys of General MIDI's percussion, which is played on channel 10."""
SCALES = ("024579B", "023578A", "023578B", "023579A", "02479", "0357A")
"""Major, minor, harmonic minor, Dorian and two with five notes: semitones above the root, in base 12."""


def phrase(label: str, number: int, seed: int = 0) -> bytes:
    """A MIDI file of 5 to 9 s: a random melody of an instrument, or a random rhythm.

    Args:
        label: one of INSTRUMENTS or PERCUSSION.
        number: of the phrase; an instrument's programs take turns.
        seed: same label, number and seed, same bytes.
    """
    rng = np.random.default_rng((seed, zlib.crc32(label.encode()), number))
    end, room = int(rng.integers(5_000, 9_001)), int(rng.integers(0, 101))
    beat, loud = 60_000 / rng.uniform(60, 160), int(rng.integers(60, 111))
    if label in PERCUSSION:
        return _midi(9, 0, room, _rhythm(PERCUSSION[label], end, beat, loud, rng))
    instrument = INSTRUMENTS[label]
    program = instrument.programs[number % len(instrument.programs)]
    return _midi(0, program, room, _melody(instrument, end, beat, loud, rng))


def note(label: str, number: int, seed: int = 0) -> bytes:
    """A MIDI file of one note of 0.15 to 1.5 s, at most an octave above the instrument's phrases; one in five is played
    three times. Short high notes are the first that a network mistakes for something else.

    Args:
        label: one of INSTRUMENTS.
        number: of the note; an instrument's programs take turns.
        seed: same label, number and seed, same bytes.
    """
    instrument = INSTRUMENTS[label]
    rng = np.random.default_rng((seed, zlib.crc32(label.encode()), number, 1))
    highest = min(108, instrument.high + 12)
    lowest = instrument.low if rng.random() < 0.7 else instrument.high - 5
    key, velocity = int(rng.integers(lowest, highest + 1)), int(rng.integers(40, 125))
    length = round(150 * 10 ** rng.uniform(0, 1))
    begins = [i * (length + 60) for i in range(3 if rng.random() < 0.2 else 1)]
    played = [(begin, begin + length, key, velocity) for begin in begins]
    program = instrument.programs[number % len(instrument.programs)]
    return _midi(0, program, int(rng.integers(0, 61)), played)


def _velocity(loud: int, rng: np.random.Generator) -> int:
    return int(np.clip(loud + rng.integers(-15, 16), 50, 120))


def _melody(instrument: Instrument, end: int, beat: float, loud: int, rng: np.random.Generator) -> list[Note]:
    """Notes from 0 to `end` (ms), with a beat of that many ms: steps and leaps in a random scale."""
    root, scale = rng.integers(12), [int(digit, 12) for digit in SCALES[rng.integers(len(SCALES))]]
    keys = [key for key in range(instrument.low, instrument.high + 1) if (key - root) % 12 in scale]
    held, chords, at = rng.uniform(0.5, 1.0), rng.uniform(0.0, 0.6), int(rng.integers(len(keys)))
    notes = [(0, end, key, loud) for key in instrument.drones]
    time = 0.0
    while time < end - 100:
        length = beat * rng.choice((0.25, 0.5, 0.5, 1.0, 1.0, 2.0))
        at = int(np.clip(at + rng.integers(-3, 4), 0, len(keys) - 1))
        count = int(rng.integers(2, instrument.voices + 1)) if instrument.voices > 1 and rng.random() < chords else 1
        if time == 0 or rng.random() > 0.1:  # Else a rest.
            stop, velocity = min(int(time + held * length), end), _velocity(loud, rng)
            notes += [(int(time), stop, key, velocity) for key in keys[at::2][:count]]
        time += length
    return notes


def _rhythm(keys: Sequence[int], end: int, beat: float, loud: int, rng: np.random.Generator) -> list[Note]:
    """Strokes from 0 to `end` (ms): a random pattern of four beats, repeated with changes."""
    step = beat / rng.choice((2, 3, 4))
    chosen = rng.permutation(keys)[: rng.integers(1, 5)]
    pattern = rng.random((16, len(chosen))) < rng.uniform(0.1, 0.6, len(chosen))
    pattern[0, 0] = True
    notes = []
    for i in range(int(end / step)):
        strokes = pattern[i % 16] ^ ((rng.random(len(chosen)) < 0.1) & (i > 0))
        notes += [(int(i * step), int((i + 1) * step), int(key), _velocity(loud, rng)) for key in chosen[strokes]]
    return notes


def _midi(channel: int, program: int, room: int, notes: Sequence[Note]) -> bytes:
    """A standard MIDI file of one track; `room` (0..127) is sent to the reverberation."""
    events = [(0, 0, bytes((0xC0 | channel, program))), (0, 0, bytes((0xB0 | channel, 91, room)))]
    for begin, stop, key, velocity in notes:
        events += [(begin, 2, bytes((0x90 | channel, key, velocity))), (stop, 1, bytes((0x80 | channel, key, 0)))]
    track, before = b"", 0
    for time, _, event in sorted(events):  # Where a key ends and begins again, it ends first.
        track += _variable(time - before) + event
        before = time
    track += b"\0\xff\x2f\0"
    # 500 ticks a beat: at MIDI's own tempo of 120 beats a minute, a tick is 1 ms.
    header = b"MThd" + b"".join(n.to_bytes(size, "big") for n, size in ((6, 4), (0, 2), (1, 2), (500, 2)))
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def _variable(number: int) -> bytes:
    """A number in MIDI's variable length: seven bits a byte, all but the last marked."""
    data = bytes((number & 127,))
    while number := number >> 7:
        data = bytes((128 | number & 127,)) + data
    return data
