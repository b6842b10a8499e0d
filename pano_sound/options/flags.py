"""Options as they are written on the command line: in messages, and in commands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from .base import Options, described
from .steps import CLASSES

_FLAGS = {name: about.flag for kind in CLASSES for name, about in described(kind).items()} | {"overwrite": "-y"}


def with_flags(text: str) -> str:
    """A message with its options spelt as on the command line: '`max_hours`' -> '--max-hours',
    "`stereo='mono'`" -> '--stereo mono'."""

    def flag(match: re.Match[str]) -> str:
        return " ".join([_FLAGS[match[1]], *([match[2]] if match[2] else [])]) if match[1] in _FLAGS else match[0]

    return re.sub(r"`(\w+)(?:=['\"]?([^`'\"]*)['\"]?)?`", flag, text)


def command_words(
    kind: type[Options], given: Mapping[str, Any], file_name: Callable[[str], str] = os.fspath
) -> list[str]:
    """What to type for the options of a class that are not at their defaults: {'fov': 80.0} -> ['--fov', '80'].

    Args:
        given: values by name, as of `to_json`. Names that the class does not have are ignored.
        file_name: how to write the name of a file that is read.
    """
    words = []
    for name, about in described(kind).items():
        value = given.get(name)
        if value is None or value == about.default:
            continue
        words.append(about.flag)
        if about.kind is bool:
            continue
        is_whole = isinstance(value, float) and value.is_integer()
        words.append(file_name(value) if about.reads else str(int(value) if is_whole else value))
    return words
