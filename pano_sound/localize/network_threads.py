"""The number of threads that networks are computed with in this process."""

from __future__ import annotations

import os

_count: int | None = None


def use(count: int) -> None:
    """Let each network that is loaded from now on use `count` threads."""
    global _count
    _count = count


def count() -> int:
    """As many as `use` said, or $OMP_NUM_THREADS, or as there are cores for this process."""
    if _count is not None:
        return _count
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
