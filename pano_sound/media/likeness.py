"""Whether two films show the same, by a few pictures of both."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .info import MediaInfo
from .reader import VideoReader
from .segments import part

_MOST = 6
"""Pictures of a film that are compared."""
_SIZE = (32, 16)
"""Of what is compared: compression, sharpness and small things do not show."""
_NEAR = 0.2
"""Seconds by which what is compared may lie apart: frame rates and first pictures differ."""
_ALIKE = 0.65
"""Least correlation of pictures of the same. Of 78 pairs of real films, two takes of one place alone had more than 0.5;
copies by eight encoders had 0.9 and more."""
_CHANGING_ALIKE = 0.3
"""Least correlation of how they change: by it, takes of one place differ."""
_FLAT = 4.0
"""Grey levels. Fainter things can be lost in a small film, and compression makes up fainter ones."""

Greys = NDArray[np.float32]


def show_the_same(film: MediaInfo, other: MediaInfo) -> bool:
    """Whether two films show the same at the same presentation times, as far as a few key frames of `film` tell: what
    differs from side to side in them, and what changes from one to another. Pictures that cannot be read, or have
    nothing in them, tell nothing.
    """
    pairs = [(one, best) for t, one in _key_pictures(film) if (best := _most_alike(one, _around(other, t))) is not None]
    if not pairs:
        return True
    ours, theirs = (np.stack(each) for each in zip(*pairs, strict=True))
    if max(_strength(ours), _strength(theirs)) >= _FLAT and _correlation(ours, theirs) < _ALIKE:
        return False
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    return _strength(ours) < _FLAT or _correlation(ours, theirs) >= _CHANGING_ALIKE


def _key_pictures(film: MediaInfo) -> Iterator[tuple[Fraction, Greys]]:
    """Key frames spread over a film, with their times; fewer where it has few."""
    latest: Fraction | None = None
    for k in range(_MOST):
        begin = Fraction(film.start + film.duration * k / _MOST).limit_denominator(1000) if k else None
        if begin is not None and latest is not None and begin <= latest:
            continue
        found = next(_pictures(film, begin, key=True), None)
        if found is not None:
            latest = found[0]
            yield found


def _around(film: MediaInfo, t: Fraction) -> Iterator[Greys]:
    begin = t - Fraction(_NEAR)
    for at, picture in _pictures(film, begin if begin > film.start else None):
        if at > t + Fraction(_NEAR):
            return
        yield picture


def _pictures(film: MediaInfo, begin: Fraction | None, key: bool = False) -> Iterator[tuple[Fraction, Greys]]:
    """Pictures from a time on, as what differs from side to side in each. Ends where they cannot be read."""
    try:
        with VideoReader(part(film, begin, None), for_analysis=True, only="key" if key else "all") as reader:
            for picture in reader.stored():
                grey = picture.grey(*_SIZE).astype(np.float32)
                # Nearly all films are brighter above than below.
                yield Fraction(picture.t) + (begin or 0), grey - grey.mean(axis=1, keepdims=True)
    except InputError:
        return


def _most_alike(one: Greys, others: Iterator[Greys]) -> Greys | None:
    return max(others, key=lambda other: _correlation(one, other), default=None)


def _product(a: Greys, b: Greys) -> float:
    """Of pictures (…, rows, columns), the mean over the sphere."""
    rows = np.cos((np.arange(_SIZE[1]) + 0.5 - _SIZE[1] / 2) * np.pi / _SIZE[1])
    return float(np.mean(a * b * rows[:, None] / rows.mean()))


def _strength(a: Greys) -> float:
    return _product(a, a) ** 0.5


def _correlation(a: Greys, b: Greys) -> float:
    return _product(a, b) / max(_strength(a) * _strength(b), 1e-6)
