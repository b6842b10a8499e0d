import logging
import signal

import pytest


@pytest.fixture(autouse=True)
def can_be_interrupted():
    """The command line, run within a test, leaves signals ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def no_unexpected_errors(caplog):
    """A test fails on an ERROR that it did not expect (and clear from caplog)."""
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors
