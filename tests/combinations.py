"""Pairwise testing: a few cases that cover every combination of two or three values, which find most faults."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def covering(cases: Sequence[T], values: Sequence[Sequence[object]], have: Iterable[T], together: int = 2) -> list[T]:
    """Those of `cases` that it takes for every two values (or `together`) that meet in any of them to do so, less what
    `have` does.

    Args:
        values: of each case, one of each kind.
    """
    met = {case: set(itertools.combinations(enumerate(row), together)) for case, row in zip(cases, values, strict=True)}
    seen = set().union(*(met[case] for case in have))
    chosen = []
    most = max(map(len, met.values()))
    while most:
        for case, meetings in met.items():
            if len(meetings - seen) >= most:
                chosen.append(case)
                seen |= meetings
        most //= 2
    return chosen
