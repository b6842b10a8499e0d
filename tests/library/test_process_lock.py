"""A process is alive for as long as it holds its lock, whoever asks at the same time."""

from __future__ import annotations

import os

import filelock

from pano_sound.library import process_lock
from pano_sound.library.process_lock import ProcessLock, is_alive


def test_a_process_is_alive_until_it_ends(tmp_path):
    lock = ProcessLock(tmp_path / "alive")
    assert is_alive(tmp_path / "alive", lock.name)
    assert is_alive(tmp_path / "alive", f"{lock.name}.7")
    lock.end()
    assert not is_alive(tmp_path / "alive", lock.name)
    assert list((tmp_path / "alive").iterdir()) == []


def test_asking_while_a_lock_is_taken_does_no_harm(tmp_path, monkeypatch):
    """Once it holds the lock at that moment, once it has just taken the file for a dead process's."""
    disturbances = ["asks", "removes"]

    class Disturbed(filelock.FileLock):
        def acquire(self, *args, **more):
            disturbance = disturbances.pop(0) if disturbances else None
            if disturbance == "asks":
                raise filelock.Timeout(self.lock_file)
            held = super().acquire(*args, **more)
            if disturbance == "removes":
                os.remove(self.lock_file)
            return held

    monkeypatch.setattr(process_lock.filelock, "FileLock", Disturbed)
    lock = ProcessLock(tmp_path / "alive")
    assert disturbances == []
    assert [p.stem for p in (tmp_path / "alive").iterdir()] == [lock.name]
    assert is_alive(tmp_path / "alive", lock.name)
    lock.end()
