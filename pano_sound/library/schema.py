"""The manifest's tables, and migrations from earlier versions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from ..atomic_file import new_partial, put_in_place, remove_partial
from ..errors import DataFileError, OutputError

VERSION = 2
_APPLICATION = 0x50616E6F  # 'Pano': SQLite's application id of manifests.

_TABLES = """
CREATE TABLE settings (key TEXT PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE contents (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE wanted (run TEXT NOT NULL, film INTEGER NOT NULL, PRIMARY KEY (run, film)) WITHOUT ROWID;
CREATE TABLE films (
    id INTEGER PRIMARY KEY,
    output TEXT NOT NULL UNIQUE,
    files TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    settings TEXT NOT NULL REFERENCES settings (key),
    state TEXT NOT NULL,
    same_as TEXT,
    claim TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    queued REAL NOT NULL,
    started REAL,
    finished REAL,
    error TEXT,
    exit_code INTEGER,
    warnings TEXT,
    made TEXT,
    stamp TEXT
);
CREATE INDEX by_state ON films (state, bytes);
CREATE TABLE thumbnails (film INTEGER PRIMARY KEY REFERENCES films (id) ON DELETE CASCADE, jpeg BLOB, curve TEXT);
CREATE TABLE own (name TEXT NOT NULL, sha256 TEXT NOT NULL, stamp TEXT, PRIMARY KEY (name, sha256)) WITHOUT ROWID
"""

# Migrations from each version to the next. The first version recorded only videos: its reports are recognised by name.
_UPDATES = {
    1: """
ALTER TABLE films RENAME COLUMN strikes TO tries;
ALTER TABLE looks RENAME TO thumbnails;
CREATE TABLE own (name TEXT NOT NULL, sha256 TEXT NOT NULL, stamp TEXT, PRIMARY KEY (name, sha256)) WITHOUT ROWID;
INSERT INTO own SELECT output, json_extract(made, '$.sha256'), stamp FROM films WHERE state='done';
INSERT INTO own VALUES ('report.html', '', NULL), ('report.jsonl', '', NULL)
"""
}


def create(path: Path) -> None:
    """Create an empty manifest atomically, unless one exists.

    Raises:
        OutputError: it cannot be written, or a file is in the way.
    """
    if os.path.lexists(path):
        return
    for ending in ("-wal", "-shm", "-journal"):
        if os.path.lexists(f"{path}{ending}"):
            raise OutputError("is in the way of the manifest", f"{path}{ending}", "remove it, or name another file")
    partial = new_partial(path)
    try:
        with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as db:
            db.execute("BEGIN")
            _run(db, _TABLES)
            _sign(db)
            db.execute("COMMIT")
        with contextlib.suppress(OutputError):  # Another run has created one in the meantime.
            put_in_place(partial, path)
    finally:
        remove_partial(partial)


def update(db: sqlite3.Connection, path: Path) -> None:
    """Migrate a manifest, within a transaction.

    Raises:
        DataFileError: it is not a manifest, or one of a later version.
    """
    application, version = _pragma(db, "application_id"), _pragma(db, "user_version")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if application != _APPLICATION and not (version == 1 and {"films", "wanted", "looks"} <= tables):
        raise DataFileError("is not the manifest of a batch", path, "name another file")
    if version > VERSION:
        raise DataFileError(f"the manifest is of version {version}, this one reads up to {VERSION}", path)
    for old in range(version, VERSION):
        _run(db, _UPDATES[old])
    if version < VERSION:
        _sign(db)


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";\n"):
        db.execute(statement)


def _sign(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA application_id={_APPLICATION}")
    db.execute(f"PRAGMA user_version={VERSION}")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
