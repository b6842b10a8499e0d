"""pano-sound evaluate"""

from __future__ import annotations

import functools
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..errors import OutputError
from ..outputs import check_file, written_whole
from ..settings import PRESETS
from .files import ReadFile, ReadModel, WrittenFile, check_outputs
from .options import json_option, overwrite_option, verbosity, wrote

F = Callable[..., Any]

data_argument = click.argument("data", metavar="DATA", type=ReadFile())
folder_argument = click.argument("data", metavar="FOLDER", type=ReadFile())
model_option = click.option(
    "--model", type=ReadModel(), default="base", show_default=True, help="Name or path of the weights."
)
split_option = click.option("--split", help="Part of DATA to measure on.  [default: test, else val, else the only one]")
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Of everything drawn at random.")
repeats_option = click.option(
    "--repeats", type=click.IntRange(0), default=100, show_default=True, help="Times that the random pattern is drawn."
)
labels_option = click.option(
    "--labels",
    type=ReadFile(),
    metavar="TABLE",
    help="Pseudo labels: a CSV of key,label, several rows a key.  [default: the set's own labels]",
)


def draws_option(default: int, what: str) -> Callable[[F], F]:
    """--draws."""
    return click.option("--draws", type=click.IntRange(1), default=default, show_default=True, help=f"{what} to draw.")


def figure_option(what: str) -> Callable[[F], F]:
    """-o, --output for a picture, checked before any work, and -y. The command gets `output` (a path or None) and
    `overwrite`."""

    def decorate(function: F) -> F:
        @overwrite_option
        @click.option("-o", "--output", type=WrittenFile(), metavar="FILE", help=f"Draw {what} (.png).")
        @functools.wraps(function)
        def with_figure(*args: Any, output: Path | None, overwrite: bool, **kwargs: Any) -> Any:
            if output is not None:
                if output.suffix.lower() != ".png":
                    raise click.UsageError(f"the figure is a .png file, not {output.name!r}")
                check_outputs([output], overwrite)
                _need_plots()
            return function(*args, output=output, overwrite=overwrite, **kwargs)

        return with_figure

    return decorate


def common(function: F) -> F:
    """--threads, --json, -q and -v; the command gets `as_json` and `quiet`."""

    @click.option("--threads", type=click.IntRange(1), help="Processor threads to use.  [default: PyTorch's choice]")
    @json_option
    @verbosity
    @functools.wraps(function)
    def with_common(*args: Any, threads: int | None, **kwargs: Any) -> Any:
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return function(*args, **kwargs)

    return with_common


@click.group("evaluate")
def command() -> None:
    """Measure weights on data that they have never seen. docs/evaluation.md says what each number means.

    DATA is a set in any layout that 'train' reads (but no tar shards), with boxes where a measure needs them.
    """


@command.command("boxes")
@data_argument
@model_option
@split_option
@repeats_option
@seed_option
@figure_option("success against threshold, Fig. 9 of the paper")
@common
def boxes(
    data: Path,
    model: str,
    split: str | None,
    repeats: int,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Overlap with what people boxed: cIoU and AUC, beside chance, the centre, and other sounds."""
    from ..localize.nets.weights import load
    from ..research.evaluate import boxed, sets

    network, held_out = load(model), sets.read(data, split)
    result = boxed.evaluate(network, held_out.examples, held_out.kinds, repeats, seed)
    if output is not None:
        from ..research.evaluate import plots

        rows = [boxed.Row(hearing, network.mechanism) for hearing in boxed.HEARINGS]
        curves = {str(row): result.overlaps[row] for row in rows if row in result.overlaps} | result.centres
        plots.success_curves(curves, output, overwrite)
        wrote(output, quiet)
    _show(result, as_json)


@command.command("ambient")
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
    """Responses to sounds that do not belong: off-screen, ambient, noise, silence; AP and max-F1."""
    from ..localize.nets.weights import load
    from ..research.evaluate import ambient, sets

    network, held_out = load(model), sets.read(data, split)
    result = ambient.evaluate(network, held_out.examples, held_out.kinds, held_out.ambient, seed=seed)
    if output is not None:
        from ..research.evaluate import plots

        plots.ambient_sheet(result.shown, output, overwrite)
        wrote(output, quiet)
    _show(result, as_json)


@command.command("retrieval")
@data_argument
@model_option
@split_option
@labels_option
@seed_option
@figure_option("queries and their neighbours, Fig. 11 and 12 of the paper")
@common
def retrieval(
    data: Path,
    model: str,
    split: str | None,
    labels: Path | None,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Nearest neighbours from pictures to sounds and back: the share that has a label of the query."""
    import numpy as np

    from ..localize.nets.weights import load
    from ..research.evaluate import retrieval, sets

    network, held_out = load(model), sets.read(data, split)
    known = None if labels is None else retrieval.read_labels(labels, held_out.examples)
    codes = retrieval.encode(network, held_out.examples)
    result = retrieval.evaluate(codes, held_out.examples, known, seed)
    if output is not None:
        from ..research.evaluate import plots

        count = min(3, len(held_out.examples))
        queries = np.random.default_rng(seed).choice(len(held_out.examples), count, replace=False).tolist()
        associations = retrieval.associate(network, codes, held_out.examples, queries)
        plots.neighbour_sheet(codes, associations, held_out.examples, output, overwrite)
        wrote(output, quiet)
    _show(result, as_json)


@command.command("interactive")
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
    """The same picture, other sounds: of two pictures side by side, does the peak follow what is heard?"""
    from ..localize.nets.weights import load
    from ..research.evaluate import interactive, sets

    network, held_out = load(model), sets.read(data, split)
    result = interactive.evaluate(network, held_out.examples, held_out.kinds, draws, seed=seed)
    if output is not None:
        from ..research.evaluate import plots

        plots.interactive_sheet(result.shown, output, overwrite)
        wrote(output, quiet)
    _show(result, as_json)


@command.command("tables")
@data_argument
@click.option(
    "--model",
    "models",
    type=ReadModel(),
    multiple=True,
    default=["base"],
    show_default=True,
    help="Name or path of weights. Repeatable.",
)
@split_option
@labels_option
@repeats_option
@seed_option
@click.option(
    "-o",
    "--output",
    type=WrittenFile(),
    metavar="FOLDER",
    help="Write each table as .csv and .png, all of them as tables.txt, and Fig. 9.",
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
    """Print the paper's Tables I to VI with these models beside it."""
    from ..research.evaluate import retrieval, sets, tables

    if output is not None:
        _check_folder(
            output, [f"table-{number}.{kind}" for number in tables.TABLES for kind in ("csv", "png")], overwrite
        )
        _need_plots()
    held_out = sets.read(data, split)
    known = None if labels is None else retrieval.read_labels(labels, held_out.examples)
    names = tables.short_names(models)
    measured = [
        tables.measure(model, name, held_out, known, repeats, seed) for model, name in zip(models, names, strict=True)
    ]
    found = tables.build(measured, seed)
    text = "\n\n".join(map(str, found))
    if output is not None:
        from ..research.evaluate import plots

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


@command.command("pictures")
@folder_argument
@model_option
@draws_option(1000, "Questions")
@seed_option
@common
def pictures(data: Path, model: str, draws: int, seed: int, as_json: bool, quiet: bool) -> None:
    """One sound and four pictures: is the right one chosen? FOLDER has sounds.csv, pictures.csv and pairs.csv."""
    from ..localize.nets.weights import load
    from ..research.evaluate.localization import four_pictures

    _show(four_pictures(load(model), data, draws, seed), as_json)


@command.command("pasted")
@folder_argument
@model_option
@draws_option(500, "Panoramas")
@seed_option
@common
def pasted(data: Path, model: str, draws: int, seed: int, as_json: bool, quiet: bool) -> None:
    """The same with the four pictures pasted small into a panorama.

    FOLDER has sounds.csv, pictures.csv, pairs.csv, and panoramas in stills/.
    """
    from ..localize.nets.weights import load
    from ..research.evaluate.pasted import pasted_pictures

    _show(pasted_pictures(load(model), data, draws, seed), as_json)


@command.command("direction")
@folder_argument
@model_option
@click.option("--turns", type=click.IntRange(1), default=3, show_default=True, help="Random yaws per scene.")
@click.option("--window", type=float, default=5.0, show_default=True, help="Seconds of sound per picture.")
@click.option("--smooth", type=float, default=3.0, show_default=True, help="Seconds over which maps are averaged.")
@seed_option
@common
def direction(
    data: Path, model: str, turns: int, window: float, smooth: float, seed: int, as_json: bool, quiet: bool
) -> None:
    """360° scenes: the angle between the answer and the true direction.

    FOLDER has pano/directions.csv, and sounds.csv for what no scene sounds like.
    """
    from ..localize.nets.weights import load
    from ..research.evaluate import direction

    network = load(model)
    scenes, bank = direction.read_scenes(network, data), direction.sound_bank(network, data)
    records = direction.evaluate(network, scenes, bank, direction.Reading(window, smooth), turns, seed)
    if as_json:
        click.echo(json.dumps(records))
    else:
        click.echo(direction.table(records))
        click.echo(direction.table(records, by="file"))


@command.command("camera")
@click.argument("data", metavar="[FOLDER]", type=ReadFile(), required=False)
@model_option
@click.option(
    "--preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), help="Only this; may be repeated."
)
@click.option(
    "--window",
    type=click.FloatRange(0.0),
    default=0.0,
    show_default=True,
    help="Seconds of sound of the made scenes' maps.",
)
@click.option(
    "--soundmaps",
    type=ReadFile(),
    metavar="FOLDER",
    help="Take NAME.soundmap.npz from there for FOLDER's films, where there is one, and do not analyse those.",
)
@click.option(
    "--people",
    type=ReadFile(),
    metavar="FILE",
    help="Pano2Vid's HumanEdit JSON: cosine and overlap are against these paths for FOLDER's films that it names.",
)
@common
def camera(
    data: Path | None,
    model: str,
    presets: tuple[str, ...],
    window: float,
    soundmaps: Path | None,
    people: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """How good camera paths are: what they show of what sounds, how they move, and Pano2Vid's measures.

    On made scenes whose truth is known, or on the 360° films of FOLDER/pano/directions.csv. docs/camera.md says what
    each number means.
    """
    if data is None and (people or soundmaps):
        raise click.UsageError("--people and --soundmaps are for the films of a FOLDER")
    from ..camera.formats import load_humanedit
    from ..research.evaluate import camera_report
    from ..soundmap import SoundMap

    chosen = presets or tuple(PRESETS)
    if data is None:
        _show(camera_report.made(chosen, window), as_json)
        return

    def analysed(film: Path) -> SoundMap:
        known = None if soundmaps is None else soundmaps / f"{film.stem}.soundmap.npz"
        if known is not None and known.exists():
            return SoundMap.load(known)
        from ..pipeline import analyse

        return analyse(film, model=model, ambisonics="ambix")  # As the table was made, whatever the film's tags.

    log = logging.getLogger("pano_sound")
    edits = None if people is None else load_humanedit(people)
    _show(camera_report.real(data, chosen, analysed, lambda name: log.info("%s", name), edits), as_json)


@command.command("speed")
@model_option
@common
def speed(model: str, as_json: bool, quiet: bool) -> None:
    """How long one panorama takes to look at, and one second of sound to hear, in milliseconds."""
    from ..research.evaluate.speed import speed

    found = speed(model)
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name:<30}{value:g}" for name, value in found.items()))


def _show(result: Any, as_json: bool) -> None:
    """Print a result: its text, or one JSON object in which what is not known is null."""
    click.echo(json.dumps(_known(result.as_json())) if as_json else str(result))


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_known(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _need_plots() -> None:
    from ..research.evaluate import plots

    plots.available()


def _check_folder(folder: Path, names: list[str], overwrite: bool) -> None:
    """Say now what would be wrong with these files in a folder, which need not exist yet."""
    if not folder.exists():
        check_file(folder)
        return
    if not folder.is_dir():
        raise OutputError("is not a folder", folder)
    check_outputs([folder / name for name in [*names, "figure-9.png", "tables.txt"]], overwrite)


from .evaluate_scenes import scenes  # noqa: E402 - it takes its options from here

command.add_command(scenes)
