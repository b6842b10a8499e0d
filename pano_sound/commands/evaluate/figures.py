"""pano-sound evaluate figures"""

from __future__ import annotations

from pathlib import Path

import click

from ..files import ReadFile
from ..help import number_option
from ..progress import wrote
from ..verbosity import verbosity
from .common import figure_option


@click.command("figures")
@click.argument("source", metavar="INPUT", type=ReadFile(str))
@click.argument("soundmap", metavar="SOUNDMAP", type=ReadFile())
@click.argument("path", metavar="PATH", type=ReadFile())
@figure_option("the film", required=True)
@number_option(
    "--moments", type=click.IntRange(1, 20), default=6, show_default=True, help="Columns: moments of the film."
)
@verbosity
def figures(source: str, soundmap: Path, path: Path, output: Path, moments: int, overwrite: bool, quiet: bool) -> None:
    """Draw your film in the style of the paper's figures.

    As in Fig. 13 to 15: moments of the film with what was heard, the map of each cue, and what the camera sees. INPUT
    is the 360° film, SOUNDMAP is what 'analyse' wrote for it, and PATH is what 'plan' made of that.

    'evaluate responses' draws your pictures as in Fig. 5, 7 and 8. Other commands draw Fig. 6 and 9 to 12 with -o.
    """
    from ...camera_path import CameraPath
    from ...options.input import InputOptions
    from ...pipeline import pannable
    from ...pipeline.film import check_belongs
    from ...research.evaluate import film_sheet, plots
    from ...soundmap import SoundMap

    heard, planned, film = SoundMap.load(soundmap), CameraPath.load(path), pannable(source, InputOptions())
    check_belongs(heard.source, film, "sound map")
    check_belongs(planned.source, film, "camera path")
    found = film_sheet.moments(film, heard, planned, moments)
    plots.film_sheet(found, output, overwrite)
    wrote(output, quiet)
