"""Output files: they appear complete or not at all, and replace nothing unasked."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from .errors import DiskError, OutputError

FilePath = str | os.PathLike[str]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO)
_LONGEST_HINT = 80
"""Bytes of a file's name that are shown in its partial name."""
_WORKED_IN = ".pano-sound-work"
"""A marker file in folders that `check_folder` made or was allowed to use."""
_NOREPLACE, _AT_FDCWD = 1, -100
_partials: set[Path] = set()


def check_files(outputs: Iterable[FilePath], inputs: Iterable[FilePath] = (), overwrite: bool = False) -> None:
    """Check, before any work, that files can be written.

    Args:
        outputs: files to be written.
        inputs: files that are read, and folders with everything in them. They are never replaced, not even through
            links or another spelling of their names. Remote URLs are ignored.
        overwrite: whether other existing files may be replaced.

    Raises:
        OutputError: an output is an input, a folder, a device, or the same file as another output; it exists; or its
            folder is missing or read-only.
    """
    seen: dict[object, FilePath] = {}
    inputs = [local for one in inputs if (local := local_path(one)) is not None]
    for output in outputs:
        check_file(output, inputs, overwrite)
        key = identity(output)
        if key in seen:
            raise OutputError(f"is the same file as {os.fspath(seen[key])}", output, "give another output name")
        seen[key] = output


def check_file(path: FilePath, inputs: Sequence[FilePath] = (), overwrite: bool = False) -> None:
    """`check_files` for one output."""
    written_here(path)
    name = os.fspath(path)
    if os.path.isdir(name):
        raise OutputError("is a folder", name, "give a file name")
    folder = os.path.dirname(name) or "."
    if not os.path.isdir(folder):
        raise OutputError("the folder does not exist", name, f"create {folder} first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("the folder cannot be written to", name)
    try:
        os.lstat(name)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError("the name is too long", name, "give a shorter one") from None
        return
    for one in inputs:
        if is_same_file(name, one):
            raise OutputError("is an input, which is never replaced", name, "give another output name")
        if os.path.isdir(one) and _within(one, [name]):
            raise OutputError(f"is a file of the input folder {os.fspath(one)}", name, "give another output name")
    if (os.path.exists(name) and not os.path.isfile(name)) or _is_stream(name):
        raise OutputError("is not a regular file", name)
    if not overwrite:
        raise OutputError("exists already", name, "`overwrite` replaces it")


def check_folder(path: FilePath, inputs: Iterable[FilePath] = (), overwrite: bool = False) -> None:
    """Make a work folder, unless it exists, and mark it as ours.

    Args:
        inputs: as for `check_files`.
        overwrite: whether it may hold files that are not ours. Inputs it may never hold.

    Raises:
        OutputError: it cannot be made, is read-only, or is not marked as ours and holds an input or other files.
    """
    mark = os.path.join(path, _WORKED_IN)
    if os.path.isdir(path) and not os.path.exists(mark) and os.listdir(path):
        read = [local for one in inputs if (local := local_path(one)) is not None]
        if held := _within(path, read):
            raise OutputError(f"the folder holds the input {os.fspath(held[0])}", path, "give another folder")
        if around := [one for one in read if is_same_file(one, path) or _is_below(path, one)]:
            raise OutputError(f"is the input folder {os.fspath(around[0])}, or in it", path, "give another folder")
        if not overwrite:
            hint = "give another folder; `overwrite` works in this one"
            raise OutputError("the folder holds other files", path, hint)
    try:
        os.makedirs(path, exist_ok=True)
        with open(mark, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise OutputError(f"cannot be used as a work folder: {error.strerror or error}", path) from error


def remove_unused(folders: Sequence[FilePath]) -> None:
    """Remove a work folder in which nothing was done, and other empty folders around it, the innermost first."""
    with contextlib.suppress(OSError):
        if os.listdir(folders[0]) == [_WORKED_IN]:
            os.remove(os.path.join(folders[0], _WORKED_IN))
        for folder in folders:
            os.rmdir(folder)


def is_same_file(one: FilePath, other: FilePath) -> bool:
    """Whether two names stand for the same existing file, also through links."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def new_partial(path: FilePath) -> Path:
    """Create an empty file beside `path`, under a hidden, unpredictable name, for output that is not complete yet.

    The caller puts it in place or removes it; after an interruption `remove_partials` removes it.

    Raises OSError.
    """
    at = Path(path)
    hint = os.fsencode(at.name)[:_LONGEST_HINT].decode("utf-8", "ignore")
    partial = at.with_name(f".{hint}.partial-{os.urandom(8).hex()}")
    _partials.add(partial)
    try:
        # Exclusive: an existing file or link of this name is never opened.
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError:
        _partials.discard(partial)
        raise
    return partial


def remove_partial(partial: FilePath) -> None:
    """Remove a partial file, if it still exists."""
    with contextlib.suppress(OSError):
        os.remove(partial)
    _partials.discard(Path(partial))


def remove_partials() -> None:
    """Remove partial files that an interruption has left."""
    for partial in list(_partials):
        remove_partial(partial)


def put_in_place(partial: FilePath, path: FilePath, overwrite: bool = False) -> None:
    """Sync a complete file and give it its final name: not even a power cut leaves a partial file.

    Args:
        overwrite: whether an existing file of that name may be replaced.

    Raises:
        OutputError: a file of that name has appeared since `check_file` and may not be replaced.
        OSError: the file system refuses.
    """
    with open(partial, "rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # Not supported by some file systems.
                raise
    if overwrite:
        os.replace(partial, path)
    else:
        try:
            _rename_to_new(os.fspath(partial), os.fspath(path))
        except FileExistsError:
            raise OutputError("has appeared in the meantime and was kept", path, "`overwrite` replaces it") from None
    _partials.discard(Path(partial))


def output_error(error: BaseException, path: FilePath | None) -> OutputError:
    """The OutputError for an error of the system or of FFmpeg while writing `path` (None: unknown)."""
    number = getattr(error, "errno", None)
    if number in NO_ROOM:
        return DiskError("there is no room left on the disk", path, "nothing was written")
    if number == errno.EFBIG:
        return OutputError(
            "the disk's file system cannot hold so large a file",
            path,
            "FAT32, for example, holds at most 4 GB; nothing was written",
        )
    if number in _GONE:
        return DiskError("its folder has vanished", path, "was it removed, or the disk unplugged?")
    if number == errno.EEXIST:
        return OutputError("a file is where its folder should be", path, "give another name")
    if number == errno.EROFS:
        return DiskError("the disk is read-only", path)
    if number == errno.EIO:
        return DiskError("the disk reports an error", path, "try another disk")
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return OutputError(f"cannot be written: {reason}", path)


@contextlib.contextmanager
def written_whole(path: FilePath, mode: str = "wb", overwrite: bool = True) -> Iterator[IO[Any]]:
    """A file for writing that gets its final name when the block ends without an error, and is removed otherwise.

    Raises:
        OutputError: it cannot be written, or exists and may not be replaced.
    """
    partial: Path | None = None
    try:
        partial = new_partial(path)
        with open(partial, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        put_in_place(partial, path, overwrite)
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        if partial is not None:
            remove_partial(partial)


def local_path(path: FilePath) -> FilePath | None:
    """The local path of an input, also of a file:// URL; None for an input on another machine."""
    name = os.fspath(path)
    if "://" not in name or os.path.lexists(name):
        return path
    scheme, _, rest = name.partition("://")
    return rest if scheme.lower() in ("file", "local") else None


def written_here(path: FilePath) -> FilePath:
    """The local path of an output. Raises OutputError for one on another machine."""
    local = local_path(path)
    if local is None:
        hint = "give a file name; 'batch' can write to s3:// and gs://"
        raise OutputError("is on another machine, and only a file on this one can be written", path, hint)
    return local


def identity(path: FilePath) -> object:
    """One value for all names of a file, which need not exist yet."""
    try:
        status = os.stat(path)
        return status.st_dev, status.st_ino
    except OSError:
        folder, base = os.path.split(os.path.realpath(path))
        # Some file systems ignore case, or how accents are composed.
        return folder, unicodedata.normalize("NFC", base).casefold()


def _within(folder: FilePath, names: Iterable[FilePath]) -> list[FilePath]:
    """Those of the files that are in a folder, under these names or others: also through links."""
    here, seen = set(), set()
    for at, below, files in os.walk(folder, followlinks=True):
        if identity(at) in seen:  # Links may be circular.
            below.clear()
            continue
        seen.add(identity(at))
        here |= {identity(os.path.join(at, file)) for file in files}
    return [name for name in names if identity(name) in here or _is_below(name, folder)]


def _is_below(name: FilePath, folder: FilePath) -> bool:
    parent = os.path.realpath(name)
    while parent != (parent := os.path.dirname(parent)):
        if is_same_file(parent, folder):
            return True
    return False


def _is_stream(name: str) -> bool:
    """Whether a name is a link to an open file, as /dev/stdout: putting a file in its place would remove the link."""
    return os.path.islink(name) and os.readlink(name).startswith("/proc/")


def _rename_to_new(source: str, target: str) -> None:
    """Rename a file to an unused name in one step. Raises FileExistsError if the name is taken."""
    if os.name == "nt":
        os.rename(source, target)  # On Windows rename does not replace.
    elif not renamed_by_kernel(source, target):
        try:
            os.link(source, target, follow_symlinks=False)
            os.remove(source)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.EROFS, errno.EXDEV):
                raise
            # A file system without links: the name is taken first, by an empty file.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            try:
                os.replace(source, target)
            except OSError:
                os.remove(target)
                raise


def renamed_by_kernel(source: str, target: str) -> bool:
    """Rename without replacing; False if the system or file system does not support it."""
    rename = _renameat2()
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _NOREPLACE) == 0:
        return True
    number = _errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), target)


@cache
def _renameat2() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    from ctypes import CDLL

    return getattr(CDLL(None, use_errno=True), "renameat2", None)


def _errno() -> int:
    from ctypes import get_errno

    return get_errno()
