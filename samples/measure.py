"""For how long is what sounds in view? Pans the samples and compares the camera with the truth of each scene.

    python samples/measure.py [OPTION=VALUE ...]      options of `analyse` and `plan`, e.g. model=base fov=80

A source counts as in view when its middle is inside the picture. Beside it: the same camera, told where the source is;
a camera that never turns from straight ahead; and the best that any camera held still could do.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

import pano_sound
from pano_sound.options.base import described
from pano_sound.options.steps import PanOptions
from pano_sound.soundmap import SILENCE_DB, SoundMap
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between, cell_areas, cell_directions
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


def true_map(soundmap: SoundMap, truth: Truth) -> SoundMap:
    """A sound map that is sure, and right, at the times of another one."""
    posterior, elsewhere = np.zeros_like(soundmap.posterior), np.ones_like(soundmap.elsewhere)
    cells, areas = cell_directions(*soundmap.grid), cell_areas(*soundmap.grid)
    for i, t in enumerate(soundmap.times):
        for source in truth.get(round(float(t), 1), []):
            spot = np.exp(-((angle_between(cells, directions(*source)) / 8.0) ** 2)) * areas
            posterior[i] = 0.95 * spot / spot.sum()
            elsewhere[i] = 0.05
    silent = elsewhere == 1
    level = np.where(silent, SILENCE_DB, np.maximum(soundmap.level_db, -20.0)).astype(np.float32)
    return replace(soundmap, posterior=posterior, elsewhere=elsewhere, level_db=level)


@dataclass(frozen=True)
class Measured:
    """Seconds in which something sounds in a sample; of these, in which it is in view of our camera, of the same camera
    if it is told where the source is, of one that always looks straight ahead, and of the luckiest camera that never
    turns."""

    sounding: float
    in_view: float
    told: float
    ahead: float
    best_still: float


def measure(film: Path, options: PanOptions) -> Measured:
    """Analyse and plan a sample, and compare the path with its truth."""
    soundmap = pano_sound.analyse(film, options)
    path = pano_sound.plan(soundmap, options)
    view = View(path.width, path.height, path.samples[0, 4])
    truth, every = sounding(film.stem)
    told = pano_sound.plan(true_map(soundmap, truth), options)

    def held(yaw: float, pitch: float) -> float:
        return seconds_in_view(truth, every, dict.fromkeys(truth, (yaw, pitch)), view)

    return Measured(
        sounding=every * len(truth),
        in_view=seconds_in_view(truth, every, {t: path.at(t)[:2] for t in truth}, view),
        told=seconds_in_view(truth, every, {t: told.at(t)[:2] for t in truth}, view),
        ahead=held(0.0, 0.0),
        best_still=max(held(yaw, pitch) for pitch in (0.0, -20.0) for yaw in range(-180, 180, 10)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    args = parser.parse_args()
    given = dict(word.split("=", 1) for word in args.options)
    options = PanOptions(**{name: described(PanOptions)[name].kind(value) for name, value in given.items()})

    print("sample        sounding   in view   share     told   ahead  best still")
    rows = {film.stem: measure(film, options) for film in sorted(HERE.glob("*.mp4"))}
    rows["all"] = Measured(*np.sum([astuple(row) for row in rows.values()], axis=0))
    for name, row in rows.items():
        share = f"{row.in_view / row.sounding:8.0%}"
        print(
            f"{name:12}{row.sounding:8.1f} s{row.in_view:8.1f} s{share}{row.told:7.1f} s{row.ahead:6.1f} s"
            f"{row.best_still:10.1f} s"
        )


if __name__ == "__main__":
    main()
