"""From key points to a smooth move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..sphere.convention import angles, directions
from ..sphere.geometry import slerp

SAMPLE_EVERY = 0.1
SAME = 1e-4
EASED_ARC = 60.0


def interpolate(
    key_times: NDArray[np.float64], looks: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Unit vectors (n, 3) at `times`, along great circles between key points; held before the first and after
    the last.

    Args:
        key_times: (k,) seconds, growing.
        looks: (k, 2) yaw and pitch at the key points, degrees.
    """
    look = directions(looks[:, 0], looks[:, 1])
    if len(look) == 1:
        return np.repeat(look, len(times), axis=0)
    i = np.clip(np.searchsorted(key_times, times, side="right") - 1, 0, len(key_times) - 2)
    share = np.clip((times - key_times[i]) / (key_times[i + 1] - key_times[i]), 0.0, 1.0)
    return slerp(look[i], look[i + 1], share)


def ease(vectors: NDArray[np.float64], every: float, seconds: float) -> NDArray[np.float64]:
    """Moves eased in and out: unit vectors (n, 3), `every` seconds apart, averaged over a Hann window of
    `seconds` and brought back onto the sphere. What holds longer than the window holds.

    Meant for windows in which the camera turns by no more than EASED_ARC degrees: then it is hardly ever faster than
    before. Over wider arcs the average cuts across the sphere and can be anything.
    """
    reach = round(seconds / 2 / every)
    if reach < 1:
        return vectors
    window = np.hanning(2 * reach + 3)[1:-1]
    padded = np.concatenate([vectors[:1].repeat(reach, axis=0), vectors, vectors[-1:].repeat(reach, axis=0)])
    smooth = np.stack([np.convolve(axis, window / window.sum(), mode="valid") for axis in padded.T], axis=1)
    return smooth / np.linalg.norm(smooth, axis=1, keepdims=True)


def thin(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Samples (n, 5) without those in the middle of a hold, so that a path file shows its holds and moves."""
    same = np.all(np.abs(np.diff(samples[:, 1:], axis=0)) < SAME, axis=1)
    keep = np.ones(len(samples), dtype=bool)
    keep[1:-1] = ~(same[:-1] & same[1:])
    return samples[keep]


def to_samples(times: NDArray[np.float64], vectors: NDArray[np.float64], hfov: float) -> NDArray[np.float64]:
    """(t, yaw, pitch, roll 0, hfov) rows (n, 5) of a path from times (n,) and unit vectors (n, 3)."""
    yaw, pitch = angles(vectors)
    return np.stack([times, yaw, pitch, np.zeros_like(times), np.full_like(times, hfov)], axis=1)
