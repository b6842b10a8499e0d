"""`python -m pano_sound` and the command `pano-sound`: handles Ctrl-C while the rest is still being imported."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Entry point."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, leave_at_once)
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")  # Warnings of libraries are for programmers.
    # Waiting threads must sleep. By default they spin, which took five times the processor time beside other programs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Pictures are decoded, drawn and encoded at the same time already.
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", str(max(1, (os.cpu_count() or 1) // 2)))
    from .commands import leave
    from .commands import main as run

    try:
        run()
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else 1)


def leave_at_once(number: int, frame: FrameType | None) -> None:
    """Exit on Ctrl-C during the imports, where an exception would surface inside some library's import."""
    try:
        os.write(2, b"pano-sound: interrupted\n")
    finally:
        os._exit(130)


if __name__ == "__main__":
    main()
