"""pano-sound evaluate camera"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from ...options.presets import PRESETS, Preset
from ..files import ReadFile, ReadSet
from ..help import number_option
from .common import common, model_option, show


@click.command("camera")
@click.argument("data", metavar="[FOLDER]", type=ReadSet(), required=False)
@model_option
@click.option(
    "--preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), help="Only this preset. Repeatable."
)
@number_option(
    "--window",
    type=click.FloatRange(0.0),
    default=0.0,
    show_default=True,
    help="Sound window of the made scenes' maps, in seconds.",
)
@click.option(
    "--soundmaps",
    type=ReadFile(),
    metavar="FOLDER",
    help="Use NAME.soundmap.npz from this folder, where there is one, instead of analysing the film.",
)
@click.option(
    "--people",
    type=ReadFile(),
    metavar="FILE",
    help="Pano2Vid's HumanEdit JSON: compare with these paths (cosine and overlap) where they exist.",
)
@common
def camera(
    data: Path | None,
    model: str,
    presets: tuple[Preset, ...],
    window: float,
    soundmaps: Path | None,
    people: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Do cameras hold the source in view, and how do they move?

    Measured on made scenes, or on the 360° films of FOLDER/pano/directions.csv, also with Pano2Vid's measures.
    docs/camera.md explains each number.
    """
    if data is None and (people or soundmaps):
        raise click.UsageError("--people and --soundmaps are for the films of a FOLDER")
    from ...camera.formats import load_humanedit
    from ...research.evaluate import camera_report
    from ...soundmap import SoundMap

    chosen = presets or tuple(PRESETS)
    if data is None:
        show(camera_report.made(chosen, window), as_json)
        return

    def analysed(film: Path) -> SoundMap:
        known = None if soundmaps is None else soundmaps / f"{film.stem}.soundmap.npz"
        if known is not None and known.exists():
            return SoundMap.load(known)
        from ...options.steps import AnalyseOptions
        from ...pipeline import analyse

        # As the table was made, whatever the film's tags.
        return analyse(film, AnalyseOptions(model=model, ambisonics="ambix"))

    log = logging.getLogger("pano_sound")
    edits = None if people is None else load_humanedit(people)
    show(camera_report.real(data, chosen, analysed, lambda name: log.info("%s", name), edits), as_json)
