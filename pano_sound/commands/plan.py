"""pano-sound plan"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..outputs import check_file
from ..settings import PlanSettings
from .options import json_option, output_option, overwrite_option, settings_options, verbosity, wrote

ENDING = ".soundmap.npz"


@click.command("plan")
@click.argument("soundmap", metavar="SOUNDMAP", type=click.Path(path_type=Path))
@output_option("The camera path to write; default: SOUNDMAP's name with .path.json, in this folder.", required=False)
@overwrite_option
@settings_options(PlanSettings)
@json_option
@verbosity
def command(
    soundmap: Path, output: Path | None, overwrite: bool, options: dict[str, Any], as_json: bool, quiet: bool
) -> None:
    """Decide where to look while the film of SOUNDMAP plays, and write it as a camera path that one can edit.

    \b
    pano-sound plan holiday.soundmap.npz -o holiday.path.json
    """
    name = soundmap.name
    output = output or Path((name[: -len(ENDING)] if name.endswith(ENDING) else soundmap.stem) + ".path.json")
    check_file(output, soundmap, overwrite)
    from ..localize.soundmap import SoundMap
    from ..pipeline import plan

    path = plan(SoundMap.load(soundmap), **options)
    path.save(output)
    wrote(output, quiet)
    if as_json:
        click.echo(json.dumps({"output": str(output), "path": path.to_json()}))
