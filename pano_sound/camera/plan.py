"""From a sound map to a camera path: one calm move for the whole film."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from ..localize.soundmap import SoundMap
from ..settings import PlanSettings, parse_size
from ..sphere.convention import directions
from ..sphere.geometry import angle_between
from ..sphere.view import View
from . import autocam, glimpses, motion
from .path import CameraPath

log = logging.getLogger("pano_sound")

SIZES = ((640, 360), (960, 540), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
CHUNK = 256


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
    width, height = parse_size(chosen.size) if chosen.size else detail_size(soundmap.source["width"], fov)
    view = View(width, height, fov)
    as_paper = chosen.preset == "paper"

    looks = glimpses.glimpse_directions(20.0) if as_paper else glimpses.glimpse_directions(10.0, steepest=45.0)
    limit = max_speed * step
    if as_paper:
        costs = autocam.per_axis_limit(looks, limit)
    else:
        costs = autocam.great_circle_cost(looks, limit, chosen.move_cost)
    if limit < 10.0:
        log.warning("max-speed x step is %.1f°, less than the grid's 10°: the camera cannot turn", limit)

    start, end = soundmap.times[0], max(soundmap.times[-1], soundmap.source.get("end", 0.0))
    clips = max(1, round((end - start) / step))
    clip_of = np.minimum(((soundmap.times - start) / step).astype(int), clips - 1)
    scores = np.zeros((clips, len(looks)), dtype=np.float32)
    np.add.at(scores, clip_of, _scores(soundmap, looks, view, chosen))
    scores *= step / np.maximum(np.bincount(clip_of, minlength=clips), 1)[:, None]

    sequence = autocam.best_sequence(scores, costs)
    key_times = start + (np.arange(clips) + 0.5) * step
    times = np.arange(start, end + motion.SAMPLE_EVERY, motion.SAMPLE_EVERY)
    path = motion.interpolate(key_times, looks[sequence], times)
    path = motion.ease(path, motion.SAMPLE_EVERY, chosen.ease)
    samples = motion.thin(motion.to_samples(times, path, fov))
    return CameraPath(width, height, samples, source=soundmap.source, settings=chosen.to_json())


def detail_size(source_width: int, hfov: float) -> tuple[int, int]:
    """The smallest usual 16:9 size, in pixels, in whose middle no detail of the source is lost."""
    needed = source_width / np.pi * np.tan(np.radians(hfov) / 2)
    return next((s for s in SIZES if s[0] >= needed), SIZES[-1])


def _scores(soundmap: SoundMap, looks: NDArray[np.float64], view: View, settings: PlanSettings) -> NDArray[np.float32]:
    """Worth of each look at each time, (n, m) float32: the best look scores the map's confidence, the worst 0."""
    weights = glimpses.glimpse_weights(looks, view, soundmap.grid, settings.centring)
    look = directions(looks[:, 0], looks[:, 1])
    worth = np.empty((len(soundmap), len(looks)), dtype=np.float32)
    for begin in range(0, len(soundmap), CHUNK):
        part = slice(begin, begin + CHUNK)
        saliency = soundmap.saliency(int(settings.mechanism), part)
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
