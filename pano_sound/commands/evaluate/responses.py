"""pano-sound evaluate responses"""

from __future__ import annotations

from pathlib import Path

import click

from ..files import ReadModel, WrittenFile, check_outputs
from ..parameters import overwrite_option
from ..progress import wrote
from ..verbosity import verbosity
from .common import FIGURES, data_argument, need_plots, seed_option, split_option


@click.command("responses")
@data_argument
@click.option(
    "--model",
    "models",
    type=ReadModel(),
    multiple=True,
    default=["base"],
    show_default=True,
    help="Name or path of weights. Repeatable: a column for each.",
)
@split_option
@click.option("--count", type=click.IntRange(1, 50), default=8, show_default=True, help="Rows: pictures at random.")
@seed_option
@click.option(
    "-o", "--output", type=WrittenFile(), required=True, metavar="FILE", help="The figure: .png, .svg or .pdf."
)
@overwrite_option
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
    """Draw where models find the source in pictures of yours.

    Fig. 5 of the paper: pictures, and the response to their sound. Where people marked the source, their boxes are
    drawn, a colour for each person (Fig. 7). With several --model, their responses stand side by side (Fig. 8).
    """
    if output.suffix.lower() not in FIGURES:
        raise click.UsageError(f"a figure ends with {', '.join(FIGURES)}, not as {output.name!r} does")
    names = [Path(model).stem for model in models]
    if len(set(names)) < len(names):
        raise click.UsageError("weights must have different names")
    check_outputs([output], overwrite)
    need_plots()
    from ...localize.nets.weights import load
    from ...research.evaluate import plots, sets
    from ...research.evaluate.responses import responses

    networks = {name: load(model) for name, model in zip(names, models, strict=True)}
    plots.response_sheet(responses(networks, sets.read(data, split).examples, count, seed), output, overwrite)
    wrote(output, quiet)
