"""pano-sound batch, batch status, batch retry"""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import printable
from ..options.batch import BatchOptions
from ..options.flags import with_flags
from ..options.steps import PanOptions
from .files import ReadFile
from .help import Command, HeadedOption
from .parameters import json_option, options_of, overwrite_option
from .streams import say
from .verbosity import verbosity

if TYPE_CHECKING:
    from ..library.intake import Library
    from ..library.manifest import Synced


class _WithDefault(click.Group):
    """Makes `batch FOLDER` mean `batch run FOLDER`. A folder named like a sub-command is written './status'."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


_out_argument = click.argument("out", metavar="OUT")
_manifest_only = {"manifest": "File that records what has been made, if it is not in OUT."}
_fail_fast_option = click.option(
    "--fail-fast/--keep-going",
    default=False,
    show_default=True,
    cls=HeadedOption,
    heading="Batch",
    help="Stop at the first film that fails, or continue with the others.",
)


@click.group("batch", cls=_WithDefault, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Pan whole folders of 360° films.

    If a batch is interrupted, run the same command again. 'pano-sound batch run --help' lists the options.

    \b
    pano-sound batch DCIM -o flat          the same as: pano-sound batch run DCIM -o flat
    pano-sound batch status flat
    pano-sound batch retry flat
    """


@command.command("run")
@click.argument("sources", metavar="FOLDER…", nargs=-1, type=ReadFile(str))
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    metavar="OUT",
    cls=HeadedOption,
    help="Folder for the results, or an s3:// or gs:// URL.",
)
@click.option(
    "--list",
    "lists",
    type=ReadFile(str),
    multiple=True,
    metavar="FILE",
    cls=HeadedOption,
    help="A text file of films, one per line. Repeatable.",
)
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    cls=HeadedOption,
    help="Only estimate what would be made, and how much time and space it would take.",
)
@overwrite_option
@_fail_fast_option
@options_of(BatchOptions, to="batch")
@options_of(PanOptions)
@json_option
@verbosity
def run(
    sources: tuple[str, ...],
    out: str,
    lists: tuple[str, ...],
    dry_run: bool,
    overwrite: bool,
    fail_fast: bool,
    batch: BatchOptions,
    options: PanOptions,
    as_json: bool,
    quiet: bool,
) -> int:
    """Pan every 360° film in folders, or resume an interrupted batch.

    FOLDER… may be folders, files, patterns, or URLs of these. Run the same command again to resume, or to add new
    films: finished films are left alone, and changed films are made again. OUT gets a video and a camera path for each
    film, report.html for you and report.jsonl for programs.

    \b
    pano-sound batch DCIM -o flat
    pano-sound batch 's3://rushes/2026/**/*.mp4' -o s3://rushes-flat --workers 16
    """
    if not sources and not lists:
        raise click.UsageError("name a folder, or a --list")
    if options.proxy not in (None, "none"):
        raise click.UsageError(
            "--proxy FILE is for one film: in a batch, proxies beside films are found by their names"
        )
    from ..library.discover import read_list
    from ..library.intake import Library

    listed = [name for file in lists for name in read_list(file)]
    if dry_run:
        from ..library.estimate import estimate

        found = estimate(sources, listed, out, batch, options, overwrite, lists)
        click.echo(json.dumps(found.to_json()) if as_json else with_flags(str(found)))
        return 0
    with Library.open(out, batch) as library:
        synced = library.take_in(sources, listed, options, overwrite, lists)
        if not quiet and sys.stderr.isatty():
            print(_found(synced), file=sys.stderr)
        return _work(library, fail_fast, as_json, quiet)


@command.command("status")
@_out_argument
@options_of(BatchOptions, only=_manifest_only, to="batch")
@json_option
@verbosity
def status(out: str, batch: BatchOptions, as_json: bool, quiet: bool) -> None:
    """Show the progress of a batch, and what failed."""
    from ..library.intake import Library

    with Library.open(out, batch, create=False) as library:
        counts = library.manifest.count()
        failed = [row for row in library.manifest.rows() if row.state == "failed" and not row.is_deleted]
    counts["failed"] = len(failed)
    if as_json:
        click.echo(json.dumps({"films": counts, "failed": [row.to_json() for row in failed]}))
        return
    for state, count in counts.items():
        if count:
            click.echo(f"{state:10}{count:8}")
    for row in failed:
        click.echo(printable(with_flags(row.failure)))


@command.command("retry")
@_out_argument
@overwrite_option
@_fail_fast_option
@options_of(
    BatchOptions,
    only={
        **_manifest_only,
        "reports": "Also write a page for each film that is made.",
        "workers": "How many films to work on at once. By default as many as cores and memory allow.",
        "soundmaps": "Where sound maps are kept, if you gave a place before.",
        "ray": "Work on a Ray cluster: its address, 'auto' or 'local'.",
    },
    to="batch",
)
@json_option
@verbosity
def retry(out: str, overwrite: bool, fail_fast: bool, batch: BatchOptions, as_json: bool, quiet: bool) -> int:
    """Try failed films again, with the same options."""
    from ..library.intake import Library

    with Library.open(out, batch, create=False) as library:
        library.retake(overwrite=overwrite)
        return _work(library, fail_fast, as_json, quiet)


def _work(library: Library, fail_fast: bool, as_json: bool, quiet: bool) -> int:
    if library.options.ray is None:
        from ..library.pool import work
    else:
        from ..library.cluster import work

    counts = library.manifest.count(library.run)
    with _ProgressBars(quiet, counts["waiting"] + counts["running"]) as progress:
        try:
            counts = work(library, progress, fail_fast)
        finally:
            library.report()
    if as_json:
        click.echo(json.dumps({"films": counts, "report": library.out.name("report.jsonl")}))
    elif not quiet:
        words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        click.echo(printable(f"{words or 'nothing to make'}; see {library.out.name('report.html')}"))
    return 1 if counts["failed"] else 0


def _found(synced: Synced) -> str:
    words = (
        (synced.new, "new"),
        (synced.changed, "changed, to be made again"),
        (synced.lost, "whose results are gone or damaged, to be made again"),
        (synced.same, "known"),
    )
    return "films: " + "; ".join(f"{count} {what}" for count, what in words if count)


class _ProgressBars:
    """On a terminal, one bar for the batch and one per film in progress; elsewhere, only failures are printed."""

    def __init__(self, quiet: bool, films: int) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._films = films
        self._whole: Any = None
        self._bars: dict[str, tuple[Any, int]] = {}
        """Each film's bar and the line it is on, counted from the batch's own at 0."""

    def __enter__(self) -> _ProgressBars:
        if self._shown:
            from tqdm import tqdm

            shape = "{n_fmt}/{total_fmt} films |{bar}| {elapsed}, {remaining} left"
            self._whole = tqdm(total=self._films, position=0, bar_format=shape, file=sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        for bar, _line in self._bars.values():
            bar.close()
        if self._whole is not None:
            self._whole.close()

    def __call__(self, film: str, stage: str, done: float, total: float, failure: str | None = None) -> None:
        if stage == "failed":
            # Not a warning: -q does not hide it.
            say(f"pano-sound: error: {printable(with_flags(failure or film))}")
        if not self._shown:
            return
        from tqdm import tqdm

        if total == 0.0:
            if film in self._bars:
                self._bars.pop(film)[0].close()
            self._whole.update(stage not in ("begin", "again", "lost", "broken"))
            return
        if film not in self._bars:
            taken = {line for _, line in self._bars.values()}
            line = next(i for i in itertools.count(1) if i not in taken)
            shape = "{desc} {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s"
            new = tqdm(total=total, position=line, bar_format=shape, file=sys.stderr, leave=False)
            self._bars[film] = new, line
        bar, _ = self._bars[film]
        bar.total, bar.n = total, min(done, total)
        bar.set_description_str(f"{printable(film)[-30:]:30} {stage:7}", refresh=False)
        bar.refresh()
