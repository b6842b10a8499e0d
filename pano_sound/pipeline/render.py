"""Rendering along a camera path, and the overlay: the 360° film with its sound map drawn over it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from ..camera_path import CameraPath
from ..encoders import bits_per_second
from ..media.colour import Colour
from ..media.info import PannableFilm
from ..media.output_format import check_output
from ..media.reader import Picture, VideoReader
from ..media.segments import Segment, part
from ..media.soundtrack import LeftAt
from ..media.writer import VideoWriter
from ..options.steps import RenderOptions
from ..options.video import VideoOptions
from ..soundmap import SoundMap
from ..sphere.convention import rotation
from ..sphere.view import Planes, View, render_planes
from ..visualize.overlay import Overlay
from .ahead import Ahead
from .film import Film, Path, Progress, check_belongs, files, no_progress, pannable

log = logging.getLogger("pano_sound")

_DEFAULTS = RenderOptions()


def render(
    src: Film,
    path: CameraPath,
    dst: Path,
    options: RenderOptions = _DEFAULTS,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `dst`: the view of `src` along `path`, from the original pixels, with the film's sound.

    Raises InputError, UnsupportedInputError, OutputError.
    """
    check_output(dst, files(src), overwrite, codec=options.codec)
    info = pannable(src, options)
    check_belongs(path.source, info, "camera path")
    render_path(info, path, dst, options, overwrite, progress or no_progress)


def overlay(
    src: Film,
    soundmap: SoundMap,
    dst: Path,
    options: RenderOptions = _DEFAULTS,
    *,
    path: CameraPath | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `dst`: the 360° film `src` with the sound map drawn over it, with its sound, tagged as 360°.

    `path`: outline the view of this camera path. Raises what `render` raises.
    """
    check_output(dst, files(src), overwrite, spherical=True, codec=options.codec)
    info = pannable(src, options)
    check_belongs(soundmap.source, info, "sound map")
    if path is not None:
        check_belongs(path.source, info, "camera path")
    width, height = (side // 2 * 2 for side in info.eye)
    overlaid = Overlay(soundmap, width, height, path)

    def draw(picture: Picture) -> Planes:
        return overlaid(picture, picture.t + info.origin)

    _write(info, dst, (width, height), draw, options, overwrite, progress or no_progress, "overlay", spherical=True)


def render_segment(
    info: PannableFilm, segment: Segment, path: CameraPath, dst: Path, options: VideoOptions, progress: Progress
) -> None:
    """Write `dst`: the view along `path` for a segment of a film, without sound, for `media.joining.join`.

    Raises what `render` raises; NoPictureError if the segment has no picture.
    """
    begin, end = (None if ticks is None else ticks * info.video.time_base for ticks in (segment.begin, segment.end))
    render_path(part(info, begin, end), path, dst, options, True, progress, of=info)


def render_path(
    info: PannableFilm,
    path: CameraPath,
    dst: Path,
    options: VideoOptions,
    overwrite: bool,
    progress: Progress,
    of: PannableFilm | None = None,
) -> None:
    def look(picture: Picture) -> Planes:
        yaw, pitch, roll, hfov = path.at(picture.t + info.origin)
        view = View(path.width, path.height, hfov)
        return render_planes(picture.planes, view, yaw, pitch, roll, picture.bit_depth)

    fastest = float(path.speed().max(initial=0.0))
    log.info("%s: %dx%d, %d samples, up to %.0f°/s", info.path, path.width, path.height, len(path.samples), fastest)
    ears = left_of(path, info)
    _write(info, dst, (path.width, path.height), look, options, overwrite, progress, "render", of=of, left_at=ears)


def left_of(path: CameraPath, info: PannableFilm) -> LeftAt:
    """A function from presentation time to the direction of the camera's left."""
    return lambda t: rotation(*path.at(t + info.origin)[:3])[:, 1]


def _write(
    info: PannableFilm,
    dst: Path,
    size: tuple[int, int],
    draw: Callable[[Picture], Planes],
    options: VideoOptions,
    overwrite: bool,
    progress: Progress,
    stage: str,
    spherical: bool = False,
    of: PannableFilm | None = None,
    left_at: LeftAt | None = None,
) -> None:
    """Encode what `draw` makes of each picture, with that picture's time stamp and colours.

    Decoding, drawing and encoding run in three threads.

    `of`: the film of which this is a segment. Segments are encoded alike, without sound.
    """
    with VideoReader(info.path, info) as reader, Ahead(reader.pictures()) as pictures:
        first = next(pictures)
        colour = _first_colour(of) if of else first.colour
        with (
            VideoWriter(
                dst,
                width=size[0],
                height=size[1],
                time_base=first.time_base,
                fps=info.video.fps,
                source=None if of else info,
                bit_depth=first.bit_depth,
                colour=colour,
                sound_from=info.footage if info.audio and not of else None,
                codec=options.codec,
                crf=options.crf,
                bitrate=None if options.bitrate is None else bits_per_second(options.bitrate),
                preset=options.encoder_preset,
                overwrite=overwrite,
                spherical=spherical,
                left_at=left_at,
            ) as writer,
            Ahead(replace(picture, planes=draw(picture)) for picture in chain([first], pictures)) as drawn,
        ):
            for picture in drawn:
                writer.write(picture)
                progress(stage, min(picture.t - info.start, info.duration), info.duration)
    progress(stage, info.duration, info.duration)


def _first_colour(info: PannableFilm) -> Colour:
    with VideoReader(info.path, info) as reader:
        return next(reader.pictures()).colour
