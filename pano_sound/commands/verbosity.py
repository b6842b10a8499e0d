"""-q and -v, and where log messages go."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import click

from ..errors import printable
from .help import HeadedOption
from .streams import say

F = Callable[..., Any]

_QUIET, _VERBOSE = "pano_sound.quiet", "pano_sound.verbose"

_quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    cls=HeadedOption,
    heading="General",
    help="Print errors only: no progress, no warnings.",
)
_verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    cls=HeadedOption,
    heading="General",
    help="Print more. -vv shows where an unexpected error happened.",
)


def early_verbosity(function: F) -> F:
    """Adds -q and -v to the top-level command: `pano-sound -q pan` is `pano-sound pan -q`."""

    @_quiet_option
    @_verbose_option
    @functools.wraps(function)
    def with_early(*args: Any, quiet: bool, verbose: int, **kwargs: Any) -> Any:
        click.get_current_context().meta.update({_QUIET: quiet, _VERBOSE: verbose})
        return function(*args, **kwargs)

    return with_early


def verbosity(function: F) -> F:
    """Adds -q and -v; the command gets `quiet`. Sets up logging to standard error."""

    @_quiet_option
    @_verbose_option
    @functools.wraps(function)
    def with_logging(*args: Any, quiet: bool, verbose: int, **kwargs: Any) -> Any:
        before = click.get_current_context().meta
        quiet = quiet or before.get(_QUIET, False)
        verbose += before.get(_VERBOSE, 0)
        log = logging.getLogger("pano_sound")
        log.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])
        if quiet:
            log.setLevel(logging.ERROR)
        log.handlers = [_Stderr()]
        return function(*args, quiet=quiet, **kwargs)

    return with_logging


class _Stderr(logging.Handler):
    """Writes each record to standard error as one line, above any progress bar. A film is read several times: what is
    wrong with it is said once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        from ..options.flags import with_flags

        line = f"pano-sound: {record.levelname.lower()}: {printable(with_flags(record.getMessage()))}"
        if record.levelno == logging.WARNING:
            if line in self._said:
                return
            self._said.add(line)
        if record.exc_info:
            import traceback

            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        say(line)
