"""pano-sound evaluate pasted"""

from __future__ import annotations

from pathlib import Path

import click

from .common import (
    common,
    draws_option,
    folder_argument,
    model_option,
    seed_option,
    show,
)


@click.command("pasted")
@folder_argument
@model_option
@draws_option(500, "Panoramas")
@seed_option
@common
def pasted(data: Path, model: str, draws: int, seed: int, as_json: bool, quiet: bool) -> None:
    """Like 'pictures', with the four pasted into a panorama.

    FOLDER has sounds.csv, pictures.csv, pairs.csv, and panoramas in stills/.
    """
    from ...localize.nets.weights import load
    from ...research.evaluate.pasted import pasted_pictures

    show(pasted_pictures(load(model), data, draws, seed), as_json)
