"""Full disks and dying workers: the run stops with one line, and resumes when there is room again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from types import SimpleNamespace

import films
import pytest
from batches import states

from pano_sound.errors import DiskError, PanoSoundError
from pano_sound.library import pool, schema
from pano_sound.library.manifest import MAX_TRIES, Manifest
from pano_sound.library.pool import WorkerPool


@pytest.fixture
def card(tmp_path):
    folder = tmp_path / "card"
    folder.mkdir()
    for name, hz in (("a.mp4", 300), ("b.mp4", 400)):
        films.make_film(folder / name, size=(128, 64), sound=films.tone(0.4, hz=hz))
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root mounts")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk, leave=0):
    with open(disk / "filling", "wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
        file.truncate(max(0, file.tell() - leave))


@pytest.mark.parametrize("what", ["--manifest", pytest.param("--soundmaps", marks=pytest.mark.slow)])
def test_a_full_disk_stops_the_run_in_one_line(batch, card, small_disk, what):
    place = small_disk if what == "--soundmaps" else small_disk / "manifest.sqlite"
    if what == "--manifest":
        assert batch(card, "-o", "out", what, place, "--limit", "1").returncode == 0
        fill(small_disk)
    else:
        fill(small_disk)
    done = batch(card, "-o", "out", what, place)
    assert done.returncode == 5, done.stderr
    assert "there is no room left on the disk" in done.stderr
    assert done.stderr.count("\n") == 1
    (small_disk / "filling").unlink()
    assert batch(card, "-o", "out", what, place).returncode == 0
    assert states(batch.folder / "out") == {"a.mp4": "done", "b.mp4": "done"}


@pytest.mark.parametrize("leave", [0, 40_000, 60_000, 80_000])
def test_a_disk_that_is_too_full_for_a_manifest_is_left_as_it_was(batch, card, small_disk, leave):
    fill(small_disk, leave)
    done = batch(card, "-o", small_disk / "out")
    assert (done.returncode, done.stderr.count("\n")) == (5, 1), done.stderr
    assert "there is no room left on the disk" in done.stderr
    assert os.listdir(small_disk) == ["filling"]


def test_a_change_that_finds_no_room_is_rolled_back(small_disk):
    with Manifest(small_disk / "manifest.sqlite") as manifest:
        fill(small_disk)
        for _ in range(3):
            with pytest.raises(DiskError, match="no room left"):
                manifest.own("a.mp4", "x" * 2_000_000, None)
        (small_disk / "filling").unlink()
        manifest.own("a.mp4", "x", None)
        assert [file.sha256 for file in manifest.owned("a.mp4")] == ["x"]


@pytest.mark.parametrize(("what", "says"), [("folder", "it or its folder is read-only"), ("", "was its folder moved")])
def test_a_batch_that_may_only_be_read_is_told_from_one_that_is_gone(tmp_path, monkeypatch, what, says):
    """Root may write anywhere, so SQLite and the system are only said to refuse it."""
    at = tmp_path / "manifest.sqlite"
    Manifest(at).close()
    access = os.access
    shut = str(tmp_path) if what else ""
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != shut and access(path, mode))

    def refuse(*_):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(schema, "update", refuse)
    with pytest.raises(DiskError, match=says) as error:
        Manifest(at, create=False)
    assert error.value.path == str(at)


UNUSABLE = {
    "a file": ("--soundmaps", lambda at: at.write_text("mine"), lambda at: at, "is a file"),
    "in a file": ("--soundmaps", lambda at: at.write_text("mine"), lambda at: at / "maps", "is a file"),
    "shut": ("--soundmaps", lambda at: at.mkdir(), lambda at: at, "the folder cannot be written to"),
    "a manifest in a file": ("--manifest", lambda at: at.write_text("mine"), lambda at: at / "m.sqlite", "where its"),
    "a manifest's folder": ("--manifest", lambda at: at.mkdir(), lambda at: at, "is a folder"),
    "results in a file": ("-o", lambda at: at.write_text("mine"), lambda at: at / "out", "is a file"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_folder_that_cannot_be_used_stops_the_run_before_it_begins(batch, card, tmp_path, monkeypatch, what):
    option, spoil, place, says = UNUSABLE[what]
    spoil(tmp_path / "at")
    access = os.access
    if what == "shut":  # Root may write anywhere.
        monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path / "at") and access(path, mode))
    before = sorted(tmp_path.rglob("*"))
    done = batch(card, "-o", "out", option, place(tmp_path / "at"))
    assert (done.returncode, done.stderr.count("\n")) == (5, 1), done.stderr
    assert says in done.stderr
    assert str(tmp_path / "at") in done.stderr
    assert [p for p in sorted(tmp_path.rglob("*")) if "cache" not in p.parts] == before
    monkeypatch.undo()
    assert batch(card, "-o", "out", "--dry-run").returncode == 0


@pytest.mark.slow
def test_sound_maps_that_can_no_longer_be_kept_stop_the_run(batch, card, tmp_path):
    """A file is where the folder of one would be: no film is blamed for it."""
    assert batch(card, "-o", "out", "--soundmaps", "maps", "--limit", "1").returncode == 0
    for number in range(256):
        folder = tmp_path / "maps" / f"{number:02x}"
        if not folder.exists():
            folder.write_text("in the way")
    done = batch(card, "-o", "out", "--soundmaps", "maps")
    assert (done.returncode, done.stderr.count("\n")) == (5, 1), done.stderr
    assert "failed" not in states(batch.folder / "out").values()
    for file in (tmp_path / "maps").iterdir():
        if file.is_file():
            file.unlink()
    assert batch(card, "-o", "out", "--soundmaps", "maps").returncode == 0
    assert set(states(batch.folder / "out").values()) == {"done"}


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_workers_that_are_killed_at_once_end_the_run_and_fail_no_film(batch, card, monkeypatch):
    monkeypatch.setattr(pool, "run_worker", killed)
    done = batch(card, "-o", "out", "--workers", "2")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "worker processes die before they begin a film (signal 9)" in done.stderr
    assert set(states(batch.folder / "out").values()) == {"waiting"}
    monkeypatch.undo()
    assert batch(card, "-o", "out").returncode == 0


@pytest.mark.parametrize("named", [False, True])
def test_workers_that_die_before_they_claim_a_film_end_the_run(tmp_path, named):
    with Manifest(tmp_path / "manifest.sqlite") as manifest:
        library = SimpleNamespace(manifest=manifest, home=tmp_path, options=SimpleNamespace(workers=1))
        workers = WorkerPool(library, None, fail_fast=False)
        worker = SimpleNamespace(name="worker" if named else "")
        for _ in range(MAX_TRIES - 1):
            workers.reap(worker, -9)
        workers.reap(worker, 0)
        with pytest.raises(PanoSoundError, match=r"worker processes die before they begin a film \(signal 9\)"):
            workers.reap(worker, -9)


def test_a_worker_that_died_is_replaced_while_another_is_busy(tmp_path, monkeypatch):
    """One film is long, and one is waiting."""
    told = [("tell", "long.mp4", "begin", 0.0, 0.0), ("tell", "long.mp4", "render", 1.0, 9.0)]
    manifest = SimpleNamespace(release_dead=list, count=lambda run: {"waiting": 1 - len(started)})
    library = SimpleNamespace(
        manifest=manifest, run="run", keep=lambda: None, home=tmp_path, options=SimpleNamespace(workers=2)
    )
    workers = WorkerPool(library, lambda *_: None, fail_fast=False)
    busy = SimpleNamespace(busy=False, pipe=SimpleNamespace(recv=lambda: told.pop(0)))
    started = []
    monkeypatch.setattr(workers, "_start", lambda: started.append("another") or busy)
    monkeypatch.setattr(workers, "_listen", lambda: setattr(workers, "_stop", True))
    workers._workers.append(busy)
    while told:
        workers._take(busy)
    workers.work()
    assert started == ["another"]
