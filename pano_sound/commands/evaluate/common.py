"""Options and output that the commands of `evaluate` share."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..files import ReadFile, ReadModel, ReadSet, WrittenFile, check_outputs
from ..help import number_option
from ..parameters import json_option, overwrite_option
from ..verbosity import verbosity

F = Callable[..., Any]

data_argument = click.argument("data", metavar="DATA", type=ReadSet())
folder_argument = click.argument("data", metavar="FOLDER", type=ReadSet())
model_option = click.option(
    "--model",
    type=ReadModel(),
    metavar="NAME|FILE",
    default="base",
    show_default=True,
    help="Weights: a name from `pano-sound models`, or a .safetensors file.",
)
models_option = click.option(
    "--model",
    "models",
    type=ReadModel(),
    metavar="NAME|FILE",
    multiple=True,
    default=["base"],
    show_default=True,
    help="Weights: a name from `pano-sound models`, or a .safetensors file. Repeatable.",
)
split_option = click.option(
    "--split", metavar="NAME", help="Split of DATA to use.  [default: test, else val, else the only one]"
)
seed_option = number_option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of all random choices.",
)
repeats_option = number_option(
    "--repeats",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Number of random patterns to draw.",
)
labels_option = click.option(
    "--labels",
    type=ReadFile(),
    metavar="TABLE",
    help="Pseudo labels: a CSV of key,label with several rows per key.  [default: the set's own labels]",
)


def draws_option(default: int, what: str) -> Callable[[F], F]:
    """--draws."""
    return number_option(
        "--draws",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help=f"{what} to draw.",
    )


FIGURES = (".png", ".svg", ".pdf")


def figure_option(what: str, required: bool = False) -> Callable[[F], F]:
    """Adds -o for a picture, checked before any work, and -y. The command gets `output` (a path; None if it is not
    required and not given) and `overwrite`."""
    about = f"Draw {what} (.png, .svg or .pdf)."

    def decorate(function: F) -> F:
        @overwrite_option
        @click.option("-o", "--output", type=WrittenFile(), required=required, metavar="FILE", help=about)
        @functools.wraps(function)
        def with_figure(*args: Any, output: Path | None, overwrite: bool, **kwargs: Any) -> Any:
            if output is not None:
                if output.suffix.lower() not in FIGURES:
                    raise click.UsageError(f"a figure ends with {', '.join(FIGURES)}, not as {output.name!r} does")
                check_outputs([output], overwrite)
                need_plots()
            return function(*args, output=output, overwrite=overwrite, **kwargs)

        return with_figure

    return decorate


def common(function: F) -> F:
    """Adds --threads, --json, -q and -v; the command gets `as_json` and `quiet`."""

    @number_option(
        "--threads",
        type=click.IntRange(1),
        help="Processor threads to use.  [default: one per core]",
    )
    @json_option
    @verbosity
    @functools.wraps(function)
    def with_common(*args: Any, threads: int | None, **kwargs: Any) -> Any:
        if threads is not None:
            from ...localize.network_threads import use

            use(threads)
        return function(*args, **kwargs)

    return with_common


def show(result: Any, as_json: bool) -> None:
    """Print a result as text, or as JSON in which unknown values are null."""
    click.echo(json.dumps(_known(result.as_json())) if as_json else str(result))


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_known(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def need_plots() -> None:
    from ...research.evaluate import plots

    plots.available()
