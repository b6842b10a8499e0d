"""Whether and why an output file can, or could not, be written."""

from __future__ import annotations

import contextlib
import errno
import os

from pano_sound.errors import OutputError

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""FFmpeg's format for each extension that an output may have."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_output(
    path: str | os.PathLike[str], source_path: str | os.PathLike[str] | None = None, overwrite: bool = False
) -> None:
    """Say now what would be wrong with this output, before any work is done.

    Args:
        path: the file to be written; its extension (mp4, m4v, mov, mkv) decides its format.
        source_path: an input that must not be the same file, also not through links.
        overwrite: whether `path` may exist.

    Raises:
        OutputError: unknown extension, missing or read-only folder; `path` is a folder, the input, or exists.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise OutputError("is a folder", name, "give a file name such as out.mp4")
    extension = os.path.splitext(name)[1].lower()
    if extension not in MUXERS:
        what = f"cannot write '{extension}' files" if extension else "has no extension"
        raise OutputError(what, name, f"use one of {', '.join(MUXERS)}")
    folder = os.path.dirname(name) or "."
    if not os.path.isdir(folder):
        raise OutputError("the folder does not exist", name, f"create {folder} first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("the folder cannot be written to", name)
    if not os.path.lexists(name):
        return
    if source_path is not None:
        with contextlib.suppress(OSError):
            if os.path.samefile(name, source_path):
                raise OutputError("is the input itself", name, "give another output name")
    if os.path.exists(name) and not os.path.isfile(name):
        raise OutputError("is not a regular file", name)
    if not overwrite:
        raise OutputError("exists already", name, "use -y to replace it")


def output_error(error: BaseException, path: str) -> OutputError:
    """What went wrong while `path` was written, from an error of the system or of FFmpeg."""
    if getattr(error, "errno", None) in _NO_ROOM:
        return OutputError("there is no room left on the disk", path, "nothing was written")
    return OutputError(f"cannot be written: {getattr(error, 'strerror', None) or error}", path)
