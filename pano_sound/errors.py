"""All errors meant for users. Each has an exit code and says in one line what is wrong, with which file, and what to
do. The command line prints `str(error)` and exits."""

from __future__ import annotations

import os
import re

# Control characters, line ends, marks of writing direction, and undecodable bytes.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Text as one line, in which characters are escaped that could break, colour or reverse it, such as '\\n' or
    '\\x1b'."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def first_line(error: BaseException) -> str:
    """The first line of another program's error, or its class."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class PanoSoundError(Exception):
    """Base of every error meant for users.

    Args:
        message: what is wrong, without the file's name; one line, no full stop. Options are named as the keywords of
            the Python API, in backticks (`max_hours`); the command line shows them as flags.
        path: the file or folder concerned, or None.
        hint: what the user can do about it; one line, or None.
    """

    exit_code = 1

    def __init__(self, message: str, path: str | os.PathLike[str] | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else os.fspath(path)
        self.hint = hint

    def __str__(self) -> str:
        where = "" if self.path is None else f"{self.path}: "
        what_to_do = "" if self.hint is None else f" ({self.hint})"
        return f"{where}{self.message}{what_to_do}"


class InputError(PanoSoundError):
    """The input is missing, empty, damaged beyond use, or not media."""

    exit_code = 3


class UnsupportedInputError(InputError):
    """The input can be read but is not 360° footage that can be panned."""

    exit_code = 4


class OutputError(PanoSoundError):
    """The output exists already, cannot be written, or the disk is full."""

    exit_code = 5


class DiskError(OutputError):
    """A problem of the disk, not of the file: it is full, read-only or gone."""


class ModelError(PanoSoundError):
    """Weights are missing, damaged, or of another format."""

    exit_code = 6


class DataFileError(PanoSoundError):
    """A sound map, camera path or training table cannot be used: damaged, of another version, or not matching."""

    exit_code = 7


EXIT_CODES = {
    0: "done",
    1: "something else failed",
    2: "the command line is wrong",
    InputError.exit_code: "the input is missing, empty, damaged or not media",
    UnsupportedInputError.exit_code: "the input is not 360° footage that can be panned",
    OutputError.exit_code: "the output exists (use -y), cannot be written, or the disk is full",
    ModelError.exit_code: "weights are missing, damaged or of another format",
    DataFileError.exit_code: "a sound map, camera path or table cannot be used",
    130: "interrupted (Ctrl-C); nothing is left behind",
    143: "stopped by a signal (128 + its number); nothing is left behind",
}
