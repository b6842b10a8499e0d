"""A batch that is killed at any instant and resumed makes the same files as one that is not."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import time

import made
import psutil
import pytest
from batches import Batch, states
from waiting import PATIENCE, wait_until


def killed_and_continued(batch: Batch, library, rng: random.Random, kills: int, longest: float) -> None:
    """Runs a batch into 'out', killing it, its workers, or all of them, `kills` times; then lets it end."""
    for i in range(kills):
        work = batch.start(library, "-o", "out", "--workers", "2")
        time.sleep(rng.uniform(0.2, longest))
        if work.poll() is None:
            workers = psutil.Process(work.pid).children(recursive=True)
            victims = [work.pid] if i % 3 else [w.pid for w in workers[:1]]
            victims += [w.pid for w in workers] if i % 3 == 2 else []
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if i % 3 == 0:
                time.sleep(rng.uniform(0, 1))
                work.kill()
        _, said = work.communicate(timeout=PATIENCE)
        assert "Traceback" not in said
        assert "please report it" not in said
    batch(library, "-o", "out", "--workers", "2")


def check(batch: Batch, expected: dict[str, str], wanted: dict[str, str]) -> None:
    out = batch.folder / "out"
    assert states(out) == expected
    assert made.hashes(out) == wanted
    left = [p for p in out.rglob("*") if "partial" in p.name]
    assert left == []
    assert os.listdir(out / ".pano-sound" / "work") == []
    assert os.listdir(out / ".pano-sound" / "alive") == []
    with sqlite3.connect(out / ".pano-sound" / "manifest.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT COUNT(*) FROM wanted").fetchone() == (0,)
        assert db.execute("SELECT COUNT(*) FROM films WHERE claim IS NOT NULL").fetchone() == (0,)


@pytest.mark.slow
def test_a_batch_killed_at_work_is_completed(small, finished, batch, tmp_path):
    work = batch.start(small[0], "-o", "out", "--workers", "1", start_new_session=True)
    wait_until(lambda: list(tmp_path.glob("out/.pano-sound/work/*")), work)
    os.killpg(work.pid, signal.SIGKILL)
    work.communicate(timeout=PATIENCE)
    batch(small[0], "-o", "out", "--workers", "2")
    check(batch, small[1], made.hashes(finished[0] / "out"))


@pytest.mark.slow
def test_ctrl_c_gives_everything_back(small, batch, tmp_path):
    """In a terminal, Ctrl-C reaches all processes of the batch."""
    work = batch.start(small[0], "-o", "out", "--workers", "2", start_new_session=True)
    wait_until(lambda: list(tmp_path.glob("out/.pano-sound/work/*")), work)
    os.killpg(work.pid, signal.SIGINT)
    _, said = work.communicate(timeout=PATIENCE)
    assert work.returncode == 130
    assert said.endswith("pano-sound: interrupted\n")
    assert "Traceback" not in said
    assert "running" not in states(tmp_path / "out").values()
    assert os.listdir(tmp_path / "out" / ".pano-sound" / "work") == []


@pytest.mark.slow
def test_ctrl_c_while_the_workers_are_being_started(small, batch, tmp_path):
    """The fork server has not imported anything yet."""
    work = batch.start(small[0], "-o", "out", "--workers", "2", start_new_session=True)
    wait_until(lambda: len(psutil.Process(work.pid).children()) >= 2, work)
    os.killpg(work.pid, signal.SIGINT)
    _, said = work.communicate(timeout=PATIENCE)
    assert (work.returncode, said.strip()) == (130, "pano-sound: interrupted")


@pytest.mark.slow
def test_a_large_library_ends_in_its_states(large):
    """100 files, good and bad: each is taken once, and ends as it must."""
    batch, _, expected = large
    out = batch.folder / "out"
    assert states(out) == expected
    assert all(row["attempts"] == (row["state"] != "duplicate") for row in rows(batch))
    videos = {name for name in made.hashes(out) if name.endswith(".mp4")}
    assert videos == {name for name, state in expected.items() if state == "done"}


@pytest.mark.slow
def test_a_large_batch_killed_six_times_is_completed(batch, tiny, tmp_path):
    library = tmp_path / "DCIM"
    expected = made.make_library(library, 40)
    clean = Batch(tmp_path / "clean", tiny)
    clean.folder.mkdir()
    began = time.monotonic()
    clean.alone(library, "-o", "out", "--workers", "2")
    whole = time.monotonic() - began
    killed_and_continued(batch, library, random.Random(2), 6, whole / 4)
    check(batch, expected, made.hashes(clean.folder / "out"))
    # What was finished was never made again: at most the two films being made are lost with each kill.
    assert sum(row["attempts"] - (row["state"] != "duplicate") for row in rows(batch)) <= 2 * 12


def rows(batch: Batch) -> list[dict]:
    text = (batch.folder / "out" / "report.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
