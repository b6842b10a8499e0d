"""`pano-sound batch` as a user runs it, and what it reports."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest
from waiting import PATIENCE

from pano_sound.commands import main

CLI = Path(__file__).parents[2] / "cli.py"


@dataclass
class Batch:
    """`pano-sound batch` as a user runs it, with a cache of its own.

    Calling it runs it in this process: its workers are forked from a process that all runs of a test session share, so
    PyTorch is imported once. `start` and `alone` take a process, as a shell does.
    """

    folder: Path
    tiny: Path

    def start(self, *words: object, **more: object) -> subprocess.Popen[str]:
        line = [sys.executable, str(CLI), *self._line(words)]
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        # As from a terminal: what runs in the background of a script is made to ignore Ctrl-C.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(line, cwd=self.folder, env=os.environ | self._caches(), text=True, **how)
        finally:
            signal.signal(signal.SIGINT, before)

    def alone(self, *words: object) -> subprocess.CompletedProcess[str]:
        work = self.start(*words)
        out, err = work.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(words, work.returncode, out, err)

    def __call__(self, *words: object, stderr: TextIO | None = None) -> subprocess.CompletedProcess[str]:
        """`stderr`: where it writes, if not into the result."""
        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(stderr or err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["pano-sound", *self._line(words)])
            patch.setattr(sys, "unraisablehook", sys.unraisablehook)
            for name, value in self._caches().items():
                patch.setenv(name, value)
            try:
                with pytest.raises(SystemExit) as ended:
                    main()
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        assert "Traceback" not in err.getvalue(), err.getvalue()
        return subprocess.CompletedProcess(words, ended.value.code, out.getvalue(), err.getvalue())

    def _line(self, words: tuple[object, ...]) -> list[str]:
        model = (
            []
            if words[0] in ("status", "retry")
            else ["--model", str(self.tiny), "--every", "0.2", "--encoder-preset", "ultrafast"]
        )
        return ["batch", *map(str, words), *model]

    def _caches(self) -> dict[str, str]:
        return {"XDG_CACHE_HOME": str(self.folder / "cache"), "XDG_STATE_HOME": str(self.folder / "state")}


def states(out: Path) -> dict[str, str]:
    """The state of each film, as report.jsonl says."""
    lines = (out / "report.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["output"]: row["state"] for row in map(json.loads, lines)}
