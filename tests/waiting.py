"""Waiting for programs, for as long as it takes: a test must not depend on how fast the machine is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 900.0
"""Seconds after which a program counts as hung, however busy the machine is."""


def wait_until(condition: Callable[[], object], work: subprocess.Popen[Any] | None = None) -> None:
    """Wait until a condition holds while a program runs; fails if the program ends first."""
    given_up = time.monotonic() + PATIENCE
    while not condition():
        ended = work is not None and work.poll() is not None
        assert not ended or condition(), work.communicate()
        assert time.monotonic() < given_up
        time.sleep(0.02)
