"""How the C library handles freed memory."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make glibc's malloc keep freed memory, in the whole process; do nothing elsewhere.

    Each layer of the visual net needs tens of megabytes. By default glibc returns blocks of that size to the system at
    once, and the system clears and maps them again, page by page: half of the processor time at 960x1920.
    All threads share it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or a system without this call
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_ARENA_MAX, 1)
