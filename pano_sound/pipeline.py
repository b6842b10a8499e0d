"""The three verbs, and the three in a row: analyse, plan, render; pan. And overlay, the look into analyse.

Options are those of pano_sound.settings, by name: `pan("in.mp4", "out.mp4", fov=80, crf=20)`. `progress` is called
as `progress(stage, done, total)` with seconds of film; it may raise to stop the work, nothing is left behind then.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any

from .camera.planner import plan as plan_path
from .camera_path import CameraPath
from .constraints import Mask, Pin
from .encoders import bits_per_second
from .media.colour import Colour
from .media.outputs import check_output
from .media.probe import MediaInfo, probe, require_pannable
from .media.reader import Picture, VideoReader
from .media.segments import Segment, part
from .media.writer import VideoWriter
from .settings import AnalyseSettings, InputSettings, PlanSettings, RenderSettings, Settings
from .soundmap import SoundMap
from .sphere.view import Planes, View, render_planes
from .visualize.overlay import Overlay

log = logging.getLogger("pano_sound")

Path = str | os.PathLike[str]
Film = Path | Sequence[Path]
"""A file or URL, or several that follow one another as one film."""
Progress = Callable[[str, float, float], None]

# Seconds by which a film's end may differ from what a sound map or path was made for.
OTHER_FILM = 1.0


def analyse(src: Film, *, progress: Progress | None = None, **options: Any) -> SoundMap:
    """Where `src` sounds, over time. Options: InputSettings and AnalyseSettings.

    Raises InputError, UnsupportedInputError, ModelError; ValueError or TypeError for options.
    """
    reading, settings = _settings(options, InputSettings, AnalyseSettings)
    info = pannable(src, reading)
    return _analyse(info, settings, progress or _silent)


def plan(soundmap: SoundMap, *, pins: Sequence[Pin] = (), masks: Sequence[Mask] = (), **options: Any) -> CameraPath:
    """Where to look while the film of `soundmap` plays, and what a person wishes of it. Options: PlanSettings.

    Raises ValueError or TypeError for options, and ValueError for pins that overlap.
    """
    (settings,) = _settings(options, PlanSettings)
    return plan_path(soundmap, settings, pins, masks)


def render(
    src: Film,
    path: CameraPath,
    dst: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> None:
    """Write `dst`: `src` seen along `path`, from the original pixels, with its sound.

    Options: InputSettings and RenderSettings.

    Raises InputError, UnsupportedInputError, OutputError; ValueError or TypeError for options.
    """
    reading, settings = _settings(options, InputSettings, RenderSettings)
    check_output(dst, _files(src), overwrite, codec=settings.codec)
    info = pannable(src, reading)
    _check_belongs(path.source, info, "camera path")
    _render(info, path, dst, settings, overwrite, progress or _silent)


def pan(
    src: Film, dst: Path, *, overwrite: bool = False, progress: Progress | None = None, **options: Any
) -> CameraPath:
    """Write `dst`: an ordinary video of `src` that looks where the sound comes from; returns the path taken.

    Options: InputSettings, AnalyseSettings, PlanSettings and RenderSettings. Raises what `analyse` and `render` raise.
    """
    kinds = (InputSettings, AnalyseSettings, PlanSettings, RenderSettings)
    reading, analysing, planning, rendering = _settings(options, *kinds)
    check_output(dst, [*_files(src), analysing.model], overwrite, codec=rendering.codec)
    info = pannable(src, reading)
    path = plan_path(_analyse(info, analysing, progress or _silent), planning)
    _render(info, path, dst, rendering, overwrite, progress or _silent)
    return path


def overlay(
    src: Film,
    soundmap: SoundMap,
    dst: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> None:
    """Write `dst`: the 360° video `src` with its saliency drawn over it, sound kept, tagged as 360°.

    Options: InputSettings and RenderSettings. Raises what `render` raises.
    """
    reading, settings = _settings(options, InputSettings, RenderSettings)
    check_output(dst, _files(src), overwrite, spherical=True, codec=settings.codec)
    info = pannable(src, reading)
    _check_belongs(soundmap.source, info, "sound map")
    width, height = (side // 2 * 2 for side in info.eye)
    draw = Overlay(replace(soundmap, times=soundmap.times - info.origin), width, height)
    _write(info, dst, (width, height), draw, settings, overwrite, progress or _silent, "overlay", spherical=True)


def _analyse(info: MediaInfo, settings: AnalyseSettings, progress: Progress) -> SoundMap:
    from .localize.analysis import remark, sound_map

    soundmap = sound_map(info, settings, progress)
    remark(info, soundmap)
    return soundmap


def render_segment(
    info: MediaInfo, segment: Segment, path: CameraPath, dst: Path, settings: RenderSettings, progress: Progress
) -> None:
    """Write `dst`: the pictures of a segment of a film seen along `path`, without sound, for `media.joining.join`.

    Raises what `render` raises; NoPictureError when there is none in it.
    """
    assert info.video is not None
    begin, end = (None if ticks is None else ticks * info.video.time_base for ticks in (segment.begin, segment.end))
    _render(part(info, begin, end), path, dst, settings, True, progress, of=info)


def _render(
    info: MediaInfo,
    path: CameraPath,
    dst: Path,
    settings: RenderSettings,
    overwrite: bool,
    progress: Progress,
    of: MediaInfo | None = None,
) -> None:
    def look(picture: Picture) -> Planes:
        yaw, pitch, roll, hfov = path.at(picture.t + info.origin)
        view = View(path.width, path.height, hfov)
        return render_planes(picture.planes, view, yaw, pitch, roll, picture.bit_depth)

    fastest = float(path.speed().max(initial=0.0))
    log.info("%s: %dx%d, %d samples, up to %.0f°/s", info.path, path.width, path.height, len(path.samples), fastest)
    _write(info, dst, (path.width, path.height), look, settings, overwrite, progress, "render", of=of)


def _write(
    info: MediaInfo,
    dst: Path,
    size: tuple[int, int],
    draw: Callable[[Picture], Planes],
    settings: RenderSettings,
    overwrite: bool,
    progress: Progress,
    stage: str,
    spherical: bool = False,
    of: MediaInfo | None = None,
) -> None:
    """Encode what `draw` makes of each picture, at that picture's own time and in its colours.

    `of`: the film of which this is a segment, encoded like all the others, and without sound.
    """
    assert info.video is not None
    with VideoReader(info.path, info) as reader:
        pictures = reader.pictures()
        first = next(pictures)
        colour = _first_colour(of) if of else first.colour
        with VideoWriter(
            dst,
            width=size[0],
            height=size[1],
            time_base=first.time_base,
            fps=info.video.fps,
            source=None if of else info,
            bit_depth=first.bit_depth,
            colour=colour,
            sound_from=info.footage if info.audio and not of else None,
            codec=settings.codec,
            crf=settings.crf,
            bitrate=None if settings.bitrate is None else bits_per_second(settings.bitrate),
            preset=settings.encoder_preset,
            overwrite=overwrite,
            spherical=spherical,
        ) as writer:
            for picture in chain([first], pictures):
                writer.write(replace(picture, planes=draw(picture)))
                progress(stage, min(picture.t - info.start, info.duration), info.duration)
    progress(stage, info.duration, info.duration)


def _first_colour(info: MediaInfo) -> Colour:
    with VideoReader(info.path, info) as reader:
        return next(reader.pictures()).colour


def _check_belongs(source: dict[str, Any], info: MediaInfo, what: str) -> None:
    """Warn when a file was made for a film of another length than this one, or one that ends within the part read."""
    end = source.get("end")
    beyond = info.origin + info.start + info.duration - end if isinstance(end, (int, float)) else 0.0
    is_part = info.footage.start is not None or info.footage.end is not None
    if beyond > OTHER_FILM or (beyond < -OTHER_FILM and not is_part):
        log.warning("%s: the %s was made for a film that ends at %.1f s, not this one", info.path, what, end)


def pannable(src: Film, reading: InputSettings) -> MediaInfo:
    """What a film is. Raises InputError; UnsupportedInputError when it is not one that can be panned."""
    info = probe(src, **vars(reading))
    require_pannable(info)
    if info.audio and info.audio.channels == 4 and not info.audio.ambisonic and reading.ambisonics is None:
        what = "four channels without an ambisonics tag are taken as plain sound (see --ambisonics)"
        log.warning("%s: %s", info.path, what)
    return info


def _files(src: Film) -> Sequence[Path]:
    return [src] if isinstance(src, (str, os.PathLike)) else src


def _settings(options: dict[str, Any], *kinds: type[Settings]) -> list[Any]:
    """Options sorted into the settings that know them. Raises TypeError for one that none knows."""
    known = {f.name: kind for kind in kinds for f in fields(kind)}
    for name in options:
        if name not in known:
            raise TypeError(f"unknown option {name!r}; there are: {', '.join(known)}")
    return [kind(**{n: v for n, v in options.items() if known[n] is kind}) for kind in kinds]


def _silent(stage: str, done: float, total: float) -> None:
    pass
