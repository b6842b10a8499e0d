"""The manifest's record of a film. The file may have been tampered with, so every value is checked when it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..media.footage import is_url
from .discover import File, HasFiles, path_name, report_name
from .storage import Stamp, is_inside

STATES = ("done", "running", "waiting", "failed", "skipped", "duplicate")


@dataclass(frozen=True)
class RenderResult:
    """The result of rendering a film.

    size_bytes, sha256: of the video. path_sha256: of the camera path's file. report_sha256: of the page, '' without
    one. seconds: length of the film. took: seconds of work by stage. size: of the picture, in pixels. jpeg: a strip of
    pictures. curve: [time, yaw, width of view] of the camera path, for a plot.
    """

    size_bytes: int
    sha256: str
    path_sha256: str
    seconds: float
    size: tuple[int, int]
    took: dict[str, float]
    warnings: tuple[str, ...] = ()
    jpeg: bytes = b""
    curve: list[list[float]] = field(default_factory=list)
    report_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the manifest and the report."""
        return {
            "bytes": self.size_bytes,
            "sha256": self.sha256,
            "path_sha256": self.path_sha256,
            **({"report_sha256": self.report_sha256} if self.report_sha256 else {}),
            "seconds": self.seconds,
            "size": self.size,
            "took": {stage: round(seconds, 3) for stage, seconds in self.took.items()},
        }


def file_hashes(output: str, made: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file of a result, by name; the video last. `made`: a RenderResult's JSON."""
    found = {report_name(output): "report_sha256", path_name(output): "path_sha256", output: "sha256"}
    return {name: made[key] for name, key in found.items() if key in made}


@dataclass(frozen=True)
class OwnFile:
    """A result that this library wrote: its content, and its stamp if known.

    sha256 '': written by an earlier version, which did not record it.
    """

    sha256: str
    stamp: Stamp | None


@dataclass(frozen=True)
class FilmRecord(HasFiles):
    """One film's row of the manifest."""

    id: int
    output: str
    files: tuple[File, ...]
    settings: str
    state: str
    same_as: str | None
    claim: str | None
    attempts: int
    tries: int
    queued: float
    started: float | None
    finished: float | None
    error: str | None
    exit_code: int | None
    warnings: tuple[str, ...]
    made: dict[str, Any]
    stamp: Stamp | None

    @property
    def failure(self) -> str:
        """Which film failed, and why: one line."""
        return f"{self.paths[0]}: failed: {self.error or 'for an unknown reason'}"

    @property
    def is_deleted(self) -> bool:
        """Whether one of its files was deleted after it was found. Its folder is there, so no disk is unplugged."""
        found = [file.path for file in self.files if file.stamp is not None and not is_url(file.path)]
        return any(not os.path.lexists(path) and os.path.isdir(os.path.dirname(path)) for path in found)

    def to_json(self) -> dict[str, Any]:
        """For the report: one line."""
        return {
            "output": self.output,
            "state": self.state,
            "inputs": list(self.paths),
            "bytes": self.size,
            "same_as": self.same_as,
            "attempts": self.attempts,
            "error": self.error,
            "exit_code": self.exit_code,
            "warnings": list(self.warnings),
            "started": self.started,
            "finished": self.finished,
            "settings": self.settings,
            "result": self.made or None,
        }


def read_record(row: Mapping[str, Any]) -> FilmRecord:
    """A film's row of the manifest. Raises ValueError that says what is wrong."""
    made = _optional(_made)(row["made"]) or {}
    found = FilmRecord(
        id=row["id"],
        output=_checked(row, "output", _output),
        files=_checked(row, "files", _files),
        settings=_checked(row, "settings", _text),
        state=_checked(row, "state", _state),
        same_as=_checked(row, "same_as", _optional(_text)),
        claim=_checked(row, "claim", _optional(_text)),
        attempts=_checked(row, "attempts", _count),
        tries=_checked(row, "tries", _count),
        queued=_checked(row, "queued", _number),
        started=_checked(row, "started", _optional(_number)),
        finished=_checked(row, "finished", _optional(_number)),
        error=_checked(row, "error", _optional(_text)),
        exit_code=_checked(row, "exit_code", _optional(_count)),
        warnings=_checked(row, "warnings", _optional(_warnings)) or (),
        made=made,
        stamp=_checked(row, "stamp", _optional(read_stamp)),
    )
    if found.state == "done" and (found.stamp is None or not found.made):
        raise ValueError("it is done, but its result is not recorded")
    if found.state == "running" and found.claim is None:
        raise ValueError("it is running, but no worker has claimed it")
    return found


def read_stamp(value: Any) -> Stamp:
    """Parse a stamp from JSON. Raises ValueError."""
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list) or len(found) != 2 or not isinstance(found[1], str):
        raise ValueError(f"{value!r} is not a stamp")
    return _count(found[0]), found[1]


def read_curve(value: Any) -> list[list[float]]:
    """Parse a camera curve from JSON. Raises ValueError."""
    found = json.loads(_text(value))
    if not isinstance(found, list) or any(not isinstance(point, list) or len(point) != 3 for point in found):
        raise ValueError("not a camera's curve")
    return [[_number(v) for v in point] for point in found]


def _checked(row: Mapping[str, Any], column: str, read: Callable[[Any], Any]) -> Any:
    try:
        return read(row[column])
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{column}: {error}") from None


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e15:
        raise ValueError(f"{value!r} is not a number")
    return value


def _output(value: Any) -> str:
    if not is_inside(_text(value)):
        raise ValueError(f"{value!r} is not inside the folder of the results")
    return str(value)


def _state(value: Any) -> str:
    if value not in STATES:
        raise ValueError(f"{value!r} is not one of {', '.join(STATES)}")
    return str(value)


def _files(value: Any) -> tuple[File, ...]:
    found = json.loads(_text(value))
    if not isinstance(found, list) or not found:
        raise ValueError("no films are named")
    if any(not isinstance(file, list) or len(file) != 2 for file in found):
        raise ValueError("not pairs of a path and a stamp")
    return tuple(File(_text(path), None if stamp is None else read_stamp(stamp)) for path, stamp in found)


def _warnings(value: Any) -> tuple[str, ...]:
    found = json.loads(_text(value))
    if not isinstance(found, list):
        raise ValueError("not a list")
    return tuple(map(_text, found))


def _made(value: Any) -> dict[str, Any]:
    """Parse a RenderResult's JSON; {} if there is none."""
    try:
        found = json.loads(_text(value))
        if found == {}:
            return {}
        width, height = found["size"]
        return {
            **{key: _text(found[key]) for key in ("path_sha256", "report_sha256") if key in found},
            "bytes": _count(found["bytes"]),
            "sha256": _text(found["sha256"]),
            "seconds": _number(found["seconds"]),
            "size": [_count(width), _count(height)],
            "took": {_text(stage): _number(seconds) for stage, seconds in found["took"].items()},
        }
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"made: {type(error).__name__}: {error}") from None
