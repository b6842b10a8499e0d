"""pano-sound train"""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from .files import ReadSet, WrittenFile, check_ending, check_outputs, check_work_folder
from .parameters import output_option, overwrite_option
from .progress import wrote
from .verbosity import verbosity

R = TypeVar("R")


@click.command("train")
@click.argument("data", nargs=-1, required=True, metavar="DATA...", type=ReadSet(str))
@output_option("The weights to write (.safetensors).")
@overwrite_option
@click.option(
    "--recipe",
    type=click.Choice(["paper", "base"]),
    default="paper",
    show_default=True,
    help="'paper' trains as published, 'base' as the shipped weights were made (from one folder of labelled data).",
)
@click.option(
    "--mode",
    type=click.Choice(["unsupervised", "supervised", "semi"]),
    help="For the paper's recipe: learn without boxes, from boxes only, or from both.  [default: unsupervised]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a field of the recipe, such as steps=2000. docs/training.md lists them. Repeatable.",
)
@click.option("--layout", metavar="NAME", help="Layout of DATA, as in docs/training.md. By default it is detected.")
@click.option("--split", metavar="NAME", default="train", show_default=True, help="Split of DATA to train on.")
@click.option(
    "--work",
    type=WrittenFile(file_okay=False),
    metavar="FOLDER",
    default=Path("training"),
    show_default=True,
    help="Folder for checkpoints, logs and caches. Run the same command again to resume.",
)
@verbosity
def command(
    data: tuple[str, ...],
    output: Path,
    overwrite: bool,
    recipe: str,
    mode: str | None,
    settings: tuple[str, ...],
    layout: str | None,
    split: str,
    work: Path,
    quiet: bool,
) -> None:
    """Train a network on pictures and their sounds.

    \b
    pano-sound train flickr/ -o mine.safetensors --mode semi
    pano-sound train 'https://example.org/set-{000..143}.tar' -o mine.safetensors
    pano-sound train data/ -o base.safetensors --recipe base

    DATA is one or more folders or files in a layout of docs/training.md, or tar shards (.tar, local or by URL).
    """
    check_ending(output, "the weights", ".safetensors")
    start = [setting.removeprefix("start=") for setting in settings if setting.startswith("start=")]
    check_outputs([output], overwrite, start)
    check_work_folder(work, overwrite)
    if quiet:
        os.environ["TQDM_DISABLE"] = "1"  # read by tqdm when it is first imported, which is below
    if recipe == "base":
        if len(data) != 1 or mode is not None or layout is not None or split != "train":
            raise click.UsageError("the recipe base takes one folder and no --mode, --layout or --split")
        from ..research.train import base

        base.train(Path(data[0]), output, work, _recipe(base.BaseRecipe, settings), overwrite)
    else:
        from ..research.datasets.layouts import read_set
        from ..research.datasets.shards import Shards, is_shards
        from ..research.train import paper
        from ..research.train.parallel import Processes

        chosen = _recipe(paper.PaperRecipe, (*settings, *([f"mode={mode}"] if mode else [])))
        streamed = [is_shards(name) for name in data]
        if all(streamed):
            boxed = chosen.mode == "supervised"
            shards = Shards(data, split, chosen.seed, part=Processes().part, boxed=boxed)
            paper.train(shards, output, work, chosen, overwrite)
        elif any(streamed):
            raise click.UsageError("tar shards cannot be mixed with other sets")
        else:
            examples = [example for name in data for example in read_set(Path(name), layout, split)]
            paper.train(examples, output, work, chosen, overwrite)
    wrote(output, quiet)


def _recipe(kind: type[R], settings: tuple[str, ...]) -> R:
    """A recipe with these NAME=VALUE settings. Raises click.UsageError for unknown names and wrong values."""
    known = {f.name: type(getattr(kind, f.name)) for f in fields(kind)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            raise click.UsageError(f"the recipe has no field {name!r}; it has: {', '.join(known)}")
        try:
            given[name] = {"true": True, "false": False}[value.lower()] if known[name] is bool else known[name](value)
        except (KeyError, ValueError):
            raise click.UsageError(f"{name} cannot be {value!r}") from None
    try:
        return kind(**given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
