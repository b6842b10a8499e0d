"""Where the front of a camera that turns points to, smoothly: paths are planned as if it did not turn.

Seen from such a camera, what stands still moves. A path that is planned with the turn undone, and then turned with the
camera, keeps the world still on screen where the camera of the path does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..constraints import Pin
from ..soundmap import SoundMap
from . import motion

_SWAY = 5.0
"""Degrees to either side that a camera may turn to and fro without being followed: hands are not still, and neither is
the estimate."""
_SMOOTH = 2.0
"""Width in seconds of the window by which the heading is smoothed."""


@dataclass(frozen=True)
class Heading:
    """How far the camera has turned to the right since its shot began.

    Args:
        times: (n,) seconds, growing; where two are equal, a shot ends.
        degrees: (n,); all 0 if it did not turn by more than it sways.
    """

    times: NDArray[np.float64]
    degrees: NDArray[np.float64]

    @classmethod
    def of(cls, soundmap: SoundMap, bounds: Sequence[float], pins: Sequence[Pin] = ()) -> Heading:
        """The heading of a film: 0 in shots that are too short for it to be smoothed.

        It rests while the camera looks to a pin, whose direction is that in the picture.

        Args:
            bounds: of its shots, seconds.
        """
        times, degrees = [np.empty(0)], [np.empty(0)]
        for begin, end in pairwise(bounds):
            first, last = np.searchsorted(soundmap.times, [begin, end])
            clock = np.append(motion.sample_times(begin, end), end)
            turned = np.cumsum(np.append(0.0, soundmap.turned[first + 1 : last]))
            line = np.zeros(len(clock))
            if end - begin > _SMOOTH and np.ptp(turned) > 2 * _SWAY:
                at = soundmap.times[first:last]
                beyond = turned[-1] + (turned[-1] - turned[-2]) / (at[-1] - at[-2]) * (end - at[-1])
                track = np.interp(clock, np.append(at, end), np.append(turned, beyond))
                line = _smooth(motion.steady(track, np.full(len(clock), _SWAY)))
                steps = np.diff(line, prepend=line[0])
                for pin in pins:
                    steps[(clock >= pin.start) & (clock <= pin.end + motion.SAMPLE_EVERY)] = 0.0
                line = np.cumsum(steps)
            times.append(clock)
            degrees.append(line)
        return cls(np.concatenate(times), np.concatenate(degrees))

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Degrees at times (n,)."""
        return np.interp(times, self.times, self.degrees)


def _smooth(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smoothed, going on at both ends as it does there."""
    reach = round(_SMOOTH / motion.SAMPLE_EVERY)
    beyond = np.arange(1, reach + 1)
    before = line[0] - (line[1] - line[0]) * beyond[::-1]
    after = line[-1] + (line[-2] - line[-3]) * beyond  # The last step may be shorter.
    return motion.smooth(np.concatenate([before, line, after]), _SMOOTH)[reach:-reach]
