"""Metadata that is kept in the output, from any container: title, makers, date and place."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import datetime, timezone

_APPLE = "com.apple.quicktime."
_NAMES = {
    "title": ("title", _APPLE + "title"),
    "artist": ("artist", _APPLE + "artist", _APPLE + "author"),
    "copyright": ("copyright", _APPLE + "copyright"),
    "comment": ("comment", _APPLE + "comment", _APPLE + "description"),
    "creation_time": ("creation_time", _APPLE + "creationdate"),
    "location": ("location", _APPLE + "location.iso6709"),
}
_ISO_6709 = re.compile(r"[+-]\d{2,6}(\.\d+)?[+-]\d{3,7}(\.\d+)?([+-]\d+(\.\d+)?)?(CRS[\w.]+)?/?", re.ASCII)


def kept(source: Mapping[str, str]) -> dict[str, str]:
    """A container's metadata as FFmpeg gives it -> metadata for the output, by FFmpeg's names.

    Matroska's names are in capitals, Apple's begin with com.apple.quicktime. The creation time is in UTC. It and the
    location (ISO 6709, as in "+48.1371+011.5754+519.000/") are left out if players would not understand them.
    """
    given = {name.lower(): text for name, text in source.items()}
    found = {key: next((given[n] for n in names if given.get(n)), "") for key, names in _NAMES.items()}
    found["creation_time"] = _utc(found["creation_time"])
    if not _ISO_6709.fullmatch(found["location"]):
        found["location"] = ""
    return {key: text for key, text in found.items() if text}


def _utc(text: str) -> str:
    for form in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"):
        with contextlib.suppress(ValueError, OverflowError):
            return datetime.strptime(text, form).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ""
