"""AUTOCAM as published (Su et al. 2016): its directions, clips, limits and interpolation."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..constraints import Mask
from ..options.presets import CameraSettings
from ..soundmap import SoundMap
from ..sphere.convention import directions, turned, wrap_degrees
from ..sphere.geometry import angle_between
from ..sphere.view import View
from . import glimpses, motion
from .timeline import resample

log = logging.getLogger("pano_sound")

Samples = tuple[NDArray[np.float64], frozenset[int]]
"""Samples of a camera path, (n, 5), and the indices of cuts."""


def per_axis_limit(looks: NDArray[np.float64], limit: float) -> NDArray[np.float32]:
    """Costs of moves between looks (n, 2), (n, n): 0 within `limit` degrees per axis, else infinite.

    AUTOCAM's smoothness (Su et al. 2016, section 3.3) limits |Δlatitude| and the wrapped |Δlongitude| separately.
    """
    turn = np.abs(wrap_degrees(looks[:, None, 0] - looks[None, :, 0]))
    tilt = np.abs(looks[:, None, 1] - looks[None, :, 1])
    return np.where((turn <= limit + 1e-6) & (tilt <= limit + 1e-6), 0.0, np.inf).astype(np.float32)


def best_sequence(scores: NDArray[np.float32], costs: NDArray[np.float32]) -> NDArray[np.intp]:
    """States (t,) that maximise the sum of scores (t, n) less the costs (n, n) of moving, cost[to, from].

    Globally optimal. Among equals the lowest first state is taken, and moves are made as late as possible, so that they
    end when their target begins. (That is why the recursion runs from the end of the film to its start.)
    """
    steps, states = scores.shape
    goes_to = np.empty((steps, states), dtype=np.int32)
    to_come = scores[-1].astype(np.float32)
    here = np.arange(states)
    for t in range(steps - 2, -1, -1):
        options = to_come[:, None] - costs
        target = options.argmax(axis=0)
        value = options[target, here]
        stay = options[here, here] >= value
        goes_to[t] = np.where(stay, here, target)
        to_come = scores[t] + value
        to_come -= to_come.max()  # Only differences matter; this keeps float32 exact over long films.
    sequence = np.empty(steps, dtype=np.intp)
    sequence[0] = to_come.argmax()
    for t in range(steps - 1):
        sequence[t + 1] = goes_to[t, sequence[t]]
    return sequence


def plan(
    soundmap: SoundMap, chosen: CameraSettings, view: View, count: int, masks: Sequence[Mask], start: float, end: float
) -> list[Samples]:
    """Up to `count` AUTOCAM paths through a film, the best first, without cuts.

    The worth of a direction is the saliency in its view, relative to the best view of that clip, times the probability
    that anything sounds.
    """
    step = chosen.step
    edges: NDArray[np.float64] = start + step * np.arange(max(1, round((end - start) / step)) + 1, dtype=np.float64)
    looks = glimpses.autocam_directions()
    costs = per_axis_limit(looks, chosen.max_speed * step)
    if np.isinf(costs).sum() == costs.size - len(looks):
        at_most = f"{chosen.max_speed:g} degrees per second"
        log.warning(
            "in %g s at %s the camera reaches no other direction, so it stays still: raise `step` or `max_speed`",
            step,
            at_most,
        )
    timeline = resample(soundmap, chosen, edges, masks, conditional=True)
    held = timeline.held(timeline.weights(looks, view, chosen.centring))
    held -= held.min(axis=1, keepdims=True)
    worth = held / np.maximum(held.max(axis=1, keepdims=True), 1e-9) * timeline.present[:, None]
    key_times = edges[:-1] + step / 2
    times = np.arange(start, end + motion.SAMPLE_EVERY, motion.SAMPLE_EVERY)
    found: list[Samples] = []
    for _ in range(count):
        sequence = best_sequence(worth, costs)
        path = motion.linear(key_times, looks[sequence], times)
        yaw, pitch, roll = turned(path[:, 0], path[:, 1], timeline.level)
        samples = np.stack([times, yaw, pitch, roll, np.full_like(times, view.hfov)], axis=1)
        found.append((samples[motion.thin(samples)], frozenset()))
        apart = angle_between(directions(*looks.T)[None], directions(*looks[sequence].T)[:, None])
        worth = (worth * np.minimum(apart / view.hfov, 1.0)).astype(np.float32)
    return found
