"""For how long is what sounds in view? Pans the samples and compares the camera with the truth of each scene.

    python samples/measure.py [--model base] [OPTION=VALUE ...]      options of `plan` and `analyse`, e.g. fov=80

A source counts as in view when its middle is inside the picture. Beside it: a camera that never turns from straight
ahead, and the best that any camera held still could do.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

import pano_sound
from pano_sound.settings import AnalyseSettings, PlanSettings
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    parser.add_argument("--model", default="base")
    args = parser.parse_args()
    known = {**AnalyseSettings().to_json(), **PlanSettings().resolved().to_json()}
    given = dict(word.split("=", 1) for word in args.options)
    values = {k: type(known[k])(v) if known[k] is not None else v for k, v in given.items()}
    analysing = {k: v for k, v in values.items() if k in AnalyseSettings.__dataclass_fields__}
    planning = {k: v for k, v in values.items() if k in PlanSettings.__dataclass_fields__}

    print(f"{'sample':12}{'sounding s':>12}{'in view s':>11}{'share':>7}{'ahead s':>9}{'best still s':>14}")
    totals = np.zeros(4)
    for film in sorted(HERE.glob("*.mp4")):
        path = pano_sound.plan(pano_sound.analyse(film, model=args.model, **analysing), **planning)
        view = View(path.width, path.height, path.samples[0, 4])
        truth, every = sounding(film.stem)
        ours = seconds_in_view(truth, every, {t: path.at(t)[:2] for t in truth}, view)
        held = [seconds_in_view(truth, every, dict.fromkeys(truth, (yaw, 0.0)), view) for yaw in range(-180, 180, 10)]
        row = np.array([every * len(truth), ours, held[18], max(held)])
        totals += row
        print(f"{film.stem:12}{row[0]:12.1f}{row[1]:11.1f}{row[1] / row[0]:7.0%}{row[2]:9.1f}{row[3]:14.1f}")
    print(f"{'all':12}{totals[0]:12.1f}{totals[1]:11.1f}{totals[1] / totals[0]:7.0%}{totals[2]:9.1f}{totals[3]:14.1f}")


if __name__ == "__main__":
    main()
