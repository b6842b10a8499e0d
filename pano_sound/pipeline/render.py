"""Rendering along a camera path, and the overlay: the 360° film with its sound map drawn over it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from types import NoneType

from ..camera_path import CameraPath
from ..media.colour import Colour
from ..media.info import PannableFilm
from ..media.listener import PoseAt
from ..media.output_file import VideoFormat
from ..media.output_format import check_output
from ..media.reader import Picture, VideoReader
from ..media.segments import Segment, part
from ..media.soundtrack import SoundPlan
from ..media.writer import VideoWriter
from ..options.steps import OverlayOptions, RenderOptions
from ..options.video import FlatVideoOptions, VideoOptions
from ..soundmap import SoundMap
from ..sphere.convention import rotation
from ..sphere.view import Planes, View, render_planes
from ..visualize.overlay import Overlay
from .ahead import Ahead
from .film import FilmPaths, Progress, StrPath, check_belongs, check_kind, files, no_progress, pannable

log = logging.getLogger("pano_sound")

_DEFAULTS = RenderOptions()


def render(
    src: FilmPaths,
    path: CameraPath,
    dst: StrPath,
    options: RenderOptions = _DEFAULTS,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `dst`: the view of `src` along `path`, from the original pixels, with the film's sound.

    Raises InputError, UnsupportedInputError, OutputError.
    """
    check_kind(path, CameraPath)
    check_kind(options, RenderOptions)
    check_kind(dst, str, os.PathLike)
    src = files(src)
    check_output(dst, src, overwrite, codec=options.codec, sound=options.output_sound)
    info = pannable(src, options)
    check_belongs(path.source, info, "camera path")
    render_path(info, path, dst, options, overwrite, progress or no_progress)


def overlay(
    src: FilmPaths,
    soundmap: SoundMap,
    dst: StrPath,
    options: OverlayOptions | RenderOptions = _DEFAULTS,
    *,
    path: CameraPath | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `dst`: the 360° film `src` with the sound map drawn over it, with its sound, tagged as 360°.

    `path`: outline the view of this camera path. Raises what `render` raises, and ValueError for a sound map whose
    parts do not fit each other.
    """
    check_kind(soundmap, SoundMap)
    soundmap.check_parts()
    check_kind(path, CameraPath, NoneType)
    check_kind(options, OverlayOptions, RenderOptions)
    check_kind(dst, str, os.PathLike)
    src = files(src)
    check_output(dst, src, overwrite, spherical=True, codec=options.codec)
    info = pannable(src, options)
    check_belongs(soundmap.source, info, "sound map")
    overlay_film(info, soundmap, dst, options, path, overwrite, progress or no_progress)


def overlay_film(
    info: PannableFilm,
    soundmap: SoundMap,
    dst: StrPath,
    options: VideoOptions,
    path: CameraPath | None,
    overwrite: bool,
    progress: Progress,
) -> None:
    """The same for a probed film and its sound map."""
    if path is not None:
        check_belongs(path.source, info, "camera path")
    width, height = (side // 2 * 2 for side in info.eye)
    overlaid = Overlay(soundmap, width, height, path)

    def draw(picture: Picture) -> Planes:
        return overlaid(picture, picture.t + info.origin)

    def writer(pictures: VideoFormat) -> VideoWriter:
        return VideoWriter(dst, pictures, options, sound=SoundPlan.of(info), source=info, overwrite=overwrite)

    _write(info, _Drawing("overlay", (width, height), draw, spherical=True), writer, progress)


def render_segment(
    info: PannableFilm, segment: Segment, path: CameraPath, dst: StrPath, options: VideoOptions, progress: Progress
) -> None:
    """Write `dst`: the view along `path` for a segment of a film, without sound, for `media.joining.join`.

    Raises what `render` raises; NoPictureError if the segment has no picture.
    """
    begin, end = (None if ticks is None else ticks * info.video.time_base for ticks in (segment.begin, segment.end))
    own = part(info, begin, end)

    def writer(pictures: VideoFormat) -> VideoWriter:
        # All segments state the same colour, or they could not be joined.
        return VideoWriter(dst, replace(pictures, colour=_first_colour(info)), options, overwrite=True)

    _write(own, _view_along(path, own), writer, progress)


def render_path(
    info: PannableFilm, path: CameraPath, dst: StrPath, options: FlatVideoOptions, overwrite: bool, progress: Progress
) -> None:
    """Write `dst`: the view of a probed film along `path`. Raises what `render` raises."""
    info = info.in_order(path.source.get("channel_order"))
    fastest = float(path.speed().max(initial=0.0))
    log.info("%s: %dx%d, %d samples, up to %.0f°/s", info.path, path.width, path.height, len(path.samples), fastest)
    sound = SoundPlan.of(info, pose_of(path, info), options.output_sound)

    def writer(pictures: VideoFormat) -> VideoWriter:
        return VideoWriter(dst, pictures, options, sound=sound, source=info, overwrite=overwrite)

    _write(info, _view_along(path, info), writer, progress)


def pose_of(path: CameraPath, info: PannableFilm) -> PoseAt:
    """A function from presentation time to the camera's orientation."""
    return lambda t: rotation(*path.at(t + info.origin)[:3])


@dataclass(frozen=True)
class _Drawing:
    """What an output shows of each picture of a film.

    stage: what the progress callback is told.
    draw: makes the planes of a picture of `size` (width, height) pixels.
    spherical: whether that is the whole sphere.
    """

    stage: str
    size: tuple[int, int]
    draw: Callable[[Picture], Planes]
    spherical: bool = False


def _view_along(path: CameraPath, info: PannableFilm) -> _Drawing:
    def draw(picture: Picture) -> Planes:
        yaw, pitch, roll, hfov = path.at(picture.t + info.origin)
        view = View(path.width, path.height, hfov)
        return render_planes(picture.planes, view, yaw, pitch, roll, picture.bit_depth)

    return _Drawing("render", (path.width, path.height), draw)


def _write(
    info: PannableFilm, drawing: _Drawing, writer: Callable[[VideoFormat], VideoWriter], progress: Progress
) -> None:
    """Encode what is drawn of each picture, with that picture's time stamp and colours.

    Decoding, drawing and encoding run in three threads.

    `writer`: opens the output.
    """
    with VideoReader(info) as reader, Ahead(reader.pictures()) as pictures:
        first = next(pictures)
        made = VideoFormat(
            *drawing.size,
            time_base=first.time_base,
            fps=info.video.fps,
            bit_depth=first.bit_depth,
            colour=first.colour,
            spherical=drawing.spherical,
        )
        with (
            writer(made) as output,
            Ahead(replace(one, planes=drawing.draw(one)) for one in chain([first], pictures)) as drawn,
        ):
            for picture in drawn:
                output.write(picture)
                progress(drawing.stage, min(picture.t - info.start, info.duration), info.duration)
            output.end = reader.end if output.end is None else output.end
    progress(drawing.stage, info.duration, info.duration)


def _first_colour(info: PannableFilm) -> Colour:
    with VideoReader(info) as reader:
        return next(reader.pictures()).colour
