"""How glibc's malloc handles freed memory. Elsewhere these functions do nothing."""

from __future__ import annotations

import ctypes
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make malloc keep freed memory, in the whole process.

    PyTorch's layers need tens of megabytes each, pictures a few. By default glibc returns blocks of that size to the
    system at once, and the system clears and maps them again, page by page: half of the visual net's processor time.
    All threads share what is kept.
    """
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Give back to the system what has been kept so far."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _function(name: str) -> Any | None:
    """A function of glibc; None if there is none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # not glibc, or a system without it
        return None
