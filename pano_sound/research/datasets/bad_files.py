"""Bad files in a set: a few are skipped, too many are an error."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from ...errors import DataFileError, PanoSoundError

log = logging.getLogger("pano_sound")

SHARE = 0.1
"""Largest share of bad files in a set."""


class BadFileCounter:
    """Counts unreadable files and warns of each once.

    Args:
        where: the set, for messages.
        total: how many examples it has; None: not known, then judged by how many there were so far.

    Attributes:
        count: how many were bad.
    """

    def __init__(self, where: str | Path, total: int | None = None) -> None:
        self.where, self.total = where, total
        self.seen = 0
        self.count = 0
        self._named: set[str] = set()

    def left_out(self, names: Iterable[str]) -> None:
        """Count files that an earlier run found to be bad and named."""
        new = set(names) - self._named
        self._named |= new
        self.seen += len(new)
        self.count += len(new)

    def good(self) -> None:
        """Count one good file (needed only if the total is unknown)."""
        self.seen += 1

    def bad(self, name: str, error: Exception) -> None:
        """Count one bad file.

        Raises:
            DataFileError: too many are bad: more than a tenth (and more than 1; in a set of unknown size, more than
                10).
        """
        if name in self._named:
            return
        self._named.add(name)
        self.seen += 1
        self.count += 1
        reason = error.message if isinstance(error, PanoSoundError) else str(error) or type(error).__name__
        log.warning("%s is left out: %s", name, " ".join(reason.split()))
        allowed = max(1, int(SHARE * self.total)) if self.total is not None else max(10, int(SHARE * self.seen))
        if self.count > allowed:
            of = self.total if self.total is not None else self.seen
            raise DataFileError(
                f"{self.count} of {of} examples cannot be read; the last was {name}: {reason}",
                path=self.where,
                hint="is this the right folder and layout?",
            )
