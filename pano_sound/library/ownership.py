"""Which results may be replaced: those that this library wrote and that have not been changed since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..atomic_file import identity, local_path
from ..errors import OutputError, PanoSoundError
from .manifest import Manifest
from .records import OwnFile
from .storage import HIDDEN, Bucket, Stamp, Store, digest

PENDING = f"{HIDDEN}/pending"
"""Where machines of a cluster record what they are about to put in place, as {name: SHA-256}."""


def check_results(out: Store, manifest: Manifest, names: Iterable[str], inputs: Iterable[str], overwrite: bool) -> None:
    """Check, before any work, that no result would replace a file that is not ours.

    Args:
        names: all files that are to be written into `out`.
        inputs: files and URLs that are read; they are never replaced.
        overwrite: other files may be replaced; they count as ours from now on.

    Raises:
        OutputError: an input has the name of a result, or, without `overwrite`, another file has.
    """
    read = {_key(out, name) for name in inputs}
    foreign = {}
    for name, stamp in out.present(names).items():
        if _key(out, out.name(name)) in read:
            hint = "give another folder, or other names, such as `name='{folder}/{stem}-flat.mp4'`"
            raise OutputError("is an input, which is never replaced", out.name(name), hint)
        if not is_own(out, name, stamp, manifest.owned(name)):
            foreign[name] = stamp
    if foreign and not overwrite:
        first, *others = foreign
        more = f"; nor did it write {len(others)} other files that are in the way" if others else ""
        what = f"exists already, and this batch did not write it{more}"
        raise OutputError(what, out.name(first), "give another folder; `overwrite` replaces such files")
    for name, stamp in foreign.items():
        manifest.own(name, "", stamp)


def is_own(out: Store, name: str, stamp: Stamp, known: Iterable[OwnFile]) -> bool:
    """Whether a result with this stamp is one of our own files: by its date, or else by its content."""
    known = list(known)
    if any(file.stamp == stamp or file == OwnFile("", None) for file in known):
        return True
    hashes = {file.sha256 for file in known} - {""}
    try:
        return bool(hashes) and digest(out.name(name)) in hashes
    except PanoSoundError:
        return False


def put_result(out: Store, local: Path, name: str, known: Iterable[OwnFile]) -> Stamp:
    """Move a finished file to its final name. Raises OutputError if a file there is not ours."""
    there = out.stamp(name)
    if there is not None and not is_own(out, name, there, known):
        raise _appeared(out.name(name))
    return out.put(local, name, overwrite=there is not None)


def write_result(out: Store, manifest: Manifest, name: str, content: bytes, sha256: str) -> None:
    """Write a report beside the results. Raises OutputError if a file there is not ours."""
    there = out.stamp(name)
    if there is not None and not is_own(out, name, there, manifest.owned(name)):
        raise _appeared(out.name(name))
    manifest.own(name, sha256, None)
    out.write(name, content)
    stamp = out.stamp(name)
    if stamp is not None:
        manifest.own(name, sha256, stamp)


def take_pending(out: Store, manifest: Manifest) -> None:
    """Adopt what machines of a cluster recorded before the owner of the manifest was lost."""
    for content in out.contents(PENDING):
        for name, sha256 in _pending(content):
            manifest.own(name, sha256, None)
    out.clear(PENDING)


def _pending(content: bytes) -> Iterator[tuple[str, str]]:
    try:
        found = json.loads(content)
    except ValueError:
        return
    if isinstance(found, dict):
        yield from ((name, sha256) for name, sha256 in found.items() if isinstance(sha256, str) and len(sha256) == 64)


def _appeared(name: str) -> OutputError:
    return OutputError("has appeared or changed in the meantime and was kept", name, "move it away, and try again")


def _key(out: Store, name: str) -> object:
    """One value for all spellings of a file's name."""
    local = local_path(name)
    if local is not None:
        return identity(local)
    return out.canonical(name) if isinstance(out, Bucket) else name
