"""pano-sound pan"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..options.steps import PanOptions
from .files import WrittenFile, check_ending, check_outputs
from .help import Command, HeadedOption
from .parameters import json_option, options_of, output_option, overwrite_option, pins_option, source_argument
from .progress import ProgressBar, summarise, wrote
from .verbosity import verbosity


@click.command("pan", cls=Command)
@source_argument
@output_option("The video to write: .mp4, .mov, .m4v or .mkv.")
@click.option(
    "--report",
    type=WrittenFile(),
    metavar="FILE",
    cls=HeadedOption,
    help="Also write a report: a page (.html) that shows the videos beside the analysis.",
)
@pins_option
@overwrite_option
@options_of(PanOptions)
@json_option
@verbosity
def command(
    source: list[str],
    output: Path,
    report: Path | None,
    pins_file: Path | None,
    overwrite: bool,
    options: PanOptions,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn a 360° film into a video that follows the sound.

    INPUT is the 360° film. The camera turns to the source of the sound, or cuts to it if it is far away. It holds
    still while there is nothing to follow. The video keeps the film's sound. INPUT is never changed.

    \b
    pano-sound pan holiday.mp4 -o holiday-flat.mp4
    pano-sound pan holiday.mp4 -o holiday-flat.mp4 --report holiday.html
    pano-sound pan holiday.mp4 -o holiday-flat.mp4 --pins holiday.pins.json -y
    """
    if report is not None:
        check_ending(report, "the report", ".html")
    check_outputs([output, *([report] if report else [])], overwrite)
    from ..constraints import load_constraints
    from ..pipeline import pan_with_map
    from ..visualize.summary import path_summary, sound_summary

    pins, masks = ((), ()) if pins_file is None else load_constraints(pins_file)
    if pins and options.preset == "paper":
        raise click.UsageError("--pins cannot be used with --preset paper")
    with ProgressBar(quiet) as progress:
        film, soundmap, path = pan_with_map(
            source, output, options, pins=pins, masks=masks, overwrite=overwrite, progress=progress
        )
        if report is not None:
            from ..visualize.report import write_report

            write_report(
                report,
                soundmap,
                path,
                film=film,
                options=options,
                result=output,
                overwrite=overwrite,
                progress=progress,
            )
    words = f"{sound_summary(soundmap)}; {path_summary(soundmap, path)}"
    summarise(f"{words}; report: {report} (open it in a browser)" if report else words, quiet)
    wrote(output, quiet)
    if as_json:
        click.echo(json.dumps({"output": str(output), "path": path.to_json()}))
