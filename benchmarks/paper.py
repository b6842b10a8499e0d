"""How much less work is `analyse` than the paper's method done literally? In processor time, in one run.

    python benchmarks/paper.py [--pictures 4] [--short 10] [--long 40]

The paper looks at every picture, at 960x480 and 30 a second: VGG-16, and SoundNet on the 20 s of sound around it, here
both in 32-bit floats with random weights, as PyTorch computes them. Nothing else of it is counted: no decoding, no
drawing.

`analyse` runs with its defaults, decoding included, on films of that size by footage.py. The time that it takes for
each second of film is that of the long film less that of the short one, so that starting it is left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import footage
import torch

from pano_sound.localize.nets.localizer import Localizer
from pano_sound.localize.nets.paper import PAPER

HEIGHT, WIDTH = 480, 960
WINDOW = 20.0


def literal(pictures: int) -> tuple[float, float]:
    """Seconds of processor time for one picture, and for the sound around it."""
    model = Localizer(**PAPER).eval()
    picture, wave = torch.zeros(1, 3, HEIGHT, WIDTH), torch.zeros(round(WINDOW * model.sound_rate))
    with torch.inference_mode():
        seen, heard = (lambda: model.trunk(picture)), (lambda: model.sound_features(wave))
        return _mean(seen, pictures), _mean(heard, pictures)


def _mean(work: Callable[[], object], times: int) -> float:
    work()
    begin = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begin) / times


def of_analyse(film: Path) -> float:
    """Seconds of processor time of `analyse`, as a process."""
    command = [sys.executable, "-m", "pano_sound", "analyse", str(film), "-o", str(film.with_suffix(".npz")), "-q"]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"analyse failed with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=4, help="to time the paper's networks on")
    parser.add_argument("--short", type=float, default=10.0, help="seconds of the short film")
    parser.add_argument("--long", type=float, default=40.0, help="seconds of the long film")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for length in (args.short, args.long):
            film = Path(folder) / f"{length:g}.mp4"
            footage.make(film, WIDTH, HEIGHT, length)
            seconds.append(of_analyse(film))
    ours = (seconds[1] - seconds[0]) / (args.long - args.short)
    seen, heard = literal(args.pictures)
    theirs = footage.FPS * (seen + heard)
    print(f"the paper, a picture: {seen:.2f} s for what is seen, {heard:.2f} s for what is heard")
    print(f"a second of film: the paper {theirs:.1f} s, analyse {ours:.2f} s: {theirs / ours:.0f} times less")


if __name__ == "__main__":
    main()
