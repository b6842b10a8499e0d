"""Output files: what would be wrong with one, said before any work; and files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from .errors import OutputError

FilePath = str | os.PathLike[str]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO)
_partials: set[Path] = set()


def check_file(path: FilePath, source: FilePath | Sequence[FilePath] | None = None, overwrite: bool = False) -> None:
    """Say now what would be wrong with an output file.

    Args:
        source: an input, or several, that must not be the same file, also not through links.
        overwrite: whether `path` may exist.

    Raises:
        OutputError: missing or read-only folder; `path` is a folder, a device, the input, or exists.
    """
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
    for one in [source] if isinstance(source, (str, os.PathLike)) else source or ():
        with contextlib.suppress(OSError):
            if os.path.samefile(name, one):
                raise OutputError("is the input itself", name, "give another output name")
    if os.path.exists(name) and not os.path.isfile(name):
        raise OutputError("is not a regular file", name)
    if not overwrite:
        raise OutputError("exists already", name, "use -y to replace it")


def check_folder(path: FilePath) -> None:
    """Make a folder to work in, if there is none yet. Raises OutputError when that cannot be, or it is read-only."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder cannot be made: {error.strerror or error}", path) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError("the folder cannot be written to", path)


def partial_name(path: FilePath, tag: str = "") -> Path:
    """A hidden name beside `path`, with its extension, for what is not complete yet; never too long.

    It is the caller's to rename or to remove; should that be interrupted, `remove_partials` does it.
    """
    at = Path(path)
    # Shortened, because names must not be longer than file systems allow.
    partial = at.with_name(f".{at.name[:40]}.partial-{os.getpid()}{tag}{at.suffix[:20]}")
    _partials.add(partial)
    return partial


def remove_partial(partial: FilePath) -> None:
    """Remove a file under a partial name, if it is there still."""
    with contextlib.suppress(OSError):
        os.remove(partial)
    _partials.discard(Path(partial))


def remove_partials() -> None:
    """Remove what an interruption at an unlucky moment left of files that were never completed."""
    for partial in list(_partials):
        remove_partial(partial)


def put_in_place(partial: FilePath, path: FilePath) -> None:
    """Give a complete file its final name, once the disk has all of it: not even a power cut leaves a half one."""
    with open(partial, "rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # Some file systems have no such thing.
                raise
    os.replace(partial, path)
    _partials.discard(Path(partial))


def output_error(error: BaseException, path: FilePath) -> OutputError:
    """What went wrong while `path` was written, from an error of the system or of FFmpeg."""
    number = getattr(error, "errno", None)
    if number in NO_ROOM:
        return OutputError("there is no room left on the disk", path, "nothing was written")
    if number == errno.EFBIG:
        return OutputError(
            "the disk's file system takes no file so large", path, "as FAT32 above 4 GB; nothing was written"
        )
    if number in _GONE:
        return OutputError("its folder has vanished", path, "was it removed, or the disk unplugged?")
    if number == errno.EROFS:
        return OutputError("the disk is read-only", path)
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return OutputError(f"cannot be written: {reason}", path)


@contextlib.contextmanager
def written_whole(path: FilePath, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file to write into, beside its final name, which it gets when the block ends well; else it is removed.

    Raises:
        OutputError: it cannot be written.
    """
    partial = partial_name(path)
    try:
        with open(partial, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        put_in_place(partial, path)
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        remove_partial(partial)
