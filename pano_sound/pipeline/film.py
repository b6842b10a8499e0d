"""What the steps share: probing a film that can be panned, and the progress callback."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from ..constraints import HUGE
from ..media.info import MediaInfo, PannableFilm, require_pannable
from ..media.probe import probe
from ..media.twins import twins_beside
from ..options.input import InputOptions
from ..options.steps import AnalyseOptions

log = logging.getLogger("pano_sound")

StrPath = str | os.PathLike[str]
FilmPaths = StrPath | Iterable[StrPath]
"""A file or URL, or several in a row that make one film."""
Progress = Callable[[str, float, float], None]
"""Called as progress(stage, done, total) with seconds of film; it may raise to stop the work."""

OTHER_FILM = 1.0
"""Seconds by which ends may differ: of a film and of the one that a sound map or path, or its video, was made for."""
_OTHER_SHAPE = 0.02
"""Share by which the picture's shape may differ: a smaller copy has rounded sides."""


def pannable(src: FilmPaths, options: InputOptions) -> PannableFilm:
    """Probe a film. Raises InputError; UnsupportedInputError if it cannot be panned."""
    return require_pannable(probe(files(src), options))


def check_belongs(source: dict[str, Any], info: MediaInfo, what: str) -> None:
    """Warn if a sound map or camera path was made for a film of another length, or with a picture of another shape.

    Neither its name nor its size says that: copies of a film are that film."""
    end = _number(source.get("end"))
    beyond = 0.0 if end is None else info.origin + info.start + info.duration - end
    is_part = info.footage.start is not None or info.footage.end is not None
    if beyond > OTHER_FILM or (beyond < -OTHER_FILM and not is_part):
        log.warning("%s: the %s was made for a film that ends at %.1f s, not this one", info.path, what, end)
    elif _has_another_shape(source, info):
        told = "%s: the %s was made for a film with a picture of another shape (%s), not this one"
        part = ", a part of the sphere" if source.get("covers") else ""
        log.warning(told, info.path, what, f"{source['width']}x{source['height']}{part}")


def _has_another_shape(source: dict[str, Any], info: MediaInfo) -> bool:
    width, height = _number(source.get("width")), _number(source.get("height"))
    if not (width and height and all(info.eye)):
        return False
    shape = info.eye[0] / info.eye[1]
    return abs(width / height / shape - 1) > _OTHER_SHAPE or bool(source.get("covers")) != bool(info.covers)


def _number(value: Any) -> float | None:
    """A number that a file names; None for anything else, and for numbers that no film has."""
    return float(value) if isinstance(value, (int, float)) and abs(value) < HUGE else None


def check_result(result: StrPath, info: MediaInfo) -> None:
    """Warn if a video cannot have been made of this film, because it is of another length.

    Raises InputError if it is missing or not media."""
    length = probe(result).duration
    if length and info.duration and abs(length - info.duration) > OTHER_FILM:
        told = "%s: is %.1f s long, and the film %.1f s: it was not made of this film"
        log.warning(told, os.fspath(result), length, info.duration)


def check_kind(value: object, *kinds: type) -> None:
    """Raises TypeError if a value is of none of these classes."""
    if not isinstance(value, kinds):
        raise TypeError(f"{' or '.join(kind.__name__ for kind in kinds)} is needed here, not {type(value).__name__}")


def files(src: FilmPaths) -> tuple[StrPath, ...]:
    """The files that a film consists of. Raises ValueError if there are none, TypeError for what names no files."""
    if isinstance(src, (str, os.PathLike)):
        return (src,)
    if isinstance(src, bytes) or not isinstance(src, Iterable):
        raise TypeError(f"a file, or a list of files, is needed here, not {src!r}")
    found = tuple(src)
    if not found:
        raise ValueError("no file is given")
    for one in found:
        check_kind(one, str, os.PathLike)
    return found


def inputs_of(src: Iterable[StrPath], options: AnalyseOptions) -> list[StrPath]:
    """All files that may be read to analyse a film, its low-resolution twins included."""
    twins = twins_beside([os.fspath(path) for path in src])
    return [one for one in (*src, *twins, options.model, options.sound, options.proxy) if one is not None]


def no_progress(stage: str, done: float, total: float) -> None:
    pass
