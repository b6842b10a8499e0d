"""Footage in, sound map out."""

from __future__ import annotations

from typing import Any

from ..media.probe import MediaInfo
from ..settings import AnalyseSettings, InputSettings
from ..soundmap import SoundMap
from .film import Film, Progress, no_progress, pannable, sorted_options


def analyse(src: Film, *, progress: Progress | None = None, **options: Any) -> SoundMap:
    """Where `src` sounds, over time. Options: InputSettings and AnalyseSettings.

    Raises InputError, UnsupportedInputError, ModelError; ValueError or TypeError for options.
    """
    reading, settings = sorted_options(options, InputSettings, AnalyseSettings)
    info = pannable(src, reading)
    return analyse_film(info, settings, progress or no_progress)


def analyse_film(info: MediaInfo, settings: AnalyseSettings, progress: Progress) -> SoundMap:
    from ..localize.analysis import remark, sound_map

    soundmap = sound_map(info, settings, progress)
    remark(info, soundmap)
    return soundmap
