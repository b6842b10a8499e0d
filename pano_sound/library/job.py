"""What a worker needs to know to make one film, on any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .records import FilmRecord, OwnFile


@dataclass(frozen=True)
class Job:
    """settings: those of `full_settings`. out, soundmaps: folders or URLs of results and sound maps. contents: known
    SHA-256 of the film's files, by path. own: the library's own files, which may be replaced, by the result's name.
    reports: write a page, too."""

    row: FilmRecord
    settings: dict[str, Any]
    out: str
    soundmaps: str
    contents: dict[str, str]
    own: dict[str, list[OwnFile]]
    reports: bool = False
