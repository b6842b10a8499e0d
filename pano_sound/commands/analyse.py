"""pano-sound analyse"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..settings import AnalyseSettings
from .options import (
    Progress,
    check_data_output,
    json_option,
    output_option,
    overwrite_option,
    settings_options,
    source_argument,
    verbosity,
    wrote,
)


@click.command("analyse")
@source_argument
@output_option("The sound map to write; default: INPUT's name with .soundmap.npz, in this folder.", required=False)
@overwrite_option
@settings_options(AnalyseSettings)
@json_option
@verbosity
def command(
    source: Path, output: Path | None, overwrite: bool, options: dict[str, Any], as_json: bool, quiet: bool
) -> None:
    """Find where the 360° film INPUT sounds, over time, and write it as a sound map.

    \b
    pano-sound analyse holiday.mp4 -o holiday.soundmap.npz
    """
    output = output or Path(f"{source.stem}.soundmap.npz")
    check_data_output(output, overwrite)
    from ..camera.glimpses import mean_direction
    from ..pipeline import analyse

    with Progress(quiet) as progress:
        soundmap = analyse(source, progress=progress, **options)
    soundmap.save(output)
    wrote(output, quiet)
    if as_json:
        look, _ = mean_direction(soundmap.saliency())
        rows = [
            {
                "t": round(float(t), 3),
                "yaw": round(float(yaw), 1),
                "pitch": round(float(pitch), 1),
                "confidence": round(float(sure), 3),
                "level_db": round(float(level), 1),
            }
            for t, (yaw, pitch), sure, level in zip(
                soundmap.times, look, soundmap.confidence(), soundmap.level_db, strict=True
            )
        ]
        click.echo(json.dumps({"output": str(output), "grid": soundmap.grid, "samples": rows}))
