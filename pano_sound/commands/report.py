"""pano-sound report"""

from __future__ import annotations

from pathlib import Path

import click

from .files import ReadFile, check_outputs
from .help import Command, Option
from .parameters import output_option, overwrite_option
from .progress import wrote
from .verbosity import verbosity


@click.command("report", cls=Command)
@click.argument("source", metavar="INPUT", type=ReadFile(str))
@click.argument("soundmap", metavar="SOUNDMAP", type=ReadFile())
@click.argument("path", metavar="PATH", type=ReadFile())
@click.option("--result", type=ReadFile(), metavar="FILE", cls=Option, help="The rendered video, to play beside INPUT.")
@output_option("The page to write (.html).")
@overwrite_option
@verbosity
def command(
    source: str, soundmap: Path, path: Path, result: Path | None, output: Path, overwrite: bool, quiet: bool
) -> None:
    """Make a page of what was heard and where the camera looks.

    INPUT is the 360° film, SOUNDMAP what 'analyse' wrote for it, and PATH what 'plan' made of that.

    The page opens from disk in any browser, without a network. The videos stay where they are and play side by side.

    \b
    pano-sound report holiday.mp4 holiday.soundmap.npz holiday.path.json --result holiday-flat.mp4 -o holiday.html
    """
    check_outputs([output], overwrite)
    from ..camera_path import CameraPath
    from ..soundmap import SoundMap
    from ..visualize.report import write_report

    write_report(
        output, SoundMap.load(soundmap), CameraPath.load(path), source=source, result=result, overwrite=overwrite
    )
    wrote(output, quiet)
