"""Help in groups: `--help` lists the everyday options, `--help-all` all of them."""

from __future__ import annotations

import functools
from typing import Any

import click

HEADINGS = ("Options", "Batch", "Input", "Listening", "View", "Camera", "Video", "General")
"""The headings of a command's help, in order."""
_ALL = "pano_sound.all_options"


class HeadedOption(click.Option):
    """An option that knows the heading under which `--help` lists it, and the default that a preset gives it."""

    def __init__(self, *args: Any, heading: str = "Options", advanced: bool = False, preset: Any = None, **more: Any):
        super().__init__(*args, **more)
        self.heading = heading
        self.advanced = advanced
        self.preset = preset

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        default = self.default if self.preset is None else self.preset
        if isinstance(default, float) or self.preset is not None:
            extra["default"] = f"{default:g}" if isinstance(default, float) else str(default)
        if "range" in extra and isinstance(self.type, click.FloatRange | click.IntRange):
            from ..options.base import range_words

            extra["range"] = range_words(self.type.min, self.type.max)
        return extra

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The value as a number, if it has to be one. A wrong one is refused in the words in which help states the
        range."""
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter:
            if isinstance(self.type, click.FloatRange | click.IntRange):
                from ..options.base import range_words

                low, high = self.type.min, self.type.max
                number = "a whole number" if isinstance(self.type, click.IntRange) else "a number"
                of = " of" if low is None or high is None else ""
                words = f"must be {number}{of} {range_words(low, high)}, not {value!r}."
                raise click.BadParameter(words, ctx, self) from None
            raise


number_option = functools.partial(click.option, cls=HeadedOption, metavar="NUMBER")
"""As `click.option`, for a number: its help states the range in words."""


class Command(click.Command):
    """A command whose `--help` lists the everyday options by heading, and `--help-all` all of them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        if any(getattr(param, "advanced", False) for param in params):
            params.insert(-1, _help_all)
        return params

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
        hidden = 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is None:
                continue
            if getattr(param, "advanced", False) and _ALL not in ctx.meta:
                hidden += 1
            else:
                sections[param.heading if isinstance(param, HeadedOption) else "General"].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"{hidden} more options: {ctx.command_path} --help-all")


def show_all_options(ctx: click.Context) -> None:
    """Make the help of this context, and of those below it, list advanced options too."""
    ctx.meta[_ALL] = True


def _print_all_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        show_all_options(ctx)
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


_help_all = HeadedOption(
    ["--help-all"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_all_help,
    heading="General",
    help="Show all options, including those for fine-tuning, and exit.",
)
