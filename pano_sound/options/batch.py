"""How to work through a whole library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from .base import Option, Options
from .values import check_name_rule


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Options):
    """How to work through a whole library."""

    heading: ClassVar[str] = "Batch"

    name: Annotated[
        str,
        Option(
            "What to call the results: {folder} is the film's folder below FOLDER, {stem} its name without the "
            "extension. The extension decides the format.",
            metavar="RULE",
        ),
    ] = "{folder}/{stem}.mp4"
    reports: Annotated[
        bool,
        Option(
            "Also write a page for each film, NAME.report.html, that plays the videos beside the analysis. Finished "
            "films that have none are rendered again."
        ),
    ] = False
    workers: Annotated[
        int | None,
        Option(
            "How many films to work on at once, one core each. By default as many as cores and memory allow.",
            minimum=1,
            maximum=1024,
        ),
    ] = None
    limit: Annotated[int | None, Option("Stop after this many films.", minimum=1)] = None
    soundmaps: Annotated[
        str | None,
        Option(
            "Folder or URL in which to keep sound maps, so that no film is analysed twice. By default your cache "
            "folder or, if OUT is a URL, a folder in it.",
            metavar="FOLDER",
        ),
    ] = None
    manifest: Annotated[
        str | None,
        Option(
            "File that records what has been made, on a local disk. By default in OUT or, if OUT is a URL, in your "
            "state folder.",
            advanced=True,
            metavar="FILE",
        ),
    ] = None
    ray: Annotated[
        str | None,
        Option(
            "Work on a Ray cluster: its address, 'auto' for the one this machine belongs to, or 'local' to start one "
            "on this machine. Every machine must reach films, results and --soundmaps under the same names.",
            advanced=True,
            metavar="ADDRESS",
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name_rule(self.name)
