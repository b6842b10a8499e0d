"""pano-sound evaluate pictures"""

from __future__ import annotations

from pathlib import Path

import click

from .common import (
    common,
    draws_option,
    folder_argument,
    model_option,
    seed_option,
    show,
)


@click.command("pictures")
@folder_argument
@model_option
@draws_option(1000, "Questions")
@seed_option
@common
def pictures(data: Path, model: str, draws: int, seed: int, as_json: bool, quiet: bool) -> None:
    """One sound, four pictures: is the right one chosen?

    FOLDER has sounds.csv, pictures.csv and pairs.csv.
    """
    from ...localize.nets.weights import load
    from ...research.evaluate.localization import four_pictures

    show(four_pictures(load(model), data, draws, seed), as_json)
