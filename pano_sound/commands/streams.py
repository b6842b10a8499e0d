"""Standard output and standard error in any state: closed, full, a pipe or a terminal."""

from __future__ import annotations

import io
import os
import sys

import click
import click.utils


def open_standard_streams() -> None:
    """Open closed standard streams to the null device, and let the others take any text.

    Otherwise the next file to be opened, perhaps a film, would get the closed stream's number, and with it what FFmpeg
    and encoders write to standard error.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest free number: this one.
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may not be valid text, and terminals may lack characters.
        sys.stdout.reconfigure(errors="backslashreplace")


def say(line: str) -> None:
    """Write a line to standard error, above a progress bar if there is one. If that fails, the line is dropped: no film
    fails because of it."""
    try:
        if "tqdm" in sys.modules:
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)
    except OSError:
        _to_nowhere(2)


def stopped_printing(error: OSError) -> bool:
    """Whether an error came from printing to standard output. If so, stop printing, so that the interpreter does not
    try again at exit."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename not in (click.utils.__file__, __file__):
        return False
    _to_nowhere(1)
    return True


def flush() -> None:
    """Flush standard output. Raises OSError."""
    sys.stdout.flush()


def _to_nowhere(number: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
