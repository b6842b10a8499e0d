"""A film's low-resolution twin: the proxy that a camera or an editing program wrote of it, quicker to analyse."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from ..errors import UnsupportedInputError
from ..options.input import InputOptions
from .footage import Footage, is_url
from .info import MediaInfo, PannableFilm
from .likeness import show_the_same
from .probe import excerpt, probe

log = logging.getLogger("pano_sound")

_OF_CAMERAS = (".lrv", ".lrf")
"""GoPro's and Insta360's ending, and DJI's."""
_OF_EDITORS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mxf", ".webm")
_NAMED_PROXY = re.compile(r"(.+)[_-]proxy", re.DOTALL)
_GOPRO = re.compile(r"gl(\d{6})")
_GOPRO_FILMS = ("gx", "gs", "gh")
_APART = 0.5
"""Seconds by which the lengths of twins may differ: cameras close both files at about the same time."""
_SHAPE = 0.02
"""Share by which their shapes may differ, because proxies have even sizes."""
_WIDE_ENOUGH = 1920
"""Least width of a twin that is used without being asked for: that of the pictures that the network looks at."""


def of_which(name: str) -> frozenset[str]:
    """Of which films a file may be the twin, by its name: their names without endings, case-folded."""
    stem, ending = os.path.splitext(name.casefold())
    proxy = _NAMED_PROXY.fullmatch(stem)
    if ending in _OF_CAMERAS:
        gopro = _GOPRO.fullmatch(stem)
        return frozenset([stem, *(kind + gopro[1] for kind in _GOPRO_FILMS)] if gopro else [stem])
    return frozenset([proxy[1]] if ending in _OF_EDITORS and proxy else [])


def twin_name(film: str, names: Iterable[str]) -> str | None:
    """Which of the names in a film's folder is that of its twin; None: none of them."""
    stem = os.path.splitext(film)[0].casefold()
    return next((name for name in sorted(names) if name != film and stem in of_which(name)), None)


def twins_beside(paths: Iterable[str]) -> tuple[str, ...]:
    """The twins beside a film's files, found by name; empty unless each file has one."""
    found = []
    for path in paths:
        folder, film = os.path.split(path)
        try:
            name = None if is_url(path) else twin_name(film, os.listdir(folder or "."))
        except OSError:
            name = None
        if name is None:
            return ()
        found.append(os.path.join(folder, name))
    return tuple(found)


def probe_twin(info: PannableFilm, proxy: str | os.PathLike[str] | None) -> PannableFilm | None:
    """The twin of a film, or of the same part of it; None: there is none.

    Args:
        proxy: its file, or 'none'; None: one that lies beside the film and is no narrower than the network's pictures.
            If that does not fit, a warning says so.

    Raises:
        UnsupportedInputError: `proxy` does not fit the film.
        InputError: it cannot be read.
    """
    if proxy == "none":
        return None
    if proxy is not None:
        return _fitting(info, (os.fspath(proxy),))
    beside = twins_beside(info.footage.paths)
    if not beside:
        return None
    try:
        found = _fitting(info, beside)
    except UnsupportedInputError as error:
        log.warning("%s. It is not used", error)
        return None
    if found.eye[0] < _WIDE_ENOUGH:
        log.info("%s is only %d pixels wide: name it as `proxy` to analyse it", found.path, found.eye[0])
        return None
    log.info("%s: analysed in place of %s", found.path, info.path)
    return found


def _fitting(info: PannableFilm, paths: tuple[str, ...]) -> PannableFilm:
    """Files that show the same as a film. Raises InputError; UnsupportedInputError if they do not."""
    if len(paths) != len(info.footage.paths):
        raise UnsupportedInputError(
            "is one proxy, but the film has several files", paths[0], "join the film's files first"
        )
    whole, twin = _whole(info), probe(paths, _options(info.footage, video_track=None))
    if twin.video is None:
        raise _unfit(info, paths, "it has no picture")
    tags, of = twin.spherical, info.spherical
    told = (tags.projection or of.projection, tags.stereo if tags.projection else of.stereo)
    shape = twin.video.width / twin.video.height * info.video.height / info.video.width
    for what, one, other, differs in (
        ("length", f"{twin.duration:.1f} s", f"{whole.duration:.1f} s", abs(twin.duration - whole.duration) > _APART),
        ("projection", told[0] or "untagged", of.projection or "untagged", told[0] != of.projection),
        ("stereo layout", told[1], of.stereo, told[1] != of.stereo),
        (
            "shape",
            f"{twin.video.width}x{twin.video.height}",
            f"{info.video.width}x{info.video.height}",
            abs(shape - 1) > _SHAPE
            or (twin.video.rotation, twin.video.mirrored) != (info.video.rotation, info.video.mirrored),
        ),
    ):
        if differs:
            raise _unfit(info, paths, f"its {what} is {one}, not {other}")
    twin = replace(twin, spherical=replace(of, padding=round(of.padding * twin.video.width / info.video.width)))
    # Both begin with the same picture.
    later = Fraction(whole.start) - Fraction(twin.start)
    begins, joints = (tuple(t + later for t in edges) for edges in (twin.footage.begins, twin.footage.joints))
    twin = replace(twin, start=whole.start, footage=replace(twin.footage, begins=begins, joints=joints))
    if not show_the_same(whole, twin):
        raise _unfit(info, paths, "it shows something else")
    start, end = info.footage.start, info.footage.end
    if start is not None or end is not None:
        twin = excerpt(twin, start, end)
    film = twin.pannable
    if film is None:
        raise UnsupportedInputError(f"cannot be analysed as a proxy: {twin.problem}", paths[0])
    return film


def _unfit(info: PannableFilm, paths: tuple[str, ...], why: str) -> UnsupportedInputError:
    message = f"is not a proxy of {os.path.basename(info.path)}: {why}"
    return UnsupportedInputError(message, paths[0], "give its own proxy, or `proxy='none'`")


def _whole(info: PannableFilm) -> MediaInfo:
    """The film of which `info` may be a part."""
    footage = info.footage
    if footage.start is None and footage.end is None:
        return info
    return probe(footage.paths, _options(footage, video_track=footage.video_track))


def _options(footage: Footage, video_track: int | None) -> InputOptions:
    return InputOptions(
        video_track=video_track,
        ambisonics="none",
        max_megapixels=footage.max_pixels / 1e6,
        max_damage=footage.max_damage,
    )
