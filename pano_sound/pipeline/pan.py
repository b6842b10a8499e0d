"""`plan`, and the three steps in a row."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..camera.planner import plan as plan_path
from ..camera.planner import usable
from ..camera_path import CameraPath
from ..constraints import Mask, Pin
from ..localize.memory import return_freed_memory
from ..media.info import PannableFilm
from ..media.output_format import check_output
from ..options.camera import PlanOptions
from ..options.steps import PanOptions
from ..soundmap import SoundMap
from .analyse import analyse_film
from .film import FilmPaths, Progress, StrPath, check_kind, files, inputs_of, no_progress, pannable
from .render import render_path

_AS_PRESET, _DEFAULTS = PlanOptions(), PanOptions()


def plan(
    soundmap: SoundMap,
    options: PlanOptions = _AS_PRESET,
    *,
    pins: Iterable[Pin] = (),
    masks: Iterable[Mask] = (),
) -> CameraPath:
    """Plan where to look, with respect to pins and masks.

    Raises ValueError for pins that overlap, for pins with the `paper` preset, and for a sound map whose parts do not
    fit each other.
    """
    check_kind(soundmap, SoundMap)
    check_kind(options, PlanOptions)
    soundmap.check_parts()
    return plan_path(soundmap, options, pins, masks)


def pan(
    src: FilmPaths,
    dst: StrPath,
    options: PanOptions = _DEFAULTS,
    *,
    pins: Iterable[Pin] = (),
    masks: Iterable[Mask] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> CameraPath:
    """Write `dst`, a flat video of `src` that looks where the sound comes from. Returns the camera path.

    Raises what `analyse`, `plan` and `render` raise.
    """
    return pan_with_map(src, dst, options, pins=pins, masks=masks, overwrite=overwrite, progress=progress)[2]


def pan_with_map(
    src: FilmPaths,
    dst: StrPath,
    options: PanOptions = _DEFAULTS,
    *,
    pins: Iterable[Pin] = (),
    masks: Iterable[Mask] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[PannableFilm, SoundMap, CameraPath]:
    """Like `pan`, but returns the probed film and its sound map too."""
    check_kind(options, PanOptions)
    check_kind(dst, str, os.PathLike)
    src, (pins, masks) = files(src), usable(pins, masks, options)
    check_output(dst, inputs_of(src, options), overwrite, codec=options.codec, sound=options.output_sound)
    info = pannable(src, options)
    soundmap = analyse_film(info, options, progress or no_progress)
    path = plan_path(soundmap, options, pins, masks)
    return_freed_memory()  # Frames and the encoder need theirs.
    render_path(info, path, dst, options, overwrite, progress or no_progress)
    return info, soundmap, path
