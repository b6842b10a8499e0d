"""`python -m pano_sound.train DATA -o weights/base.safetensors`: train `base` from a data folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ..errors import PanoSoundError
from .base import Recipe, train


def main(arguments: list[str] | None = None) -> int:
    """Parse, train, and say what was written. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pano_sound.train", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with sounds.csv, pictures.csv, stills/ and teachers/")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights file to write (.safetensors)")
    work = "caches and checkpoints; a second run goes on from them (default: training)"
    parser.add_argument("--work", type=Path, default=Path("training"), help=work)
    parser.add_argument("--threads", type=int, default=None, help="processor threads to use")
    defaults = Recipe()
    for name, value in vars(defaults).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"(default: {value})")
    given = vars(parser.parse_args(arguments))
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    try:
        train(given["data"], given["output"], given["work"], Recipe(**{k: given[k] for k in vars(defaults)}))
    except PanoSoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {given['output']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
