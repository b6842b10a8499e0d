"""Constraints on a path: pins (look here at this time) and masks (never look there)."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import DataFileError
from .sphere.convention import angles, wrap_degrees

HUGE = 1e12
_BEGINNING = 1 << 16
"""Bytes by which text is told from other files."""
_MOST_ROWS = 1000
"""Most pins, or masks, in one file: people write them by hand, and each makes planning slower."""
LIMITS = {
    **dict.fromkeys(("t", "start", "end", "from", "to"), (-36e6, 36e6)),
    "yaw": (-1e6, 1e6),
    "pitch": (-90, 90),
    "roll": (-360, 360),
    "hfov": (0.1, 170),  # In the narrowest picture, 64x8192, a view of 20° is 0.16° wide.
}
One = TypeVar("One")
Where = str | os.PathLike[str] | None


@dataclass(frozen=True)
class Pin:
    """Look to (yaw, pitch), degrees, from `start` to `end`, seconds, with `hfov` degrees of view or the plan's.

    The yaw is wrapped to (-180, 180]. Raises TypeError for what is not a number, ValueError for numbers out of range
    (LIMITS), or an end before the start.
    """

    start: float
    end: float
    yaw: float
    pitch: float
    hfov: float | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end", "yaw", "pitch", "hfov"):
            if name != "hfov" or self.hfov is not None:
                object.__setattr__(self, name, _checked(getattr(self, name), name))
        object.__setattr__(self, "yaw", float(wrap_degrees(self.yaw)))
        if self.end < self.start:
            raise ValueError(f"`end` must not be before `start`, but {self.end:g} s is before {self.start:g} s")

    def to_json(self) -> dict[str, float]:
        row = {"from": self.start, "to": self.end, "yaw": self.yaw, "pitch": self.pitch}
        return row if self.hfov is None else {**row, "hfov": self.hfov}


@dataclass(frozen=True)
class Mask:
    """Ignore sources between two yaws, going to the right from the first, and two pitches, in degrees. The camera does
    not choose to look there, but its middle may touch the border or cross the mask on the way. For the whole film, or
    from `start` to `end`, seconds.

    Raises TypeError for what is not a number, ValueError for numbers out of range (LIMITS), a pitch that is not (lower,
    higher), or an end before the start.
    """

    yaw: tuple[float, float]
    pitch: tuple[float, float]
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        for name in ("yaw", "pitch"):
            span = getattr(self, name)
            if not isinstance(span, (tuple, list)) or len(span) != 2:
                raise TypeError(f"`{name}` must be two numbers, not {span!r}")
            object.__setattr__(self, name, tuple(_checked(value, name) for value in span))
        if self.pitch[0] > self.pitch[1]:
            raise ValueError(f"`pitch` must be (lower, higher), not {self.pitch}")
        for name in ("start", "end"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _checked(getattr(self, name), name))
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError(f"`end` must not be before `start`, but {self.end:g} s is before {self.start:g} s")

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"yaw": list(self.yaw), "pitch": list(self.pitch)}
        times = {"from": self.start, "to": self.end}
        return row | {name: t for name, t in times.items() if t is not None}

    def covers(self, vectors: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which unit vectors (..., 3) it covers, (...)."""
        yaw, pitch = angles(vectors)
        width = self.yaw[1] - self.yaw[0]
        inside = np.mod(yaw - self.yaw[0], 360.0) <= (360.0 if abs(width) >= 360.0 else np.mod(width, 360.0))
        return inside & (pitch >= self.pitch[0]) & (pitch <= self.pitch[1])

    def at(self, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        """At which times (n,) it holds, (n,)."""
        after = times >= (-np.inf if self.start is None else self.start)
        return after & (times <= (np.inf if self.end is None else self.end))


def only_masks(masks: Iterable[Mask]) -> tuple[Mask, ...]:
    """Raises TypeError for anything but masks."""
    return _only(Mask, masks)


def in_order(pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """Pins ordered by time. Raises ValueError if one overlaps the next, TypeError for anything but pins."""
    ordered = sorted(_only(Pin, pins), key=lambda pin: pin.start)
    for a, b in pairwise(ordered):
        if b.start <= a.end:
            raise ValueError(f"the pin from {b.start:g} s must begin after the one before it has ended, at {a.end:g} s")
    return tuple(ordered)


def read_pins(rows: Any, path: Where = None) -> tuple[Pin, ...]:
    """Pins from parsed JSON, ordered by time. Raises DataFileError that names the wrong one."""
    pins = []
    for where, row in _rows(rows, "pins", ("from", "to", "yaw", "pitch", "hfov"), path):
        start, end = number(row, "from", where, path), number(row, "to", where, path)
        if end < start:
            raise DataFileError(f"{where}: 'to' is before 'from'", path)
        hfov = number(row, "hfov", where, path) if "hfov" in row else None
        yaw, pitch = number(row, "yaw", where, path), number(row, "pitch", where, path)
        pins.append(Pin(start, end, yaw, pitch, hfov))
    try:
        return in_order(pins)
    except ValueError as error:
        raise DataFileError(f"pins: {error}", path) from None


def read_masks(rows: Any, path: Where = None) -> tuple[Mask, ...]:
    """Masks from parsed JSON. Raises DataFileError that names the wrong one."""
    masks = []
    for where, row in _rows(rows, "masks", ("yaw", "pitch", "from", "to"), path):
        spans = {}
        for name, ends in (("yaw", "[left, right]"), ("pitch", "[lower, higher]")):
            span = row.get(name)
            if not isinstance(span, list) or len(span) != 2:
                raise DataFileError(f"{where}: {name} must be two numbers, {ends}", path)
            low, high = (number({name: value}, name, where, path) for value in span)
            spans[name] = (low, high)
        if spans["pitch"][0] > spans["pitch"][1]:
            raise DataFileError(f"{where}: pitch must be [lower, higher]", path)
        start, end = (number(row, name, where, path) if name in row else None for name in ("from", "to"))
        if start is not None and end is not None and end < start:
            raise DataFileError(f"{where}: 'to' is before 'from'", path)
        masks.append(Mask(spans["yaw"], spans["pitch"], start, end))
    return tuple(masks)


def load_constraints(path: str | os.PathLike[str]) -> tuple[tuple[Pin, ...], tuple[Mask, ...]]:
    """The pins and masks of a file: JSON with `pins`, `masks` or both, such as a camera path. Raises DataFileError."""
    data = read_json(path, "file of pins")
    if not isinstance(data, dict) or not ("pins" in data or "masks" in data):
        raise DataFileError("not a file of pins: it has neither pins nor masks", path)
    return read_pins(data.get("pins", []), path), read_masks(data.get("masks", []), path)


def read_json(path: str | os.PathLike[str], what: str, hint: str | None = None) -> Any:
    """What a JSON file holds. Raises DataFileError, by the name of `what` it should be; `hint`: which file that is."""
    try:
        return json.loads(read_text(path))
    except FileNotFoundError:
        raise DataFileError(f"no such {what}", path) from None
    except OSError as error:
        raise DataFileError(f"cannot be read: {error.strerror or error}", path) from error
    except UnicodeDecodeError:
        raise DataFileError(f"not a {what}: it is not text", path, hint) from None
    except ValueError as error:
        raise DataFileError(f"not a {what}: it is not JSON ({error})", path) from None
    except RecursionError:
        raise DataFileError(f"not a {what}: it is nested too deeply", path) from None


def read_text(path: str | os.PathLike[str], errors: str = "strict") -> str:
    """The content of a text file. Of other files, such as films, only the beginning is read.

    Raises OSError, and UnicodeDecodeError for what is not text.
    """
    with (
        io.BufferedReader(io.FileIO(os.fspath(path)), _BEGINNING) as file,
        io.TextIOWrapper(file, "utf-8-sig", errors) as text,
    ):
        if b"\0" in file.peek():
            raise UnicodeDecodeError("utf-8", b"\0", 0, 1, "text has no zeros")
        return text.read()


def number(row: dict[str, Any], name: str, where: str, path: Where = None) -> float:
    """A number of a JSON object, within its limits. Raises DataFileError that says `where`."""
    if name not in row:
        raise DataFileError(f"{where}: '{name}' is missing", path)
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < HUGE:
        raise DataFileError(f"{where}: {name} is {shown(value)}, not a number", path)
    low, high = LIMITS.get(name, (-HUGE, HUGE))
    if not low <= value <= high:
        raise DataFileError(f"{where}: {name} is {value}, outside {low:g}..{high:g}", path)
    return float(value)


def plain(values: Any) -> Any:
    """A dictionary with Python's own numbers and lists instead of NumPy's, which JSON does not hold; anything else as
    it is."""

    def own(value: Any) -> Any:
        return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value

    if not isinstance(values, dict):
        return values
    return {
        name: [own(one) for one in value] if isinstance(value, (list, tuple)) else own(value)
        for name, value in values.items()
    }


def shown(value: Any) -> str:
    """The beginning of a wrong value as JSON writes it: a number in quotes is none."""
    return json.dumps(value, ensure_ascii=False)[:40]


def _checked(value: Any, name: str) -> float:
    """A value as Python's own number, because JSON holds no others. Raises TypeError or ValueError if it is not a
    number, or outside its LIMITS."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, not {value!r}")
    low, high = LIMITS[name]
    if not low <= float(value) <= high:
        raise ValueError(f"`{name}` must be from {low:g} to {high:g}, not {value}")
    return value if isinstance(value, int) else float(value)


def _only(kind: type[One], ones: Iterable[One]) -> tuple[One, ...]:
    name = kind.__name__
    if not isinstance(ones, Iterable):
        raise TypeError(f"a list of {name}s is needed here, not {type(ones).__name__}")
    found = tuple(ones)
    for one in found:
        if not isinstance(one, kind):
            raise TypeError(f"{name} is needed here, not {type(one).__name__}")
    return found


def _rows(rows: Any, name: str, keys: Sequence[str], path: Where) -> list[tuple[str, dict[str, Any]]]:
    """Each object of a list, with words for where it is. Raises DataFileError for anything else, and unknown keys."""
    if not isinstance(rows, list):
        raise DataFileError(f"{name}: not a list", path)
    if len(rows) > _MOST_ROWS:
        raise DataFileError(f"{name}: there are {len(rows)}, more than {_MOST_ROWS}", path)
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataFileError(f"{name}[{i}]: not an object", path)
        for key in row.keys() - set(keys):
            raise DataFileError(f"{name}[{i}]: '{str(key)[:40]}' is unknown (known are {', '.join(keys)})", path)
    return [(f"{name}[{i}]", row) for i, row in enumerate(rows)]
