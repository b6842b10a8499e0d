"""pano-sound evaluate responses"""

from __future__ import annotations

from pathlib import Path

import click

from ..help import number_option
from ..progress import wrote
from ..verbosity import verbosity
from .common import data_argument, figure_option, models_option, seed_option, split_option


@click.command("responses")
@data_argument
@models_option
@split_option
@number_option("--count", type=click.IntRange(1, 50), default=8, show_default=True, help="Rows: pictures at random.")
@seed_option
@figure_option("the pictures, a column for each model", required=True)
@verbosity
def responses(
    data: Path,
    models: tuple[str, ...],
    split: str | None,
    count: int,
    seed: int,
    output: Path,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Draw where models find the source in your pictures.

    As in Fig. 5 of the paper: each picture with the response to its sound. Boxes that people drew around the source
    are shown, in a colour for each person (Fig. 7). With several --model, the responses are side by side (Fig. 8).
    """
    from ...localize.nets.weights import load
    from ...research.evaluate import plots, sets
    from ...research.evaluate.responses import responses
    from ...research.evaluate.tables import short_names

    names = short_names(models)
    networks = {name: load(model) for name, model in zip(names, models, strict=True)}
    plots.response_sheet(responses(networks, sets.read(data, split).examples, count, seed), output, overwrite)
    wrote(output, quiet)
