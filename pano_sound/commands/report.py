"""pano-sound report"""

from __future__ import annotations

from pathlib import Path

import click

from ..options.input import InputOptions
from .files import ReadFile, check_ending, check_outputs
from .help import Command, HeadedOption
from .parameters import options_of, output_option, overwrite_option, source_argument
from .progress import ProgressBar, wrote
from .verbosity import verbosity


@click.command("report", cls=Command)
@source_argument
@click.argument("soundmap", metavar="SOUNDMAP", type=ReadFile())
@click.argument("path", metavar="PATH", type=ReadFile())
@click.option(
    "--result", type=ReadFile(), metavar="FILE", cls=HeadedOption, help="The rendered video, to play beside INPUT."
)
@output_option("The page to write (.html).")
@overwrite_option
@options_of(InputOptions)
@verbosity
def command(
    source: list[str],
    soundmap: Path,
    path: Path,
    result: Path | None,
    output: Path,
    overwrite: bool,
    options: InputOptions,
    quiet: bool,
) -> None:
    """Make a page that shows what was heard and where the camera looks.

    INPUT is the 360° film. SOUNDMAP is the file that 'analyse' wrote for it, and PATH the one that 'plan' wrote.

    The page opens from disk in any browser, without an internet connection. It plays the videos side by side, from
    where they are, and contains a small preview of INPUT for the 360° view. For files joined with --concat, it plays
    the preview in place of INPUT. On the page you can set pins and save them for 'plan --pins'; it shows the commands.

    \b
    pano-sound report holiday.mp4 holiday.soundmap.npz holiday.path.json --result holiday-flat.mp4 -o holiday.html
    """
    check_ending(output, "the page", ".html")
    check_outputs([output], overwrite)
    from ..camera_path import CameraPath
    from ..pipeline import pannable
    from ..pipeline.film import check_belongs, check_result
    from ..soundmap import SoundMap
    from ..visualize.report import write_report

    heard, planned, film = SoundMap.load(soundmap), CameraPath.load(path), pannable(source, options)
    if result is not None:
        check_result(result, film)
    check_belongs(heard.source, film, "sound map")
    check_belongs(planned.source, film, "camera path")
    with ProgressBar(quiet) as progress:
        write_report(
            output,
            heard,
            planned,
            film=film,
            options=options,
            result=result,
            kept=(soundmap, path),
            overwrite=overwrite,
            progress=progress,
        )
    wrote(output, quiet)
