"""What is read: one file or several in a row, whole or from one time to another."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

from ..errors import InputError, first_line
from .clock import Clock

_CHAPTER = re.compile(r"(G[HXSPL])(\d\d)(\d{4}\.\w+)", re.IGNORECASE)
_FIRST_CHAPTER = re.compile(r"(GOPR)(\d{4}\.\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Recording:
    """A separate recording of a film's sound, which is heard instead of the film's own.

    Attributes:
        path: its file; its main track is used.
        begin: the film's time, s, at which it begins; it may be below 0.
        drift: a second of it lasts this much longer than one of the film, s.
        until: the film's time, s, at which the film ends.
    """

    path: str
    begin: Fraction
    drift: float
    until: Fraction


@dataclass(frozen=True)
class Footage:
    """Which files are read, and which part of them.

    Attributes:
        paths: files or URLs, in their order.
        begins: added to each file's own times, s, so that it begins where the one before ends.
        joints: the film's times, s, at which files meet.
        clocks: each file's clock, if it is known and jumps.
        start: presentation time, s, at which reading begins, and which becomes 0; None: read all, with its own times.
        end: presentation time, s, at which reading ends; None: at the film's end.
        opening: whether the frame on the screen at `start` is read, too, with that time.
        video_track: counted from 1; None: the 360° one.
        audio_track: counted from 1; None: the main one.
        recording: what is heard instead of the files' own sound; None: that.
        max_pixels: larger pictures are not decoded.
        max_damage: share of the pictures, 0..1, that may be damaged.
    """

    paths: tuple[str, ...]
    begins: tuple[Fraction, ...] = (Fraction(0),)
    joints: tuple[Fraction, ...] = ()
    clocks: tuple[Clock | None, ...] = ()
    start: Fraction | None = None
    end: Fraction | None = None
    opening: bool = True
    video_track: int | None = None
    audio_track: int | None = None
    recording: Recording | None = None
    max_pixels: int = 150_000_000
    max_damage: float = 0.5

    def __fspath__(self) -> str:
        return self.paths[0]

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read: those of the film, and the recording."""
        return self.paths if self.recording is None else (*self.paths, self.recording.path)

    def extent(self, number: int) -> tuple[Fraction | None, Fraction | None]:
        """Presentation times (s) between which a file, counted from 0, is used; None: from its beginning, or to its
        end."""
        edges = [None, *(joint - self.origin for joint in self.joints), None]
        return edges[number], edges[number + 1]

    @property
    def origin(self) -> Fraction:
        """The film's time, s, at time 0 of what is read."""
        return self.start or Fraction(0)


def is_url(name: str) -> bool:
    """Whether a name is an address such as https://… or s3://…, and not a local file."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name) is not None and not os.path.exists(name)


def check_readable(name: str) -> None:
    """Raises InputError when a path is missing, a folder, a pipe or device, or empty."""
    if not name:
        raise InputError("the name of the input is empty")
    try:
        status = os.stat(name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise InputError("no such file", name) from None
        raise InputError(f"cannot be read: {error.strerror}", name) from None
    except ValueError:
        raise InputError("not a valid file name", name.replace("\0", "\\0")) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a folder", name, "give a video file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a regular file", name, "save the stream to a file first")
    if status.st_size == 0:
        raise InputError("the file is empty", name, "was the copy or the recording interrupted?")


def open_bytes(name: str) -> BinaryIO:
    """A file or URL for reading. Raises InputError."""
    if is_url(name):
        return RemoteFile(name)  # type: ignore[return-value]
    check_readable(name)
    try:
        return open(name, "rb")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", name) from None


def size_of(name: str) -> int:
    """Bytes of a file or URL. Raises InputError."""
    with open_bytes(name) as file:
        return file.seek(0, os.SEEK_END)


def following_chapters(name: str, exists: Callable[[str], bool] = os.path.isfile) -> list[str]:
    """The following chapters of a GoPro recording: GX010042.MP4 -> GX020042.MP4 …"""
    folder, base = os.path.split(name)
    match, first = _CHAPTER.fullmatch(base), _FIRST_CHAPTER.fullmatch(base)
    if match:
        prefix, number, rest = match[1], int(match[2]), match[3]
    elif first:
        prefix, number, rest = "GP", 0, first[2]
    else:
        return []
    found = []
    while number < 99:
        number += 1
        path = os.path.join(folder, f"{prefix}{number:02d}{rest}")
        if not exists(path):
            break
        found.append(path)
    return found


class RemoteFile:
    """A file behind a URL, through fsspec. Errors become InputErrors."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            import fsspec
        except ImportError:
            raise InputError("URLs need fsspec", url, "pip install 'pano-sound[cloud]'") from None
        try:
            self._file: Any = fsspec.open(url, "rb").open()
        except (ImportError, ValueError) as error:
            hint = "pip install 'pano-sound[cloud]', or download the file first"
            raise InputError(f"cannot be opened: {first_line(error)}", url, hint) from None
        except FileNotFoundError:
            raise InputError("no such file, or no connection", url) from None
        except Exception as error:  # Each file system has its own errors.
            raise InputError(f"cannot be opened: {first_line(error)}", url) from None
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.seek(0)
        except Exception:  # The end of the file cannot be reached, whatever the error.
            self.close()
            hint = "download the file first"
            raise InputError("the server sends the file only as a whole, from its beginning", url, hint) from None

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int = -1) -> bytes:
        return bytes(self._try(lambda: self._file.read(size)))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._try(lambda: self._file.seek(offset, whence)))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._file.close()

    def _try(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except Exception as error:
            raise InputError(f"the connection failed: {first_line(error)}", self._url, "try again") from None
