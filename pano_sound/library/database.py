"""The manifest's database: an SQLite file whose errors are those of pano-sound.

Every change is one transaction, on disk when it ends. Several processes of one machine may use the file at once
(write-ahead log). This does not work on network drives: there, `alone` opens the file for one process, without shared
memory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..atomic_file import output_error
from ..errors import DataFileError, DiskError
from . import schema

_LEAST_ROOM = 100_000


class Database:
    """An open database. Use it only in the thread that opened it."""

    def __init__(self, path: Path, create: bool, alone: bool) -> None:
        """
        Args:
            create: create a missing file.
            alone: exclude all other processes.

        Raises:
            DataFileError: it is damaged, of another version, or exclusively opened by another process.
            OutputError: it cannot be written.
        """
        self._path = path
        with self._errors():
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
                if not os.path.lexists(path) and self._free() < _LEAST_ROOM:
                    raise DiskError("there is no room left on the disk", path)
                schema.create(path)
            self._db = sqlite3.connect(path, timeout=0.5 if alone else 120.0, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            if alone:
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            with self.change() as db:  # First, because the file may belong to another program.
                schema.update(db, path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        self._db.close()

    def copy_to(self, path: Path) -> None:
        """Copy it to another file."""
        with self._errors(), contextlib.closing(sqlite3.connect(path)) as other:
            self._db.backup(other)

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction. An exception undoes it."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back when the disk is full.
                    self._db.execute("ROLLBACK")
                raise

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._errors():
            return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, if any."""
        return next(iter(self.all(sql, *values)), None)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of SQLite into PanoSoundErrors."""
        try:
            yield
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise DataFileError("another batch is at work here", self._path, "wait for it, or stop it") from error
            # With memory-mapped files SQLite reports a full disk as a broken one.
            if "full" in str(error) or ("disk I/O" in str(error) and self._free() < _LEAST_ROOM):
                raise DiskError("there is no room left on the disk", self._path) from error
            if any(word in str(error) for word in ("readonly", "unable to open", "disk I/O")):
                read_only = "cannot be written: it or its folder is read-only"
                gone = "cannot be written; was its folder moved or removed?"
                raise DiskError(read_only if self._is_read_only() else gone, self._path) from error
            raise DataFileError(f"the manifest cannot be used: {error}", self._path) from error
        except UnicodeDecodeError as error:  # Of a damaged text, or of SQLite's own message about it.
            raise DataFileError("the manifest cannot be used: it holds text that is not UTF-8", self._path) from error
        except OSError as error:
            raise output_error(error, self._path) from error

    def _is_read_only(self) -> bool:
        return any(os.path.exists(path) and not os.access(path, os.W_OK) for path in (self._path.parent, self._path))

    def _free(self) -> int:
        """Bytes of free space on the file's disk; 0 if the disk is gone."""
        try:
            return shutil.disk_usage(self._path.parent).free
        except OSError:
            return 0
