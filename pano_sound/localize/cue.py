"""The cue protocol. A cue is one kind of evidence of where the sound comes from. Each cue has a module; `fusion` adds
them up.

A cue is fed a film in order, the sound first: `start_sound`, `add_sound` with each block, `end_sound`; then
`add_picture` with each picture, `add_cut` where a shot ends, `request` at each analysed time, and `end_pictures`. Then
`evidence` returns its maps. Times are presentation times in seconds. What a cue stores in between is bounded by
`context`, not by the length of the film.

Evidence is a log-likelihood ratio over the sphere, in nats, relative to a uniform distribution: the mean of its
exponential over the sphere is 1. A cue that knows nothing returns zeros.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..sphere.geometry import cell_areas
from ..spool import Spool

GRID = (30, 60)
"""Rows and columns of evidence: cells of 6 degrees, row 0 at the top of the sphere."""

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Pictures:
    """The pictures that a cue needs: the whole sphere, equirectangular.

    Args:
        width, height: pixels.
        grey: uint8 (height, width) of luma; else uint8 (height, width, 3) of RGB.
        rate: at least this many per second, evenly spaced, if the film has them; 0: only at the analysed times.
    """

    width: int
    height: int
    grey: bool = False
    rate: float = 0.0


@dataclass(frozen=True)
class Sound:
    """The sound that a cue needs.

    Args:
        rate: samples per second.
        channels: 'mono', float32 (samples,); 'stereo', float32 (2, samples); or 'field', float32 (4, samples),
            first-order ambisonics in ACN order and SN3D normalization (W, Y, Z, X). A cue that needs stereo or a field
            is left out of films that have none.
        hop: the first sample is a multiple of this many samples after the film's start.
    """

    rate: int
    channels: str = "mono"
    hop: int = 1600


@dataclass(frozen=True)
class Evidence:
    """What one cue says about a film.

    Args:
        maps: (n, rows, columns) float32 or float16, log-likelihood ratios in nats, one for each analysed time; perhaps
            on disk, where slices are read from.
        nothing: (n,) float32, log-odds that nothing in the picture makes the sound; zeros if the cue cannot tell.
    """

    maps: NDArray[np.floating] | Spool
    nothing: NDArray[np.float32]


class Cue(ABC):
    """The base of all cues.

    Attributes:
        names: of its evidence in a sound map; one or several.
        pictures, sound: what it needs; None: nothing.
        context: seconds before and after a time on which the evidence for it may depend.
    """

    names: ClassVar[tuple[str, ...]]
    pictures: Pictures | None = None
    sound: Sound | None = None
    context: float = 0.0

    def start_sound(self, t: float) -> None:
        """Note that the first sample of sound is at `t` seconds."""

    def add_sound(self, block: NDArray[np.float32]) -> None:
        """Take the next block of sound, in the form given by `sound`."""

    def end_sound(self) -> None:
        """Note that the sound is over."""

    def add_picture(self, t: float, picture: NDArray[np.uint8]) -> None:
        """Take the next picture, at `t` seconds, in the form given by `pictures`."""

    def add_cut(self, t: float) -> None:
        """Note a cut at `t` seconds. Called a few pictures late."""

    def request(self, t: float) -> None:
        """Request evidence at `t` seconds, the time of a picture. All pictures up to it have been added."""

    def end_pictures(self) -> None:
        """Note that all pictures have been added."""

    @abstractmethod
    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        """The evidence at the requested times, by name. Called once, at the end."""


def normalized(maps: NDArray[np.floating]) -> Maps:
    """Normalise maps (n, rows, columns) to log-likelihood ratios: the mean of exp over the sphere becomes 1."""
    areas = cell_areas(*maps.shape[1:])
    peak = maps.max(axis=(1, 2), keepdims=True)
    mean = (np.exp(maps - peak) * areas).sum(axis=(1, 2), keepdims=True) / areas.sum()
    return (maps - peak - np.log(mean)).astype(np.float32)
