"""How many threads FFmpeg's decoders and encoders use in this process."""

from __future__ import annotations

_count = 0


def use(count: int) -> None:
    """Let each decoder and encoder opened from now on use `count` threads; 0, as at first: one for each core.

    libx264 writes other bytes with another number of threads. A fixed one makes them the same on every machine.
    """
    global _count
    _count = count


def limit(context: object) -> None:
    """Apply it to a codec context of PyAV that is not open yet."""
    context.thread_count = _count  # type: ignore[attr-defined]
