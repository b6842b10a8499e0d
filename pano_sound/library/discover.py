"""Finding films in folders, by patterns, in lists and in object stores; and naming their results."""

from __future__ import annotations

import fnmatch
import itertools
import logging
import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..constraints import read_text
from ..errors import InputError, first_line
from ..media.footage import following_chapters, is_url
from ..media.twins import of_which
from .storage import Stamp, is_inside, stamp_of

log = logging.getLogger("pano_sound")

ENDINGS = frozenset(
    [
        ".360",
        ".avi",
        ".flv",
        ".insv",
        ".ivf",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".osv",
        ".qoo",
        ".ts",
        ".webm",
        ".wmv",
        ".y4m",
    ]
)
"""Endings that are looked for in folders. Files that are named one by one may have any ending."""
_MAGIC = re.compile(r"[*?[]")
PATH_ENDING = ".path.json"
REPORT_ENDING = ".report.html"
_LONGEST = 200
"""Most bytes of a result's name, so that file systems accept it with all endings."""


@dataclass(frozen=True)
class File:
    """A file or URL, and the stamp by which a change is noticed. None: the file does not exist."""

    path: str
    stamp: Stamp | None


class HasFiles:
    """Something that consists of the files of one film."""

    files: tuple[File, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(file.path for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files that exist."""
        return sum(file.stamp[0] for file in self.files if file.stamp)


@dataclass(frozen=True)
class Film(HasFiles):
    """One film: its file, or its chapters in order. `folder`: its folder relative to the source, with '/'."""

    files: tuple[File, ...]
    folder: str = ""


def discover(sources: Sequence[str], listed: Iterable[str] = (), leave_out: str | None = None) -> list[Film]:
    """Find all films, each once, in the order of `sources` and `listed`, by name within a folder. Proxies beside their
    originals are left out.

    Args:
        sources: folders (searched recursively), files, patterns such as 'trip/**/*.mp4', or URLs of these.
        listed: files or URLs. A missing one becomes a film that fails later and does not stop the others.
        leave_out: the folder of the results, which is not searched unless a source is that folder or in it.

    Raises:
        InputError: one of `sources` does not exist or cannot be read, nothing matches a pattern, or there are no films.
    """
    found: dict[str, tuple[File, str]] = {}
    for source in sources:
        for file, folder in _remote(source) if is_url(source) else _local(source, leave_out):
            found.setdefault(file.path, (file, folder))
    for line in listed:
        file = _remote_file(line) if is_url(line) else _file(os.path.abspath(line))
        found.setdefault(file.path, (file, ""))
    if not found:
        hint = "folders are searched for video files by extension; name other files one by one"
        raise InputError("there are no films", sources[0] if sources else None, hint)
    followers = _twins(found)
    chapters: dict[str, list[str]] = {}
    for path in found:
        chapters[path] = following_chapters(path, found.__contains__)
        followers.update(chapters[path])
    return [
        Film(tuple(found[p][0] for p in (path, *chapters[path])), found[path][1])
        for path in found
        if path not in followers
    ]


def outputs(films: Sequence[Film], rule: str, known: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The name of each film's result, relative to the folder of results, with '/'.

    Args:
        rule: a name with {folder} and {stem} in it.
        known: names given in earlier runs, with the paths of their films, which keep them.

    Names that are the same on some file system, or that would share a camera path, are numbered: 'clip-2.mp4'.
    """
    taken = {same for name in known for same in _same_names(name)}
    names = []
    for film in films:
        folder, stem = film.folder.encode(errors="replace").decode(), _stem(film.paths[0])
        for number in itertools.count(1):
            numbered = stem if number == 1 else f"{stem}-{number}"
            name = posixpath.normpath(rule.format(folder=folder, stem=numbered)).lstrip("/")
            if not is_inside(name):
                name = posixpath.basename(name)
            if known.get(name) == film.paths or taken.isdisjoint(_same_names(name)):
                break
        taken |= _same_names(name)
        names.append(name)
    return names


def path_name(output: str) -> str:
    """The name of the camera path beside a video."""
    return os.path.splitext(output)[0] + PATH_ENDING


def report_name(output: str) -> str:
    """The name of the page about a video, beside it."""
    return os.path.splitext(output)[0] + REPORT_ENDING


def result_names(output: str, report: bool) -> list[str]:
    """The names of all files of a result."""
    return [output, path_name(output), *([report_name(output)] if report else [])]


def read_list(path: str) -> list[str]:
    """The files or URLs listed in a text file, one per line. Empty lines and lines that begin with # are skipped.

    Raises InputError.
    """
    try:
        lines = read_text(path, errors="surrogateescape").split("\n")
    except OSError as error:
        raise InputError(f"the list cannot be read: {error.strerror}", path) from None
    except UnicodeDecodeError:
        lines = ["\0"]
    if any("\0" in line for line in lines):
        raise InputError("not a list of films: it is not text in UTF-8", path, "a film itself needs no list")
    folder = os.path.dirname(os.path.abspath(path))
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    return [line if is_url(line) else os.path.join(folder, line) for line in wanted]


def _twins(paths: Collection[str]) -> set[str]:
    """Those files that are low-resolution twins of others."""
    films = {path: of_which(os.path.basename(path)) for path in paths}
    stems = {os.path.splitext(path)[0].casefold() for path, of in films.items() if not of}
    folders = {path: os.path.dirname(path).casefold() for path in films}
    return {path for path, of in films.items() if any(os.path.join(folders[path], stem) in stems for stem in of)}


def _local(source: str, leave_out: str | None) -> Iterator[tuple[File, str]]:
    if not source:  # Not the current folder: the name may be that of a variable that is not set.
        raise InputError("the name of the folder is empty")
    path = os.path.abspath(source)
    if os.path.isdir(path):
        # Films that are beside their results, or below them, are wanted: they were named.
        yield from _below(path, None if leave_out and _inside(path, leave_out) else leave_out)
    elif os.path.lexists(path):
        yield _file(path), ""
    elif magic := _MAGIC.search(source):
        # Split the pattern as given: the current folder's name may contain brackets.
        base = os.path.abspath(os.path.dirname(source[: magic.start()]) or ".")
        matches = sorted(_matches(base, Path(os.path.relpath(path, base)).parts))
        if not matches:
            raise InputError("nothing matches this pattern", source)
        for match in matches:
            named = leave_out is None or _inside(base, leave_out) or not _inside(match, leave_out)
            if os.path.isfile(match) and named:
                yield _file(match), _relative(os.path.dirname(match), base)
    else:
        raise InputError("no such file or folder", source)


def _matches(top: str, pattern: Sequence[str]) -> Iterator[str]:
    """What a pattern, in parts, matches below a folder. Linked folders are searched once, because links may be
    circular."""
    seen = set()
    for folder, below, names in os.walk(top, onerror=_unreadable(top), followlinks=True):
        status = os.stat(folder)
        inside = () if folder == top else Path(os.path.relpath(folder, top)).parts
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if _leads_on((*inside, name), pattern))
        yield from (os.path.join(folder, name) for name in names if _fits((*inside, name), pattern))


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Match as a shell does: '**' matches any folders, and names that begin with a dot need a dot."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        here = _fits(parts, pattern[1:] or ("*",)) if parts else not pattern[1:]
        return here or (len(parts) > 1 and parts[0][0] != "." and _fits(parts[1:], pattern))
    if not parts or (parts[0][0] == "." and pattern[0][0] != "."):
        return False
    return fnmatch.fnmatch(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _leads_on(folder: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the pattern can match anything in a folder or below it."""
    if not folder or not pattern:
        return bool(pattern)
    if pattern[0] == "**":
        return _leads_on(folder, pattern[1:]) or (folder[0][0] != "." and _leads_on(folder[1:], pattern))
    return _fits(folder[:1], pattern[:1]) and _leads_on(folder[1:], pattern[1:])


def _unreadable(top: str) -> Callable[[OSError], None]:
    """What os.walk does about a folder that cannot be read."""

    def say(error: OSError) -> None:
        if error.filename == top:
            raise InputError(f"cannot be read: {error.strerror}", top) from error
        log.warning("%s: cannot be read, so films in it are not found: %s", error.filename, error.strerror)

    return say


def _below(top: str, leave_out: str | None) -> Iterator[tuple[File, str]]:
    for folder, below, names in os.walk(top, onerror=_unreadable(top)):
        below[:] = sorted(
            b for b in below if b[0] != "." and not (leave_out and _inside(os.path.join(folder, b), leave_out))
        )
        for name in sorted(names):
            if name[0] != "." and os.path.splitext(name)[1].lower() in ENDINGS:
                yield _file(os.path.join(folder, name)), _relative(folder, top)


def _remote(url: str) -> Iterator[tuple[File, str]]:
    fs, path = _open_url(url)
    try:
        if _MAGIC.search(path):
            base = path[: _MAGIC.search(path).start()].rpartition("/")[0]  # type: ignore[union-attr]
            infos = fs.glob(path, detail=True)
        elif os.path.splitext(urlsplit(url).path)[1].lower() in ENDINGS:
            base, infos = posixpath.dirname(path), {path: fs.info(path)}
        else:
            base, infos = path, fs.find(path, detail=True)
            infos = {k: v for k, v in infos.items() if posixpath.splitext(k)[1].lower() in ENDINGS}
    except FileNotFoundError:
        raise InputError("no such file or folder, or no connection", url) from None
    except Exception as error:  # Each file system has its own errors.
        raise InputError(f"cannot be listed: {first_line(error)}", url) from None
    if not infos:
        raise InputError("there are no films", url)
    for name, info in sorted(infos.items()):
        folder = posixpath.relpath(posixpath.dirname(name), base or ".")
        hidden = any(part.startswith(".") and part != "." for part in (*folder.split("/"), posixpath.basename(name)))
        if info.get("type") != "directory" and not hidden:
            yield (
                File(url if name == path else fs.unstrip_protocol(name), stamp_of(info)),
                "" if folder == "." else folder,
            )


def _remote_file(url: str) -> File:
    try:
        fs, path = _open_url(url)
        return File(url, stamp_of(fs.info(path)))
    except Exception:  # Reported when the film's turn comes.
        return File(url, None)


def _open_url(url: str) -> tuple[Any, str]:
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"cannot be opened: {first_line(error)}", url, "pip install 'pano-sound[cloud]'") from None


def _file(path: str) -> File:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return File(path, None)
    return File(path, (status.st_size, str(status.st_mtime_ns)))


def _relative(path: str, top: str) -> str:
    name = os.path.relpath(path, top)
    return "" if name == "." else name.replace(os.sep, "/")


def _inside(path: str, folder: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(folder) or os.path.realpath(path).startswith(
        os.path.join(os.path.realpath(folder), "")
    )


def _stem(path: str) -> str:
    """A film's name without its ending, valid in every file system and database."""
    name = posixpath.basename(unquote(urlsplit(path).path)) if is_url(path) else os.path.basename(path)
    stem = os.path.splitext(name)[0].encode(errors="replace")[:_LONGEST].decode(errors="ignore")
    return "".join(c if c.isprintable() else "_" for c in stem)


def _same_names(output: str) -> set[str]:
    """Canonical names of a result's video and camera path, equal for names that are the same on some file system."""
    return {unicodedata.normalize("NFC", name).casefold() for name in (output, path_name(output))}
