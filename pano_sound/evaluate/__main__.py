"""`python -m pano_sound.evaluate DATA --model base`: what a model gets right on data it has never seen."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from ..errors import PanoSoundError
from ..localize import weights
from . import direction, localization
from .speed import speed


def main(arguments: list[str] | None = None) -> int:
    """Parse, measure, print. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pano_sound.evaluate", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with sounds.csv, pictures.csv, pairs.csv and pano/")
    parser.add_argument("--model", default="base", help="name or path of the weights (default: base)")
    parser.add_argument("--only", choices=("pictures", "direction", "speed"), help="one of the measurements")
    parser.add_argument("--draws", type=int, default=1000, help="four-picture draws (default: 1000)")
    parser.add_argument("--turns", type=int, default=3, help="random yaws per scene (default: 3)")
    parser.add_argument("--window", type=float, default=5.0, help="seconds of sound per picture (default: 5)")
    parser.add_argument("--smooth", type=float, default=3.0, help="seconds of maps averaged (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="processor threads to use")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    out: dict[str, Any] = {"model": str(given.model)}
    try:
        model = weights.load(given.model)
        if given.only in (None, "speed"):
            out["speed"] = speed(given.model)
            if not given.json:
                print("\n".join(f"{name:<30}{value:g}" for name, value in out["speed"].items()))
        if given.only in (None, "pictures"):
            result = localization.four_pictures(model, given.data, given.draws, given.seed)
            out["pictures"] = result.as_json()
            if not given.json:
                print(result)
        if given.only in (None, "direction"):
            reading = direction.Reading(given.window, given.smooth)
            scenes = direction.read_scenes(model, given.data)
            bank = direction.sound_bank(model, given.data)
            records = direction.evaluate(model, scenes, bank, reading, given.turns, given.seed)
            out["direction"] = records
            if not given.json:
                print(direction.table(records))
                print(direction.table(records, by="file"))
    except PanoSoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if given.json:
        print(json.dumps(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
