"""pano-sound analyse"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..options.steps import AnalyseOptions
from .files import check_ending, check_outputs
from .help import Command
from .parameters import json_option, options_of, output_option, overwrite_option, source_argument
from .progress import ProgressBar, summarise, wrote
from .verbosity import verbosity


@click.command("analyse", cls=Command)
@source_argument
@output_option("The sound map to write. By default INPUT's name with .soundmap.npz, in this folder.", required=False)
@overwrite_option
@options_of(AnalyseOptions)
@json_option
@verbosity
def command(
    source: list[str], output: Path | None, overwrite: bool, options: AnalyseOptions, as_json: bool, quiet: bool
) -> None:
    """Find where the sound of a 360° film comes from.

    INPUT is the 360° film. This writes a sound map: how likely each direction is to hold the source, over time. 'plan'
    and 'overlay' read it.

    \b
    pano-sound analyse holiday.mp4 -o holiday.soundmap.npz
    """
    output = output or Path(f"{Path(source[0]).stem}.soundmap.npz")
    check_outputs([output], overwrite)
    check_ending(output, "the sound map", ".npz")
    from ..camera.glimpses import mean_direction
    from ..pipeline import analyse
    from ..visualize.summary import sound_summary

    with ProgressBar(quiet) as progress:
        soundmap = analyse(source, options, progress=progress)
    soundmap.save(output, overwrite)
    summarise(str(sound_summary(soundmap)), quiet)
    wrote(output, quiet)
    if as_json:
        rows = []
        for i, (t, sure) in enumerate(zip(soundmap.times, soundmap.present(), strict=True)):
            look, _ = mean_direction(soundmap.saliency(part=slice(i, i + 1)))
            found = {
                "t": t,
                "yaw": look[0, 0],
                "pitch": look[0, 1],
                "present": sure,
                "level_db": soundmap.level_db[i],
            }
            rows.append({name: round(float(value), 3) for name, value in found.items()})
        click.echo(json.dumps({"output": str(output), "grid": soundmap.grid, "samples": rows}))
