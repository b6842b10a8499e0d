"""Parsing option values: sizes, times, rules for names."""

from __future__ import annotations

import re
from fractions import Fraction
from numbers import Real
from string import Formatter

_LONGEST = 10_000 * 3600


def parse_size(text: str) -> tuple[int, int]:
    """'1280x720' -> (1280, 720), pixels. Raises ValueError for another form, and for odd, small or huge sides."""
    if not isinstance(text, str):
        raise ValueError(f"`size` must be text like '1280x720', not {text!r}")
    width, times, height = text.lower().partition("x")
    if not (times and width.isdecimal() and height.isdecimal() and len(text) < 12):
        raise ValueError(f"`size` must look like 1280x720, not {text!r}")
    w, h = int(width), int(height)
    if not all(64 <= side <= 8192 and side % 2 == 0 for side in (w, h)):
        raise ValueError(f"`size` needs even numbers from 64 to 8192, not {text}")
    return w, h


def parse_aspect(text: str | None) -> tuple[int, int]:
    """'9:16' -> (9, 16); None: 16:9."""
    across, _, down = (text or "16:9").partition(":")
    return int(across), int(down)


def parse_time(text: str | float | None, name: str = "the time") -> Fraction | None:
    """Seconds of '90', '1:30', '1:02:03.5' or a number, exactly; None for None.

    Raises ValueError, beginning with `name`, for text in another form, or a time above 10,000 hours.
    """
    if text is None:
        return None
    if isinstance(text, Real) and 0 <= text < _LONGEST:
        return Fraction(float(text)).limit_denominator(10**9)
    match = re.fullmatch(r"(?:(?:(\d{1,5}):)?(\d{1,8}):)?(\d{1,8}(?:\.\d{1,9})?)", str(text).strip())
    if match is None:
        raise ValueError(f"{name} must look like 90, 1:30 or 1:02:03.5, not {text!r}")
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > _LONGEST:
        raise ValueError(f"{name} must be at most 10000 hours, not {text!r}")
    return total


def check_name_rule(rule: str) -> None:
    """Raises ValueError for a rule that would give two films the same name, or a name outside the results."""
    try:
        fields = {part[1:] for part in Formatter().parse(rule) if part[1] is not None}
    except ValueError:  # An unpaired brace.
        fields = set()
    # A format such as {stem:.7} could cut off the number that tells two films apart.
    plain = {("stem", "", None)} <= fields <= {("stem", "", None), ("folder", "", None)}
    name = rule.format(folder="a", stem="b") if plain else ""
    if rule.startswith("/") or ".." in name.split("/"):
        what = "no '..', and no '/' at its beginning"
        raise ValueError(f"`name` must stay inside the folder of the results: {what}; not {rule!r}")
    if not plain:
        raise ValueError(f"`name` must hold {{stem}}, may hold {{folder}}, and nothing else in braces; not {rule!r}")
