"""The command line: one file per sub-command, thin: parse, call the API, print. Nothing heavy is imported before a
command runs, so that `--help` answers at once."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import click

from .. import __version__
from ..atomic_file import NO_ROOM, output_error, remove_partials
from ..errors import EXIT_CODES, OutputError, PanoSoundError, printable
from .stopping import heed_signals, ignore_signals, raise_if_asked
from .streams import flush, open_standard_streams, say, stopped_printing
from .verbosity import early_verbosity

INTERRUPTED = 130
COMMANDS = {
    "pan": "Turn a 360° film into a video that follows the sound.",
    "batch": "Pan whole folders of 360° films.",
    "analyse": "Find where the sound of a 360° film comes from.",
    "plan": "Decide where the camera looks, and write a camera path.",
    "path": "Show a camera path, export it, or import one.",
    "render": "Render the video that follows a camera path.",
    "overlay": "Mark in a 360° film where the sound comes from.",
    "report": "Make a page that shows what was heard and where the camera looks.",
    "probe": "Show what is in a file, and whether it can be panned.",
    "models": "List the weights that --model accepts by name.",
    "train": "Train a network on pictures and their sounds.",
    "evaluate": "Measure weights on data they have never seen.",
    "study": "Ask people which camera they prefer.",
}
"""The sub-commands, and the summary of each. It is the first sentence of the command's help, given here so that the
list of commands needs none of their modules."""

_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises, from 8.2 on, to show the help of a command that needs more words."""


@contextlib.contextmanager
def _stop_without_an_empty_line() -> Iterator[None]:
    """Turn KeyboardInterrupt, at which click prints an empty line, into SystemExit."""
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


class LazyGroup(click.Group):
    """Imports a sub-command's module when it is needed. Each module has a click command named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f".{name}", __name__).command
        return command

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _stop_without_an_empty_line():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _stop_without_an_empty_line():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            if os.path.isfile(args[0]):
                film = printable(shlex.quote(args[0]))
                ctx.fail(f"No command given. For a video of this film: pano-sound pan {film} -o out.mp4")
            import difflib

            if near := difflib.get_close_matches(args[0].lower(), COMMANDS):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(map(repr, near))}?")
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pano-sound")
@early_verbosity
def cli() -> None:
    """Turn 360° footage into an ordinary video that looks where the sound comes from.

    \b
    pano-sound pan input.mp4 -o out.mp4

    'pan' runs three steps that you can also run one by one: 'analyse' finds where the sound comes from, 'plan' decides
    where to look, and 'render' writes the video.
    """


def main() -> None:
    """Run the command line and exit with one of EXIT_CODES, without a traceback or a partial file."""
    try:
        heed_signals()
        open_standard_streams()
        code = _run()
        ignore_signals()
    except (KeyboardInterrupt, click.Abort):
        ignore_signals()
        code = INTERRUPTED
        _say_interrupted()
    except SystemExit as stop:
        ignore_signals()
        code = stop.code if isinstance(stop.code, int) else 1
        if code == INTERRUPTED:
            _say_interrupted()
    finally:
        ignore_signals()
        remove_partials()
    _exit(code)


def _exit(code: int) -> None:
    """Exit at once after a stop, and while a thread runs that could not be stopped.

    Otherwise Python would end the threads of C++ libraries, which then may abort the process."""
    ahead = sys.modules.get("pano_sound.pipeline.ahead")
    if code > 128 or (ahead is not None and ahead.is_any_left()):
        leave(code)
    sys.exit(code)


def leave(code: int) -> None:
    """Exit without taking apart what is loaded, which takes half a second after PyTorch."""
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _run() -> int:
    try:
        result = cli(standalone_mode=False)
        flush()
        return result if isinstance(result, int) else 0
    except click.Abort:
        raise
    except Exception as error:
        raise_if_asked()
        return _say_what_is_wrong(error)


def _say_what_is_wrong(error: Exception) -> int:
    """Print an error as one line; returns the exit code."""
    if isinstance(error, click.ClickException):
        if not isinstance(error, _HELP):
            # It may name a file that the shell found for '*'.
            error.message = printable(error.message)  # type: ignore[misc]
        error.show()
        for word in sys.argv[1:]:
            if isinstance(error, click.NoSuchOption) and word.startswith("-") and os.path.isfile(word):
                click.echo(f"If you mean the file, write {printable(shlex.quote(f'./{word}'))}", err=True)
        return error.exit_code
    if isinstance(error, PanoSoundError):
        _complain(f"error: {error}")
        return error.exit_code
    if isinstance(error, MemoryError):
        _complain("error: out of memory")
        return 1
    if isinstance(error, OSError):
        return _say_what_the_system_refused(error)
    logging.getLogger("pano_sound").debug("unexpected error", exc_info=error)
    first_line = (str(error).splitlines() or [""])[0]
    _complain(f"error: unexpected {type(error).__name__}: {first_line} (-vv shows where; please report it)")
    return 1


def _say_what_the_system_refused(error: OSError) -> int:
    """The same for an error of the operating system."""
    path = "standard output" if error.filename is None and stopped_printing(error) else error.filename
    if path is None and error.errno not in NO_ROOM:
        logging.getLogger("pano_sound").debug("unexpected error", exc_info=error)
        _complain(f"error: {(error.strerror or str(error)).lower()} (-vv shows where)")
        return 1
    _complain(f"error: {output_error(error, path)}")
    return OutputError.exit_code


def _say_interrupted() -> None:
    # A terminal has shown ^C: this line goes over it.
    say("\r" * sys.stderr.isatty() + "pano-sound: interrupted")


def _complain(line: str) -> None:
    from ..options.flags import with_flags

    say(f"pano-sound: {printable(with_flags(line))}")
