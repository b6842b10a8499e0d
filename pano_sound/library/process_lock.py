"""Who is at work, and lives: each holds a lock on a file of its own name.

The system releases that lock with the process, however it ends: so there is no clock, and a claim that nobody holds is
known at once, while one of a machine that was asleep is kept.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

import filelock

from ..atomic_file import output_error


class ProcessLock:
    """A process as others see it: a name, and a lock that it holds while it lives."""

    def __init__(self, folder: Path) -> None:
        """Raises OutputError."""
        self.name = uuid.uuid4().hex
        self._lock = filelock.FileLock(folder / f"{self.name}.lock")
        try:
            folder.mkdir(exist_ok=True)
            self._lock.acquire(timeout=0)
        except OSError as error:
            raise output_error(error, folder) from None

    def end(self) -> None:
        """Let go of the name for ever."""
        with contextlib.suppress(OSError):
            os.remove(self._lock.lock_file)
        self._lock.release()


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of that name lives, on this machine. 'NAME.7' is a part of 'NAME'."""
    path = folder / f"{name.partition('.')[0]}.lock"
    if not path.exists():
        return False
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    with contextlib.suppress(OSError):
        path.unlink()
    lock.release()
    return False
