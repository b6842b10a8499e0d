"""pano-sound pan"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..settings import AnalyseSettings, InputSettings, PlanSettings, RenderSettings
from .files import check_outputs
from .options import (
    Command,
    Progress,
    json_option,
    output_option,
    overwrite_option,
    settings_options,
    source_argument,
    verbosity,
    wrote,
)


@click.command("pan", cls=Command)
@source_argument
@output_option("The video to write: .mp4, .mov, .m4v or .mkv.")
@overwrite_option
@settings_options(InputSettings)
@settings_options(AnalyseSettings)
@settings_options(PlanSettings)
@settings_options(RenderSettings)
@json_option
@verbosity
def command(
    source: list[str], output: Path, overwrite: bool, options: dict[str, Any], as_json: bool, quiet: bool
) -> None:
    """Turn a 360° film into a video that looks at the sound.

    INPUT is the 360° film. The camera turns to what sounds and stays where it is while nothing does. The film keeps its
    sound, and INPUT is never changed.

    \b
    pano-sound pan holiday.mp4 -o holiday-flat.mp4
    """
    check_outputs([output], overwrite)
    from ..pipeline import pan

    with Progress(quiet) as progress:
        path = pan(source, output, overwrite=overwrite, progress=progress, **options)
    wrote(output, quiet)
    if as_json:
        click.echo(json.dumps({"output": str(output), "path": path.to_json()}))
