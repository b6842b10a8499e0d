"""Camera motion: still where possible, and within limits of speed, acceleration and jerk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..sphere.convention import wrap_degrees

Array = NDArray[np.float64]

SAMPLE_EVERY = 0.1
SAME = 1e-4


def sample_times(begin: float, end: float) -> Array:
    """Times (n,) every SAMPLE_EVERY seconds from `begin` and before `end`, seconds; at least one.

    None is so near to `end` that the first one of the next shot would not be later.
    """
    count = max(1, math.ceil((end - begin) / SAMPLE_EVERY - 0.01))
    return np.asarray(begin + SAMPLE_EVERY * np.arange(count), np.float64)


def nearest(growing: Array, times: Array) -> Array:
    """The nearest of some times (k,), k > 0, to each of others (n,), (n,)."""
    after = np.searchsorted(growing, times)
    low, high = growing[np.maximum(after - 1, 0)], growing[np.minimum(after, len(growing) - 1)]
    return np.where(times - low <= high - times, low, high)


def ease_seconds(speed: float, acceleration: float, jerk: float) -> float:
    """Seconds over which a change of `speed` (deg/s) is eased so that neither limit (deg/s², deg/s³) is exceeded.

    A speed that changes at once, averaged over a Hann window of L seconds, has at most the acceleration
    2 · speed / L and the jerk 2π · speed / L².
    """
    return max(2.0 * speed / acceleration, float(np.sqrt(2.0 * np.pi * speed / jerk)))


def glide_seconds(way: float, speed: float, ease: float) -> float:
    """Seconds that a turn of `way` degrees takes at `speed`, or at less if it ends before that is reached."""
    return max(way / speed, ease) + ease


def glide(t: Array, seconds: float, ease: float) -> Array:
    """The share of a turn, 0..1, completed at times `t` (seconds since its beginning).

    The turn takes `seconds`, including `ease` seconds each, more than 0, for speeding up and slowing down (a constant
    speed, averaged over a Hann window).
    """
    if seconds <= 0.0:
        return (t >= 0.0).astype(np.float64)
    cruise = seconds - ease

    def way(x: Array) -> Array:
        """Integral of the eased beginning of a constant speed of 1."""
        within = np.clip(x, 0.0, ease)
        eased = within**2 / (2 * ease) + ease / (4 * np.pi**2) * (np.cos(2 * np.pi * within / ease) - 1)
        return eased + np.maximum(x - ease, 0.0)

    return np.clip((way(t) - way(t - cruise)) / cruise, 0.0, 1.0)


def middle(track: Array, reach: int, room: Array) -> Array:
    """The midpoint between the highest and lowest of the values (n, k) within `reach` of each, fewer near the ends.

    Movement to and fro that is faster than that is removed; steady movement is kept. So is what goes farther than
    `room`, (k,) or (n, k), on either side of the midpoint.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    size = 2 * reach + 1
    high, low = (extreme(track, size, axis=0, mode="nearest") for extreme in (maximum_filter1d, minimum_filter1d))
    for i in range(min(reach, (len(track) + 1) // 2)):
        for at, around in ((i, track[: 2 * i + 1]), (-1 - i, track[len(track) - 2 * i - 1 :])):
            high[at], low[at] = around.max(axis=0), around.min(axis=0)
    return np.where((high - low) / 2 > room, track, (high + low) / 2)


def steady(track: Array, reach: Array) -> Array:
    """The calmest line within `reach` of a track, both (n,): still if possible, else the taut string.

    The taut string (the shortest line in a tube) has the least movement and the least change of movement by any convex
    measure (Davies and Kovac 2001, for time series). Its ends are free.
    """
    low, high = track - reach, track + reach
    floor, roof = np.maximum.accumulate(low), np.minimum.accumulate(high)
    empty = np.flatnonzero(floor > roof)
    if not len(empty):
        return np.full(len(track), np.clip(np.median(track), floor[-1], roof[-1]))
    first = empty[0]
    # It leaves upwards from the lowest roof so far, or downwards from the highest floor.
    at, y = 0, float(roof[first - 1] if low[first] > roof[first - 1] else floor[first - 1])
    line = np.empty(len(track))
    line[0] = y
    while at < len(track) - 1:
        to, target = _next_bend(low, high, at, y)
        line[at : to + 1] = y + (target - y) * np.arange(to - at + 1) / (to - at)
        at, y = to, target
    return line


def _next_bend(low: Array, high: Array, at: int, y: float) -> tuple[int, float]:
    """Where the taut string from (at, y) first bends at the tube's wall, or ends: (index, value)."""
    steepest, flattest = np.inf, -np.inf
    on_high, on_low = at + 1, at + 1
    for i in range(at + 1, len(low)):
        least, most = (low[i] - y) / (i - at), (high[i] - y) / (i - at)
        if least > steepest:
            return on_high, float(high[on_high])
        if most < flattest:
            return on_low, float(low[on_low])
        if least >= flattest:
            flattest, on_low = least, i
        if most <= steepest:
            steepest, on_high = most, i
    if flattest <= 0.0 <= steepest:
        return len(low) - 1, y
    return (on_low, float(low[on_low])) if flattest > 0.0 else (on_high, float(high[on_high]))


def smooth(track: Array, seconds: float, every: float = SAMPLE_EVERY) -> Array:
    """Smooth values (n, ...), `every` seconds apart, with a Hann window of `seconds`. End values are repeated."""
    reach = round(seconds / 2 / every)
    if reach < 1:
        return track
    window = np.hanning(2 * reach + 3)[1:-1]
    flat = track.reshape(len(track), -1)
    padded = np.concatenate([flat[:1].repeat(reach, axis=0), flat, flat[-1:].repeat(reach, axis=0)])
    means = [np.convolve(column, window / window.sum(), mode="valid") for column in padded.T]
    return np.stack(means, axis=1).reshape(track.shape)


def slew(track: Array, speed: float, every: float = SAMPLE_EVERY) -> Array:
    """Limit a track (n, k), `every` seconds apart, to `speed` per second."""
    most = speed * every
    if np.linalg.norm(np.diff(track, axis=0), axis=1).max(initial=0.0) <= most:
        return track
    chased = track.tolist()
    for i in range(1, len(chased)):
        steps = [to - at for to, at in zip(chased[i], chased[i - 1], strict=True)]
        share = min(1.0, most / max(math.hypot(*steps), 1e-12))
        chased[i] = [at + share * step for at, step in zip(chased[i - 1], steps, strict=True)]
    return np.array(chased)


def zoom(times: Array, asked: Array, held: Sequence[tuple[float, float, float]], speed: float, ease: float) -> Array:
    """Fields of view (n,) at `times` that follow those `asked` for, (n,), at up to `speed`, with eased beginnings and
    ends, and have certain values in certain times.

    A change to such a value begins early enough. Where the time between two of them is too short, it is faster.

    Args:
        times: (n,) seconds, SAMPLE_EVERY apart.
        held: begin, end (seconds) and the value held from then to then, in order of time.
        ease: seconds, as in `glide`.
    """
    early = SAMPLE_EVERY * (round(ease / SAMPLE_EVERY) + 1)  # So that smoothing does not reach into the time held.
    runs: list[list[tuple[float, float, float]]] = [[]]
    hurried = []
    for one in held:
        before = runs[-1][-1] if runs[-1] else one
        if abs(one[2] - before[2]) > speed * max(one[0] - before[1] - 2 * early, 0.0):
            hurried.append((before, one))
            runs.append([])
        runs[-1].append(one)
    bounds = [0, *np.searchsorted(times, [run[0][0] for run in runs[1:]]).tolist(), len(times)]
    found = np.empty(len(times))
    for run, (first, last) in zip(runs, pairwise(bounds), strict=True):
        if first == last:
            continue
        at, wanted = times[first:last], asked[first:last]
        for begin, end, value in run:
            away = speed * np.maximum(np.maximum(begin - early - at, at - end - early), 0.0)
            wanted = np.clip(wanted, value - away, value + away)
        found[first:last] = smooth(slew(wanted[:, None], speed)[:, 0], 2 * ease)
    for (_, end, old), (begin, _, new) in hurried:
        between = (times > end) & (times < begin)
        share = glide(times[between] - end, begin - end, min(ease, (begin - end) / 2))
        found[between] = old + share * (new - old)
    return found


def linear(key_times: Array, looks: Array, times: Array) -> Array:
    """(yaw, pitch) in degrees at `times`, (n, 2), linear between key points, the short way round.

    AUTOCAM's interpolation. Constant before the first key point and after the last.

    Args:
        key_times: (k,) seconds, growing.
        looks: (k, 2) yaw and pitch at the key points, degrees.
    """
    yaw = np.degrees(np.unwrap(np.radians(looks[:, 0])))
    both = [np.interp(times, key_times, yaw), np.interp(times, key_times, looks[:, 1])]
    return np.stack([wrap_degrees(both[0]), both[1]], axis=1)


def thin(samples: Array) -> NDArray[np.bool_]:
    """Which samples (n, 5) a path needs, (n,): not those inside a hold, so that its file shows holds and moves
    clearly."""
    same = np.all(np.abs(np.diff(samples[:, 1:], axis=0)) < SAME, axis=1)
    needed = np.ones(len(samples), dtype=bool)
    needed[1:-1] = ~(same[:-1] & same[1:])
    return needed
