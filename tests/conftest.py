import logging

import pytest


@pytest.fixture(autouse=True)
def no_unexpected_errors(caplog):
    """A test fails on an ERROR that it did not expect (and clear from caplog)."""
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors
