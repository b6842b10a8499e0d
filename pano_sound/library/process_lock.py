"""Which processes are alive: each holds a lock on a file with its name.

The system releases the lock when the process ends, however it ends. So no time-outs are needed: a dead process is
noticed at once, and a machine that was asleep keeps its claims.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

import filelock

from ..atomic_file import output_error


class ProcessLock:
    """A process's name, and a lock that it holds while it is alive."""

    def __init__(self, folder: Path) -> None:
        """Raises OutputError."""
        while True:
            self.name = uuid.uuid4().hex
            self._lock = filelock.FileLock(folder / f"{self.name}.lock")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                continue  # Another process is asking whether this one is alive.
            except OSError as error:
                raise output_error(error, folder) from None
            if os.path.exists(self._lock.lock_file):
                return
            # Another process asked before the file was locked, and removed it as that of a dead one.
            self._lock.release()

    def end(self) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):
            os.remove(self._lock.lock_file)
        self._lock.release()


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of that name is alive on this machine. 'NAME.7' belongs to 'NAME'."""
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
