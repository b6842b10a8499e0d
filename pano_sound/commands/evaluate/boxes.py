"""pano-sound evaluate boxes"""

from __future__ import annotations

from pathlib import Path

import click

from ..progress import wrote
from .common import (
    common,
    data_argument,
    figure_option,
    model_option,
    repeats_option,
    seed_option,
    show,
    split_option,
)


@click.command("boxes")
@data_argument
@model_option
@split_option
@click.option(
    "--small",
    is_flag=True,
    help="Use only photographs of several things (DATA/coco, DATA/boxed), and only things that cover less than a "
    "quarter of the photograph.",
)
@repeats_option
@seed_option
@figure_option("success against threshold, Fig. 9 of the paper")
@common
def boxes(
    data: Path,
    model: str,
    split: str | None,
    small: bool,
    repeats: int,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Does it find the sources that people marked? cIoU and AUC.

    Also measures chance, a box in the centre, and other sounds, for comparison.
    """
    from ...localize.nets.weights import load
    from ...research.evaluate import boxed, sets

    network, held_out = load(model), sets.read(data, split, small)
    result = boxed.evaluate(network, held_out.examples, held_out.kinds, repeats, seed)
    if output is not None:
        from ...research.evaluate import plots

        rows = [boxed.Variant(hearing, network.mechanism) for hearing in boxed.HEARINGS]
        curves = {str(row): result.overlaps[row] for row in rows if row in result.overlaps} | result.centres
        plots.success_curves(curves, output, overwrite)
        wrote(output, quiet)
    show(result, as_json)
