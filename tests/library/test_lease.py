"""The manifest of results in an object store, and machines that take over from each other."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import pytest
from waiting import wait_until

from pano_sound import atomic_file
from pano_sound.errors import DataFileError, OutputError, PanoSoundError
from pano_sound.library import intake, lease
from pano_sound.library.intake import Library
from pano_sound.library.lease import ManifestLease
from pano_sound.library.manifest import Manifest
from pano_sound.library.ownership import PENDING
from pano_sound.library.storage import SEGMENTS, Bucket, digest
from pano_sound.options.batch import BatchOptions
from pano_sound.options.steps import PanOptions


@pytest.fixture
def card(tmp_path) -> Path:
    folder = tmp_path / "card"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_text(name)  # Of equal size.
    return folder


class Machine:
    """A machine with a manifest of its own, which works on the same results as the others."""

    def __init__(self, folder: Path, card: Path, tiny: str) -> None:
        self.manifest, self._card, self._tiny = folder / "manifest.sqlite", card, tiny
        self.out = f"memory://{folder.parent.name}/out"

    def open(self, create: bool = True) -> Library:
        return Library.open(self.out, BatchOptions(manifest=str(self.manifest)), create=create)

    def take_in(self, library: Library) -> None:
        library.take_in([str(self._card)], [], PanOptions(model=self._tiny))


@pytest.fixture
def machines(tmp_path, card, tiny) -> tuple[Machine, Machine]:
    """The first has already worked here."""
    first, second = (Machine(tmp_path / name, card, tiny) for name in ("first", "second"))
    with first.open() as library:
        first.take_in(library)
    return first, second


def test_the_manifest_of_a_run_is_not_replaced_under_it(machines):
    _, machine = machines
    with machine.open() as library:
        machine.open(create=False).close()  # Such as 'batch status'.
        machine.take_in(library)
        with machine.open(create=False) as other:
            assert other.manifest.count()["waiting"] == 2
        with Manifest(machine.manifest, create=False) as as_worker:
            assert as_worker.count(library.run)["waiting"] == 2


def test_a_copy_that_arrives_after_a_run_has_begun_is_left(machines, monkeypatch):
    _, machine = machines
    with machine.open() as library:
        other = ManifestLease(Bucket(machine.out), machine.manifest)
        read = other._out.read

        def read_slowly(name):
            content = read(name)
            if name.endswith("manifest.sqlite"):
                machine.take_in(library)
            return content

        monkeypatch.setattr(other._out, "read", read_slowly)
        other.fetch()
        with Manifest(machine.manifest, create=False) as as_worker:
            assert as_worker.count(library.run)["waiting"] == 2


def test_two_first_commands_on_a_machine_share_the_manifest(machines, monkeypatch):
    """The second comes just before the first puts the manifest in place, where an older one was removed by hand."""
    _, machine = machines
    machine.manifest.parent.mkdir()
    Path(f"{machine.manifest}-wal").write_bytes(b"of the older one")
    rename, seconds = atomic_file._rename_to_new, []

    def renamed(partial, path):
        if Path(path) == machine.manifest:
            monkeypatch.undo()
            seconds.append(machine.open())
        rename(partial, path)

    monkeypatch.setattr(atomic_file, "_rename_to_new", renamed)
    with machine.open() as first, seconds[0] as second:
        machine.take_in(second)
        assert first.manifest.count(second.run)["waiting"] == 2


def test_what_another_machine_records_before_the_lease_is_taken_is_kept(machines, card):
    first, second = machines
    for number in range(100):  # So that the copy grows: without dates in the store, a change shows in the size.
        (card / f"{number}.mp4").write_text("0" * number)
    with second.open() as library:
        with first.open() as other:
            first.take_in(other)
            while row := other.manifest.claim(other.run, other.run):
                other.manifest.fail(row, "damaged", 1)
        second.take_in(library)
    with first.open() as library:
        assert library.manifest.count()["failed"] == 102


def test_a_machine_that_was_asleep_leaves_the_results_to_the_other(machines, monkeypatch, card):
    """Whether the other one is at work or has ended."""
    monkeypatch.setattr(lease, "EXPIRES_AFTER", -1.0)
    sleeper, other = machines
    in_progress = [f"{SEGMENTS}/a/0.mp4", f"{PENDING}/1.json"]
    (card / "c.mp4").write_text("c")
    with sleeper.open() as asleep:
        sleeper.take_in(asleep)
        while row := asleep.manifest.claim(asleep.run, asleep.run):
            asleep.manifest.fail(row, "damaged", 1)
        with other.open() as library:
            other.take_in(library)
            library.report()
            for name in in_progress:
                library.out.write(name, b"{}")
            for use in (asleep.report, asleep.keep):
                with pytest.raises(PanoSoundError, match="another machine has taken over: "):
                    use()
        for use in (asleep.report, asleep.keep):
            with pytest.raises(PanoSoundError, match="another machine has taken over: "):
                use()
    assert library.out.present(in_progress).keys() == set(in_progress)
    with other.open() as library:
        other.take_in(library)
        library.report()  # It is still the one that it wrote.


def test_the_lease_is_kept_while_films_are_read(machines, monkeypatch, card):
    """Films of equal size are read whole, which can take long."""
    machine, other = machines
    (card / "c.mp4").write_text("c.mp4")
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    reading = []

    def slowly(path):
        store = library._lease._out
        before = store.changed(".pano-sound/lease.json")
        wait_until(lambda: store.changed(".pano-sound/lease.json") > before)
        reading.append(path)
        return digest(path)

    monkeypatch.setattr(intake, "digest", slowly)
    with machine.open() as library:
        machine.take_in(library)
        with other.open() as refused, pytest.raises(PanoSoundError, match="another machine is at work here"):
            other.take_in(refused)
    assert reading


def test_a_lease_lasts_longer_than_a_slow_copy(machines, monkeypatch):
    machine, _ = machines
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    monkeypatch.setattr(lease, "_SHARE", 1e6)  # However long the second `keep` is delayed.
    copies = []

    def slowly(self, manifest):
        copies.append(self._out.changed(".pano-sound/lease.json"))
        wait_until(lambda: self._out.changed(".pano-sound/lease.json") > copies[-1])

    monkeypatch.setattr(ManifestLease, "_upload", slowly)
    with machine.open() as library:
        machine.take_in(library)
        library.keep()
        renewed = library._lease._out.changed(".pano-sound/lease.json")
        time.sleep(0.02)
        library.keep()  # It is not yet time for another copy.
        assert library._lease._out.changed(".pano-sound/lease.json") > renewed
        assert len(copies) == 1


def test_a_file_that_is_no_manifest_is_not_replaced_by_the_copy(machines):
    _, machine = machines
    machine.manifest.parent.mkdir()
    with contextlib.closing(sqlite3.connect(machine.manifest)) as db:
        db.execute("CREATE TABLE mine (a)")
    before = machine.manifest.read_bytes()
    with pytest.raises(DataFileError, match="manifest"):
        machine.open()
    assert machine.manifest.read_bytes() == before


def test_a_failed_download_leaves_nothing(machines, monkeypatch):
    def fail(self, name):
        raise OutputError("the store failed", name)

    _, machine = machines
    read = Bucket.read
    monkeypatch.setattr(Bucket, "read", lambda self, name: fail(self, name) if "sqlite" in name else read(self, name))
    with pytest.raises(OutputError, match="the store failed"):
        machine.open()
    assert [p for p in machine.manifest.parent.iterdir() if p.suffix != ".holder"] == []


def test_the_status_of_no_batch_names_the_url_and_leaves_nothing(tmp_path, card, tiny):
    machine = Machine(tmp_path / "first", card, tiny)
    with pytest.raises(DataFileError, match="there is no batch here") as error:
        machine.open(create=False)
    assert error.value.path == machine.out
    assert not machine.manifest.parent.exists()


def test_the_manifest_goes_from_machine_to_machine(machines, card):
    first, second = machines
    (card / "c.mp4").write_text("c")
    with second.open() as library:
        second.take_in(library)
    with first.open() as library:
        assert library.manifest.count()["waiting"] == 3
