"""pano-sound evaluate tables"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ...atomic_file import written_whole
from ..files import WrittenFile, check_folder_of
from ..parameters import overwrite_option
from ..progress import wrote
from .common import (
    common,
    data_argument,
    labels_option,
    models_option,
    need_plots,
    repeats_option,
    seed_option,
    split_option,
)


@click.command("tables")
@data_argument
@models_option
@split_option
@labels_option
@repeats_option
@seed_option
@click.option(
    "-o",
    "--output",
    type=WrittenFile(),
    metavar="FOLDER",
    help="Write the tables as .csv and .png, tables.txt, and Fig. 9 into this folder.",
)
@overwrite_option
@common
def tables(
    data: Path,
    models: tuple[str, ...],
    split: str | None,
    labels: Path | None,
    repeats: int,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print the paper's Tables I to VI for these weights."""
    from ...research.evaluate import retrieval, sets, tables

    if output is not None:
        check_folder_of(
            output,
            [f"table-{number}.{kind}" for number in tables.TABLES for kind in ("csv", "png")]
            + ["figure-9.png", "tables.txt"],
            overwrite,
        )
        need_plots()
    held_out = sets.read(data, split)
    known = None if labels is None else retrieval.read_labels(labels, held_out.examples)
    names = tables.short_names(models)
    measured = [
        tables.measure(model, name, held_out, known, repeats, seed) for model, name in zip(models, names, strict=True)
    ]
    found = tables.build(measured, seed)
    text = "\n\n".join(map(str, found))
    if output is not None:
        from ...research.evaluate import plots

        output.mkdir(exist_ok=True)
        for table in found:
            with written_whole(output / f"table-{table.number}.csv", "w", overwrite) as file:
                file.write(table.csv())
            plots.table_picture(table, output / f"table-{table.number}.png", overwrite)
        if curves := tables.curves(measured):
            plots.success_curves(curves, output / "figure-9.png", overwrite)
        with written_whole(output / "tables.txt", "w", overwrite) as file:
            file.write(text + "\n")
        wrote(output, quiet)
    click.echo(json.dumps([table.as_json() for table in found]) if as_json else text)
