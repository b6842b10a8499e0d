"""pano-sound probe"""

from __future__ import annotations

import json
from typing import Any

import click

from ..settings import InputSettings
from .options import json_option, settings_options, source_argument, verbosity


@click.command("probe")
@source_argument
@settings_options(InputSettings)
@json_option
@verbosity
def command(source: list[str], options: dict[str, Any], as_json: bool, quiet: bool) -> None:
    """Say what is in the file INPUT and whether it can be panned, and if not, why."""
    from ..media.probe import probe

    info = probe(source, **options)
    if as_json:
        click.echo(json.dumps(info.to_json()))
        return
    rows = [("file", f"{info.path} ({info.container}, {info.size_bytes / 1e6:.1f} MB)")]
    if info.video:
        video, fps = info.video, info.video.fps
        speed = f", {float(fps):.6g} fps" if fps else ""
        rows.append(("picture", f"{video.width}x{video.height}{speed}, {video.codec}, {video.pix_fmt}"))
        rows.append(("duration", f"{info.duration:.2f} s"))
        tag = info.spherical.projection or "not tagged"
        rows.append(("360°", f"{tag}, {info.spherical.stereo}"))
    if info.audio:
        audio = info.audio
        kind = "ambisonics" if audio.ambisonic else audio.layout
        which = f", track {audio.track} of {audio.tracks}" if audio.tracks > 1 else ""
        rows.append(("sound", f"{audio.codec}, {audio.rate} Hz, {audio.channels} channels ({kind}){which}"))
    else:
        rows.append(("sound", "none: the view would hold"))
    rows.append(("can be panned", f"no: {info.problem}" if info.problem else "yes"))
    for name, value in rows:
        click.echo(f"{name:14} {value}")
