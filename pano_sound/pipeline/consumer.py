"""Running a cue in its own thread, so that a slow one delays neither the decoder nor the other cues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

_MOST_WAITING = 8
"""Most calls that may wait."""


class Consumer:
    """Makes calls in order in a thread, with at most 8 of them waiting.

    An exception of a call is raised by a later `submit`, or by `finish`. Leaving the `with` block waits for the running
    call and drops those that wait.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def submit(self, call: Callable[..., None], *arguments: Any) -> None:
        """Queue `call(*arguments)`; block while the queue is full."""
        self._pending.append(self._thread.submit(call, *arguments))
        while len(self._pending) > _MOST_WAITING or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()

    def finish(self) -> None:
        """Wait until all calls are made."""
        while self._pending:
            self._pending.popleft().result()
