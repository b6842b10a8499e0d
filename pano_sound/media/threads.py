"""The threads of FFmpeg's decoders and encoders in this process: how many, and with which priority."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_count = 0


def use(count: int) -> None:
    """Let each decoder and encoder opened from now on use `count` threads; 0, the default: one per core.

    The output of libx264 depends on the number of threads. A fixed number makes it the same on every machine.
    """
    global _count
    _count = count


def limit(context: object) -> None:
    """Apply this to a PyAV codec context that is not open yet."""
    context.thread_count = _count  # type: ignore[attr-defined]


@contextlib.contextmanager
def usual_priority() -> Iterator[None]:
    """Keep the priority of threads while an encoder is opened.

    As root, SVT-AV1 gives itself and the thread that opens it that of real time: no other process would get to work.
    """
    if not hasattr(os, "sched_getscheduler") or not os.path.isdir("/proc/self/task"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in map(int, os.listdir("/proc/self/task")):
            with contextlib.suppress(OSError):  # One that has just ended.
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, priority)
