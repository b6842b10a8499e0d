"""pano-sound pan"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..settings import AnalyseSettings, InputSettings, PlanSettings, RenderSettings
from .files import check_outputs
from .options import (
    Progress,
    json_option,
    output_option,
    overwrite_option,
    settings_options,
    source_argument,
    verbosity,
    wrote,
)


@click.command("pan")
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
    """Write an ordinary video of the 360° film INPUT that looks where the sound comes from.

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
