"""What the commands share: options made from the settings classes, grouped help, logging, and progress."""

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
from ..settings import PRESETS, Settings, option_name, range_words, with_flags
from .files import ReadFile, ReadModel, WrittenFile
from .streams import say

F = Callable[..., Any]

GROUPS = ("Options", "Batch", "Input", "Listening", "View", "Camera", "Video", "General")
"""The headings of a command's help, in order."""
_ALL = "pano_sound.all_options"
_QUIET, _VERBOSE = "pano_sound.quiet", "pano_sound.verbose"


class Option(click.Option):
    """An option that knows the heading under which `--help` lists it, and the default that a preset gives it."""

    def __init__(self, *args: Any, group: str = "Options", advanced: bool = False, preset: Any = None, **more: Any):
        super().__init__(*args, **more)
        self.group = group
        self.advanced = advanced
        self.preset = preset

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        default = self.default if self.preset is None else self.preset
        if isinstance(default, float) or self.preset is not None:
            extra["default"] = f"{default:g}" if isinstance(default, float) else str(default)
        if "range" in extra and isinstance(self.type, click.FloatRange | click.IntRange):
            extra["range"] = range_words(self.type.min, self.type.max)
        return extra


class Command(click.Command):
    """A command whose `--help` lists the everyday options by group, and `--help-all` all of them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        if any(getattr(param, "advanced", False) for param in params):
            params.insert(-1, _help_all)
        return params

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        hidden = 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is None:
                continue
            if getattr(param, "advanced", False) and _ALL not in ctx.meta:
                hidden += 1
            else:
                sections[param.group if isinstance(param, Option) else "General"].append(record)
        for group, records in sections.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"{hidden} more options: {ctx.command_path} --help-all")


def show_all_options(ctx: click.Context) -> None:
    """Have the help of this context, and of those below it, list advanced options too."""
    ctx.meta[_ALL] = True


def _print_all_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        show_all_options(ctx)
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


_help_all = Option(
    ["--help-all"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_all_help,
    group="General",
    help="Show all options, with those for fine tuning, and exit.",
)


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
            about = f.metadata if only is None else {**f.metadata, "help": only[f.name], "advanced": False}
            decorated = _click_option(f.name, f.default, about, only is None)(decorated)
        return decorated

    return decorate


def _click_option(name: str, default: Any, about: Any, usual: bool) -> Callable[[F], F]:
    value_type: Any = about["kind"]
    metavar, callback = about["metavar"], None
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
        metavar = "NUMBER"
    names = [name, option_name(name), *([about["also"]] if about["also"] else [])]
    return click.option(
        *names,
        cls=Option,
        group=about["group"],
        advanced=about["advanced"],
        preset=PRESETS["default"].get(name) if default is None and usual else None,
        type=value_type,
        default=default,
        show_default=default is not None,
        metavar=metavar,
        help=about["help"],
        callback=callback,
    )


_quiet_option = click.option(
    "-q", "--quiet", is_flag=True, cls=Option, group="General", help="Print errors only: no progress, no warnings."
)
_verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    cls=Option,
    group="General",
    help="Print more. -vv shows where an unexpected error happened.",
)


def early_verbosity(function: F) -> F:
    """Adds -q and -v to the group of all commands: `pano-sound -q pan` is `pano-sound pan -q`."""

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
    """Writes each record to standard error as one line, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        line = f"pano-sound: {record.levelname.lower()}: {printable(with_flags(record.getMessage()))}"
        if record.exc_info:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        say(line)


class Progress:
    """One progress bar per stage, in seconds of film, with the time left. None in a pipe or when quiet."""

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


def summarise(words: str, quiet: bool) -> None:
    """Say on a terminal, in one line, what came out."""
    if not quiet and sys.stderr.isatty():
        say(printable(words))


def wrote(output: Path, quiet: bool) -> None:
    """Says, on a terminal, which file is complete."""
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
        cls=Option,
        group="Input",
        help="Continue INPUT with this file, such as the next chapter of a recording. Repeatable.",
    )
    @functools.wraps(function)
    def with_source(*args: Any, source: str, more: tuple[str, ...], **kwargs: Any) -> Any:
        return function(*args, source=[source, *more], **kwargs)

    decorated: F = with_source
    return decorated


overwrite_option = click.option("-y", "--overwrite", is_flag=True, cls=Option, help="Replace the output if it exists.")
json_option = click.option(
    "--json", "as_json", is_flag=True, cls=Option, group="General", help="Print one JSON object, for programs."
)


def output_option(help: str, required: bool = True) -> Callable[[F], F]:
    """-o, --output."""
    return click.option("-o", "--output", type=WrittenFile(), required=required, metavar="FILE", cls=Option, help=help)
