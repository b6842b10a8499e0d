"""From a sound map to a camera path for the whole film."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..camera_path import SHORTEST_STEP, CameraPath
from ..constraints import Mask, Pin, in_order, only_masks
from ..options.camera import PlanOptions
from ..options.presets import CameraSettings, ShotSettings
from ..options.values import parse_aspect, parse_size
from ..soundmap import SoundMap
from ..sphere.convention import angles, directions, turned, wrap_degrees
from ..sphere.geometry import angle_between
from ..sphere.view import View
from . import autocam, expected, motion, moves, shots
from .autocam import Samples
from .coverage import kept_inside
from .heading import Heading
from .timeline import Timeline, resample

log = logging.getLogger("pano_sound")

SHORT_SIDES = (360, 540, 720, 1080, 1440, 2160)
_MAY_LACK = 0.05
_MISSED = 0.5
"""A camera as many degrees from a pin does not look at it."""
_PORTRAIT_HEIGHT = 1080
"""Least height of portrait outputs in pixels: phones show them full screen."""


def plan(
    soundmap: SoundMap,
    options: PlanOptions | None = None,
    pins: Iterable[Pin] = (),
    masks: Iterable[Mask] = (),
) -> CameraPath:
    """The best camera path: the first of `plan_paths`."""
    return plan_paths(soundmap, options, 1, pins, masks)[0]


def plan_paths(
    soundmap: SoundMap,
    options: PlanOptions | None = None,
    count: int = 1,
    pins: Iterable[Pin] = (),
    masks: Iterable[Mask] = (),
) -> list[CameraPath]:
    """Up to `count` paths through a film, the best first, each unlike the ones before it.

    Each shot of the footage is planned as a whole and cut to. Every `step` seconds each direction of a grid has a
    worth: the expected time with the source in its view. Dynamic programming finds which source is shown when, where
    moving has a price; where in its view it is, the map tells; the camera then takes the calmest line along it,
    and moves to the next within limits of speed, acceleration and jerk. Where the camera of the film turns, all this is
    as if it did not, and the path turns with it. If that path can be expected to hold the source for less than 90 % of
    the time that the best still view holds it, the camera does not turn.

    With the `paper` preset: AUTOCAM (Su et al. 2016, section 3), whose moves are limited to max_speed * step degrees
    per axis from clip to clip, and whose key points, in the middle of each clip, are joined linearly.

    Args:
        pins, masks: constraints, kept in the path. Pins are in the picture's coordinates.

    Raises:
        ValueError: pins that overlap, or pins with the `paper` preset.
        TypeError: something else among them.
    """
    pins, masks = usable(pins, masks, options)
    chosen = (options or PlanOptions()).resolved()
    view = _frame(chosen, soundmap.source.get("width", 3840))
    start = float(soundmap.times[0])
    end = max(start + motion.SAMPLE_EVERY, float(soundmap.times[-1]), soundmap.source.get("end", 0.0))
    _warn_of_those_outside(pins, masks, start, end)
    if isinstance(chosen, ShotSettings):
        found = _by_shots(soundmap, chosen, view, count, pins, masks, start, end)
    else:
        found = autocam.plan(soundmap, chosen, view, count, masks, start, end)
    paths = []
    for samples, cuts in found:
        inside, jumps = kept_inside(samples, soundmap.source.get("covers"), view.width / view.height)
        paths.append(
            CameraPath(
                view.width,
                view.height,
                inside,
                source=soundmap.source,
                settings=chosen.to_json(),
                cuts=cuts | jumps,
                pins=pins,
                masks=masks,
            )
        )
    if soundmap.source.get("covers"):
        _warn_of_those_beyond_the_picture(pins, paths[0], start, end)
    return paths


def usable(
    pins: Iterable[Pin], masks: Iterable[Mask], options: PlanOptions | None = None
) -> tuple[tuple[Pin, ...], tuple[Mask, ...]]:
    """Pins in order, and masks, if a camera can be planned with them. Raises as `plan_paths`."""
    in_time = in_order(pins)
    if in_time and options is not None and options.preset == "paper":
        raise ValueError("pins cannot be used with `preset='paper'`")
    return in_time, only_masks(masks)


def _warn_of_those_outside(pins: Sequence[Pin], masks: Sequence[Mask], start: float, end: float) -> None:
    for kind, ones in (("pin", pins), ("mask", masks)):
        for one in ones:
            begin, last = (bound if t is None else t for t, bound in ((one.start, start), (one.end, end)))
            if last < start or begin > end:
                told = "the %s from %g s to %g s has no effect: the camera is planned from %g s to %g s"
                log.warning(told, kind, begin, last, start, end)


def _warn_of_those_beyond_the_picture(pins: Sequence[Pin], path: CameraPath, start: float, end: float) -> None:
    for pin in pins:
        begin, last = max(pin.start, start), min(pin.end, end)
        if begin > last:
            continue
        # Not at its end, where the camera may have begun to leave.
        during = path.times[(path.times > begin) & (path.times < last)]
        for t in (begin, (begin + last) / 2, *during.tolist()):
            yaw, pitch, _, _ = path.at(t)
            if angle_between(directions(yaw, pitch), directions(pin.yaw, pin.pitch)) > _MISSED:
                told = "the view at the pin from %g s to %g s would reach beyond the picture: it is at yaw %g, pitch %g"
                log.warning(told, pin.start, pin.end, round(yaw), round(pitch))
                break


def detail_size(source_width: int, hfov: float, aspect: str | None = None) -> tuple[int, int]:
    """The smallest common size of an aspect, in pixels, that keeps the source's detail in its middle.

    In the middle, where a flat picture is coarsest, a pixel is as wide as one of the source, or up to a third narrower.
    A shortfall of a twentieth is accepted, else a source 4096 wide would be enlarged to 1920 for lack of 24 pixels.
    Portrait sizes are at least 1080 pixels tall if the source is.
    """
    across, down = parse_aspect(aspect)
    sizes = [_of_short_side(side, across, down) for side in SHORT_SIDES]
    if down > across and source_width / 2 >= _PORTRAIT_HEIGHT:
        sizes = [s for s in sizes if s[1] >= _PORTRAIT_HEIGHT]
    needed = source_width / np.pi * np.tan(np.radians(hfov) / 2)
    return next((s for s in sizes if s[0] >= needed * (1 - _MAY_LACK)), sizes[-1])


def _of_short_side(side: int, across: int, down: int) -> tuple[int, int]:
    long = round(side * max(across, down) / min(across, down) / 2) * 2
    return (long, side) if across >= down else (side, long)


def _frame(chosen: CameraSettings, source_width: int) -> View:
    """The output's size (given, or from the source's detail) and its field of view."""
    if chosen.size:
        return View.of_longer_side(*parse_size(chosen.size), chosen.fov)
    shape = View.of_longer_side(*parse_aspect(chosen.aspect), chosen.fov)
    width, height = detail_size(source_width, shape.hfov, chosen.aspect)
    return View(width, height, shape.hfov)


def _by_shots(
    soundmap: SoundMap,
    chosen: ShotSettings,
    view: View,
    count: int,
    pins: Sequence[Pin],
    masks: Sequence[Mask],
    start: float,
    end: float,
) -> list[Samples]:
    """Shot by shot: holds, what they follow, and the moves between them; or one still view, where none is better."""
    bounds = [start]
    for cut in soundmap.cuts:
        # Shorter shots would begin and end at one time, as a path rounds it.
        if min(cut - bounds[-1], end - cut) >= 2 * SHORTEST_STEP:
            bounds.append(float(cut))
    bounds.append(end)
    edges, first = [np.array([start])], [0]
    for a, b in pairwise(bounds):
        steps = max(1, round((b - a) / chosen.step))
        edges.append(np.linspace(a, b, steps + 1)[1:])
        first.append(first[-1] + steps)
    heading = Heading.of(soundmap, bounds, pins)
    timeline = resample(soundmap, chosen, np.concatenate(edges), masks, home_after=chosen.home_after, heading=heading)
    context = shots.PlanContext.of(timeline, view, chosen, _levelled(pins, timeline, heading, start))
    worth, shown = shots.scores(context, timeline, masks)
    stills = expected.StillViews(timeline, view, chosen)
    found: list[Samples] = []
    for _ in range(count):
        pieces, cut_to, n = [], set(), 0
        seen = np.empty((len(worth), 3))
        for a, b in pairwise(first):
            part = timeline.part(a, b)
            begin, here = float(part.edges[0]), context
            if any(pin.start < begin < pin.end for pin in pins):
                here = replace(context, pins=tuple(_levelled(pins, timeline, heading, begin)))
            parts = shots.holds(here, part, worth[a:b], shown[a:b])
            times, path, hfov, jumps = moves.compose(here, part, parts)
            at = np.clip(np.searchsorted(times, part.middles), 0, len(times) - 1)
            if not (found or pins or masks or part.home.any()):
                look, enough = stills.best(part)
                # Compare directions only: zooming narrows the view on purpose.
                if expected.of_path(part, view, path[at], np.full(len(at), view.hfov)) < enough:
                    path, hfov = np.repeat(look[None], len(times), axis=0), np.full(len(times), view.hfov)
                    jumps = np.zeros(len(times), bool)
            seen[a:b] = directions(*path[at].T)
            yaw, pitch, roll = turned(path[:, 0], path[:, 1], timeline.level)
            yaw = wrap_degrees(yaw - heading.at(times))
            samples = np.stack([times, yaw, pitch, roll, hfov], axis=1)
            jumps[0] = a > 0
            needed = motion.thin(samples) | jumps
            kept = np.flatnonzero(needed)
            cut_to |= {n + int(np.searchsorted(kept, i)) for i in np.flatnonzero(jumps)}
            pieces.append(samples[needed])
            n += len(kept)
        found.append((np.concatenate(pieces), frozenset(cut_to)))
        if len(found) < count:
            worth = shots.without(context, worth, seen)
    return found


def _levelled(pins: Sequence[Pin], timeline: Timeline, heading: Heading, begin: float) -> list[Pin]:
    """Convert pins from the picture's coordinates to level ones of a camera that does not turn.

    `begin`: of a shot, seconds. The heading rests in the time of a pin, but begins anew with each shot.
    """
    found = []
    for pin in pins:
        turn = float(heading.at(np.array([max(pin.start, begin)]))[0])
        yaw, pitch = angles(directions(pin.yaw + turn, pin.pitch) @ timeline.level)
        found.append(replace(pin, yaw=float(yaw), pitch=float(pitch)))
    return found
