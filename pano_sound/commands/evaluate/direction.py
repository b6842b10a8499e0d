"""pano-sound evaluate direction"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..help import number_option
from .common import (
    common,
    folder_argument,
    model_option,
    seed_option,
)


@click.command("direction")
@folder_argument
@model_option
@number_option("--turns", type=click.IntRange(1), default=3, show_default=True, help="Random yaws per scene.")
@number_option(
    "--window", type=click.FloatRange(0.0), default=5.0, show_default=True, help="Seconds of sound per picture."
)
@number_option(
    "--smooth", type=click.FloatRange(0.0), default=3.0, show_default=True, help="Average maps over this many seconds."
)
@seed_option
@common
def direction(
    data: Path, model: str, turns: int, window: float, smooth: float, seed: int, as_json: bool, quiet: bool
) -> None:
    """How far is the answer from the true direction?

    FOLDER has 360° scenes in pano/directions.csv, and unrelated sounds in sounds.csv.
    """
    from ...localize.nets.weights import load
    from ...research.evaluate import direction

    network = load(model)
    scenes, bank = direction.read_scenes(network, data), direction.sound_bank(network, data)
    records = direction.evaluate(network, scenes, bank, direction.Reading(window, smooth), turns, seed)
    if as_json:
        click.echo(json.dumps(records))
    else:
        click.echo(direction.table(records))
        click.echo(direction.table(records, by="file"))
