"""pano-sound evaluate: one file for each of its commands."""

from __future__ import annotations

import click

from .ambient import ambient
from .boxes import boxes
from .camera import camera
from .direction import direction
from .figures import figures
from .interactive import interactive
from .pasted import pasted
from .pictures import pictures
from .responses import responses
from .retrieval import retrieval
from .scenes import scenes
from .speed import speed
from .tables import tables


@click.group("evaluate")
def command() -> None:
    """Measure weights on data they have never seen.

    docs/evaluation.md explains each number.

    DATA is a data set in any layout that 'train' reads, except tar shards, with boxes where a measure needs them.
    """


for one in (
    ambient,
    boxes,
    camera,
    direction,
    figures,
    interactive,
    pasted,
    pictures,
    responses,
    retrieval,
    scenes,
    speed,
    tables,
):
    command.add_command(one)
