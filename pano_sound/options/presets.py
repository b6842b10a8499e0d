"""The camera's settings as the planner uses them, with every number decided, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Preset = Literal["calm", "default", "lively", "paper"]
Signal = Literal["glimpse", "mean", "centroid"]


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """The settings of every camera, and all that AUTOCAM needs. Times are seconds, angles degrees. docs/camera.md
    explains each.

    size: text like '1280x720'; None: as large as the source's detail allows, in the shape of `aspect` (None: 16:9).
    """

    preset: Preset
    signal: Signal = "glimpse"
    aspect: str | None = None
    size: str | None = None
    fov: float = 90.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    centring: float = 0.5
    step: float = 0.5
    max_speed: float = 60.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ShotSettings(CameraSettings):
    """The further settings of a camera that holds, follows and switches."""

    tilt: float = 60.0
    min_hold: float = 2.0
    switch_cost: float = 0.4
    move_cost: float = 0.001
    dead_zone: float = 0.33
    look_ahead: float = 0.5
    max_acceleration: float = 120.0
    max_jerk: float = 400.0
    cut_over: float = 120.0
    home_after: float = 20.0
    zoom_speed: float = 0.0
    min_fov: float = 46.4
    max_fov: float = 104.3

    def __post_init__(self) -> None:
        if self.min_fov > self.max_fov:
            raise ValueError("`min_fov` must not be above `max_fov`")


_DEFAULT = ShotSettings(preset="default")

PRESETS: dict[Preset, CameraSettings] = {
    "calm": replace(
        _DEFAULT,
        preset="calm",
        tilt=50.0,
        min_hold=4.0,
        switch_cost=1.5,
        move_cost=0.012,
        dead_zone=0.5,
        look_ahead=0.75,
        max_speed=30.0,
        max_acceleration=40.0,
        max_jerk=100.0,
        home_after=30.0,
    ),
    "default": _DEFAULT,
    "lively": replace(
        _DEFAULT,
        preset="lively",
        min_hold=1.5,
        switch_cost=0.3,
        move_cost=0.002,
        dead_zone=0.2,
        look_ahead=0.3,
        max_acceleration=240.0,
        max_jerk=1000.0,
        home_after=10.0,
        zoom_speed=10.0,
    ),
    # Su et al. 2016: 198 directions, 5 s clips, 30° per clip and axis, 65.5°, 640x480.
    "paper": CameraSettings(preset="paper", fov=65.5, size="640x480", centring=0.0, step=5.0, max_speed=6.0),
}
