"""Progress bars and closing messages on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..errors import printable
from .streams import say


class ProgressBar:
    """One progress bar per stage, in seconds of film, with its speed and the time left. Nothing is shown in a pipe or
    with -q."""

    def __init__(self, quiet: bool) -> None:
        self.shown = not quiet and sys.stderr.isatty()
        self.stage = ""
        self.bar: Any = None

    def __enter__(self) -> ProgressBar:
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
            shape = "{desc:8}{percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of film{postfix}, {remaining} left"
            self.bar = tqdm(total=max(total, 1e-3), desc=stage, bar_format=shape, file=sys.stderr, leave=True)
            self.stage = stage
        elapsed = self.bar.format_dict["elapsed"]
        if elapsed > 0:
            self.bar.set_postfix_str(f"{done / elapsed:.1f}x real time", refresh=False)
        self.bar.update(done - self.bar.n)


def summarise(words: str, quiet: bool) -> None:
    """On a terminal, say in one line what was made."""
    if not quiet and sys.stderr.isatty():
        say(printable(words))


def wrote(output: Path, quiet: bool) -> None:
    """On a terminal, say which file is complete."""
    if not quiet and sys.stderr.isatty():
        say(f"wrote {printable(str(output))}")
