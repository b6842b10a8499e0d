"""A cue in a thread of its own, so that one that takes long holds up neither the decoder nor the other cues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

_BEHIND = 16
"""Calls that may wait: pictures, and questions about them."""


class Consumer:
    """Calls made one after the other in a thread, at most 16 of them behind whoever makes them.

    What a call raises is raised by a later `tell`, or by `finish`. Leaving the `with` block waits for the call that is
    being made, and makes none of those that wait.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._owed: deque[Future[None]] = deque()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def tell(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have `call(*arguments)` made; wait while too many are owed."""
        self._owed.append(self._thread.submit(call, *arguments))
        while len(self._owed) > _BEHIND or (self._owed and self._owed[0].done()):
            self._owed.popleft().result()

    def finish(self) -> None:
        """Wait until all calls are made."""
        while self._owed:
            self._owed.popleft().result()
