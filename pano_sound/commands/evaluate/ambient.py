"""pano-sound evaluate ambient"""

from __future__ import annotations

from pathlib import Path

import click

from ..progress import wrote
from .common import (
    common,
    data_argument,
    figure_option,
    model_option,
    seed_option,
    show,
    split_option,
)


@click.command("ambient")
@data_argument
@model_option
@split_option
@seed_option
@figure_option("responses in grey, Fig. 10 of the paper")
@common
def ambient(
    data: Path,
    model: str,
    split: str | None,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Does it notice sounds that do not belong? AP and max-F1.

    Pictures are paired with off-screen and ambient sounds, noise and silence.
    """
    from ...localize.nets.weights import load
    from ...research.evaluate import ambient, sets

    network, held_out = load(model), sets.read(data, split)
    result = ambient.evaluate(network, held_out.examples, held_out.kinds, held_out.ambient, seed=seed)
    if output is not None:
        from ...research.evaluate import plots

        plots.ambient_sheet(result.shown, output, overwrite)
        wrote(output, quiet)
    show(result, as_json)
