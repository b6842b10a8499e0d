"""How the camera moves, and what it shows: the options of `plan`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar, Literal, get_args

from .base import Option, Options
from .presets import PRESETS, CameraSettings, Preset, ShotSettings, Signal
from .values import parse_aspect, parse_size

Aspect = Literal["16:9", "9:16", "1:1", "4:3", "3:4"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)


@dataclass(frozen=True, kw_only=True)
class ViewOptions(Options):
    """The output's size and field of view, and which direction is the front."""

    heading: ClassVar[str] = "View"

    aspect: Annotated[
        Aspect | None,
        Option("Shape of the output, as large as the source's detail allows. By default 16:9."),
    ] = None
    size: Annotated[
        str | None,
        Option(
            "Exact output size in pixels. By default as large as the source's detail allows, in the shape of --aspect; "
            "640x480 with --preset paper.",
            metavar="WxH",
        ),
    ] = None
    fov: Annotated[
        float | None,
        Option("Field of view along the longer side of the output, in degrees.", minimum=20.0, maximum=150.0),
    ] = None
    yaw: Annotated[
        float,
        Option(
            "Where the front is: degrees to the right of the middle of the 360° picture.",
            minimum=-180.0,
            maximum=180.0,
        ),
    ] = 0.0
    pitch: Annotated[
        float,
        Option("How high the horizon is in front, in degrees: levels a tilted camera.", minimum=-90.0, maximum=90.0),
    ] = 0.0
    roll: Annotated[
        float,
        Option(
            "How far the horizon leans to the right, in degrees: levels a tilted camera.",
            minimum=-180.0,
            maximum=180.0,
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            parse_size(self.size)


@dataclass(frozen=True, kw_only=True)
class CameraOptions(Options):
    """How the camera moves. None stands for the preset's value."""

    heading: ClassVar[str] = "Camera"

    preset: Annotated[
        Preset,
        Option(
            "How the camera behaves: 'calm' (few, slow moves), 'default', 'lively' (follows sooner and zooms) or "
            "'paper' (AUTOCAM as published)."
        ),
    ] = "default"
    signal: Annotated[
        Signal | None,
        Option(
            "What to follow: 'glimpse' (the view most likely to hold the source; works with several sources), 'mean' "
            "(mean direction on the sphere; points between several sources) or 'centroid' (the paper's mean of pixel "
            "positions; wrong near the seam and with several sources).",
            advanced=True,
        ),
    ] = None
    centring: Annotated[
        float | None,
        Option(
            "How much less a source in the corner of the view counts than one in its middle, 0..1.",
            advanced=True,
            minimum=0.0,
            maximum=1.0,
        ),
    ] = None
    step: Annotated[
        float | None,
        Option(
            "Seconds between decisions. With --preset paper, the length of a clip.",
            advanced=True,
            minimum=0.1,
            maximum=30.0,
        ),
    ] = None
    tilt: Annotated[
        float | None,
        Option("How far the camera may tilt up or down, in degrees.", advanced=True, minimum=0.0, maximum=90.0),
    ] = None
    min_hold: Annotated[
        float | None,
        Option("Stay on a source at least this long, in seconds.", advanced=True, minimum=0.0, maximum=60.0),
    ] = None
    switch_cost: Annotated[
        float | None,
        Option(
            "What moving to another source costs, in expected seconds of source in view. Higher is calmer.",
            advanced=True,
            minimum=0.0,
            maximum=60.0,
        ),
    ] = None
    move_cost: Annotated[
        float | None,
        Option(
            "What each degree of turning costs, in expected seconds of source in view. Higher is calmer.",
            advanced=True,
            minimum=0.0,
            maximum=1.0,
        ),
    ] = None
    dead_zone: Annotated[
        float | None,
        Option(
            "How far a source may wander before the camera follows, as a share of the view, 0..1.",
            advanced=True,
            minimum=0.0,
            maximum=1.0,
        ),
    ] = None
    look_ahead: Annotated[
        float | None,
        Option(
            "How early to turn, in seconds: the middle of a move comes this long before the new source starts.",
            advanced=True,
            minimum=0.0,
            maximum=10.0,
        ),
    ] = None
    max_speed: Annotated[
        float | None,
        Option(
            "Fastest turn, in degrees per second. With --preset paper, per axis.",
            advanced=True,
            minimum=1.0,
            maximum=180.0,
        ),
    ] = None
    max_acceleration: Annotated[
        float | None,
        Option(
            "How softly moves begin and end: greatest acceleration, in degrees/s².",
            advanced=True,
            minimum=1.0,
            maximum=5000.0,
        ),
    ] = None
    max_jerk: Annotated[
        float | None,
        Option(
            "How softly acceleration sets in: greatest jerk, in degrees/s³.",
            advanced=True,
            minimum=1.0,
            maximum=50000.0,
        ),
    ] = None
    cut_over: Annotated[
        float | None,
        Option(
            "Cut instead of turning when the next source is more than this many degrees away. 180: never cut.",
            advanced=True,
            minimum=0.0,
            maximum=180.0,
        ),
    ] = None
    home_after: Annotated[
        float | None,
        Option(
            "Return to the front after this many seconds of silence. 0: never.",
            advanced=True,
            minimum=0.0,
            maximum=3600.0,
        ),
    ] = None
    zoom_speed: Annotated[
        float | None,
        Option(
            "Fastest zoom, in degrees of view per second. The view widens to hold what sounds. 0: no zoom.",
            advanced=True,
            minimum=0.0,
            maximum=90.0,
        ),
    ] = None
    min_fov: Annotated[
        float | None,
        Option(
            "Narrowest horizontal view when zooming, in degrees. A narrower --fov lowers it.",
            advanced=True,
            minimum=20.0,
            maximum=150.0,
        ),
    ] = None
    max_fov: Annotated[
        float | None,
        Option(
            "Widest horizontal view when zooming, in degrees. A wider --fov raises it.",
            advanced=True,
            minimum=20.0,
            maximum=150.0,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PlanOptions(ViewOptions, CameraOptions):
    """What the camera shows and how it moves. `resolved()` fills in the preset's values.

    Raises ValueError for an option that the preset does not use, and for those that exclude each other.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None and self.aspect is not None:
            raise ValueError("`size` and `aspect` cannot be used together")
        self.resolved()

    def resolved(self) -> CameraSettings:
        """The preset, with the given options in place of its values."""
        preset = PRESETS[self.preset]
        used = {f.name for f in fields(preset)}
        asked = {f.name: v for f in fields(PlanOptions) if (v := getattr(self, f.name)) is not None}
        idle = [name for name in asked if name not in used]
        if idle:
            raise ValueError(f"`{idle[0]}` is not used by `preset='{self.preset}'`")
        if self.aspect is not None:
            asked["size"] = None
        if isinstance(preset, ShotSettings):
            if asked.get("zoom_speed", preset.zoom_speed):
                asked |= _zoom_around_fov(preset, asked)
            asked |= _ends_of_zoom(preset, asked)
        return replace(preset, **asked)


def _ends_of_zoom(preset: ShotSettings, asked: dict[str, Any]) -> dict[str, float]:
    """The end of the zoom's range that has to change because only the other one was asked for, and is beyond it."""
    narrowest, widest = (asked.get(name, getattr(preset, name)) for name in ("min_fov", "max_fov"))
    if narrowest <= widest or {"min_fov", "max_fov"} <= asked.keys():
        return {}
    return {"max_fov": narrowest} if "min_fov" in asked else {"min_fov": widest}


def _zoom_around_fov(preset: ShotSettings, asked: dict[str, Any]) -> dict[str, float]:
    """What has to change so that the zoom's range holds the field of view: what was not asked for gives way.

    Raises ValueError where all of it was asked for.
    """
    from ..sphere.view import View

    wanted = {name: asked.get(name, getattr(preset, name)) for name in ("fov", "size", "aspect", "min_fov", "max_fov")}
    shape = parse_size(wanted["size"]) if wanted["size"] else parse_aspect(wanted["aspect"])
    hfov = View.of_longer_side(*shape, wanted["fov"]).hfov
    for name, beyond in (("min_fov", hfov < wanted["min_fov"]), ("max_fov", hfov > wanted["max_fov"])):
        if not beyond:
            continue
        if name not in asked:
            return {name: hfov}
        if "fov" in asked:
            what = f"`fov={wanted['fov']:g}` shows {hfov:.4g}° from left to right"
            than = "less" if name == "min_fov" else "more"
            raise ValueError(f"{what}, {than} than `{name}={wanted[name]:g}` allows")
        limit = View(*shape, wanted[name])
        return {"fov": max(limit.hfov, limit.vfov)}
    return {}


def options_behind(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options that resolve to these settings, by name: the preset, and what differs from its values.

    Those of a camera path may have been edited, and are not checked.
    """
    name = settings.get("preset")
    preset = next((known for known in PRESETS.values() if known.preset == name), PRESETS["default"])
    asked = {f.name: value for f in fields(PlanOptions) if (value := settings.get(f.name)) is not None}
    asked = {key: value for key, value in asked.items() if key == "preset" or value != getattr(preset, key, None)}
    for key in ("min_fov", "max_fov", "fov"):  # They give way to each other, and then need not be valid options.
        fewer = {each: value for each, value in asked.items() if each != key}
        with suppress(TypeError, ValueError):
            if PlanOptions(**fewer).resolved().to_json() == settings:
                asked = fewer
    return asked


def preset_value(name: str, preset: Preset = "default") -> str | float | None:
    """A preset's value of an option whose own default is None; None if it has none."""
    value: str | float | None = getattr(PRESETS[preset], name, None)
    return value
