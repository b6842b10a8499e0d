"""pano-sound models"""

from __future__ import annotations

import json

import click

from .options import json_option, verbosity


@click.command("models")
@json_option
@verbosity
def command(as_json: bool, quiet: bool) -> None:
    """List the weights that --model knows by name."""
    from ..localize.weights import available

    found = available()
    if as_json:
        click.echo(json.dumps(found))
        return
    for model in found:
        size = model["size"] / 1e6
        click.echo(
            f"{model['name']:12} {size:6.1f} MB  {model['parameters']:>10,} parameters  sha256 {model['sha256'][:16]}"
        )
        click.echo(f"{'':12} {model['path']}")
