"""Parameter types for files that are read and files that are written. Files that are read are never replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from ..atomic_file import check_file, check_files, check_folder, remove_unused, written_here
from ..errors import ModelError, OutputError


class ReadFile(click.Path):
    """A file, folder or URL that is read. Whether it exists is checked where it is read."""

    def __init__(self, path_type: type[Any] = Path) -> None:
        super().__init__(path_type=path_type, readable=False)

    def files(self, value: Any) -> list[str | os.PathLike[str]]:
        """The files behind a value."""
        return [value]


class ReadSet(ReadFile):
    """A data set: a folder or file, together with all files that its tables name."""

    def files(self, value: Any) -> list[str | os.PathLike[str]]:
        from ..research.datasets.layouts import files_of

        return [value, *files_of(value)]


class ReadModel(ReadFile):
    """Weights: a name or a file."""

    def __init__(self) -> None:
        super().__init__(path_type=str)

    def files(self, value: Any) -> list[str | os.PathLike[str]]:
        from ..localize.nets.files import find

        try:
            return [find(value)]
        except ModelError:
            return []  # Reported where they are loaded.


class WrittenFile(click.Path):
    """A file that is written or, with `file_okay=False`, a folder of such files."""

    def __init__(self, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, readable=False, file_okay=file_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        # Before it becomes a Path, which would shorten the two slashes of a URL.
        return super().convert(written_here(value), param, ctx)


def check_outputs(
    outputs: Iterable[str | os.PathLike[str]], overwrite: bool, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Check, before any work, that the running command can write its outputs.

    `inputs`: what it reads in addition to its file parameters.

    Raises OutputError: as `atomic_file.check_files`.
    """
    outputs = list(outputs)
    # Large sets name many files. They matter only if an output exists.
    read = [*files_read(), *inputs] if any(map(os.path.lexists, outputs)) else []
    check_files(outputs, read, overwrite)


def check_ending(file: Path, what: str, ending: str) -> None:
    """Check that a file to be written has the ending of its format, such as '.html'. Raises click.UsageError."""
    if file.suffix.lower() != ending:
        raise click.UsageError(f"{what} must be a {ending} file, not {file.name!r}")


def check_work_folder(folder: Path, overwrite: bool) -> None:
    """Make the work folder of the running command, unless it exists. If it is still empty when the command ends, as
    after a refusal, it is removed.

    Raises OutputError: as `atomic_file.check_folder`.
    """
    if new := [one for one in (folder, *folder.parents) if not one.exists()]:
        click.get_current_context().call_on_close(lambda: remove_unused(new))
    check_folder(folder, files_read(), overwrite)


def check_folder_of(folder: Path, names: list[str], overwrite: bool) -> None:
    """Check that these files can be written into a folder, which need not exist yet. Raises OutputError."""
    if not folder.exists():
        check_file(folder)
        return
    if not folder.is_dir():
        raise OutputError("is not a folder", folder)
    check_outputs([folder / name for name in names], overwrite)


def files_read() -> list[str | os.PathLike[str]]:
    """All files that the running command was given to read."""
    context = click.get_current_context()
    return [
        file
        for parameter in context.command.params
        if isinstance(parameter.type, ReadFile)
        for value in _values(context.params.get(parameter.name or ""))
        for file in parameter.type.files(value)
    ]


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        yield from value
    elif value is not None:
        yield value
