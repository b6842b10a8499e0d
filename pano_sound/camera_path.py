"""CameraPath: where the camera looks over time; and its file, `*.path.json`, which people can edit.

    {"format": "pano-sound.path/2",
     "source": {...},
     "view": {"width": 1280, "height": 720},
     "pins": [{"from": 12.0, "to": 15.0, "yaw": 40.0, "pitch": 0.0}],
     "masks": [{"yaw": [150.0, -150.0], "pitch": [-90.0, -40.0]}],
     "samples": [{"t": 0.0, "yaw": -90.0, "pitch": 0.0, "roll": 0.0, "hfov": 90.0}, ...],
     "settings": {...}}

`t` is presentation time in seconds, growing; angles are degrees in the project's convention (yaw to the right,
pitch up, roll clockwise). Between samples the camera moves along the great circle; roll and hfov change linearly;
before the first and after the last it holds. The camera cuts to a sample with `"cut": true` and holds the one before
until then. `plan --keep pins` plans around pins and masks; they do not change the samples by themselves.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic_file import check_file, written_whole
from .constraints import HUGE, Mask, Pin, number, plain, read_json, read_masks, read_pins, shown
from .errors import DataFileError
from .sphere.convention import angles, directions, wrap_degrees
from .sphere.geometry import angle_between, slerp
from .sphere.view import View

FORMAT = "pano-sound.path/2"
BEFORE = "pano-sound.path/1"
"""The format before, without cuts, pins and masks; still read."""
_WHICH = "give the .path.json file that 'plan' writes"
COLUMNS = ("t", "yaw", "pitch", "roll", "hfov")
_LOWEST = np.array([-HUGE, -HUGE, -90.001, -HUGE, 0.0])
_HIGHEST = np.array([HUGE, HUGE, 90.001, HUGE, 180.0])
SHORTEST_STEP = 1e-6
"""Least time between samples, in seconds. Times are rounded to it."""


@dataclass(frozen=True)
class CameraPath:
    """A camera's orientation and field of view over time.

    Raises ValueError for a size, samples or cuts of another form, samples out of order, and those that are no view.

    Args:
        width, height: size of the output in pixels, even, 64 to 8192.
        samples: (n, 5) float64: t (seconds, growing), yaw, pitch, roll, hfov (degrees).
        source: the film it was planned for, as in the sound map.
        settings: the CameraSettings used, as JSON.
        cuts: indices of the samples that are cut to.
        pins, masks: those it was planned around.
    """

    width: int
    height: int
    samples: NDArray[np.float64]
    source: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    cuts: frozenset[int] = frozenset()
    pins: tuple[Pin, ...] = ()
    masks: tuple[Mask, ...] = ()

    def __post_init__(self) -> None:
        if not all(
            isinstance(side, Integral) and 64 <= side <= 8192 and side % 2 == 0 for side in (self.width, self.height)
        ):
            raise ValueError("view: width and height must be even numbers from 64 to 8192")
        samples = np.array(self.samples, np.float64)
        if samples.ndim != 2 or samples.shape[1] != len(COLUMNS) or not len(samples):
            raise ValueError(f"samples must be rows of {', '.join(COLUMNS)}, not of shape {samples.shape}")
        for i, column in np.argwhere(~((samples > _LOWEST) & (samples < _HIGHEST))):
            raise ValueError(f"samples[{i}]: {COLUMNS[column]} cannot be {samples[i, column]:g}")
        samples[:, 0] = samples[:, 0].round(6)
        for i in np.flatnonzero(np.diff(samples[:, 0]) < SHORTEST_STEP / 2):
            raise ValueError(f"samples[{i + 1}]: t must be greater than the one before")
        if not self.cuts <= set(range(len(samples))):
            raise ValueError(f"cuts must be indices of samples, not {sorted(self.cuts)}")
        object.__setattr__(self, "samples", samples)
        for name, own in (("width", int), ("height", int), ("source", plain), ("settings", plain)):
            object.__setattr__(self, name, own(getattr(self, name)))

    @property
    def times(self) -> NDArray[np.float64]:
        return self.samples[:, 0]

    def at(self, t: float) -> tuple[float, float, float, float]:
        """(yaw, pitch, roll, hfov) in degrees at presentation time `t` in seconds."""
        i = int(np.searchsorted(self.times, t, side="right"))
        if i in (0, len(self.samples)) or i in self.cuts:
            _, yaw, pitch, roll, hfov = self.samples[max(i - 1, 0)]
            return float(wrap_degrees(yaw)), float(pitch), float(roll), float(hfov)
        a, b = self.samples[i - 1], self.samples[i]
        if (a[1:] == b[1:]).all():
            return float(wrap_degrees(a[1])), float(a[2]), float(a[3]), float(a[4])
        share = (t - a[0]) / (b[0] - a[0])
        yaw, pitch = angles(slerp(directions(a[1], a[2]), directions(b[1], b[2]), share))
        roll, hfov = a[3:] + share * (b[3:] - a[3:])
        return float(yaw), float(pitch), float(roll), float(hfov)

    def looks(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """(yaw, pitch, roll, hfov) in degrees at presentation times (n,) in seconds: (n, 4)."""
        return np.array([self.at(float(t)) for t in times]).reshape(-1, 4)

    def with_view(self, size: tuple[int, int] | None = None, fov: float | None = None) -> CameraPath:
        """The same path with another output size (pixels), or with a constant field of view (degrees).

        The field of view is that of the longer side. Without one it stays as it is.
        """
        width, height = size or (self.width, self.height)
        samples = self.samples.copy()
        if fov is not None or width * self.height != height * self.width:
            for row in samples:
                before = View(self.width, self.height, row[4])
                row[4] = View.of_longer_side(width, height, fov or max(before.hfov, before.vfov)).hfov
        return replace(self, width=width, height=height, samples=samples)

    def speed(self) -> NDArray[np.float64]:
        """Great-circle speed between samples, (n - 1,), degrees per second; 0 across a cut."""
        look = directions(self.samples[:, 1], self.samples[:, 2])
        speed = angle_between(look[1:], look[:-1]) / np.diff(self.times)
        speed[[i - 1 for i in self.cuts if i > 0]] = 0.0
        return speed

    def to_json(self) -> dict[str, Any]:
        rows: list[dict[str, Any]] = [
            dict(zip(COLUMNS, (round(value, 6) + 0.0 for value in row), strict=True)) for row in self.samples.tolist()
        ]
        for i in self.cuts:
            rows[i]["cut"] = True
        return {
            "format": FORMAT,
            "source": self.source,
            "view": {"width": self.width, "height": self.height},
            "pins": [pin.to_json() for pin in self.pins],
            "masks": [mask.to_json() for mask in self.masks],
            "samples": rows,
            "settings": self.settings,
        }

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the file, one sample per line. Raises OutputError, also if it exists and `overwrite` is False."""
        check_file(path, overwrite=overwrite)
        whole = self.to_json()
        parts = {name: json.dumps(value, indent=1) for name, value in whole.items()}
        for name in ("pins", "masks", "samples"):
            rows = ",\n  ".join(json.dumps(row) for row in whole[name])
            parts[name] = f"[\n  {rows}\n ]" if rows else "[]"
        body = ",\n".join(f' "{name}": {text}' for name, text in parts.items())
        with written_whole(path, "w", overwrite) as file:
            file.write(f"{{\n{body}\n}}\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CameraPath:
        """Read and check a path file. Raises DataFileError that names the wrong sample."""
        return cls.from_json(read_json(path, "camera path", _WHICH), path)

    @classmethod
    def from_json(cls, data: Any, path: str | os.PathLike[str] | None = None) -> CameraPath:
        """The same from parsed JSON; `path` is named in errors."""
        found = data.get("format") if isinstance(data, dict) else None
        if found is None:
            raise DataFileError("not a camera path: it states no format", path, _WHICH)
        if found not in (FORMAT, BEFORE):
            raise DataFileError(f"its format is {found!r}, this version reads {FORMAT!r}", path, _WHICH)
        view, rows = data.get("view"), data.get("samples")
        sides: list[Any] = [view.get(k) if isinstance(view, dict) else None for k in ("width", "height")]
        if not isinstance(rows, list) or not rows:
            raise DataFileError("samples: there are none", path)
        if not all(isinstance(data.get(name) or {}, dict) for name in ("source", "settings")):
            raise DataFileError("source and settings must be objects", path)
        samples = np.array([_sample(row, i, path) for i, row in enumerate(rows)])
        cuts = frozenset(i for i, row in enumerate(rows) if row.get("cut"))
        source, settings = (data.get(name) or {} for name in ("source", "settings"))
        pins, masks = read_pins(data.get("pins", []), path), read_masks(data.get("masks", []), path)
        try:
            return cls(sides[0], sides[1], samples, source, settings, cuts, pins, masks)
        except ValueError as error:
            raise DataFileError(str(error), path) from None


def _sample(row: Any, i: int, path: str | os.PathLike[str] | None) -> list[float]:
    if not isinstance(row, dict):
        raise DataFileError(f"samples[{i}]: not an object with t, yaw, pitch, roll and hfov", path)
    if not isinstance(row.get("cut", False), bool):
        raise DataFileError(f"samples[{i}]: cut is {shown(row['cut'])}, not true or false", path)
    return [number(row, name, f"samples[{i}]", path) for name in COLUMNS]
