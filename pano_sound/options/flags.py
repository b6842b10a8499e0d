"""Turning options in messages into command-line flags."""

from __future__ import annotations

import re

from .base import described
from .steps import CLASSES

_FLAGS = {name: about.flag for kind in CLASSES for name, about in described(kind).items()} | {"overwrite": "-y"}


def with_flags(text: str) -> str:
    """A message with its options spelt as on the command line: '`max_hours`' -> '--max-hours',
    "`stereo='mono'`" -> '--stereo mono'."""

    def flag(match: re.Match[str]) -> str:
        return " ".join([_FLAGS[match[1]], *([match[2]] if match[2] else [])]) if match[1] in _FLAGS else match[0]

    return re.sub(r"`(\w+)(?:=['\"]?([^`'\"]*)['\"]?)?`", flag, text)
