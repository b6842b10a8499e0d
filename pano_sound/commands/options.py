"""What the commands share: options made from the settings classes, logging, and progress on a terminal."""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ..errors import printable
from ..settings import Settings, option_name, with_flags
from .files import ReadFile, ReadModel, WrittenFile
from .streams import say

F = Callable[..., Any]


def settings_options(kind: type[Settings], only: dict[str, str] | None = None, to: str = "options") -> Callable[[F], F]:
    """Adds an option for every field of a settings class; the command gets them as a dict in its argument `to`.

    `only` names the fields to take, each with the help text it has in this command.
    """
    chosen = [f for f in fields(kind) if only is None or f.name in only]

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_options(*args: Any, **kwargs: Any) -> Any:
            mine = {f.name: kwargs.pop(f.name) for f in chosen}
            try:
                kind(**mine)
            except ValueError as error:
                raise click.UsageError(with_flags(str(error))) from None
            kwargs[to] = mine | kwargs.get(to, {})
            return function(*args, **kwargs)

        decorated: F = with_options
        for f in reversed(chosen):
            about = f.metadata if only is None else {**f.metadata, "help": only[f.name]}
            decorated = _click_option(f.name, f.default, about)(decorated)
        return decorated

    return decorate


def _click_option(name: str, default: Any, about: Any) -> Callable[[F], F]:
    value_type: Any = about["kind"]
    callback = None
    if about["choices"]:
        value_type = click.Choice([str(choice) for choice in about["choices"]])
        if about["kind"] is int:
            default = None if default is None else str(default)
            callback = lambda ctx, param, value: None if value is None else int(value)  # noqa: E731
    elif about["reads"]:
        value_type = ReadModel()
    elif about["minimum"] is not None or about["maximum"] is not None:
        ranged = click.IntRange if about["kind"] is int else click.FloatRange
        value_type = ranged(about["minimum"], about["maximum"])
    names = [name, option_name(name), *([about["also"]] if about["also"] else [])]
    return click.option(
        *names,
        type=value_type,
        default=default,
        show_default=default is not None,
        metavar=about["metavar"],
        help=about["help"],
        callback=callback,
    )


def verbosity(function: F) -> F:
    """Adds -q and -v; the command gets `quiet`. Sets up logging to standard error."""

    @click.option("-q", "--quiet", is_flag=True, help="No progress, no warnings; errors only.")
    @click.option("-v", "--verbose", count=True, help="Say more; -vv shows where an unexpected error happened.")
    @functools.wraps(function)
    def with_logging(*args: Any, quiet: bool, verbose: int, **kwargs: Any) -> Any:
        log = logging.getLogger("pano_sound")
        log.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])
        if quiet:
            log.setLevel(logging.ERROR)
        log.handlers = [_Stderr()]
        return function(*args, quiet=quiet, **kwargs)

    return with_logging


class _Stderr(logging.Handler):
    """One line a record on standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        line = f"pano-sound: {record.levelname.lower()}: {printable(with_flags(record.getMessage()))}"
        if record.exc_info:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        say(line)


class Progress:
    """A progress bar with an ETA on a terminal, one per stage, in seconds of film; nothing in a pipe or when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.shown = not quiet and sys.stderr.isatty()
        self.stage = ""
        self.bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, stage: str, done: float, total: float) -> None:
        if not self.shown:
            return
        if stage != self.stage:
            from tqdm import tqdm

            if self.bar is not None:
                self.bar.close()
            shape = "{desc:8}{percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of film, {remaining} left"
            self.bar = tqdm(total=max(total, 1e-3), desc=stage, bar_format=shape, file=sys.stderr, leave=True)
            self.stage = stage
        self.bar.update(done - self.bar.n)


def wrote(output: Path, quiet: bool) -> None:
    """Say on a terminal that the work is done."""
    if not quiet and sys.stderr.isatty():
        say(f"wrote {printable(str(output))}")


def source_argument(function: F) -> F:
    """Adds INPUT and --concat; the command gets all files, or URLs, of the film in its argument `source`."""

    @click.argument("source", metavar="INPUT", type=ReadFile(str))
    @click.option(
        "--concat",
        "more",
        type=ReadFile(str),
        multiple=True,
        metavar="FILE",
        help="A file in which INPUT goes on, such as the next chapter of a recording; may be given several times.",
    )
    @functools.wraps(function)
    def with_source(*args: Any, source: str, more: tuple[str, ...], **kwargs: Any) -> Any:
        return function(*args, source=[source, *more], **kwargs)

    decorated: F = with_source
    return decorated


overwrite_option = click.option("-y", "--overwrite", is_flag=True, help="Replace the output if it exists.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")


def output_option(help: str, required: bool = True) -> Callable[[F], F]:
    """-o, --output."""
    return click.option("-o", "--output", type=WrittenFile(), required=required, metavar="FILE", help=help)
