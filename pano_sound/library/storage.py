"""Where results go: a folder, or an object store behind fsspec. Files appear there complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import posixpath
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from ..atomic_file import local_path, new_partial, output_error, put_in_place, remove_partial, written_whole
from ..errors import DiskError, OutputError, PanoSoundError, first_line
from ..media.footage import open_bytes

HIDDEN = ".pano-sound"
"""The folder beside the results for the library's own files."""
SEGMENTS = f"{HIDDEN}/segments"
"""Where segments of long films are kept until the films are complete."""
_BLOCK = 1 << 20

Stamp = tuple[int, str]
"""(bytes, mark). The mark changes whenever the content may have changed: the modification time in ns, or the store's
ETag."""


class Folder:
    """Results in a folder of a disk."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(root)
        self._identity = self._look()

    def name(self, name: str) -> str:
        """The full path of a result, whose own name is relative, with '/'."""
        return os.path.join(self.root, *name.split("/"))

    def create(self) -> None:
        """Create the folder if necessary. Raises OutputError, also if it cannot be written to."""
        try:
            os.makedirs(self.root, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError("is a file, or inside one, and not a folder", self.root) from error
        except OSError as error:
            raise output_error(error, self.root) from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise OutputError("the folder cannot be written to", self.root)
        self._identity = self._look()

    def check_there(self) -> None:
        """Raises DiskError if the folder is gone, or another one is in its place."""
        if self._identity is None or self._look() != self._identity:
            raise DiskError("the folder has vanished", self.root, "was it moved or removed, or the disk unplugged?")

    def _look(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.root)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of a result; None if it does not exist. A link to nothing takes the name, too."""
        try:
            status = os.stat(self.name(name))
        except OSError:
            return (0, "link") if os.path.lexists(self.name(name)) else None
        return status.st_size, str(status.st_mtime_ns)

    def present(self, names: Iterable[str]) -> dict[str, Stamp]:
        """The stamps of results that exist, by name."""
        return {name: stamp for name in names if (stamp := self.stamp(name)) is not None}

    def put(self, local: Path, name: str, overwrite: bool = False) -> Stamp:
        """Move a file to its final name, durably: a power cut does not undo it.

        Raises OutputError, also if the name is taken and `overwrite` is False.
        """
        target = self.name(name)
        self.check_there()
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _move(local, Path(target), overwrite)
            _to_disk(os.path.dirname(target))
        except OSError as error:
            raise output_error(error, target) from error
        stamp = self.stamp(name)
        if stamp is None:
            raise output_error(FileNotFoundError(errno.ENOENT, ""), target)
        return stamp

    def write(self, name: str, content: bytes) -> None:
        """Write a small file atomically. Raises OutputError."""
        target = Path(self.name(name))
        self.check_there()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(target) as file:
                file.write(content)
        except OSError as error:
            raise output_error(error, target) from error

    def remove(self, name: str) -> None:
        """Remove a file of our own. Raises OutputError."""
        try:
            os.remove(self.name(name))
        except OSError as error:
            raise output_error(error, self.name(name)) from error

    def clear(self, name: str) -> None:
        """Remove a folder and everything in it, if it exists."""
        shutil.rmtree(self.name(name), ignore_errors=True)

    def contents(self, name: str) -> Iterator[bytes]:
        """The contents of the small files in a folder."""
        for path in sorted(Path(self.name(name)).glob("*")):
            with contextlib.suppress(OSError):
                yield path.read_bytes()

    def free(self) -> int | None:
        """Free bytes; None if unknown."""
        at = self.root
        while not os.path.exists(at) and os.path.dirname(at) != at:
            at = os.path.dirname(at)
        return shutil.disk_usage(at).free


class Bucket:
    """Results in an object store (s3://…, gs://…), where an object exists only once it is complete."""

    def __init__(self, url: str) -> None:
        """Raises OutputError if it cannot be written to."""
        self.root = url.rstrip("/")
        try:
            import fsspec

            self._fs, self._path = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise OutputError(f"cannot be opened: {error}", url, "pip install 'pano-sound[cloud]'") from None
        if "http" in self._fs.protocol:
            raise OutputError("a web server cannot be written to", url, "use a folder, s3:// or gs://")
        # Without a cache, to see what other processes write.
        self._fs.use_listings_cache = False

    def name(self, name: str) -> str:
        return f"{self.root}/{name}"

    def canonical(self, url: str) -> str:
        """One text for all spellings of a URL of this store."""
        return str(self._fs._strip_protocol(url))

    def create(self) -> None:
        """Object stores have no folders."""

    def check_there(self) -> None:
        """Nothing to check: errors of an object store show when it is written to."""

    def stamp(self, name: str) -> Stamp | None:
        try:
            self._fs.invalidate_cache()
            return stamp_of(self._fs.info(f"{self._path}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(error, name) from error

    def present(self, names: Iterable[str]) -> dict[str, Stamp]:
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(self._path, detail=True)
        except Exception as error:
            raise self._failed(error, "") from error
        stamps = {path[len(self._path) + 1 :]: stamp_of(info) for path, info in found.items()}
        return {name: stamps[name] for name in names if name in stamps}

    def put(self, local: Path, name: str, overwrite: bool = False) -> Stamp:
        if not overwrite and self.stamp(name) is not None:
            raise OutputError("has appeared in the meantime and was kept", self.name(name))
        try:
            self._fs.put_file(str(local), f"{self._path}/{name}")
        except Exception as error:
            raise self._failed(error, name) from error
        local.unlink()
        stamp = self.stamp(name)
        if stamp is None:
            raise OutputError("is not there after it was written", self.name(name))
        return stamp

    def write(self, name: str, content: bytes) -> None:
        try:
            self._fs.pipe_file(f"{self._path}/{name}", content)
        except Exception as error:
            raise self._failed(error, name) from error

    def read(self, name: str) -> bytes:
        """A small object's content. Raises OutputError."""
        try:
            return bytes(self._fs.cat_file(f"{self._path}/{name}"))
        except Exception as error:
            raise self._failed(error, name) from error

    def remove(self, name: str) -> None:
        try:
            self._fs.rm_file(f"{self._path}/{name}")
        except Exception as error:
            raise self._failed(error, name) from error

    def clear(self, name: str) -> None:
        try:
            self._fs.rm(f"{self._path}/{name}", recursive=True)
        except FileNotFoundError:
            pass
        except Exception as error:
            raise self._failed(error, name) from error

    def contents(self, name: str) -> Iterator[bytes]:
        """The contents of the small objects below a name."""
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(f"{self._path}/{name}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(error, name) from error
        for path in found:
            yield self.read(path[len(self._path) + 1 :])

    def changed(self, name: str) -> datetime:
        """When an object was written, by the store's clock."""
        try:
            self._fs.invalidate_cache()
            found: datetime = self._fs.modified(f"{self._path}/{name}")
        except Exception as error:
            raise self._failed(error, name) from error
        return found

    def free(self) -> int | None:
        return None

    def _failed(self, error: Exception, name: str) -> OutputError:
        return OutputError(f"the store failed: {first_line(error)}", self.name(name), "try again")


Store = Folder | Bucket


def store(root: str | os.PathLike[str]) -> Store:
    """The store at a path or URL. Raises OutputError."""
    if not os.fspath(root):  # Not the current folder: the name may be that of a variable that is not set.
        raise OutputError("the name of the folder of results is empty")
    local = local_path(root)
    return Bucket(os.fspath(root)) if local is None else Folder(local)


def is_inside(name: str) -> bool:
    """Whether a result's name, relative and with '/', stays inside the folder of results and outside our hidden one."""
    parts = name.split("/")
    return (
        bool(name)
        and "\0" not in name
        and posixpath.normpath(name) == name
        and not name.startswith("/")
        and ".." not in parts
        and parts[0] not in (".", HIDDEN)
    )


def stamp_of(info: dict[str, Any]) -> Stamp:
    """The stamp of a file from fsspec's information: its ETag, or else its modification time."""
    mark = next(
        (info[k] for k in ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime") if k in info), ""
    )
    return int(info.get("size") or 0), str(mark)


def digest(path: str | os.PathLike[str], copy_to: Path | None = None) -> str:
    """SHA-256 of a file or URL, which is read once and can be copied at the same time. Raises InputError,
    OutputError."""
    found = hashlib.sha256()
    with open_bytes(os.fspath(path)) as file, contextlib.ExitStack() as stack:
        try:
            out = None if copy_to is None else stack.enter_context(open(copy_to, "wb"))
            for block in _blocks(file):
                found.update(block)
                if out is not None:
                    out.write(block)
        except PanoSoundError:
            raise
        except OSError as error:
            raise output_error(error, copy_to or path) from error
    return found.hexdigest()


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _move(source: Path, target: Path, overwrite: bool) -> None:
    """Rename a file durably; from another disk, through a copy beside the target."""
    try:
        put_in_place(source, target, overwrite)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        partial = new_partial(target)
        try:
            shutil.copyfile(source, partial)
            put_in_place(partial, target, overwrite)
        finally:
            remove_partial(partial)
        source.unlink()


def _to_disk(path: str | os.PathLike[str]) -> None:
    """Sync a file, or a folder's list of files, to the disk."""
    if os.path.isdir(path) and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        with contextlib.suppress(OSError):  # Some network drives cannot.
            os.fsync(handle)
    finally:
        os.close(handle)
