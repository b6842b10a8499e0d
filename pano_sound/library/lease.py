"""The manifest of results in an object store: used by one machine at a time, with a copy beside the results.

SQLite does not work in an object store. So the manifest is a local file, and copies of it are put into the store. If
the machine is lost, films finished since the last copy are made again, to the same bytes. A lease in the store tells
which machine is at work. It is timed by the store's clock, and free for others when that machine has ended, or has not
renewed it for a while.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import time
import uuid
from pathlib import Path

from ..errors import PanoSoundError
from .manifest import Manifest
from .storage import HIDDEN, Bucket

RENEWED_EVERY, EXPIRES_AFTER = 30.0, 180.0
_SHARE = 20.0
"""Copying the manifest takes at most 1/_SHARE of the time."""
_LEASE, _COPY, _HOLDER = f"{HIDDEN}/lease.json", f"{HIDDEN}/manifest.sqlite", f"{HIDDEN}/holder.json"


class ManifestLease:
    """The lease on results in a bucket, and the copy of their manifest there.

    Args:
        out: the store of results.
        manifest: the local file.
    """

    def __init__(self, out: Bucket, manifest: Path) -> None:
        self._out, self._path = out, manifest
        self._next = 0.0
        mine = manifest.with_suffix(".holder")
        with contextlib.suppress(FileExistsError):
            mine.parent.mkdir(parents=True, exist_ok=True)
            with open(mine, "x", encoding="utf-8") as file:
                file.write(uuid.uuid4().hex)
        self._me = mine.read_text(encoding="utf-8")

    def fetch(self) -> None:
        """Download the store's copy, unless it is this machine's own. Raises OutputError."""
        holder = self._read(_HOLDER)
        if not holder or (holder.get("id") == self._me and self._path.exists()):
            return
        with tempfile.NamedTemporaryFile(dir=self._path.parent, delete=False) as file:
            file.write(self._out.read(_COPY))
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{self._path}{ending}")
        os.replace(file.name, self._path)

    def take(self) -> None:
        """Take the lease. Raises PanoSoundError if another machine has it."""
        lease = self._read(_LEASE)
        if lease and lease["id"] != self._me and self._age() < EXPIRES_AFTER:
            hint = f"wait for it, or, if it is lost, for {EXPIRES_AFTER / 60:g} minutes"
            raise PanoSoundError(f"another machine is at work here: {lease['host']}", self._out.root, hint)
        self._write_lease()
        if lease and lease["id"] != self._me:
            time.sleep(1)  # If another machine wrote at the same time, the later one has the lease.
        self._check()

    def renew(self, manifest: Manifest) -> None:
        """Renew the lease and update the store's copy, if it is time.

        Raises OutputError; PanoSoundError if another machine has taken the lease.
        """
        if time.monotonic() < self._next:
            return
        began = time.monotonic()
        self._check()
        self._write_lease()
        self._upload(manifest)
        self._next = time.monotonic() + max(RENEWED_EVERY, _SHARE * (time.monotonic() - began))

    def end(self, manifest: Manifest) -> None:
        """Update the copy and give up the lease."""
        self._check()
        self._upload(manifest)
        self._out.remove(_LEASE)

    def _upload(self, manifest: Manifest) -> None:
        with tempfile.TemporaryDirectory(dir=self._path.parent) as folder:
            copy = Path(folder) / "copy"
            manifest.copy_to(copy)
            self._out.put(copy, _COPY, overwrite=True)
        self._out.write(_HOLDER, json.dumps({"id": self._me}).encode())

    def _check(self) -> None:
        lease = self._read(_LEASE)
        if lease and lease["id"] != self._me:
            raise PanoSoundError(f"another machine has taken over: {lease['host']}", self._out.root)

    def _write_lease(self) -> None:
        self._out.write(_LEASE, json.dumps({"id": self._me, "host": socket.gethostname()}).encode())

    def _age(self) -> float:
        """Seconds since the lease was renewed, by the store's own clock."""
        self._out.write(f"{HIDDEN}/check", b"pano-sound")
        return (self._out.changed(f"{HIDDEN}/check") - self._out.changed(_LEASE)).total_seconds()

    def _read(self, name: str) -> dict[str, str]:
        if self._out.stamp(name) is None:
            return {}
        found: dict[str, str] = json.loads(self._out.read(name))
        return found
