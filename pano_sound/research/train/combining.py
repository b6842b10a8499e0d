"""The command of `mean` and `ensemble`, which make one network of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ... import __version__
from ...errors import OutputError, PanoSoundError

if TYPE_CHECKING:
    from ...localize.nets.localizer import Localizer


def command(combine: Callable[[Sequence[Localizer]], Localizer], summary: str) -> click.Command:
    """A command that writes what `combine` makes of the networks in FILES to OUTPUT, with their names as metadata."""

    def run(output: Path, files: tuple[Path, ...]) -> None:
        from ...localize.nets import weights

        name = combine.__name__
        about = {"name": output.stem, "version": __version__, f"{name}_of": ", ".join(file.name for file in files)}
        try:
            if output.exists():
                raise OutputError("exists already", output, "give another output name")
            weights.save(combine([weights.load(file) for file in files]), output, about, overwrite=False)
        except PanoSoundError as error:
            click.echo(f"{name}: {error}", err=True)
            raise SystemExit(error.exit_code) from None

    params: list[click.Parameter] = [
        click.Argument(["output"], type=click.Path(path_type=Path)),
        click.Argument(["files"], type=click.Path(exists=True, path_type=Path), nargs=-1, required=True),
    ]
    return click.Command(combine.__name__, callback=run, params=params, help=summary)
