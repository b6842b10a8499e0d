"""Writes what the docs say of options: docs/cli.md, the command line's help as a page, and the tables of
docs/python.md:  python docs/make_cli.py"""

from __future__ import annotations

from pathlib import Path

import click

from pano_sound.commands import COMMANDS, cli
from pano_sound.commands.help import HEADINGS, show_all_options
from pano_sound.options.base import described, range_words
from pano_sound.options.camera import preset_value
from pano_sound.options.steps import PanOptions

PAGE = Path(__file__).with_name("cli.md")
PYTHON_PAGE = Path(__file__).with_name("python.md")
BEGIN, END = "<!-- written by docs/make_cli.py -->\n", "<!-- end -->\n"


def page() -> str:
    """The text of docs/cli.md."""
    parts = ["# The command line\n\nWritten by `python docs/make_cli.py`; a test keeps it true.\n"]
    shape = {"terminal_width": 100, "max_content_width": 100, "help_option_names": ["-h", "--help"]}
    top = click.Context(cli, info_name="pano-sound", **shape)
    show_all_options(top)
    contexts = [top]
    for name in COMMANDS:
        command = cli.get_command(top, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=top, **shape)
        contexts.append(context)
        if isinstance(command, click.Group):
            contexts += [
                click.Context(inner, info_name=inner.name, parent=context, **shape)
                for inner in command.commands.values()
            ]
    for context in contexts:
        parts.append(f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(parts)


def python_page() -> str:
    """The text of docs/python.md, with its tables as the options are now."""
    before, rest = PYTHON_PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    tables = []
    for heading in HEADINGS:
        rows = []
        for about in described(PanOptions).values():
            if about.heading != heading:
                continue
            values = about.kind.__name__
            if about.choices:
                values = ", ".join(f"`{choice!r}`" for choice in about.choices)
            elif about.minimum is not None or about.maximum is not None:
                values += ", " + range_words(about.minimum, about.maximum)
            usual = preset_value(about.name) if about.default is None else None
            rows.append(f"| `{about.name}` | {values} | `{(about.default if usual is None else usual)!r}` |")
        if rows:
            tables.append(
                "\n".join([f"**{heading}**", "", "| keyword | values | default |", "|---|---|---|", *rows, ""])
            )
    return before + BEGIN + "\n" + "\n".join(tables) + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    PYTHON_PAGE.write_text(python_page(), encoding="utf-8")
