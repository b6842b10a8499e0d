"""pano-sound render"""

from __future__ import annotations

from pathlib import Path

import click

from ..options.camera import ViewOptions
from ..options.steps import RenderOptions
from ..options.values import parse_size
from .files import ReadFile, check_outputs
from .help import Command
from .parameters import options_of, output_option, overwrite_option, source_argument
from .progress import ProgressBar, wrote
from .verbosity import verbosity


@click.command("render", cls=Command)
@source_argument
@click.argument("path", metavar="PATH", type=ReadFile())
@output_option("The video to write: .mp4, .mov, .m4v or .mkv.")
@overwrite_option
@options_of(
    ViewOptions,
    only={
        "fov": "Fixed field of view along the longer side of the output, in degrees. By default as in PATH.",
        "size": "Output size in pixels. By default as in PATH.",
    },
    to="view",
)
@options_of(RenderOptions)
@verbosity
def command(
    source: list[str],
    path: Path,
    output: Path,
    overwrite: bool,
    view: ViewOptions,
    options: RenderOptions,
    quiet: bool,
) -> None:
    """Render the video that follows a camera path.

    INPUT is the 360° film, PATH the camera path that 'plan' wrote.

    \b
    pano-sound render holiday.mp4 holiday.path.json -o holiday-flat.mp4
    """
    check_outputs([output], overwrite)
    from ..camera_path import CameraPath
    from ..pipeline import render

    size = parse_size(view.size) if view.size else None
    camera = CameraPath.load(path).with_view(size, view.fov)
    with ProgressBar(quiet) as progress:
        render(source, camera, output, options, overwrite=overwrite, progress=progress)
    wrote(output, quiet)
