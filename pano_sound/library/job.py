"""What a worker, on whatever machine, has to know of one film that it is to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .records import FilmRecord, OwnFile


@dataclass(frozen=True)
class Job:
    """settings: those of `full_settings`. out, soundmaps: folders or URLs where results go and sound maps are kept.
    contents: SHA-256 of those of its files that are known, by path. own: the library's own files, which may be
    replaced, by the name of the result."""

    row: FilmRecord
    settings: dict[str, Any]
    out: str
    soundmaps: str
    contents: dict[str, str]
    own: dict[str, list[OwnFile]]
