"""Made scenes: sound maps as a good analysis would give them, with the true sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...soundmap import SoundMap
from ...sphere.convention import directions
from ...sphere.geometry import angle_between, cell_directions

GRID = (30, 60)
WIDTH = 12.0
"""Degrees at which the response to a source has fallen to 1/e: about two cells, as real maps have it."""
NOISE, PEAK, PRESENCE, TEMPERATURE = 0.01, 0.4, (40.0, 0.12), 0.035


Place = tuple[float, float]


@lru_cache(maxsize=64)
def _answer(place: Place) -> NDArray[np.float64]:
    """How a map responds to a source: the grid's cells."""
    off = angle_between(cell_directions(*GRID), directions(*place))
    return PEAK * np.exp(-((off / WIDTH) ** 2))


@dataclass(frozen=True)
class MadeScene:
    """A film of `seconds`.

    Args:
        places: where (yaw, pitch) each thing is that can sound, degrees, at a time in seconds.
        sounding: which of them sound at a time.
        offscreen: whether it sounds throughout, with nothing in the picture that answers.
    """

    name: str
    seconds: float
    places: Callable[[float], Sequence[Place]]
    sounding: Callable[[float], Sequence[int]] = lambda t: (0,)
    offscreen: bool = False

    def sources(self, t: float) -> list[Place]:
        """Where it sounds at time `t`."""
        places = self.places(t)
        return [places[i] for i in self.sounding(t)]

    def soundmap(self, every: float = 0.5, window: float = 0.0, seed: int = 0) -> SoundMap:
        """A sound map as analysis might give it.

        Args:
            every: seconds between pictures.
            window: seconds of sound around each picture that are heard with it: what sounds in only a part of them
                answers that much more weakly.
        """
        rng = np.random.default_rng(seed)
        times = np.arange(0.0, self.seconds, every)
        response = NOISE * rng.standard_normal((len(times), *GRID))
        level = np.full(len(times), -20.0 if self.offscreen else -120.0, np.float32)
        for i, t in enumerate(times):
            around = np.clip(t + window * np.linspace(-0.5, 0.5, 31), 0.0, self.seconds) if window else [t]
            heard = np.bincount([k for moment in around for k in self.sounding(float(moment))], minlength=1)
            if heard.any():
                level[i] = -20.0
            for share, place in zip(heard / len(around), self.places(float(t)), strict=False):
                response[i] += share * _answer(place)
        source = {"path": f"{self.name}.mp4", "width": 3840, "height": 1920, "end": self.seconds}
        return SoundMap.of_responses(times, response, level, TEMPERATURE, PRESENCE, source)


def taking_turns(seconds: float, *order: Sequence[int]) -> Callable[[float], Sequence[int]]:
    """Each of `order` sounds for `seconds`, round and round."""
    return lambda t: order[int(t / seconds) % len(order)]


TWO = ((-60.0, 0.0), (60.0, 0.0))
MINUTE = 60.0


def made_scenes() -> list[MadeScene]:
    """Single, moving, alternating, several at once, near the poles, silent, off-screen."""
    return [
        MadeScene("single", MINUTE, lambda t: [(100.0, 5.0)]),
        MadeScene("single at the seam", MINUTE, lambda t: [(180.0, 0.0)]),
        MadeScene("moving, 5°/s", MINUTE, lambda t: [(5.0 * t, 0.0)]),
        MadeScene("moving, 20°/s", MINUTE, lambda t: [(20.0 * t, 10.0)]),
        MadeScene("to and fro, 15°/s", MINUTE, lambda t: [(abs(15.0 * t % 240.0 - 120.0) - 60.0, 0.0)]),
        MadeScene("alternating, 6 s", MINUTE, lambda t: TWO, taking_turns(6.0, [0], [1])),
        MadeScene("alternating, 3 s", MINUTE, lambda t: TWO, taking_turns(3.0, [0], [1])),
        MadeScene("alternating, 1 s", MINUTE, lambda t: TWO, taking_turns(1.0, [0], [1])),
        MadeScene("with pauses of 5 s", MINUTE, lambda t: TWO, taking_turns(5.0, [0], [], [1], [])),
        MadeScene("two at once", MINUTE, lambda t: TWO, lambda t: (0, 1)),
        MadeScene("two in one view", MINUTE, lambda t: [(-25.0, 0.0), (25.0, 0.0)], lambda t: (0, 1)),
        MadeScene("high up", MINUTE, lambda t: [(30.0, 75.0)]),
        MadeScene("deep down", MINUTE, lambda t: [(-100.0, -75.0)]),
        MadeScene("silence", MINUTE, lambda t: [], lambda t: ()),
        MadeScene("off-screen", MINUTE, lambda t: [], lambda t: (), offscreen=True),
    ]
