import logging
import os
import shutil
import signal
import sys
import threading

import pytest
from hypothesis import HealthCheck, settings

from pano_sound.commands import stopping

# The same examples each time, and no limit of time: whether a test passes must depend on the code alone.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("tests")

# Of PyTorch and NumPy, here and in all that is started from here: tests keep all processors busy themselves, and
# threads that wait for one another would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Films are written durably, and on a disk most of a test's time is waiting for that: in memory, where there is room.
_MEMORY = "/dev/shm"
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)


@pytest.fixture(autouse=True)
def can_be_interrupted():
    """Restore signal handlers: the command line, run within a test, leaves signals ignored."""
    hook = sys.unraisablehook
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


@pytest.fixture
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert not set(threading.enumerate()) - before


@pytest.fixture(autouse=True)
def no_unexpected_errors(caplog):
    """A test fails on an ERROR that it did not expect and clear from caplog."""
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> str:
    """Weights of a model of a few thousand parameters."""
    import torch

    from pano_sound.localize.nets.localizer import TINY, Localizer
    from pano_sound.localize.nets.weights import save

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save(Localizer(**TINY), path, {"name": "tiny", "version": "0"})
    return str(path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Logged file names may not be valid text; pytest-xdist cannot send those."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report
