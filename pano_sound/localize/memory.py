"""How the C library keeps memory that was freed."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Have malloc keep what is freed, in the whole process, where it is glibc's; elsewhere do nothing.

    Each layer of the visual net wants tens of megabytes. glibc gets blocks of that size from the system and gives them
    back at once, and the system clears and maps them anew, page by page: half of the processor's time at 960x1920.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc; not a system whose programs can be asked
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
