from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import films
import made
import pytest

CLI = Path(__file__).parents[2] / "cli.py"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """Weights of a model of a few thousand parameters."""
    import torch

    from pano_sound.localize.network import TINY, Localizer
    from pano_sound.localize.weights import save

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save(Localizer(**TINY), path, {"name": "tiny", "version": "0"})
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A library of 20 files, and the state that each film must have at last."""
    folder = tmp_path_factory.mktemp("library") / "DCIM"
    return folder, made.make_library(folder, 20)


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
        out, err = work.communicate(timeout=1800)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(words, work.returncode, out, err)


@pytest.fixture
def batch(tmp_path, tiny) -> Batch:
    return Batch(tmp_path, tiny)


@pytest.fixture(scope="session")
def large(tmp_path_factory, tiny) -> tuple[Batch, Path, dict[str, str]]:
    """A library of 320 files made by one machine: its batch, its folder, and the state of each film."""
    folder = tmp_path_factory.mktemp("large")
    expected = made.make_library(folder / "DCIM", 320)
    batch = Batch(folder, tiny)
    done = batch("DCIM", "-o", "out", "--workers", "2")
    assert done.returncode == 1
    return batch, folder / "DCIM", expected


@pytest.fixture(scope="session")
def long_library(tmp_path_factory) -> Path:
    """A folder with a film of more than two segments, and a short one."""
    from pano_sound.media.segments import SECONDS

    folder = tmp_path_factory.mktemp("long") / "DCIM"
    folder.mkdir()
    count = round(2.2 * SECONDS * 4)
    films.make_film(folder / "long.mp4", films.steady(count, 4), size=(128, 64), sound=films.tone(count / 4))
    films.make_film(folder / "short.mp4", films.steady(20, 4), size=(128, 64), sound=films.tone(5.0))
    return folder


def states(out: Path) -> dict[str, str]:
    """The state of each film, as report.jsonl says."""
    lines = (out / "report.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["output"]: row["state"] for row in map(json.loads, lines)}
