"""Does the sound field agree with the picture? Finds a field that is turned against it, whose channels are inverted or
swapped, or that has nothing to do with it.

Each such fault but the last is one way of moving directions on the sphere. Its likelihood is how well the field's
directions, moved back, agree with where the picture shows sources, over the whole film:

    P(fault) ∝ prior(fault) · exp(sum over times of log E[likelihood ratio of the moved direction] · seconds / 4)

with the mean E over what the visual cues say. Nearby times say nearly the same, hence the division. For a field that
has nothing to do with the picture, the sum is 0.

Nobody has to decide which fault it is. What is known of the source is the mixture of what would be known with each of
them: not of the directions, because a fault that is improbable in the whole film must not count for more where it
happens to fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..soundmap import CHUNK
from ..sphere.convention import angles, angles_to_pixel
from ..sphere.geometry import cell_areas, cell_directions
from .cue import GRID, Maps

LOOK, LOOKS = 4.0, 2.5
"""Seconds after which the picture says something new, and how often it does so of one place."""
_PLACE = 5
"""Columns on either side of a direction that count as the same place."""
_STEP = 360 // GRID[1]
_NEAR = 18
"""Degrees in yaw within which a field counts as aligned."""
_TURNED = 0.04
"""Prior probability that a field is turned by any other angle."""
FUMA = "its channels are in FuMa's order"
_CHANNELS = {
    "its Y channel is inverted": ((1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "its X channel is inverted": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "its Z channel is inverted": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "its W channel is inverted": ((-1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "its X and Y channels are swapped": ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "its Y and Z channels are swapped": ((1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "its X and Z channels are swapped": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    FUMA: ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
}
"""Faults of the channels: the matrix from x, y, z as read to those that are true."""
_CHANNEL = 0.01
"""Prior probability of each."""
_OPEN_FUMA = 0.25
"""Prior probability of FuMa's order where the sound leaves it open. Of 13 real films none had it."""
_UNRELATED = 0.1
"""Prior probability that a field has nothing to do with the picture, as if it were another film's."""
_NEGLIGIBLE = 1e-3
"""Probability below which a fault is left out of the mixture."""
_SURE = 0.9
"""Probability from which a fault is reported."""
_FEWEST = 1.5
"""At one place the picture may be wrong as well as the field."""
_DOUBTFUL = 0.25
"""Probability of being aligned below which a film is reported as doubtful. In 13 real scenes of ten seconds, all
aligned, it was never lower."""


@dataclass(frozen=True)
class Alignment:
    """How a sound field lies on the picture.

    Args:
        turned: (columns,) probability that what is heard at a yaw is seen that many columns further to the right.
        faults: the probability of each fault of the channels, by its description.
        unrelated: the probability that the field has nothing to do with the picture.
        places: how many places were compared; those that sound for less than four seconds count less.
    """

    turned: NDArray[np.float64]
    faults: dict[str, float]
    unrelated: float
    places: float

    @property
    def agrees(self) -> float:
        """The probability that the field is aligned."""
        return float(self.turned[_aligned()].sum())

    @property
    def doubtful(self) -> bool:
        """Whether the field is probably not aligned."""
        return self.agrees < _DOUBTFUL

    @property
    def order(self) -> str | None:
        """The order of the channels, 'ambix' or 'fuma', where it was open; None: still open."""
        enough = _SURE * (1 - self.unrelated)
        if self.faults[FUMA] > enough:
            return "fuma"
        return "ambix" if self.agrees > enough else None

    @property
    def fault(self) -> str | None:
        """What is wrong, in words, if that is nearly sure and shows at more than one place."""
        if self.places < _FEWEST:
            return None
        name = max(self.faults, key=lambda one: self.faults[one])
        if self.faults[name] > _SURE:
            return name
        off = np.where(_aligned(), 0.0, self.turned)
        if off.sum() <= _SURE:
            return None
        x, y = (off @ wave(np.radians(np.arange(len(off)) * _STEP)) for wave in (np.cos, np.sin))
        yaw = math.degrees(math.atan2(y, x))
        return f"it is turned against the picture by {abs(yaw):.0f}° to the {'left' if yaw > 0 else 'right'}"

    def alternatives(self, maps: Maps) -> Iterator[tuple[float, Maps]]:
        """The directions (n, rows, columns) as they lie on the picture in each case that is not negligible, with the
        case's probability; together 1."""
        turns = np.where(_aligned(), 0.0, self.turned)
        turns[0] = self.agrees  # Turns by less are measured too coarsely to be used.
        shares = np.array([*turns, *self.faults.values(), self.unrelated])
        shares[shares < _NEGLIGIBLE] = 0.0
        shares /= shares.sum()
        names = list(self.faults)
        for case in np.flatnonzero(shares):
            if case < len(turns):
                moved = np.roll(maps, case, axis=2)
            elif case < len(turns) + len(names):
                moved = maps.reshape(len(maps), -1)[:, _cells(names[case - len(turns)])].reshape(maps.shape)
            else:
                moved = np.zeros_like(maps)
            yield float(shares[case]), moved


def align(
    directions: NDArray[np.floating],
    looks: Maps,
    times: Sequence[float] | NDArray[np.float64],
    open_order: bool = False,
) -> Alignment:
    """Compare the directions of a sound field with what the visual cues say.

    Args:
        directions: (n, rows, columns) log-likelihood ratios of where the sound comes from, by its field.
        looks: the same by sight, weighted as they should count.
        times: (n,) seconds.
        open_order: whether the channels may as well be in FuMa's order.
    """
    areas = cell_areas(*GRID)
    agreement = np.zeros((len(directions), GRID[1] + len(_CHANNELS)))
    points = np.zeros(len(directions), np.intp)
    for first in range(0, len(directions), CHUNK):
        part = slice(first, first + CHUNK)
        ratios = np.exp(directions[part].astype(np.float64))
        points[part] = (ratios * areas).sum(axis=1).argmax(axis=1)
        seen = np.exp(looks[part].astype(np.float64)) * areas
        seen /= seen.sum(axis=(1, 2), keepdims=True)
        product = np.fft.rfft(seen, axis=2) * np.fft.rfft(ratios, axis=2).conj()
        agreement[part, : GRID[1]] = np.fft.irfft(product.sum(axis=1), GRID[1], axis=1)
        ratios, seen = ratios.reshape(len(ratios), -1), seen.reshape(len(seen), -1)
        for k, name in enumerate(_CHANNELS, GRID[1]):
            agreement[part, k] = (ratios[:, _cells(name)] * seen).sum(axis=1)
    apart = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    agreement = np.log(np.maximum(agreement, 1e-3))
    scores, places = np.zeros(agreement.shape[1]), 0.0
    for there in _places(points):
        seen_for = float(there.sum()) * apart / LOOK
        scores += agreement[there].mean(axis=0) * min(LOOKS, seen_for)
        places += min(1.0, seen_for)
    aligned = _aligned()
    faults = np.array([_OPEN_FUMA if open_order and name == FUMA else _CHANNEL for name in _CHANNELS])
    prior = np.where(aligned, 1 - _TURNED - faults.sum() - _UNRELATED, _TURNED)
    prior /= np.where(aligned, aligned.sum(), (~aligned).sum())
    odds = np.append(scores, 0.0) + np.log([*prior, *faults, _UNRELATED])
    shares = np.exp(odds - odds.max())
    shares /= shares.sum()
    by_name = dict(zip(_CHANNELS, shares[GRID[1] : -1].tolist(), strict=True))
    return Alignment(shares[: GRID[1]], by_name, float(shares[-1]), places)


def _places(columns: NDArray[np.intp]) -> list[NDArray[np.bool_]]:
    """The times (n,) at which each place sounds, the longest first, from the column of each time."""
    left, found = np.ones(len(columns), bool), []
    while left.any():
        middle = np.bincount(columns[left]).argmax()
        away = np.abs(columns - middle)
        there = left & (np.minimum(away, GRID[1] - away) <= _PLACE)
        found.append(there)
        left &= ~there
    return found


@cache
def _aligned() -> NDArray[np.bool_]:
    columns = np.arange(GRID[1])
    return np.minimum(columns, GRID[1] - columns) * _STEP <= _NEAR


@cache
def _cells(fault: str) -> NDArray[np.intp]:
    """For each cell of the true map, the cell in which a field with this fault is heard."""
    heard = cell_directions(*GRID).reshape(-1, 3) @ np.array(_CHANNELS[fault], float)
    u, v = angles_to_pixel(*angles(heard), GRID[1], GRID[0])
    rows = np.clip(np.rint(v), 0, GRID[0] - 1).astype(np.intp)
    return rows * GRID[1] + np.rint(u).astype(np.intp) % GRID[1]
