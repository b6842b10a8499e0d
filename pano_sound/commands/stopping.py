"""How Ctrl-C and termination signals end the program."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
REPEAT_EVERY = 0.05
"""Seconds after which a stop that was swallowed comes again."""

requested: list[int] = []
"""Numbers of the signals that asked for a stop."""


def heed_signals() -> None:
    """Make Ctrl-C raise KeyboardInterrupt, and termination signals SystemExit with 128 plus the signal's number.

    Signals that the parent process has set to be ignored, as nohup does, stay ignored.
    """
    sys.unraisablehook = partial(_report_unraisable, sys.unraisablehook)
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def ignore_signals() -> None:
    """Ignore further signals, so that pressing Ctrl-C again does not interrupt the clean-up.

    A signal that arrives during this call still raises.
    """
    try:
        _ignore_signals()
    except (KeyboardInterrupt, SystemExit):
        _ignore_signals()
        raise


def raise_if_asked() -> None:
    """Raise the stop that was asked for, if any: a library may have turned it into another error."""
    if requested:
        raise stop_error(requested[0])


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _report_unraisable(report: Callable[[Any], Any], unraisable: Any) -> None:
    """A sys.unraisablehook. A stop that arrives where nothing can be raised (a __del__, a callback) is not reported: it
    comes again."""
    if not (requested and issubclass(unraisable.exc_type, (KeyboardInterrupt, SystemExit))):
        report(unraisable)


def stop(number: int, frame: FrameType | None) -> None:
    """End the program when it is safe, and repeat until it has ended, because libraries swallow exceptions."""
    requested.append(number)
    again = threading.Timer(REPEAT_EVERY, _signal_main_thread, [number])
    again.daemon = True
    again.start()
    tidying_up = isinstance(sys.exc_info()[1], (KeyboardInterrupt, SystemExit))
    if not tidying_up and not _must_go_on(frame):
        raise stop_error(number)


def stop_error(number: int) -> BaseException:
    """What a signal of that number raises."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _must_go_on(frame: FrameType | None) -> bool:
    """Whether a module is being imported (PyTorch aborts the process if that is interrupted), or Python would print
    what is raised."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code is _report_unraisable.__code__:
            return True
        frame = frame.f_back
    return False


def _signal_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # Wakes it up, where it waits.
    else:
        signal.raise_signal(number)
