"""A sound map in, camera path out; and the three steps in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..camera.planner import plan as plan_path
from ..camera_path import CameraPath
from ..constraints import Mask, Pin
from ..media.output_format import check_output
from ..settings import AnalyseSettings, InputSettings, PlanSettings, RenderSettings
from ..soundmap import SoundMap
from .analyse import analyse_film
from .film import Film, Path, Progress, files, no_progress, pannable, sorted_options
from .render import render_path


def plan(soundmap: SoundMap, *, pins: Sequence[Pin] = (), masks: Sequence[Mask] = (), **options: Any) -> CameraPath:
    """Where to look while the film of `soundmap` plays, around a person's pins and masks. Options: PlanSettings.

    Raises ValueError or TypeError for options, and ValueError for pins that overlap.
    """
    (settings,) = sorted_options(options, PlanSettings)
    return plan_path(soundmap, settings, pins, masks)


def pan(
    src: Film, dst: Path, *, overwrite: bool = False, progress: Progress | None = None, **options: Any
) -> CameraPath:
    """Write `dst`: an ordinary video of `src` that looks where the sound comes from; returns the path taken.

    Options: InputSettings, AnalyseSettings, PlanSettings and RenderSettings. Raises what `analyse` and `render` raise.
    """
    return pan_with_map(src, dst, overwrite=overwrite, progress=progress, **options)[1]


def pan_with_map(
    src: Film, dst: Path, *, overwrite: bool = False, progress: Progress | None = None, **options: Any
) -> tuple[SoundMap, CameraPath]:
    """As `pan`, but returns what was heard, too."""
    kinds = (InputSettings, AnalyseSettings, PlanSettings, RenderSettings)
    reading, analysing, planning, rendering = sorted_options(options, *kinds)
    check_output(dst, [*files(src), analysing.model], overwrite, codec=rendering.codec)
    info = pannable(src, reading)
    soundmap = analyse_film(info, analysing, progress or no_progress)
    path = plan_path(soundmap, planning)
    render_path(info, path, dst, rendering, overwrite, progress or no_progress)
    return soundmap, path
