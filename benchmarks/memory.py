"""Peak memory of `pan` on a short and a ten times longer 1920x960 film, and their ratio.

    python benchmarks/memory.py [--minutes 10]

The films are a sample's picture and sound over and over, encoded once. Peak resident memory is what the operating
system counted for the whole process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from pano_sound.media.reader import VideoReader
from pano_sound.media.writer import VideoWriter

SAMPLE = Path(__file__).parents[1] / "samples" / "meadow.mp4"


def make(path: Path, seconds: float) -> None:
    """Write `seconds` of the sample's pictures, again and again, with its sound over and over beside them."""
    wave = path.with_suffix(".flac")
    _sound(wave, seconds)
    tick = Fraction(1, 30)
    with VideoWriter(
        path, width=1920, height=960, time_base=tick, fps=Fraction(30), preset="ultrafast", sound_from=wave,
        spherical=True,
    ) as writer:  # fmt: skip
        number = 0
        while number < seconds * 30:
            with VideoReader(SAMPLE) as reader:
                for picture in reader.pictures():
                    if number < seconds * 30:
                        writer.write(replace(picture, pts=number, time_base=tick))
                    number += 1


def _sound(path: Path, seconds: float) -> None:
    with av.open(str(path), "w") as out:
        track = out.add_stream("flac", rate=48000, layout="mono")
        done = 0
        while done < seconds * 48000:
            with av.open(str(SAMPLE)) as film:
                to = av.AudioResampler("s16", "mono", 48000)
                for frame in film.decode(audio=0):
                    for piece in to.resample(frame):
                        piece.pts, piece.time_base = done, Fraction(1, 48000)
                        done += piece.samples
                        out.mux(track.encode(piece))
        out.mux(track.encode(None))


def peak_of_pan(film: Path) -> float:
    """Peak resident memory of panning `film`, MB."""
    out = film.with_name("out.mp4")
    work = subprocess.Popen([sys.executable, "-m", "pano_sound", "pan", str(film), "-o", str(out), "-y"])
    _, status, usage = os.wait4(work.pid, 0)
    if status:
        raise SystemExit(f"pan failed with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long film; the short one: a tenth")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for minutes in (args.minutes / 10, args.minutes):
            film = Path(folder) / "film.mp4"
            make(film, minutes * 60)
            peaks.append(peak_of_pan(film))
            film.unlink()
            print(f"{minutes:5g} minutes: peak {peaks[-1]:.0f} MB", flush=True)
    print(f"long / short: {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
