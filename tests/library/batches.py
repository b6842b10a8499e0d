"""`pano-sound batch` as a user runs it, and what it says that it has done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from waiting import PATIENCE

CLI = Path(__file__).parents[2] / "cli.py"


@dataclass
class Batch:
    """`pano-sound batch` as a user runs it, in a process of its own, with a cache of its own."""

    folder: Path
    tiny: Path

    def start(self, *words: object, **more: object) -> subprocess.Popen[str]:
        sub = words[0] in ("status", "retry")
        model = [] if sub else ["--model", str(self.tiny), "--every", "0.2"]
        line = [sys.executable, str(CLI), "batch", *map(str, words), *model]
        env = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        # As from a terminal: what runs in the background of a script is made to ignore Ctrl-C.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(line, cwd=self.folder, env=env, text=True, **how)
        finally:
            signal.signal(signal.SIGINT, before)

    def __call__(self, *words: object) -> subprocess.CompletedProcess[str]:
        work = self.start(*words)
        out, err = work.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(words, work.returncode, out, err)


def states(out: Path) -> dict[str, str]:
    """The state of each film, as report.jsonl says."""
    lines = (out / "report.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["output"]: row["state"] for row in map(json.loads, lines)}
