"""Parameters that commands share: INPUT, -o, -y, --json, and click options made from the classes of
pano_sound.options."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import click

from ..options.base import Described, Options, described
from ..options.camera import preset_value
from ..options.flags import with_flags
from .files import ReadFile, ReadModel, WrittenFile
from .help import HeadedOption

F = Callable[..., Any]


def options_of(kind: type[Options], only: Mapping[str, str] | None = None, to: str = "options") -> Callable[[F], F]:
    """Adds a click option for every option of a class; the command gets an object of it in its argument `to`.

    `only` names the ones to take, each with the help text it has in this command; the others keep their defaults.
    """
    chosen = [about for name, about in described(kind).items() if only is None or name in only]

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_options(*args: Any, **kwargs: Any) -> Any:
            given = {about.name: kwargs.pop(about.name) for about in chosen}
            try:
                kwargs[to] = kind(**given)
            except ValueError as error:
                raise click.UsageError(with_flags(str(error))) from None
            return function(*args, **kwargs)

        decorated: F = with_options
        for about in reversed(chosen):
            decorated = _click_option(about, None if only is None else only[about.name])(decorated)
        return decorated

    return decorate


def _click_option(about: Described, help: str | None) -> Callable[[F], F]:
    """`help`: the command's own text, if it has one; then a default of None is not the preset's."""
    text = with_flags(about.help if help is None else help)
    value_type: Any = about.kind
    metavar, callback, default = about.metavar, None, about.default
    if about.choices:
        value_type = click.Choice([str(choice) for choice in about.choices])
        if about.kind is int:
            default = None if default is None else str(default)
            callback = lambda ctx, param, value: None if value is None else int(value)  # noqa: E731
    elif about.reads:
        value_type = ReadModel()
    elif about.kind is not str:
        ranged: Any = click.IntRange if about.kind is int else click.FloatRange
        value_type = ranged(about.minimum, about.maximum)
        metavar = "NUMBER"
    if about.kind is bool:
        return click.option(
            about.name,
            about.flag,
            is_flag=True,
            cls=HeadedOption,
            heading=about.heading,
            advanced=about.advanced,
            help=text,
        )
    names = [about.name, about.flag, *([about.also] if about.also else [])]
    return click.option(
        *names,
        cls=HeadedOption,
        heading=about.heading,
        advanced=about.advanced and help is None,
        preset=preset_value(about.name) if default is None and help is None else None,
        type=value_type,
        default=default,
        show_default=default is not None,
        metavar=metavar,
        help=text,
        callback=callback,
    )


def source_argument(function: F) -> F:
    """Adds INPUT and --concat; the command gets all files or URLs of the film in its argument `source`."""

    @click.argument("source", metavar="INPUT", type=ReadFile(str))
    @click.option(
        "--concat",
        "more",
        type=ReadFile(str),
        multiple=True,
        metavar="FILE",
        cls=HeadedOption,
        heading="Input",
        help="Append this file to INPUT, such as the next chapter of a recording. Repeatable.",
    )
    @functools.wraps(function)
    def with_source(*args: Any, source: str, more: tuple[str, ...], **kwargs: Any) -> Any:
        return function(*args, source=[source, *more], **kwargs)

    decorated: F = with_source
    return decorated


overwrite_option = click.option(
    "-y", "--overwrite", is_flag=True, cls=HeadedOption, help="Replace the output if it exists."
)
pins_option = click.option(
    "--pins",
    "pins_file",
    type=ReadFile(),
    metavar="FILE",
    cls=HeadedOption,
    help="Plan around the pins and masks in this file (.json): one that a report saved, or a camera path.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, cls=HeadedOption, heading="General", help="Print JSON, for programs."
)


def output_option(help: str, required: bool = True) -> Callable[[F], F]:
    """-o, --output."""
    return click.option(
        "-o", "--output", type=WrittenFile(), required=required, metavar="FILE", cls=HeadedOption, help=help
    )
