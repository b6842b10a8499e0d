"""What the steps share: probing a film that can be panned, and the progress callback."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from ..media.info import MediaInfo, PannableFilm, require_pannable
from ..media.probe import probe
from ..options.input import InputOptions

log = logging.getLogger("pano_sound")

StrPath = str | os.PathLike[str]
FilmPaths = StrPath | Sequence[StrPath]
"""A file or URL, or several in a row that make one film."""
Progress = Callable[[str, float, float], None]
"""Called as progress(stage, done, total) with seconds of film; it may raise to stop the work."""

OTHER_FILM = 1.0
"""Seconds by which a film's end may differ from the one that a sound map or path was made for."""


def pannable(src: FilmPaths, options: InputOptions) -> PannableFilm:
    """Probe a film. Raises InputError; UnsupportedInputError if it cannot be panned."""
    return require_pannable(probe(src, options))


def check_belongs(source: dict[str, Any], info: MediaInfo, what: str) -> None:
    """Warn if a sound map or camera path was made for a film of another length."""
    end = source.get("end")
    beyond = info.origin + info.start + info.duration - end if isinstance(end, (int, float)) else 0.0
    is_part = info.footage.start is not None or info.footage.end is not None
    if beyond > OTHER_FILM or (beyond < -OTHER_FILM and not is_part):
        log.warning("%s: the %s was made for a film that ends at %.1f s, not this one", info.path, what, end)


def files(src: FilmPaths) -> Sequence[StrPath]:
    """The files that a film consists of."""
    return [src] if isinstance(src, (str, os.PathLike)) else src


def no_progress(stage: str, done: float, total: float) -> None:
    pass
