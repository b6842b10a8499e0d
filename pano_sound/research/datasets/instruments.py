"""Phrases of sampled instruments, rendered by FluidSynth and added to a data folder (see `labelled`), for training on
labels that have few sounds or none:

    python -m pano_sound.research.datasets.instruments DATA OUT --soundfont /usr/share/sounds/sf2/TimGM6mb.sf2
"""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from numpy.typing import NDArray

from ...errors import DataFileError, OutputError, PanoSoundError
from .phrases import INSTRUMENTS, PERCUSSION, phrase

RATE = 24_000  # Hz
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
    """A sound at that level (RMS, dBFS), or as loud as it can be without clipping."""
    gain = 10 ** (level / 20) / np.sqrt(np.mean(np.square(wave, dtype=np.float64)))
    return np.float32(min(gain, 0.99 / np.abs(wave).max())) * wave


def write_opus(path: Path, wave: NDArray[np.float32]) -> None:
    """Write mono float32 (samples,) at RATE as Opus of 32 kbit/s in Ogg."""
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None]), format="flt", layout="mono")
    frame.sample_rate = RATE
    with av.open(str(path), "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = 32_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def add(data: Path, out: Path, soundfont: Path, each: int = 40, seed: int = 0) -> None:
    """Make a data folder of links to another, with new sounds of split 'train' in `sounds/<soundfont>/`.

    Args:
        data: the folder, with sounds.csv, pictures.csv and pairs.csv.
        out: a folder that is empty or does not exist yet; it appears when all is done.
        soundfont: a General MIDI soundfont; its name is the new sounds' source.
        each: phrases of each label.
        seed: of phrases and levels.

    Raises:
        OutputError: `out` holds files already, or is in `data`.
        DataFileError: a table cannot be read, the data has sounds of that source, or as `render`.
    """
    from tqdm import tqdm

    from .labelled import read_items, read_pairs, read_table

    data, out = data.resolve(), out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("exists already and is not empty", out, "give a new folder")
    if out.is_relative_to(data):
        raise OutputError(f"is in the input folder {data}", out, "give a folder outside it")
    sounds = read_table(data / "sounds.csv", ("file", "label", "source", "group", "split", "seconds"))
    pairs = read_table(data / "pairs.csv", ("sound", "picture"))
    paired, seen = read_pairs(data), {item.label for item in read_items(data, "pictures")}
    source, labels = soundfont.stem.lower(), (*INSTRUMENTS, *PERCUSSION)
    pairs += [{"sound": name, "picture": name} for name in labels if name in seen and name not in paired.get(name, ())]
    old = [entry for entry in data.iterdir() if entry.name not in ("sounds", "sounds.csv", "pairs.csv")]
    old += (data / "sounds").iterdir() if (data / "sounds").is_dir() else ()
    if data / "sounds" / source in old:
        raise DataFileError(f"the data has sounds of {source} already", data, "give another soundfont")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as folder:
        new = Path(folder) / out.name
        (new / "sounds" / source).mkdir(parents=True)
        for entry in old:
            (new / entry.relative_to(data)).symlink_to(entry)
        for number in tqdm(range(len(labels) * each), "phrases", disable=None):
            label, count = labels[number // each], number % each
            level = np.random.default_rng((seed, number)).uniform(-30, -12)
            wave = scaled(render(phrase(label, count, seed), soundfont), level)
            name = f"{source}_{label}_{count:03d}"
            write_opus(new / "sounds" / source / f"{name}.ogg", wave)
            row = {"file": f"sounds/{source}/{name}.ogg", "label": label, "source": source, "group": name}
            sounds.append(row | {"split": "train", "seconds": f"{len(wave) / RATE:.2f}"})
        for table, rows in (("sounds", sounds), ("pairs", pairs)):
            with open(new / f"{table}.csv", "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]), restval="")
                writer.writeheader()
                writer.writerows(rows)
        new.replace(out)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--soundfont", type=click.Path(path_type=Path), required=True, help="A General MIDI soundfont (.sf2).")
@click.option("--each", type=click.IntRange(1), default=40, show_default=True, help="Phrases of each label.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of phrases and levels.")
def main(data: Path, out: Path, soundfont: Path, each: int, seed: int) -> None:
    """Make OUT of links to DATA, with phrases of sampled instruments besides."""
    try:
        add(data, out, soundfont, each, seed)
    except (PanoSoundError, OSError) as error:
        click.echo(f"instruments: {error}", err=True)
        raise SystemExit(error.exit_code if isinstance(error, PanoSoundError) else OutputError.exit_code) from None


if __name__ == "__main__":
    main()
