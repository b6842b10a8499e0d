"""From a sound map to a camera path: one calm move for the whole film."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from ..localize.soundmap import CHUNK, SoundMap
from ..settings import PlanSettings, parse_size
from ..sphere.convention import directions
from ..sphere.geometry import angle_between
from ..sphere.view import View
from . import autocam, glimpses, motion
from .path import CameraPath

log = logging.getLogger("pano_sound")

SIZES = ((640, 360), (960, 540), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))


def plan(soundmap: SoundMap, settings: PlanSettings | None = None) -> CameraPath:
    """Where to look while the film of `soundmap` plays.

    AUTOCAM (Su et al. 2016): every `step` seconds each direction of a fixed grid has a score; the path through
    them with the best sum is found for the film as a whole. With the `paper` preset moves are limited to
    max_speed * step degrees per axis and key points, in the middle of each clip, are joined linearly; otherwise
    moves also cost, so that the camera holds unless moving pays, and are eased. Where the sound map is not
    confident no direction scores, and the camera holds.

    Raises ValueError for settings out of range.
    """
    chosen = (settings or PlanSettings()).resolved()
    step, fov, max_speed = chosen.step, chosen.fov, chosen.max_speed
    width, height = parse_size(chosen.size) if chosen.size else detail_size(soundmap.source.get("width", 3840), fov)
    view = View(width, height, fov)
    as_paper = chosen.preset == "paper"

    looks = glimpses.glimpse_directions(20.0) if as_paper else glimpses.glimpse_directions(10.0, steepest=45.0)
    limit = max_speed * step
    if as_paper:
        costs = autocam.per_axis_limit(looks, limit) + autocam.great_circle_cost(looks, np.inf, chosen.move_cost)
    else:
        costs = autocam.great_circle_cost(looks, limit, chosen.move_cost)
    if np.isinf(costs).sum() == costs.size - len(looks):
        log.warning("in %g s at %g degrees per second the camera reaches no other direction: it holds", step, max_speed)

    start, end = soundmap.times[0], max(soundmap.times[-1], soundmap.source.get("end", 0.0))
    clips = max(1, round((end - start) / step))
    key_times = start + (np.arange(clips) + 0.5) * step
    scores = step * _per_clip(soundmap.times, _scores(soundmap, looks, view, chosen), key_times, step)

    sequence = autocam.best_sequence(scores, costs)
    times = np.arange(start, end + motion.SAMPLE_EVERY, motion.SAMPLE_EVERY)
    path = motion.interpolate(key_times, looks[sequence], times)
    path = motion.ease(path, motion.SAMPLE_EVERY, min(chosen.ease, motion.EASED_ARC / max_speed))
    samples = motion.thin(motion.to_samples(times, path, fov))
    return CameraPath(width, height, samples, source=soundmap.source, settings=chosen.to_json())


def detail_size(source_width: int, hfov: float) -> tuple[int, int]:
    """The smallest usual 16:9 size, in pixels, in whose middle no detail of the source is lost."""
    needed = source_width / np.pi * np.tan(np.radians(hfov) / 2)
    return next((s for s in SIZES if s[0] >= needed), SIZES[-1])


def _per_clip(
    times: NDArray[np.float64], worth: NDArray[np.float32], key_times: NDArray[np.float64], step: float
) -> NDArray[np.float32]:
    """Mean worth (n, m) of the times (n,) in each clip of `step` seconds, (clips, m); of the nearest time where a
    clip has none."""
    clip_of = np.clip(((times - key_times[0]) / step + 0.5).astype(int), 0, len(key_times) - 1)
    counts = np.bincount(clip_of, minlength=len(key_times))
    scores = np.zeros((len(key_times), worth.shape[1]), dtype=np.float32)
    np.add.at(scores, clip_of, worth)
    scores /= np.maximum(counts, 1)[:, None]
    for clip in np.flatnonzero(counts == 0):
        scores[clip] = worth[np.abs(times - key_times[clip]).argmin()]
    return scores


def _scores(soundmap: SoundMap, looks: NDArray[np.float64], view: View, settings: PlanSettings) -> NDArray[np.float32]:
    """Worth of each look at each time, (n, m) float32: the best look scores the map's confidence, the worst 0."""
    weights = glimpses.glimpse_weights(looks, view, soundmap.grid, settings.centring)
    look = directions(looks[:, 0], looks[:, 1])
    worth = np.empty((len(soundmap), len(looks)), dtype=np.float32)
    for begin in range(0, len(soundmap), CHUNK):
        part = slice(begin, begin + CHUNK)
        saliency = soundmap.saliency(settings.mechanism, part)
        if settings.signal == "glimpse":
            worth[part] = glimpses.glimpse_mass(saliency, weights)
            continue
        if settings.signal == "mean":
            target, _ = glimpses.mean_direction(saliency)
        else:
            target = glimpses.centroid_direction(saliency)
        worth[part] = -angle_between(directions(target[:, 0], target[:, 1])[:, None], look)
    low, high = worth.min(axis=1, keepdims=True), worth.max(axis=1, keepdims=True)
    return (worth - low) / np.maximum(high - low, 1e-9) * soundmap.confidence()[:, None]
