"""Boxes that nobody has to draw: in 360° films with ambisonic sound, around where the sound comes from.

With them the paper's semi-supervised loss (equation 7) learns from such films what it learns from annotators elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...localize.cue import GRID
from ...localize.spatial import SpatialCue
from ...media.info import MediaInfo
from ...pipeline.film import no_progress
from ...pipeline.passes import FilmPart, feed_sound
from .examples import Box

WIDTH, HEIGHT = 36.0, 48.0
"""Degrees: two standard deviations of the direction's error to either side."""
CLEAR = 1.0
"""Nats over a uniform sphere that the likeliest direction must reach."""


def sound_boxes(info: MediaInfo, times: Sequence[float]) -> list[tuple[Box, ...]]:
    """Boxes (x0, y0, x1, y1 as shares of the picture's width and height) around the source at each presentation time.

    Two boxes if the seam cuts it; none if the direction is not clear, or the film is not a full equirectangular sphere,
    shown as it is stored, with ambisonic sound of known order.

    Raises:
        InputError: the sound cannot be read.
    """
    if not _is_sphere_with_field(info):
        return [()] * len(times)
    cue = SpatialCue()
    feed_sound(FilmPart(info), [cue], no_progress)
    return [_around(one) for one in cue.evidence(times)["spatial"].maps[:]]


def _is_sphere_with_field(info: MediaInfo) -> bool:
    known = info.audio is not None and info.audio.ambisonic is not None and info.audio.ambisonic.certain
    film = info.pannable
    if not known or film is None or film.video is None or film.video.rotation or film.video.mirrored:
        return False
    tags = film.spherical
    plain = tags.projection in (None, "equirectangular") and tags.stereo == "mono"
    return plain and not any(tags.missing) and not any(tags.pose)


def _around(evidence: np.ndarray) -> tuple[Box, ...]:
    """The boxes around the likeliest of these cells (rows, columns)."""
    row, column = divmod(int(evidence.argmax()), GRID[1])
    if evidence[row, column] < CLEAR:
        return ()
    x, y = (column + 0.5) / GRID[1], (row + 0.5) / GRID[0]
    left, right = x - WIDTH / 720, x + WIDTH / 720
    top, bottom = max(0.0, y - HEIGHT / 360), min(1.0, y + HEIGHT / 360)
    if left < 0:
        return (0.0, top, right, bottom), (left + 1, top, 1.0, bottom)
    if right > 1:
        return (0.0, top, right - 1, bottom), (left, top, 1.0, bottom)
    return ((left, top, right, bottom),)
