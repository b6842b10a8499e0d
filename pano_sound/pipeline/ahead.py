"""An iterable that is computed in a thread, a few items ahead, so that all cores are busy."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_ITEMS_WAITING = 2
_RETRY_EVERY = 0.02  # seconds
PATIENCE = 5.0
"""Seconds after which a thread that does not end is given up."""

given_up: list[threading.Thread] = []
"""Threads that were given up."""


def is_any_left() -> bool:
    """Whether a thread that was given up is still running: C++ libraries may abort the process if it exits as usual."""
    return any(thread.is_alive() for thread in given_up)


class Ahead(Generic[T]):
    """The items of an iterable, computed in a thread at most three items ahead: two wait, one is being made.

    An exception of the iterable is raised in place of its next item. Leaving the `with` block, at any time and by any
    exception, waits for the thread to end. After a few seconds it gives up a thread that does not, because a network
    does not answer, say.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(_ITEMS_WAITING)
        self._stop = threading.Event()
        self._end: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Ahead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        deadline = time.monotonic() + PATIENCE
        while self._thread.is_alive() and time.monotonic() < deadline:
            # The thread may be waiting for room in the queue.
            while not self._ready.empty():
                self._ready.get()
            self._thread.join(_RETRY_EVERY)
        if self._thread.is_alive():
            given_up.append(self._thread)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._end is None:
            item, self._end = self._ready.get()
            if self._end is None:
                return item
        raise self._end

    def _work(self) -> None:
        end: BaseException = StopIteration()
        try:
            for item in self._items:
                self._ready.put((item, None))
                if self._stop.is_set():
                    return
        except BaseException as error:
            end = error
        self._ready.put((None, end))
