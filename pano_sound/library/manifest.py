"""The manifest: which films are to be made, are being made and have been made. One SQLite file beside the results.

A film's row goes through these states:

    waiting -> running -> done | skipped | failed           and  duplicate  from the start

It returns to `waiting` when its input or settings change, its result is gone, or its worker dies. A worker claims a row
by writing its own name into it (see `process_lock`).

The hash of a finished file is written into the row before the file gets its final name, so that the file is recognised
even if the power fails in between.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import DataFileError, PanoSoundError
from .database import Database
from .discover import File, Film, report_name, result_names
from .process_lock import is_alive
from .records import STATES, FilmRecord, OwnFile, RenderResult, file_hashes, read_curve, read_record, read_stamp
from .storage import HIDDEN, Stamp

T = TypeVar("T")
MAX_TRIES = 3
"""Attempts before a film that kills its worker, or fails on the network, counts as failed."""
_CLEAN = "claim=NULL, error=NULL, exit_code=NULL, warnings=NULL, made=NULL, stamp=NULL, finished=NULL"


@dataclass(frozen=True)
class Wanted:
    """A film that a run wants made, and the name of its result.

    same_as: the result of the film that it is a copy of; None: it is none.
    """

    output: str
    film: Film
    same_as: str | None = None

    @property
    def state(self) -> str:
        return "duplicate" if self.same_as else "waiting"


@dataclass(frozen=True)
class Synced:
    """What a run found: numbers of films that are new, changed (input or settings), lost (the result), or unchanged."""

    new: int = 0
    changed: int = 0
    lost: int = 0
    same: int = 0


class Manifest:
    """An open manifest. Use it only in the thread that opened it.

    Attributes:
        home: the folder of its runs' own files. A file named by `manifest` may be among a user's.
        locks: the folder of the process locks of those who use it.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, alone: bool = False) -> None:
        """
        Args:
            create: create a missing file; otherwise a missing file is an error.
            alone: exclude all other processes; for files on network drives.

        Raises:
            DataFileError: it is missing, damaged, of another version, or exclusively opened by another process.
            OutputError: it cannot be written.
        """
        self.path = Path(path)
        self.home = self.path.parent if self.path.parent.name == HIDDEN else self.path.parent / HIDDEN
        self.locks = self.home / "alive"
        if not create and not self.path.is_file():
            raise DataFileError("there is no batch here", self.path, "give the folder of the results, or `manifest`")
        self._db = Database(self.path, create, alone)

    def close(self) -> None:
        self._db.close()

    def is_there(self) -> bool:
        """Whether its file has not been removed since it was opened; see `remove_unused`."""
        with self._db.change():
            return self.path.exists()

    def remove_unused(self, run: str) -> None:
        """Remove its file, and the folder that it is alone in, if no film is in it and no run but this one is there.

        A run that starts at the same time takes its lock first, and then checks whether the file `is_there`.
        """
        with self._db.change():
            others = [
                lock for lock in self.locks.glob("*.lock") if lock.stem != run and is_alive(self.locks, lock.stem)
            ]
            if others or self.count_all():
                return
            for ending in ("-wal", "-shm", ""):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def contents(self, files: Iterable[File]) -> dict[str, str]:
        """Known SHA-256 of files that have not changed since they were read, by path."""
        found = {}
        for file in files:
            row = self._db.one("SELECT * FROM contents WHERE path=?", _text(file.path))
            if row is not None and file.stamp is not None and self._read(read_stamp, row["stamp"]) == file.stamp:
                found[file.path] = row["sha256"]
        return found

    def remember(self, contents: dict[File, str]) -> None:
        """Record the SHA-256 of files."""
        with self._db.change() as db:
            for file, sha256 in contents.items():
                values = (_text(file.path), json.dumps(file.stamp), sha256)
                db.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?)", values)

    def known(self, output: str) -> FilmRecord | None:
        """The row of a result."""
        return self._row("SELECT * FROM films WHERE output=?", output)

    def touch(self, row: FilmRecord, film: Film) -> None:
        """The film's files have another stamp, but the same content."""
        with self._db.change() as db:
            db.execute("UPDATE films SET files=? WHERE id=?", (_files(film), row.id))

    def sync(
        self,
        run: str,
        films: Sequence[Wanted],
        settings: dict[str, Any],
        key: str,
        checked: Mapping[int, tuple[Stamp, Stamp | None]],
    ) -> Synced:
        """Record which films a run wants, and queue those that have to be made.

        Args:
            settings: those to make them with; `key`: stable hash of the settings.
            checked: for finished rows, by id, the recorded stamp, and the present one or None if the result has to be
                made again.

        Raises:
            PanoSoundError: another live run wants one of them with other settings.
        """
        found: Counter[str] = Counter()
        others = [r["run"] for r in self._db.all("SELECT DISTINCT run FROM wanted") if r["run"] != run]
        dead = [other for other in others if not is_alive(self.locks, other)]
        with self._db.change() as db:
            db.executemany("DELETE FROM wanted WHERE run=?", [(other,) for other in dead])
            # What the key leaves out may be new: the names of weights and recording, and the device.
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(settings)))
            for one in films:
                row = self._row("SELECT * FROM films WHERE output=?", one.output)
                if row is None:
                    found["new"] += 1
                    columns = "output, files, bytes, settings, state, same_as, queued"
                    sql = f"INSERT INTO films ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"
                    values = (one.output, _files(one.film), one.film.size, key, one.state, one.same_as, time.time())
                    film_id = db.execute(sql, values).lastrowid
                else:
                    film_id = row.id
                    check = checked.get(row.id, (row.stamp, row.stamp))
                    found[_resync(db, run, row, one, key, check)] += 1
                db.execute("INSERT OR IGNORE INTO wanted VALUES (?, ?)", (run, film_id))
        return Synced(**found)

    def limit(self, run: str, count: int) -> None:
        """Limit a run to the first `count` of the films that it would make."""
        with self._db.change() as db:
            sql = (
                "DELETE FROM wanted WHERE run=? AND film IN (SELECT id FROM films JOIN wanted ON film=id "
                "WHERE run=? AND state='waiting' ORDER BY output LIMIT -1 OFFSET ?)"
            )
            db.execute(sql, (run, run, count))

    def want(self, run: str, state: str) -> int:
        """Queue all films of a state again for a run. Returns their number."""
        with self._db.change() as db:
            sql = "INSERT OR IGNORE INTO wanted SELECT ?, id FROM films WHERE state=?"
            count = db.execute(sql, (run, state)).rowcount
            sql = f"UPDATE films SET {_CLEAN}, same_as=NULL, state='waiting', tries=0, queued=? WHERE state=?"
            db.execute(sql, (time.time(), state))
        return count

    def drop_deleted(self) -> None:
        """Forget the films that failed and have been deleted since, unless a run wants them."""
        with self._db.change() as db:
            deleted = [(row.id,) for row in self.rows() if row.state == "failed" and row.is_deleted]
            db.executemany("DELETE FROM films WHERE id=? AND id NOT IN (SELECT film FROM wanted)", deleted)
            db.execute("DELETE FROM thumbnails WHERE film NOT IN (SELECT id FROM films)")

    def settings(self, key: str) -> dict[str, Any]:
        """The settings with that key."""
        row = self._db.one("SELECT json FROM settings WHERE key=?", key)
        found = self._read(json.loads, "null" if row is None else row["json"])
        if not isinstance(found, dict):
            raise self._damaged(f"there are no settings {key!r}")
        return found

    def claim(self, run: str, worker: str) -> FilmRecord | None:
        """Claim the run's largest waiting film; None if no film is waiting."""
        sql = (
            "UPDATE films SET state='running', claim=?, attempts=attempts+1, started=? WHERE id=("
            "SELECT id FROM films JOIN wanted ON film=id WHERE run=? AND state='waiting' "
            "ORDER BY bytes DESC, id LIMIT 1) RETURNING *"
        )
        with self._db.change() as db:
            row = db.execute(sql, (worker, time.time(), run)).fetchone()
        return None if row is None else self._record(row)

    def record_pending(self, row: FilmRecord, made: RenderResult) -> None:
        """Record a result before it gets its final name. Raises LostClaimError."""
        with self._db.change() as db:
            sql = "UPDATE films SET made=?, warnings=? WHERE id=? AND claim=?"
            values = (json.dumps(made.to_json()), json.dumps(made.warnings), row.id, row.claim)
            _must_change(db.execute(sql, values))
            sql = "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)"
            db.execute(sql, (row.id, made.jpeg, json.dumps(made.curve)))
            for name, sha256 in file_hashes(row.output, made.to_json()).items():
                db.execute("INSERT OR IGNORE INTO own VALUES (?, ?, NULL)", (name, sha256))

    def finish(self, row: FilmRecord, stamps: Mapping[str, Stamp]) -> None:
        """Record that the result is in place, with the stamps of its files by name. Raises LostClaimError."""
        with self._db.change() as db:
            _end(db, row, "state='done', stamp=?", json.dumps(stamps[row.output]))
            (made,) = db.execute("SELECT made FROM films WHERE id=?", (row.id,)).fetchone()
            for name, sha256 in file_hashes(row.output, json.loads(made)).items():
                _own(db, name, sha256, stamps[name])

    def owned(self, name: str) -> list[OwnFile]:
        """The files that this library may have written under a result's name: the last one, and its replacement."""
        rows = self._db.all("SELECT sha256, stamp FROM own WHERE name=?", name)
        stamps = [None if row["stamp"] is None else self._read(read_stamp, row["stamp"]) for row in rows]
        return [OwnFile(str(row["sha256"]), stamp) for row, stamp in zip(rows, stamps, strict=True)]

    def owned_files(self, output: str) -> dict[str, list[OwnFile]]:
        """The same for all files of a result, by name. A page that it has not got is not among them."""
        found = {name: self.owned(name) for name in result_names(output, True)}
        return {name: files for name, files in found.items() if files or name != report_name(output)}

    def own_names(self) -> set[str]:
        """The names of all results that this library wrote."""
        return {str(row["name"]) for row in self._db.all("SELECT DISTINCT name FROM own")}

    def own(self, name: str, sha256: str, stamp: Stamp | None) -> None:
        """Record a result as our own: with a stamp if it is in place, without one if it soon may be."""
        with self._db.change() as db:
            _own(db, name, sha256, stamp)

    def fail(self, row: FilmRecord, error: str, exit_code: int, state: str = "failed") -> None:
        """Record that a film cannot be made ('failed') or is not to be made ('skipped'). Raises LostClaimError."""
        with self._db.change() as db:
            _end(db, row, "state=?, error=?, exit_code=?, made=NULL", state, error, exit_code)

    def release(self, worker: str, error: str | None = None) -> int:
        """Release a worker's claims. With an error, which may be the film's fault, this counts as an attempt. Returns
        the number of films."""
        failed = 0
        with self._db.change() as db:
            if error is not None:
                db.execute("UPDATE films SET tries=tries+1 WHERE state='running' AND claim=?", (worker,))
                sql = (
                    "UPDATE films SET state='failed', claim=NULL, error=?, exit_code=1, finished=? "
                    "WHERE state='running' AND claim=? AND tries>=?"
                )
                failed = db.execute(sql, (error, time.time(), worker, MAX_TRIES)).rowcount
            sql = "UPDATE films SET state='waiting', claim=NULL WHERE state='running' AND claim=?"
            return failed + db.execute(sql, (worker,)).rowcount

    def release_dead(self) -> list[str]:
        """Release the claims of dead processes. Returns their names."""
        claims = [r["claim"] for r in self._db.all("SELECT DISTINCT claim FROM films WHERE state='running'")]
        dead = [claim for claim in claims if not is_alive(self.locks, claim)]
        for claim in dead:
            self.release(claim)
        return dead

    def forget(self, run: str) -> None:
        """Remove a run that has ended."""
        with self._db.change() as db:
            db.execute("DELETE FROM wanted WHERE run=?", (run,))

    def count(self, run: str | None = None) -> dict[str, int]:
        """The number of films in each state, of a run or in all."""
        join, values = ("", ()) if run is None else ("JOIN wanted ON film=id WHERE run=?", (run,))
        rows = self._db.all(f"SELECT state, COUNT(*) AS n FROM films {join} GROUP BY state", *values)
        counts = {row["state"]: int(row["n"]) for row in rows}
        return {state: counts.get(state, 0) for state in STATES}

    def count_all(self) -> int:
        """The number of films."""
        return sum(self.count().values())

    def rows(self, run: str | None = None) -> Iterator[FilmRecord]:
        """The films of a run, or all, ordered by the names of their results."""
        join, values = ("", ()) if run is None else ("JOIN wanted ON film=id WHERE run=?", (run,))
        for row in self._db.all(f"SELECT films.* FROM films {join} ORDER BY output", *values):
            yield self._record(row)

    def thumbnail(self, row: FilmRecord) -> tuple[bytes, list[list[float]]]:
        """A result's strip of pictures and its camera curve."""
        found = self._db.one("SELECT * FROM thumbnails WHERE film=?", row.id)
        if found is None:
            return b"", []
        jpeg = found["jpeg"]
        return jpeg if isinstance(jpeg, bytes) else b"", self._read(read_curve, found["curve"])

    def copy_to(self, path: Path) -> None:
        """Copy the manifest to another file."""
        self._db.copy_to(path)

    def _row(self, sql: str, *values: Any) -> FilmRecord | None:
        found = self._db.one(sql, *values)
        return None if found is None else self._record(found)

    def _record(self, row: sqlite3.Row) -> FilmRecord:
        return self._read(read_record, dict(row))

    def _read(self, read: Callable[[Any], T], value: Any) -> T:
        """A checked value of the manifest. Raises DataFileError."""
        try:
            return read(value)
        except (ValueError, TypeError, RecursionError) as error:
            which = f" of {value['output']!r}" if isinstance(value, dict) else ""
            raise self._damaged(f"the entry{which} cannot be read: {error}") from None

    def _damaged(self, what: str) -> DataFileError:
        return DataFileError(f"the manifest is damaged: {what}", self.path, "name another folder for the results")


class LostClaimError(Exception):
    """Another process has taken a worker's film."""


def _resync(
    db: sqlite3.Connection,
    run: str,
    row: FilmRecord,
    wanted: Wanted,
    key: str,
    check: tuple[Stamp | None, Stamp | None],
) -> str:
    """Queue a known film again if it has to be made again. Returns which count of Synced it belongs to."""
    film = wanted.film
    changed = row.files != film.files or row.settings != key or row.same_as != wanted.same_as
    before, now = check
    is_there = row.state != "done" or before != row.stamp or now is not None
    if not changed and is_there:
        if row.state == "done" and before == row.stamp:
            db.execute("UPDATE films SET stamp=? WHERE id=?", (json.dumps(now), row.id))
        return "same"
    if changed and db.execute("SELECT 1 FROM wanted WHERE film=? AND run<>?", (row.id, run)).fetchone():
        hint = "wait for it, or stop it"
        raise PanoSoundError("another run is making this film with other options", row.output, hint)
    sql = f"UPDATE films SET {_CLEAN}, files=?, bytes=?, settings=?, state=?, same_as=?, tries=0, queued=? WHERE id=?"
    db.execute(sql, (_files(film), film.size, key, wanted.state, wanted.same_as, time.time(), row.id))
    db.execute("DELETE FROM thumbnails WHERE film=?", (row.id,))
    return "changed" if changed else "lost"


def _must_change(cursor: sqlite3.Cursor) -> None:
    if not cursor.rowcount:
        raise LostClaimError


def _end(db: sqlite3.Connection, row: FilmRecord, what: str, *values: Any) -> None:
    sql = f"UPDATE films SET {what}, claim=NULL, finished=? WHERE id=? AND claim=?"
    _must_change(db.execute(sql, (*values, time.time(), row.id, row.claim)))


def _own(db: sqlite3.Connection, name: str, sha256: str, stamp: Stamp | None) -> None:
    if stamp is not None:
        db.execute("DELETE FROM own WHERE name=?", (name,))
    values = (name, sha256, None if stamp is None else json.dumps(stamp))
    db.execute("INSERT OR REPLACE INTO own VALUES (?, ?, ?)", values)


def _files(film: Film) -> str:
    """As JSON, which can hold names that are not valid Unicode."""
    return json.dumps([[file.path, file.stamp] for file in film.files])


def _text(path: str) -> str:
    return json.dumps(path)
