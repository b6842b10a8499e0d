"""The number of threads of FFmpeg's decoders and encoders in this process."""

from __future__ import annotations

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
