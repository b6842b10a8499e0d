"""Writes docs/cli.md, the command line's help as a page:  python docs/make_cli.py"""

from __future__ import annotations

from pathlib import Path

import click

from pano_sound.commands import COMMANDS, cli
from pano_sound.commands.options import show_all_options

PAGE = Path(__file__).with_name("cli.md")


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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
