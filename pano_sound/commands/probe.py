"""pano-sound probe"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import click

from ..errors import printable
from ..options.flags import with_flags
from ..options.input import InputOptions
from ..options.steps import AnalyseOptions
from .help import Command, HeadedOption
from .parameters import json_option, options_of, source_argument
from .progress import ProgressBar
from .verbosity import verbosity

if TYPE_CHECKING:
    from ..media.info import AudioInfo, MediaInfo, VideoInfo

LATE = 0.1
"""Seconds between the ends of sound and picture that are worth reporting."""

LAYOUTS = {
    "equirectangular": "a full sphere (equirectangular)",
    "equirectangular-tile": "a part of a sphere (equirectangular)",
    "half-equirectangular": "the front half of a sphere (VR180, equirectangular)",
    "cubemap": "the faces of a cube",
    "eac": "the faces of an equi-angular cube",
}
EYES = {"top-bottom": "upper", "left-right": "left"}


@click.command("probe", cls=Command)
@source_argument
@options_of(InputOptions)
@click.option("--listen", is_flag=True, cls=HeadedOption, help="Also name what is heard, such as 'music, guitar'.")
@json_option
@verbosity
def command(source: list[str], options: InputOptions, listen: bool, as_json: bool, quiet: bool) -> None:
    """Show what is in a file, and whether it can be panned.

    INPUT is any media file. If it cannot be panned, the last line says why.
    """
    from ..media.probe import probe

    info = probe(source, options)
    heard = None
    if listen:
        from ..pipeline import names_heard

        with ProgressBar(quiet) as progress:
            heard = names_heard(info, AnalyseOptions(**vars(options)), progress)
    if as_json:
        click.echo(json.dumps(info.to_json() | ({} if heard is None else {"heard": heard})))
        return
    for name, value in _rows(info, len(source), heard):
        click.echo(f"{name:14} {printable(with_flags(value))}")


def _rows(info: MediaInfo, files: int, heard: list[str] | None) -> list[tuple[str, str]]:
    from ..media.footage import following_chapters

    more = f" and {files - 1} more" if files > 1 else ""
    rows = [("file", f"{info.path}{more} ({info.container}, {info.size_bytes / 1e6:.1f} MB)")]
    chapters = following_chapters(info.path) if files == 1 else []
    if chapters:
        names = " ".join(f"--concat {shlex.quote(chapter)}" for chapter in chapters)
        count = "1 more chapter" if len(chapters) == 1 else f"{len(chapters)} more chapters"
        rows.append(("goes on", f"in {count}: {names}"))
    if info.video:
        rows.append(("picture", _picture(info.video)))
        rows.append(("colours", str(info.video.colour)))
        part = f", from {info.origin:.2f} s of the film on" if info.origin else ""
        rows.append(("duration", f"{info.duration:.2f} s{part}"))
        rows.append(("360°", _sphere(info)))
    rows.append(("sound", _sound(info, info.audio) if info.audio else "none: a camera would hold still"))
    if info.audio and info.audio.assumed:
        rows.append(("assumed", info.audio.assumed))
    if heard is not None:
        nothing = "nothing that it is sure of" if info.audio else "nothing: there is no sound"
        rows.append(("heard", ", ".join(heard) or nothing))
    rows.append(("can be panned", f"no: {info.problem}" if info.problem else "yes"))
    return rows


def _picture(video: VideoInfo) -> str:
    words = [f"{video.width}x{video.height}"]
    if video.fps:
        words.append(f"{float(video.fps):.6g} fps" + ("" if video.steady else " on average, variable"))
    words += [video.codec, f"{video.bit_depth} bit"]
    if video.tracks > 1:
        words.append(f"track {video.track} of {video.tracks}")
    if video.mirrored:
        words.append("to be flipped upside down")
    if video.rotation:
        words.append(f"to be turned by {abs(video.rotation)}° {'counter-' if video.rotation > 0 else ''}clockwise")
    return ", ".join(words)


def _sphere(info: MediaInfo) -> str:
    spherical = info.spherical
    how = {"": "not tagged", "option": "as you say"}.get(spherical.tag, "tagged")
    if spherical.projection is not None:
        words = [LAYOUTS.get(spherical.projection, spherical.projection), how]
    else:
        words = [
            "taken for a full sphere, because it is 2:1" if info.problem is None else "no sphere that is known",
            how,
        ]
    if spherical.stereo in EYES:
        words.append(f"two eyes, {spherical.stereo}: the {EYES[spherical.stereo]} one is used")
    if any(spherical.missing):
        left, top, right, bottom = spherical.missing
        words.append(f"{360 * (1 - left - right):.0f}° wide and {180 * (1 - top - bottom):.0f}° high")
    if any(spherical.pose):
        words.append("stored leaning, and set upright")
    if info.problem is None:
        words.append("read as {}x{}".format(*info.eye))
    return "; ".join(words)


def _sound(info: MediaInfo, audio: AudioInfo) -> str:
    kind = "ambisonics" if audio.ambisonic else audio.layout
    words = [audio.codec, f"{audio.rate} Hz", f"{audio.channels} channel{'' if audio.channels == 1 else 's'} ({kind})"]
    if audio.tracks > 1:
        words.append(f"track {audio.track} of {audio.tracks}")
    if info.video and len(info.footage.paths) == 1 and info.footage.start is None and info.footage.end is None:
        begins, ends = audio.start - info.start, audio.end - info.start - info.duration
        if abs(begins) > LATE:
            words.append(f"begins {abs(begins):.1f} s {'after' if begins > 0 else 'before'} the picture")
        if audio.end and info.duration and abs(ends) > LATE:
            words.append(f"ends {abs(ends):.1f} s {'after' if ends > 0 else 'before'} the picture")
    return ", ".join(words)
