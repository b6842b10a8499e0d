"""Phrases and notes of sampled instruments, rendered by FluidSynth and added to a data folder (see `labelled`), for
training on labels that have few sounds or none:

    python -m pano_sound.research.datasets.instruments DATA OUT --soundfont /usr/share/sounds/sf2/TimGM6mb.sf2
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from numpy.typing import NDArray

from ...errors import DataFileError, PanoSoundError
from .extension import RATE, extended
from .phrases import INSTRUMENTS, PERCUSSION, note, phrase

LONGEST = 10.0  # s of a file
FADED = 0.001
"""The end of a sound is cut where it stays below this share of its peak."""


def render(midi: bytes, soundfont: Path) -> NDArray[np.float32]:
    """The sound of a MIDI file without its silent end: mono float32 (samples,) at RATE, at most LONGEST s.

    Raises DataFileError if FluidSynth or the soundfont is missing, or nothing is heard."""
    from .examples import read_sound

    if not soundfont.is_file():
        raise DataFileError("there is no such soundfont", soundfont, "Debian's package timgm6mb-soundfont has one")
    with TemporaryDirectory() as folder:
        score, sound = Path(folder) / "phrase.mid", Path(folder) / "phrase.wav"
        score.write_bytes(midi)
        command = ["fluidsynth", "-ni", "-g", "0.7", "-r", str(RATE), "-F", str(sound), str(soundfont), str(score)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            hint = "install it, such as by apt install fluidsynth"
            raise DataFileError(f"fluidsynth cannot be run: {error.strerror}", hint=hint) from error
        # With a soundfont that it cannot read, FluidSynth takes the system's own one and ends with 0.
        good = not done.returncode and "SoundFont" not in done.stderr and sound.is_file()
        wave = read_sound(sound, RATE)[: int(LONGEST * RATE)] if good else np.zeros(0, np.float32)
    if not wave.any():
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise DataFileError("fluidsynth made no sound", soundfont, said[-1].strip() if said else "is it a soundfont?")
    loud = np.abs(wave)
    return wave[: int(np.flatnonzero(loud >= FADED * loud.max())[-1]) + 1]


def scaled(wave: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """A sound (samples,) at that level (RMS, dBFS), or as loud as it can be without clipping."""
    gain = 10 ** (level / 20) / np.sqrt(np.mean(np.square(wave, dtype=np.float64)))
    return np.float32(min(gain, 0.99 / np.abs(wave).max())) * wave


def add(data: Path, out: Path, soundfont: Path, each: int = 40, notes: int = 16, seed: int = 0) -> None:
    """Make a data folder of links to another, with new sounds of split 'train' in `sounds/<soundfont>/`.

    Args:
        data: the folder, with sounds.csv, pictures.csv and pairs.csv.
        out: a folder that is empty or does not exist yet; it appears when all is done.
        soundfont: a General MIDI soundfont; its name is the new sounds' source.
        each: phrases of each label.
        notes: single notes of each instrument that plays a melody.
        seed: of phrases, notes and levels.

    Raises:
        OutputError: `out` holds files already, is in `data`, or cannot be written.
        DataFileError: a table cannot be read, the data has sounds of that source, or as `render`.
    """
    from tqdm import tqdm

    played = [(label, i, phrase(label, i, seed)) for label in (*INSTRUMENTS, *PERCUSSION) for i in range(each)]
    played += [(label, each + i, note(label, i, seed)) for label in INSTRUMENTS for i in range(notes)]
    with extended(data, out, soundfont.stem.lower()) as extension:
        for number, (label, count, midi) in enumerate(tqdm(played, "sounds", disable=None)):
            level = np.random.default_rng((seed, number)).uniform(-30, -12)
            extension.add(label, f"{label}_{count:03d}", scaled(render(midi, soundfont), level))


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--soundfont", type=click.Path(path_type=Path), required=True, help="A General MIDI soundfont (.sf2).")
@click.option("--each", type=click.IntRange(1), default=40, show_default=True, help="Phrases of each label.")
@click.option("--notes", type=click.IntRange(0), default=16, show_default=True, help="Single notes of each instrument.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of phrases, notes and levels.")
def main(data: Path, out: Path, soundfont: Path, each: int, notes: int, seed: int) -> None:
    """Make OUT of links to DATA, and add phrases and notes of sampled instruments."""
    try:
        add(data, out, soundfont, each, notes, seed)
    except PanoSoundError as error:
        click.echo(f"instruments: {error}", err=True)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
