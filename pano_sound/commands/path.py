"""pano-sound path"""

from __future__ import annotations

import json
import math
from pathlib import Path

import click

from ..errors import printable
from ..options.flags import with_flags
from ..options.values import parse_size
from .files import ReadFile, check_ending, check_outputs
from .help import number_option
from .parameters import json_option, output_option, overwrite_option
from .progress import wrote
from .verbosity import verbosity

KINDS = ("csv", "sendcmd", "ae", "humanedit")


def _rate(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if math.isnan(value):  # It is in every range.
        raise click.BadParameter("nan is not a frame rate.")
    return value


path_argument = click.argument("path", metavar="PATH", type=ReadFile())
fps_option = number_option(
    "--fps",
    type=click.FloatRange(1.0, 240.0),
    default=30.0,
    show_default=True,
    callback=_rate,
    help="Frame rate of the film, for ae and humanedit, which count frames.",
)


@click.group("path")
def command() -> None:
    """Show a camera path, export it, or import one.

    docs/camera.md describes the formats.
    """


@command.command("show")
@path_argument
@click.option("--soundmap", type=ReadFile(), metavar="FILE", help="Draw the path over this sound map.")
@output_option("Draw yaw and pitch over time (.png). Needs pip install 'pano-sound[evaluate]'.", required=False)
@overwrite_option
@json_option
@verbosity
def show(path: Path, soundmap: Path | None, output: Path | None, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Print the holds, moves and cuts of a camera path, or draw it.

    \b
    pano-sound path show holiday.path.json --soundmap holiday.soundmap.npz -o holiday.png
    """
    if output is not None:
        check_ending(output, "the picture", ".png")
        check_outputs([output], overwrite)
    elif soundmap is not None:
        raise click.UsageError("--soundmap needs -o, a picture to draw")
    from ..camera_path import CameraPath
    from ..soundmap import SoundMap
    from ..visualize.path import plot, stretches, table

    camera = CameraPath.load(path)
    if output is not None:
        plot(camera, output, None if soundmap is None else SoundMap.load(soundmap), overwrite)
    if as_json:
        rows = [
            {"what": s.what, "from": s.begin, "to": s.end, "look": s.last.tolist(), "fastest": s.fastest}
            for s in stretches(camera)
        ]
        click.echo(json.dumps({"stretches": rows}))
    else:
        click.echo(table(camera))
    if output is not None:
        wrote(output, quiet)


@command.command("export")
@path_argument
@click.option("--to", "kind", type=click.Choice(KINDS), required=True, help="The format.")
@output_option("The file to write.  [default: PATH's name with the format's extension, in this folder]", required=False)
@overwrite_option
@fps_option
@verbosity
def export(path: Path, kind: str, output: Path | None, overwrite: bool, fps: float, quiet: bool) -> None:
    """Export a camera path for another program.

    For FFmpeg, this also prints the command line to run.

    \b
    csv        t,yaw,pitch,roll,hfov in seconds and degrees, width,height in pixels
    sendcmd    commands for FFmpeg's v360 filter
    ae         After Effects keyframes, to paste onto a 3D layer
    humanedit  Pano2Vid's HumanEdit JSON, a row for each frame
    """
    from ..atomic_file import written_whole
    from ..camera.formats import ENDINGS, WRITERS, sendcmd_line
    from ..camera_path import CameraPath

    output = output or Path(path.name.removesuffix(".json").removesuffix(".path") + ENDINGS[kind])
    check_outputs([output], overwrite)
    camera = CameraPath.load(path)
    text = WRITERS[kind](camera, fps)
    with written_whole(output, overwrite=overwrite) as file:
        file.write(text.encode())
    wrote(output, quiet)
    if kind == "sendcmd" and not quiet:
        click.echo(printable(sendcmd_line(camera, output, str(camera.source.get("path", "input.mp4")))))


@command.command("import")
@click.argument("file", metavar="FILE", type=ReadFile())
@click.option("--from", "kind", type=click.Choice(KINDS), required=True, help="The format.")
@output_option("The camera path to write.  [default: FILE's name with .path.json, in this folder]", required=False)
@overwrite_option
@click.option("--size", metavar="WxH", help="Output size in pixels.  [default: the imported file's, else 1280x720]")
@fps_option
@verbosity
def import_(
    file: Path, kind: str, output: Path | None, overwrite: bool, size: str | None, fps: float, quiet: bool
) -> None:
    """Import a camera path from another program.

    FILE was written by 'export', or by another program in the same format.
    """
    try:
        pixels = None if size is None else parse_size(size)
    except ValueError as error:
        raise click.UsageError(with_flags(str(error))) from None
    from ..camera.formats import read

    output = output or Path(file.stem + ".path.json")
    check_outputs([output], overwrite)
    check_ending(output, "the path", ".json")
    read(file, kind, pixels, fps).save(output, overwrite)
    wrote(output, quiet)
