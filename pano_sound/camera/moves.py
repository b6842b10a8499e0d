"""From one hold of a shot to the next: when the camera moves, and the line that it takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..constraints import Pin
from ..sphere.convention import directions
from ..sphere.geometry import angle_between
from . import motion
from .shots import Hold, PlanContext
from .timeline import Timeline

log = logging.getLogger("pano_sound")

SOUNDS = 0.25
"""Probability that something in the picture sounds from which the camera is not free to leave early."""
_LENGTHENED = 20
"""Times that a move may be made a tenth longer."""

HURRIED = "there is too little time to %s to the pin at %g s: the camera %s faster than its limits allow"


@dataclass(frozen=True)
class Move:
    """A move from one hold to the next, starting at `begin`, seconds, and taking `seconds`; 0 is a cut.

    `due`: a pin that may leave it too little time.
    """

    begin: float
    seconds: float
    due: Pin | None = None

    @property
    def end(self) -> float:
        return self.begin + self.seconds


def compose(
    context: PlanContext, timeline: Timeline, parts: Sequence[Hold]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Holds and the moves between them: times (n,), yaw and pitch (n, 2), fields of view (n,), whether cut to (n,)."""
    start, end = timeline.edges[0], timeline.edges[-1]
    parts = _with_time_for_pins(context, parts)
    moves = _between(context, timeline, parts)
    cuts = np.unique([turn.begin for turn in moves if turn.seconds == 0.0])
    times = motion.sample_times(start, end)
    if len(cuts):
        times = times[np.abs(times - motion.nearest(cuts, times)) > 1e-3]
        times = np.sort(np.concatenate([times, cuts]))
    path, hfov = parts[0].at(times), parts[0].hfov_at(times)
    begins = np.searchsorted(times, [turn.begin for turn in moves] + [np.inf])
    told: set[Pin] = set()
    for turn, (old, new), (begin, following) in zip(moves, pairwise(parts), pairwise(begins), strict=True):
        moving = slice(begin, min(int(np.searchsorted(times, turn.end)), following))
        after = slice(moving.stop, following)
        path[moving] = _line(context, old, new, turn, times[moving])
        path[after] = new.at(times[after])
        half = slice((moving.start + moving.stop) // 2, following)
        hfov[moving.start : half.start] = old.hfov_at(times[moving.start : half.start])
        hfov[half] = new.hfov_at(times[half])
        if turn.due is not None and turn.due not in told:
            way = slice(max(moving.start - 1, 0), min(moving.stop + 1, following))
            if _is_hurried(context, times[way], path[way]):
                log.warning(HURRIED, "turn", turn.due.start, "turns")
                told.add(turn.due)
    if np.ptp(hfov) > 0:
        speed = context.settings.zoom_speed or context.settings.max_speed
        held = [(pin.start, pin.end, pin.hfov) for part in parts if (pin := part.pin) and pin.hfov is not None]
        for (_, last, a), (first, _, b) in pairwise(held):
            if a != b and motion.glide_seconds(abs(b - a), speed, context.ease) > first - last + 1e-6:
                log.warning(HURRIED, "zoom", first, "zooms")
        hfov = motion.zoom(times, hfov, held, speed, context.ease)
    return times, path, hfov, np.isin(times, cuts)


def _with_time_for_pins(context: PlanContext, parts: Sequence[Hold]) -> list[Hold]:
    """Drop holds before or between pins for which there is no time."""
    found: list[Hold] = []
    run: list[Hold] = []
    for part in parts:
        if part.pin is None:
            run.append(part)
            continue
        stops = [*found[-1:], *run, part]
        needed = sum(
            motion.glide_seconds(_way(a, b, b.begin), context.settings.max_speed, context.ease)
            for a, b in pairwise(stops)
        )
        begin = found[-1].pin.end if found and found[-1].pin else (run[0].begin if run else part.begin)
        if needed + context.settings.min_hold <= part.pin.start - begin:
            found += run
        found.append(part)
        run = []
    return found + run


def _between(context: PlanContext, timeline: Timeline, parts: Sequence[Hold]) -> list[Move]:
    """When the camera moves from each hold to the next.

    Those of more than `cut_over` are cuts, but not those to and from pins, nor home in silence.

    The middle of a move is `look_ahead` seconds before the next source starts; after a pause the move ends when that
    starts. It begins at least `min_hold` after the move before, if there is time.
    """
    chosen, found, free = context.settings, [], -np.inf
    for (old, new), latest in zip(pairwise(parts), _latest(context, parts), strict=True):
        start = new.begin
        way = _way(old, new, start)
        goes_home = timeline.home[min(int(np.searchsorted(timeline.edges, start)), len(timeline.home) - 1)]
        if way > chosen.cut_over and not goes_home and old.pin is None and new.pin is None:
            found.append(Move(start, 0.0))
            free = start + chosen.min_hold
            continue
        # During a move both the old and the new source are still followed.
        speed = chosen.max_speed - max(old.speed(), new.speed())
        seconds = motion.glide_seconds(way, speed, context.ease)
        before = (timeline.edges[1:] > start - seconds) & (timeline.edges[1:] <= start + 1e-6)
        ahead = seconds / 2 if not (timeline.present[before] > SOUNDS).any() else min(chosen.look_ahead, seconds / 2)
        begin = max(start - seconds / 2 - ahead, min(free, start - seconds / 2))
        if goes_home:
            begin = start
        if new.pin is not None:
            begin = min(begin, new.pin.start - seconds)
        if old.pin is not None:
            begin = max(begin, old.pin.end)
        earliest = found[-1].end if found else timeline.edges[0]
        begin = max(begin, earliest)
        due = None
        if new.pin is None and begin + seconds > latest:
            quickest = motion.glide_seconds(way, chosen.max_speed, context.ease)
            seconds = max(latest - chosen.min_hold - begin, quickest)
            due = next(part.pin for part in parts[len(found) + 1 :] if part.pin is not None)
        if new.pin is not None and begin + seconds > new.pin.start + 1e-6:
            seconds = max(new.pin.start - begin, 0.0)
        if new.pin is not None and begin + seconds >= new.pin.start - 1e-6:
            due = new.pin
        found.append(Move(begin, seconds, due))
        if old.pin is not None and new.pin is None:
            found[-1] = _within_limit(context, old, new, found[-1], latest - chosen.min_hold)
        free = found[-1].end + chosen.min_hold
    return found


def _latest(context: PlanContext, parts: Sequence[Hold]) -> list[float]:
    """By when each move has to end, so that the camera can be at the next pin in time, seconds; of all parts but the
    first."""
    found = [np.inf]
    for old, new in zip(reversed(parts), [None, *reversed(parts)], strict=False):
        if old.pin is not None:
            found.append(old.pin.start)
        elif new is None or found[-1] == np.inf:
            found.append(np.inf)
        else:
            way = _way(old, new, new.begin)
            found.append(found[-1] - motion.glide_seconds(way, context.settings.max_speed, context.ease))
    return found[1:-1][::-1]


def _within_limit(context: PlanContext, old: Hold, new: Hold, move: Move, latest: float) -> Move:
    """A move made longer until it keeps the limit of speed, because its goal may move away meanwhile; but no longer
    than until `latest`."""
    for _ in range(_LENGTHENED):
        times = motion.sample_times(move.begin, move.end)
        if move.end >= latest or not _is_hurried(context, times, _line(context, old, new, move, times)):
            break
        move = replace(move, seconds=min(1.1 * move.seconds, latest - move.begin))
    return move


def _line(context: PlanContext, old: Hold, new: Hold, move: Move, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yaw and pitch at times (n,) of a move from one hold to another, (n, 2)."""
    share = motion.glide(times - move.begin, move.seconds, min(context.ease, move.seconds / 2))
    # Pan and tilt separately: the great circle between two high places would pass over the zenith.
    here, there = old.at(times), _towards(old, new, times, move.begin + move.seconds / 2)
    line: NDArray[np.float64] = here + share[:, None] * (there - here)
    return line


def _is_hurried(context: PlanContext, times: NDArray[np.float64], line: NDArray[np.float64]) -> bool:
    """Whether the camera turns faster than its limit along a line of yaw and pitch at times (n,), (n, 2)."""
    look = directions(*line.T)
    fastest = (angle_between(look[1:], look[:-1]) / np.diff(times)).max(initial=0.0)
    return bool(fastest > 1.02 * context.settings.max_speed)


def _towards(old: Hold, new: Hold, times: NDArray[np.float64], when: float) -> NDArray[np.float64]:
    """Yaw and pitch of `new` at times (n,), unwrapped so that at time `when` it is the short way there from `old`."""
    middle = np.array([when])
    turns = np.round((old.at(middle)[0, 0] - new.at(middle)[0, 0]) / 360.0)
    return new.at(times) + np.array([360.0 * turns, 0.0])


def _way(old: Hold, new: Hold, when: float) -> float:
    """Degrees from one hold to another, panning and tilting: the most in the seconds around a time."""
    times = when + np.arange(-8.0, 8.1, 1.0)
    here, there = old.at(times), _towards(old, new, times, when)
    level = np.cos(np.radians(np.minimum(np.abs(here[:, 1]), np.abs(there[:, 1]))))
    return float(np.hypot((there[:, 0] - here[:, 0]) * level, there[:, 1] - here[:, 1]).max())
