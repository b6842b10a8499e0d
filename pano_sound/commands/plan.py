"""pano-sound plan"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..options.camera import PlanOptions
from ..options.flags import with_flags
from .files import ReadFile, check_ending, check_outputs
from .help import Command, HeadedOption
from .parameters import json_option, options_of, output_option, overwrite_option, pins_option
from .progress import wrote
from .verbosity import verbosity

ENDING, PATH_ENDING = ".soundmap.npz", ".path.json"


@click.command("plan", cls=Command)
@click.argument("soundmap", metavar="SOUNDMAP", type=ReadFile())
@output_option("The camera path to write. By default SOUNDMAP's name with .path.json, in this folder.", required=False)
@overwrite_option
@click.option(
    "--keep",
    type=click.Choice(["pins"]),
    cls=HeadedOption,
    help="Keep the pins and masks of the existing camera path and plan the rest again. Needs -y.",
)
@pins_option
@click.option(
    "--paths",
    type=click.IntRange(1, 20),
    metavar="NUMBER",
    default=1,
    show_default=True,
    cls=HeadedOption,
    help="Write this many different paths, the best first: NAME.path.json, NAME-2.path.json …",
)
@options_of(PlanOptions)
@json_option
@verbosity
def command(
    soundmap: Path,
    output: Path | None,
    overwrite: bool,
    keep: str | None,
    pins_file: Path | None,
    paths: int,
    options: PlanOptions,
    as_json: bool,
    quiet: bool,
) -> None:
    """Decide where the camera looks, and write a camera path.

    SOUNDMAP is what 'analyse' wrote. The camera path is a text file that you can edit before you 'render' it. Planning
    takes seconds, so try several.

    \b
    pano-sound plan holiday.soundmap.npz -o holiday.path.json
    pano-sound plan holiday.soundmap.npz -o holiday.path.json --keep pins -y
    pano-sound plan holiday.soundmap.npz -o holiday.path.json --pins holiday.pins.json
    """
    if keep and pins_file:
        raise click.UsageError("--keep and --pins cannot be used together")
    name = soundmap.name
    output = output or Path((name[: -len(ENDING)] if name.endswith(ENDING) else soundmap.stem) + PATH_ENDING)
    outputs = [output, *(_numbered(output, i) for i in range(2, paths + 1))]
    check_outputs(outputs, overwrite)
    check_ending(output, "the path", ".json")
    from ..camera.planner import plan_paths, usable
    from ..camera_path import CameraPath
    from ..constraints import load_constraints
    from ..errors import DataFileError
    from ..soundmap import SoundMap

    if keep and not output.exists():
        raise DataFileError("there is no camera path to keep pins from", output, "leave out --keep pins")
    edited = CameraPath.load(output) if keep else None
    pins, masks = (edited.pins, edited.masks) if edited else ((), ())
    if pins_file is not None:
        pins, masks = load_constraints(pins_file)
    try:
        usable(pins, masks, options)
    except ValueError as error:
        raise click.UsageError(with_flags(str(error))) from None
    found = plan_paths(SoundMap.load(soundmap), options, paths, pins, masks)
    for path, file in zip(found, outputs, strict=True):
        path.save(file, overwrite)
        wrote(file, quiet)
    if as_json:
        first = {"output": str(output), "path": found[0].to_json()}
        more = [{"output": str(file), "path": path.to_json()} for path, file in zip(found, outputs, strict=True)]
        click.echo(json.dumps(first if paths == 1 else {**first, "paths": more}))


def _numbered(output: Path, number: int) -> Path:
    """NAME.path.json -> NAME-2.path.json."""
    ending = PATH_ENDING if output.name.endswith(PATH_ENDING) else output.suffix
    stem = output.name[: len(output.name) - len(ending)]
    return output.with_name(f"{stem}-{number}{ending}")
