"""pano-sound overlay"""

from __future__ import annotations

from pathlib import Path

import click

from ..options.flags import command_words
from ..options.listening import ListeningOptions
from ..options.steps import OverlayOptions
from .files import ReadFile, check_outputs
from .help import Command, HeadedOption
from .parameters import options_of, output_option, overwrite_option, source_argument
from .progress import ProgressBar, wrote
from .verbosity import verbosity


@click.command("overlay", cls=Command)
@source_argument
@output_option("The 360° video to write: .mp4, .mov or .m4v.")
@click.option(
    "--soundmap",
    "soundmap_file",
    type=ReadFile(),
    metavar="FILE",
    cls=HeadedOption,
    help="The sound map that 'analyse' wrote for INPUT. By default INPUT is analysed now.",
)
@click.option(
    "--path",
    "path_file",
    type=ReadFile(),
    metavar="FILE",
    cls=HeadedOption,
    help="Outline the view of this camera path.",
)
@overwrite_option
@options_of(OverlayOptions)
@verbosity
def command(
    source: list[str],
    output: Path,
    soundmap_file: Path | None,
    path_file: Path | None,
    overwrite: bool,
    options: OverlayOptions,
    quiet: bool,
) -> None:
    """Mark in a 360° film where the sound comes from.

    INPUT is the 360° film. The output is still a 360° film, tagged as one, with its sound.

    Warmer colours mean more likely directions. A strip along the bottom shows how loud the film is and how sure the map
    is. Where it says "unsure", colours are faint and only compare directions with each other. A cyan ring marks the
    direction that ambisonic sound itself carries, while that is clear.

    \b
    pano-sound overlay holiday.mp4 -o holiday-heard.mp4
    pano-sound overlay holiday.mp4 --soundmap holiday.soundmap.npz --path holiday.path.json -o holiday-heard.mp4
    """
    from ..camera_path import CameraPath
    from ..media.output_format import check_output
    from ..pipeline import analyse_film, overlay_film, pannable
    from ..pipeline.film import check_belongs, inputs_of
    from ..soundmap import SoundMap

    check_outputs([output], overwrite)
    check_output(output, inputs_of(source, options), overwrite, spherical=True, codec=options.codec)
    if soundmap_file and (listening := command_words(ListeningOptions, options.to_json())):
        what = f"--soundmap and {listening[0]} cannot be used together: with a sound map, INPUT is not analysed"
        raise click.UsageError(what)
    path = None if path_file is None else CameraPath.load(path_file)
    soundmap = None if soundmap_file is None else SoundMap.load(soundmap_file)
    film = pannable(source, options)
    if soundmap is not None:
        check_belongs(soundmap.source, film, "sound map")
    with ProgressBar(quiet) as progress:
        if soundmap is None:
            soundmap = analyse_film(film, options, progress)
        overlay_film(film, soundmap, output, options, path, overwrite, progress)
    wrote(output, quiet)
