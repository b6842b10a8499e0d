"""pano-sound evaluate speed"""

from __future__ import annotations

import json

import click

from .common import (
    common,
    model_option,
)


@click.command("speed")
@model_option
@common
def speed(model: str, as_json: bool, quiet: bool) -> None:
    """How long do the networks take?

    In milliseconds, for one panorama and for one second of sound.
    """
    from ...research.evaluate.speed import speed

    found = speed(model)
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name:<30}{value:g}" for name, value in found.items()))
