"""Seconds of one core for planning an hour of film, for each preset.

    OMP_NUM_THREADS=1 python benchmarks/planning.py [--hours 1] [--every 0.5] [--rows 30]

The film is made: sources that take turns, rest and move, a map of `--rows` by twice as many cells every `--every`
seconds. What is timed is `plan` of a sound map in memory; reading and writing files is not.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from pano_sound.camera.planner import plan
from pano_sound.options.camera import PlanOptions
from pano_sound.options.presets import PRESETS
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import cell_directions


def film(hours: float, every: float, rows: int) -> SoundMap:
    """A sound map of a film in which one of three things sounds at a time, with rests; the third one moves."""
    rng = np.random.default_rng(0)
    times = np.arange(0.0, 3600 * hours, every)
    cells = cell_directions(rows, 2 * rows).astype(np.float32)
    response = np.empty((len(times), rows, 2 * rows), np.float16)
    turns = rng.integers(-1, 3, len(times) // 10 + 1).repeat(10)
    for i, t in enumerate(times):
        here = 0.03 * rng.standard_normal((rows, 2 * rows), np.float32)
        if turns[i] >= 0:
            place = directions([-70.0, 50.0, 10.0 * t][turns[i]], 5.0)
            here += 0.4 * np.exp((cells @ place.astype(np.float32) - 1) / 0.022)
        response[i] = here
    level = np.full(len(times), -20.0, np.float32)
    source = {"path": "made.mp4", "width": 3840, "height": 1920, "end": 3600.0 * hours}
    return SoundMap.of_responses(times, response, level, 0.07, (40.0, 0.12), source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--every", type=float, default=0.5)
    parser.add_argument("--rows", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    made = film(args.hours, args.every, args.rows)
    print(f"{args.hours:g} h, {len(made)} maps of {2 * args.rows}x{args.rows} cells")
    for preset in PRESETS:
        took = []
        for _ in range(args.runs):
            began = time.process_time()
            path = plan(made, PlanOptions(preset=preset))
            took.append(time.process_time() - began)
        print(f"{preset:<10}{min(took) / args.hours:6.2f} s per hour of film, {len(path.samples)} samples")


if __name__ == "__main__":
    main()
