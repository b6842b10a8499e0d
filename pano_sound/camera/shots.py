"""One shot of the footage: which source is shown when, and how it is followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..constraints import Mask, Pin
from ..options.presets import ShotSettings
from ..soundmap import CHUNK
from ..sphere.convention import angles, directions
from ..sphere.geometry import angle_between
from ..sphere.view import View
from . import glimpses, motion
from .shot_search import FOLLOWED, Moves, best_shots, move_costs
from .timeline import Timeline

GRID = 20.0
"""Degrees between candidate looks. The source's place within the view is found afterwards."""
REFUSED = 1e4
"""Cost of a masked look, in expected seconds of source in view. Finite, because the camera has to look somewhere."""
HOME_WORTH = 0.3
"""Worth of looking to the front in a long silence, relative to a certain source in view."""
LEAST = 0.1
"""Probability of the source in view below which a look follows nothing: what is left then is noise."""
SETTLE = 1.0
"""Seconds over which a source's position is averaged, because it flickers between cells of 6°."""
TO_AND_FRO = 2.0
"""Seconds before and after over which the camera stays in the middle of what goes to and fro, if that is in view from
there; no more than a hold."""
LEVEL = 1 / 6
"""A source may be this share of the view's height above or below the middle before the camera tilts."""
FOLLOWING = 0.75
"""Share of the greatest speed that following may use; the rest is for moving to another source at the same time."""
ROOM = 6.0
"""When zooming, width of the view over the root mean square width of the sounding region."""
ZOOM_REACH = 8.0
"""The view zooms only if it is wider or narrower than the sounding region needs by this many degrees."""


@dataclass(frozen=True)
class Hold:
    """A period in which one source is shown and followed, from `begin` to `end`, seconds.

    `track`: (n, 2) yaw (not wrapped) and pitch in degrees, every motion.SAMPLE_EVERY seconds from `begin`;
    `hfov`: (n,) degrees. `turns`: whether `track` is only how the film's own camera turns.
    """

    begin: float
    end: float
    track: NDArray[np.float64]
    hfov: NDArray[np.float64]
    pin: Pin | None = None
    turns: bool = False

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Yaw (not wrapped) and pitch at times (n,), held before `begin` and after `end`: (n, 2)."""
        return self._row(times, self.track)

    def hfov_at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Field of view at times (n,), degrees."""
        return self._row(times, self.hfov)

    def speed(self) -> float:
        """The fastest speed of following, degrees per second; turning with the film's own camera is not following."""
        if self.turns:
            return 0.0
        look = directions(*self.track.T)
        return float(angle_between(look[1:], look[:-1]).max(initial=0.0)) / motion.SAMPLE_EVERY

    def _row(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        index = np.round((times - self.begin) / motion.SAMPLE_EVERY).astype(int)
        row: NDArray[np.float64] = values[np.clip(index, 0, len(values) - 1)]
        return row


@dataclass(frozen=True)
class PlanContext:
    """What planning a shot needs: the view, its candidate looks and the costs of moving.

    `blind`: (n, n) seconds of a move from look to look in which neither is in view.
    """

    view: View
    looks: NDArray[np.float64]
    weights: NDArray[np.float32]
    moves: Moves
    blind: NDArray[np.float32]
    ease: float
    settings: ShotSettings
    pins: tuple[Pin, ...] = ()

    @classmethod
    def of(cls, timeline: Timeline, view: View, settings: ShotSettings, pins: Sequence[Pin]) -> PlanContext:
        """With the looks of a grid, followed by those of `pins` (in level coordinates)."""
        grid = glimpses.even_directions(GRID, settings.tilt)
        looks = np.concatenate([grid, np.array([(pin.yaw, pin.pitch) for pin in pins]).reshape(-1, 2)])
        ease = motion.ease_seconds(settings.max_speed, settings.max_acceleration, settings.max_jerk)
        look = directions(*looks.T)
        way = angle_between(look[:, None], look[None, :])
        np.fill_diagonal(way, 0.0)
        seconds = np.maximum(way / settings.max_speed, ease) + ease
        blind = (np.maximum(way - view.hfov, 0.0) / settings.max_speed).astype(np.float32)
        blind[way > settings.cut_over] = 0.0
        seconds[way > settings.cut_over] = 0.0
        lock = np.ceil((settings.min_hold + seconds) / settings.step - 1e-6).astype(np.intp)
        # Moves to and from pins are required, so they need no hold; and no source is followed onto a pin.
        lock[len(grid) :] = 0
        nearby = way.copy()
        nearby[len(grid) :, :] = nearby[:, len(grid) :] = np.inf
        np.fill_diagonal(nearby, 0.0)
        follow = max(1.05 * GRID, settings.max_speed * settings.step / 2)
        moves = move_costs(way, nearby, lock, settings.move_cost, settings.switch_cost, follow)
        weights = timeline.weights(looks, _searched(view), settings.centring)
        return cls(view, looks, weights, moves, blind, ease, settings, tuple(pins))


def _searched(view: View) -> View:
    """What is searched around a candidate look: the view, but no less than leaves no gap to the next look."""
    least = float(np.tan(np.radians(0.55 * GRID)))
    across, down = (max(side / 2 / view.focal, least) for side in (view.width, view.height))
    if (across, down) == (view.width / 2 / view.focal, view.height / 2 / view.focal):
        return view
    return View(round(1000 * across), round(1000 * down), float(np.degrees(2 * np.arctan(across))))


def scores(
    context: PlanContext, timeline: Timeline, masks: Sequence[Mask]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What each look is worth in each step: the expected seconds with the source in view, more in its middle, (t, n);
    and how much of what the best look holds it holds, (t, n), 0..1."""
    held = timeline.held(context.weights)
    worth = held * np.diff(timeline.edges)[:, None].astype(np.float32)
    shown = held / np.maximum(held.max(axis=1, keepdims=True), 1e-9)
    shown[held < LEAST] = 0.0
    count = len(context.looks) - len(context.pins)
    for mask in masks:
        covered = timeline.covered(mask, directions(*context.looks[:count].T) @ timeline.level.T)
        worth[:, :count] -= REFUSED * covered
    worth[timeline.home, 0] += HOME_WORTH * float(np.diff(timeline.edges)[0])
    # The camera may wait at a pin before and after its time, but the pin is worth nothing then.
    worth[:, count:] = 0.0
    for i, pin in enumerate(context.pins):
        during = (timeline.edges[1:] > pin.start) & (timeline.edges[:-1] < max(pin.end, pin.start + 1e-6))
        worth[during] = -REFUSED
        worth[during, count + i] = 0.0
    return worth, shown


def holds(
    context: PlanContext, timeline: Timeline, worth: NDArray[np.float32], shown: NDArray[np.float32]
) -> list[Hold]:
    """The holds of a shot in order, each with the line that the camera takes."""
    looks, switched = best_shots(
        worth, shown, _priced(context, np.asarray(worth / np.diff(timeline.edges)[:, None], np.float32))
    )
    at_home = timeline.home & (looks == 0)
    switched[1:] |= at_home[1:] & ~at_home[:-1]  # From where a source was last within the look to the look itself.
    bounds = [0, *np.flatnonzero(switched).tolist(), len(looks)]
    found = []
    for a, b in pairwise(bounds):
        number = looks[a] - (len(context.looks) - len(context.pins))
        part, near = timeline.part(a, b), context.moves.neighbours[:, looks[a:b]].T
        # Among the good enough looks around it, the one that shows most.
        best = np.take_along_axis(shown[a:b], near, axis=1).argmax(axis=1)
        there = near[np.arange(b - a), best]
        seen = shown[np.arange(a, b), there] >= FOLLOWED
        if number >= 0 and _is_during(context.pins[number], part):
            found.append(_at_pin(context, context.pins[number], part.edges[0], part.edges[-1]))
        elif at_home[a:b].all():
            found.append(_front(context, part))
        else:
            found.append(_follow(context, part, there, seen))
    return _with_every_pin(context, timeline, found)


def _at_pin(context: PlanContext, pin: Pin, begin: float, end: float) -> Hold:
    hfov = context.view.hfov if pin.hfov is None else pin.hfov
    return Hold(begin, end, np.array([[pin.yaw, pin.pitch]]), np.array([hfov]), pin)


def _is_during(pin: Pin, timeline: Timeline) -> bool:
    """Whether a pin holds in some of a timeline."""
    return pin.start < timeline.edges[-1] and max(pin.end, pin.start + 1e-6) > timeline.edges[0]


def _with_every_pin(context: PlanContext, timeline: Timeline, parts: list[Hold]) -> list[Hold]:
    """Add the pins of this shot that had no step of their own, because another one is in the same step."""
    found = list(parts)
    for pin in context.pins:
        if _is_during(pin, timeline) and all(part.pin is not pin for part in found):
            later = (i for i, part in enumerate(found) if part.pin is not None and part.pin.start > pin.start)
            at = next(later, len(found))
            found.insert(at, _at_pin(context, pin, pin.start, pin.end))
    return found


def _front(context: PlanContext, timeline: Timeline) -> Hold:
    """Looking to the front of the picture."""
    begin, end = timeline.edges[0], timeline.edges[-1]
    times = motion.sample_times(begin, end)
    track = np.stack([np.interp(times, timeline.middles, timeline.heading), np.zeros(len(times))], axis=1)
    return Hold(begin, end, track, np.full(len(times), context.view.hfov), turns=True)


def _priced(context: PlanContext, held: NDArray[np.float32]) -> Moves:
    """The moves, each switch for what it can be expected to miss besides its price.

    That is taken alike for the whole shot, so that no switch is made early, when less is missed, to wait for a source.
    """
    best = np.maximum(held.max(axis=1), 0.0)
    sure = float((best**2).sum() / max(best.sum(), 1e-9))  # The mean, where there is something to see.
    return replace(context.moves, switch_cost=context.moves.switch_cost + sure * context.blind)


def _follow(context: PlanContext, timeline: Timeline, looks: NDArray[np.intp], seen: NDArray[np.bool_]) -> Hold:
    """The calmest line along the source within the chosen looks, where it is `seen`, (t,)."""
    chosen, step = context.settings, float(timeline.edges[1] - timeline.edges[0])
    cells, some = timeline.cells().reshape(-1, 3), [slice(i, i + CHUNK) for i in range(0, len(looks), CHUNK)]
    found = [glimpses.refine(timeline.maps[part], context.weights[looks[part]], cells) for part in some]
    where, width = (np.concatenate(each) for each in zip(*found, strict=True))
    sure = seen & (width > 0)
    begin, end = timeline.edges[0], timeline.edges[-1]
    times = motion.sample_times(0.0, end - begin)
    if not sure.any():
        still = np.repeat(context.looks[looks[:1]], len(times), axis=0)
        return Hold(begin, end, still, np.full(len(times), context.view.hfov))
    known = np.flatnonzero(sure)
    latest = known[np.clip(np.searchsorted(known, np.arange(len(sure)), side="right") - 1, 0, None)]
    yaw, pitch = angles(where[latest])
    place = np.stack([np.degrees(np.unwrap(np.radians(yaw))), pitch], axis=1)
    reach = round(min(chosen.min_hold, TO_AND_FRO) / step)
    size = np.stack([context.view.hfov / np.maximum(np.cos(np.radians(pitch)), 0.2), 0 * pitch + context.view.vfov], 1)
    yaw, pitch = motion.smooth(motion.middle(place, reach, size / 2), SETTLE, step).T
    tilt = np.sign(pitch) * np.maximum(np.abs(pitch) - LEVEL * context.view.vfov, 0.0)
    zone = chosen.dead_zone / 2
    line = np.stack(
        [
            motion.steady(yaw, zone * context.view.hfov / np.maximum(np.cos(np.radians(pitch)), 0.2)),
            motion.steady(np.clip(tilt, -chosen.tilt, chosen.tilt), np.full(len(tilt), zone * context.view.vfov)),
        ],
        axis=1,
    )
    middles = (np.arange(len(line)) + 0.5) * step
    track = np.stack([np.interp(times, middles, axis) for axis in line.T], axis=1)
    track = motion.smooth(motion.slew(track, FOLLOWING * chosen.max_speed), context.ease)
    if not chosen.zoom_speed:
        return Hold(begin, end, track, np.full(len(times), context.view.hfov))
    off = angle_between(where, directions(*line.T))[latest]
    from scipy.ndimage import maximum_filter1d

    # A source off the middle has to fit into the shorter side.
    wide = max(context.view.width / context.view.height, 1.0)
    asked = np.maximum(ROOM * width[latest], 2.2 * wide * (off + width[latest]))
    asked = maximum_filter1d(asked, 2 * round(2 * TO_AND_FRO / step) + 1, mode="nearest")
    asked = np.clip(motion.smooth(asked, 2 * SETTLE, step), chosen.min_fov, chosen.max_fov)
    hfov = np.interp(times, middles, motion.steady(asked, np.full(len(asked), ZOOM_REACH)))
    return Hold(begin, end, track, hfov)


def without(context: PlanContext, worth: NDArray[np.float32], chosen: NDArray[np.float64]) -> NDArray[np.float32]:
    """The worth of looks, reduced by what another path shows, given as unit vectors (t, 3) per step.

    This makes the next path go elsewhere if there is something to see (the diversity of Su and Grauman 2017).
    """
    apart = angle_between(directions(*context.looks.T)[None], chosen[:, None])
    overlap = np.maximum(1.0 - apart / context.view.hfov, 0.0)
    return np.where(worth > 0, worth * (1.0 - overlap), worth).astype(np.float32)
