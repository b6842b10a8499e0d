"""pano-sound evaluate interactive"""

from __future__ import annotations

from pathlib import Path

import click

from ..progress import wrote
from .common import (
    common,
    data_argument,
    draws_option,
    figure_option,
    model_option,
    seed_option,
    show,
    split_option,
)


@click.command("interactive")
@data_argument
@model_option
@split_option
@draws_option(200, "Pairs of pictures")
@seed_option
@figure_option("pictures with their maps for two sounds, Fig. 6 of the paper")
@common
def interactive(
    data: Path,
    model: str,
    split: str | None,
    draws: int,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Of two pictures side by side, is the right one found?"""
    from ...localize.nets.weights import load
    from ...research.evaluate import interactive, sets

    network, held_out = load(model), sets.read(data, split)
    result = interactive.evaluate(network, held_out.examples, held_out.kinds, draws, seed=seed)
    if output is not None:
        from ...research.evaluate import plots

        plots.interactive_sheet(result.shown, output, overwrite)
        wrote(output, quiet)
    show(result, as_json)
