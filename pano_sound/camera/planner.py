"""From a sound map to a camera path: where to look, when to move, how fast and how wide, for the film as a whole."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..camera_path import CameraPath
from ..constraints import Mask, Pin, in_order
from ..settings import PlanSettings, parse_size
from ..soundmap import SoundMap
from ..sphere.convention import angles, directions, turned
from ..sphere.geometry import angle_between
from ..sphere.view import View
from . import autocam, glimpses, motion, shots
from .coverage import kept_inside
from .timeline import Evidence, gather

log = logging.getLogger("pano_sound")

SHORT_SIDES = (360, 540, 720, 1080, 1440, 2160)
_MAY_LACK = 0.05
_PORTRAIT_HEIGHT = 1080
"""Pixels; phones show portrait films full screen, and smaller ones look soft there."""
Samples = tuple[NDArray[np.float64], frozenset[int]]


def plan(
    soundmap: SoundMap,
    settings: PlanSettings | None = None,
    pins: Sequence[Pin] = (),
    masks: Sequence[Mask] = (),
) -> CameraPath:
    """Where to look while the film of `soundmap` plays: the first of `plan_paths`."""
    return plan_paths(soundmap, settings, 1, pins, masks)[0]


def plan_paths(
    soundmap: SoundMap,
    settings: PlanSettings | None = None,
    count: int = 1,
    pins: Sequence[Pin] = (),
    masks: Sequence[Mask] = (),
) -> list[CameraPath]:
    """Up to `count` paths through a film, the best first, each of the others away from those before it.

    Each shot of the footage is planned as a whole and cut to. Every `step` seconds each direction of a grid has a
    worth: how much of what surely sounds its view would hold. Dynamic programming finds which source is shown when;
    where in its view it is, the map tells; the camera then takes the calmest line along it, and moves to the next
    within limits of speed, acceleration and jerk. What is not sure is worth nothing, and the camera holds.

    With the `paper` preset: AUTOCAM (Su et al. 2016, section 3), whose moves are limited to max_speed * step degrees
    per axis from clip to clip, and whose key points, in the middle of each clip, are joined linearly.

    Args:
        pins, masks: what a person asks for; kept in the path. Pins are in the picture's coordinates.

    Raises:
        ValueError: settings out of range, pins that overlap, or pins with the `paper` preset.
    """
    pins = in_order(pins)
    chosen = (settings or PlanSettings()).resolved()
    view = _frame(chosen, soundmap.source.get("width", 3840))
    start, end = soundmap.times[0], max(soundmap.times[-1], soundmap.source.get("end", 0.0))
    if chosen.preset == "paper":
        if pins:
            raise ValueError("pins have no part in --preset paper")
        found = _autocam(soundmap, chosen, view, count, masks, start, end)
    else:
        found = _ours(soundmap, chosen, view, count, pins, masks, start, end)
    return [
        CameraPath(
            view.width,
            view.height,
            kept_inside(samples, soundmap.source.get("covers"), view.width / view.height),
            source=soundmap.source,
            settings=chosen.to_json(),
            cuts=cuts,
            pins=pins,
            masks=tuple(masks),
        )
        for samples, cuts in found
    ]


def detail_size(source_width: int, hfov: float, aspect: str = "16:9") -> tuple[int, int]:
    """The smallest usual size of an aspect, in pixels, in whose middle the source's detail is kept.

    In its middle, where a flat picture is coarsest, a pixel is as wide as one of the source, or up to a third narrower.
    A twentieth may lack, which is not seen: else a source 4096 wide would be blown up to 1920 for want of 24 pixels.
    Portrait sizes are at least 1080 pixels tall where the source's sphere is.
    """
    across, down = map(int, aspect.split(":"))
    sizes = [_of_short_side(side, across, down) for side in SHORT_SIDES]
    if down > across and source_width / 2 >= _PORTRAIT_HEIGHT:
        sizes = [s for s in sizes if s[1] >= _PORTRAIT_HEIGHT]
    needed = source_width / np.pi * np.tan(np.radians(hfov) / 2)
    return next((s for s in sizes if s[0] >= needed * (1 - _MAY_LACK)), sizes[-1])


def _of_short_side(side: int, across: int, down: int) -> tuple[int, int]:
    long = round(side * max(across, down) / min(across, down) / 2) * 2
    return (long, side) if across >= down else (side, long)


def _frame(chosen: PlanSettings, source_width: int) -> View:
    """The output's size, as asked or as the source's detail, and its field of view."""
    if chosen.size:
        return View.of_longer_side(*parse_size(chosen.size), chosen.fov)
    aspect = chosen.aspect or "16:9"
    across, down = map(int, aspect.split(":"))
    shape = View.of_longer_side(across, down, chosen.fov)
    width, height = detail_size(source_width, shape.hfov, aspect)
    return View(width, height, shape.hfov)


def _ours(
    soundmap: SoundMap,
    chosen: PlanSettings,
    view: View,
    count: int,
    pins: Sequence[Pin],
    masks: Sequence[Mask],
    start: float,
    end: float,
) -> list[Samples]:
    """Shot by shot: holds, what they follow, and the moves between them."""
    cuts = [float(t) for t in soundmap.cuts if start < t < end]
    bounds = [start, *cuts, end]
    edges, first = [np.array([start])], [0]
    for a, b in pairwise(bounds):
        steps = max(1, round((b - a) / chosen.step))
        edges.append(a + (b - a) * np.arange(1, steps + 1) / steps)
        first.append(first[-1] + steps)
    evidence = gather(soundmap, chosen, np.concatenate(edges), masks)
    level_pins = _levelled(pins, evidence)
    lens = shots.Lens.of(evidence, view, chosen, level_pins)
    worth, shown = shots.scores(lens, evidence, masks)
    found: list[Samples] = []
    for _ in range(count):
        pieces, cut_to, n = [], set(), 0
        seen = np.empty((len(worth), 3))
        for a, b in pairwise(first):
            part = evidence.part(a, b)
            parts = shots.holds(lens, part, worth[a:b], shown[a:b])
            times, path, hfov, jumps = shots.compose(lens, part, parts)
            middles = (part.edges[1:] + part.edges[:-1]) / 2
            seen[a:b] = directions(*path[np.clip(np.searchsorted(times, middles), 0, len(times) - 1)].T)
            yaw, pitch, roll = turned(path[:, 0], path[:, 1], evidence.level)
            samples = np.stack([times, yaw, pitch, roll, hfov], axis=1)
            jumps[0] = a > 0
            needed = motion.thin(samples) | jumps
            kept = np.flatnonzero(needed)
            cut_to |= {n + int(np.searchsorted(kept, i)) for i in np.flatnonzero(jumps)}
            pieces.append(samples[needed])
            n += len(kept)
        found.append((np.concatenate(pieces), frozenset(cut_to)))
        if len(found) < count:
            worth = shots.without(lens, worth, seen)
    return found


def _levelled(pins: Sequence[Pin], evidence: Evidence) -> list[Pin]:
    """Pins of the picture's coordinates in level ones."""
    found = []
    for pin in pins:
        yaw, pitch = angles(directions(pin.yaw, pin.pitch) @ evidence.level)
        found.append(replace(pin, yaw=float(yaw), pitch=float(pitch)))
    return found


def _autocam(
    soundmap: SoundMap, chosen: PlanSettings, view: View, count: int, masks: Sequence[Mask], start: float, end: float
) -> list[Samples]:
    """AUTOCAM's directions, clips, limits and interpolation."""
    step = chosen.step
    edges: NDArray[np.float64] = start + step * np.arange(max(1, round((end - start) / step)) + 1, dtype=np.float64)
    looks = glimpses.autocam_directions()
    costs = autocam.per_axis_limit(looks, chosen.max_speed * step)
    if np.isinf(costs).sum() == costs.size - len(looks):
        at_most = f"{chosen.max_speed:g} degrees per second"
        log.warning("in %g s at %s the camera reaches no other direction: it holds", step, at_most)
    evidence = gather(soundmap, chosen, edges, masks)
    worth = evidence.shown(evidence.weights(looks, view, chosen.centring)) * evidence.sure[:, None]
    key_times = edges[:-1] + step / 2
    times = np.arange(start, end + motion.SAMPLE_EVERY, motion.SAMPLE_EVERY)
    found: list[Samples] = []
    for _ in range(count):
        sequence = autocam.best_sequence(worth, costs)
        path = motion.linear(key_times, looks[sequence], times)
        yaw, pitch, roll = turned(path[:, 0], path[:, 1], evidence.level)
        samples = np.stack([times, yaw, pitch, roll, np.full_like(times, view.hfov)], axis=1)
        found.append((samples[motion.thin(samples)], frozenset()))
        apart = angle_between(directions(*looks.T)[None], directions(*looks[sequence].T)[:, None])
        worth = (worth * np.minimum(apart / view.hfov, 1.0)).astype(np.float32)
    return found
