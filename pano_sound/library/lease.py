"""The manifest of results in an object store: used by one machine at a time, with a copy beside the results.

SQLite does not work in an object store. So the manifest is a local file, and copies of it are put into the store. If
the machine is lost, films finished since the last copy are made again, to the same bytes. A lease in the store tells
which machine is at work. It is timed by the store's clock, and free for others when that machine has ended, or has not
renewed it for a while.
"""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ..atomic_file import new_partial, output_error, put_in_place, remove_partial
from ..errors import OutputError, PanoSoundError
from .manifest import Manifest
from .storage import HIDDEN, Bucket, Stamp

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
        self._next = self._next_copy = 0.0
        self._fetched: Stamp | None = (-1, "")  # Of the copy that was last downloaded.

    @cached_property
    def _me(self) -> str:
        """This machine's name, which is kept beside the manifest."""
        mine = self._path.with_suffix(".holder")
        with contextlib.suppress(FileExistsError):
            mine.parent.mkdir(parents=True, exist_ok=True)
            with open(mine, "x", encoding="utf-8") as file:
                file.write(uuid.uuid4().hex)
        return mine.read_text(encoding="utf-8")

    def fetch(self) -> None:
        """Download the store's copy, unless this machine's is as new or newer. Raises OutputError, DataFileError."""
        while not self._is_newest() and (found := self._out.stamp(_COPY)) != self._fetched:
            self._download()
            self._fetched = found

    def _download(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = new_partial(self._path)
        try:
            partial.write_bytes(self._out.read(_COPY))
            if self._is_newest():  # Another run on this machine may have begun in the meantime.
                return
            left = [file for ending in ("-wal", "-shm") if (file := Path(f"{self._path}{ending}")).exists()]
            if self._path.exists():
                # Others may have it open, so it stays the same file. One that is no manifest is left alone.
                Manifest(self._path, create=False).close()
                with Manifest(partial, create=False) as copy:
                    copy.copy_to(self._path)
            else:
                for file in left:  # Seen before: those of a manifest that another command has just put there are kept.
                    file.unlink(missing_ok=True)
                with contextlib.suppress(OutputError):  # Another command was faster.
                    put_in_place(partial, self._path)
        except OSError as error:
            raise output_error(error, self._path) from error
        finally:
            remove_partial(partial)

    def _is_newest(self) -> bool:
        """Whether the store has no copy, or an older one: this machine's own, or one that it had before it took the
        lease. Runs on this machine may have the manifest open then."""
        holder = self._read(_HOLDER)
        return not holder or (self._path.exists() and self._me in (holder.get("id"), self._read(_LEASE).get("id")))

    def take(self) -> None:
        """Take the lease. Raises PanoSoundError if another machine has it."""
        self.fetch()  # Again, because another machine may have worked since.
        lease = self._read(_LEASE)
        if lease and lease["id"] != self._me and self._age() < EXPIRES_AFTER:
            hint = f"wait for it; if it has crashed, wait {EXPIRES_AFTER / 60:g} minutes"
            raise PanoSoundError(f"another machine is at work here: {lease['host']}", self._out.root, hint)
        self._write_lease()
        if lease and lease["id"] != self._me:
            time.sleep(1)  # If another machine wrote at the same time, the later one has the lease.
        self.check()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Renew the lease while the block works, however long. Raises, at its end, as `check`."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(RENEWED_EVERY):
                with contextlib.suppress(PanoSoundError):  # If the store fails: it is tried again.
                    self.check()
                    self._write_lease()

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        self.check()

    def renew(self, manifest: Manifest) -> None:
        """Renew the lease and update the store's copy, each if it is time.

        Raises OutputError; PanoSoundError if another machine has taken the lease.
        """
        began = time.monotonic()
        if began < self._next:
            return
        self.check()
        self._write_lease()
        if began >= self._next_copy:
            with self.held():
                self._upload(manifest)
            self._next_copy = time.monotonic() + _SHARE * (time.monotonic() - began)
        self._next = time.monotonic() + RENEWED_EVERY

    def end(self, manifest: Manifest) -> None:
        """Update the copy and give up the lease."""
        self.check()
        with self.held():
            self._upload(manifest)
        self._out.remove(_LEASE)

    def _upload(self, manifest: Manifest) -> None:
        with tempfile.TemporaryDirectory(dir=self._path.parent) as folder:
            copy = Path(folder) / "copy"
            manifest.copy_to(copy)
            self._out.put(copy, _COPY, overwrite=True)
        self._out.write(_HOLDER, self._name())

    def check(self) -> None:
        """Raises PanoSoundError if another machine has taken over, and may have ended since."""
        found = self._read(_LEASE) or self._read(_HOLDER)
        if found and found["id"] != self._me:
            raise PanoSoundError(f"another machine has taken over: {found.get('host', 'unknown')}", self._out.root)

    def _write_lease(self) -> None:
        self._out.write(_LEASE, self._name())

    def _name(self) -> bytes:
        return json.dumps({"id": self._me, "host": socket.gethostname()}).encode()

    def _age(self) -> float:
        """Seconds since the lease was renewed, by the store's own clock."""
        self._out.write(f"{HIDDEN}/check", b"pano-sound")
        return (self._out.changed(f"{HIDDEN}/check") - self._out.changed(_LEASE)).total_seconds()

    def _read(self, name: str) -> dict[str, str]:
        if self._out.stamp(name) is None:
            return {}
        found: dict[str, str] = json.loads(self._out.read(name))
        return found
