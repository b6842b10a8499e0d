"""What is heard of a sound field that turns with the camera: by two cardioid microphones, by one that hears all around,
or with two ears (`binaural`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from .samples import Samples

_OF_W = 0.56
"""Amplitude at which W is as loud as the cardioids are on average, within 1 dB: in diffuse sound, of which they hear
1/3 of W's power, and for sources up to 50° aside (1/4 in front, 2/5 there)."""

PoseAt = Callable[[float], NDArray[np.float64]]
"""A camera's orientation at a presentation time (s): (3, 3), see `sphere.convention`."""


def turned(blocks: Iterable[Samples], pose_at: PoseAt, at: int, rate: int) -> Iterator[Samples]:
    """Turn a sound field against a camera, in short blocks, (6, samples) W, Y, Z, X and head-locked left and right.

    The pose is looked up once per block and interpolated, so that there are no clicks, not even at cuts.

    Args:
        at: number of the first sample, counted from presentation time 0.
    """
    pose = pose_at(at / rate).astype(np.float32)
    for block in blocks:
        count = block.shape[1]
        at += count
        after = pose_at(at / rate).astype(np.float32)
        share = np.arange(count, dtype=np.float32) / count
        world = block[[3, 1, 2]]
        x, y, z = pose.T @ world + share * ((after - pose).T @ world)
        yield np.stack([block[0], y, z, x, *block[4:]])
        pose = after


def cardioids(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Stereo of a field in blocks (as `turned` yields), as heard by cardioid microphones that look left and right."""
    for block in blocks:
        yield np.clip(np.stack([block[0] + block[1], block[0] - block[1]]) / 2 + block[4:], -1, 1)


def omni(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Mono of a field in blocks (as `turned` yields), (1, samples): W as loud as in `cardioids`."""
    for block in blocks:
        yield np.clip(_OF_W * block[:1] + block[4:].mean(axis=0, keepdims=True), -1, 1)
