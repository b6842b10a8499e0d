"""For how long is what sounds in view? Pans the samples and compares the camera with the truth of each scene.

    python samples/measure.py [OPTION=VALUE ...]      options of `analyse` and `plan`, e.g. model=base fov=80

A source counts as in view when its middle is inside the picture. Beside it: a camera that never turns from straight
ahead, and the best that any camera held still could do.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

import pano_sound
from pano_sound.options.base import described
from pano_sound.options.steps import PanOptions
from pano_sound.sphere.convention import directions
from pano_sound.sphere.view import View

HERE = Path(__file__).parent
Truth = dict[float, list[tuple[float, float]]]


def sounding(name: str) -> tuple[Truth, float]:
    """(yaw, pitch) of what sounds at each time of a sample's truth file, and the seconds between its times."""
    found: Truth = defaultdict(list)
    times = set()
    with open(HERE / f"{name}.truth.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            times.add(float(row["t_s"]))
            if row["sounding"] == "1":
                found[float(row["t_s"])].append((float(row["yaw_deg"]), float(row["pitch_deg"])))
    return found, float(np.median(np.diff(sorted(times))))


def seconds_in_view(truth: Truth, every: float, looks: dict[float, tuple[float, float]], view: View) -> float:
    """Seconds in which the view, looking to looks[t] (yaw, pitch), holds a source that sounds."""
    seen = [any(view.contains(directions(*s), *looks[t]) for s in sources) for t, sources in truth.items()]
    return every * sum(seen)


@dataclass(frozen=True)
class Measured:
    """Seconds in which something sounds in a sample; of these, in which it is in view of our camera, of one that
    always looks straight ahead, and of the luckiest camera that never turns."""

    sounding: float
    in_view: float
    ahead: float
    best_still: float


def measure(film: Path, options: PanOptions) -> Measured:
    """Analyse and plan a sample, and compare the path with its truth."""
    path = pano_sound.plan(pano_sound.analyse(film, options), options)
    view = View(path.width, path.height, path.samples[0, 4])
    truth, every = sounding(film.stem)

    def held(yaw: float, pitch: float) -> float:
        return seconds_in_view(truth, every, dict.fromkeys(truth, (yaw, pitch)), view)

    return Measured(
        sounding=every * len(truth),
        in_view=seconds_in_view(truth, every, {t: path.at(t)[:2] for t in truth}, view),
        ahead=held(0.0, 0.0),
        best_still=max(held(yaw, pitch) for pitch in (0.0, -20.0) for yaw in range(-180, 180, 10)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    args = parser.parse_args()
    given = dict(word.split("=", 1) for word in args.options)
    options = PanOptions(**{name: described(PanOptions)[name].kind(value) for name, value in given.items()})

    print(f"{'sample':12}{'sounding':>10}{'in view':>10}{'share':>8}{'ahead':>8}{'best still':>12}")
    rows = {film.stem: measure(film, options) for film in sorted(HERE.glob("*.mp4"))}
    rows["all"] = Measured(*np.sum([astuple(row) for row in rows.values()], axis=0))
    for name, row in rows.items():
        share = row.in_view / row.sounding
        print(
            f"{name:12}{row.sounding:8.1f} s{row.in_view:8.1f} s{share:8.0%}{row.ahead:6.1f} s{row.best_still:10.1f} s"
        )


if __name__ == "__main__":
    main()
