"""Every option once: name, default, range, choices, help and where `--help` lists it. The command line, the path file
and the docs are derived from these classes; no default is written anywhere else."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, TypeVar

from .encoders import ENCODERS, bits_per_second, default_encoder

S = TypeVar("S", bound="Settings")


def option(
    default: Any,
    help: str,
    *,
    group: str,
    advanced: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[Any, ...] | None = None,
    metavar: str | None = None,
    kind: type | None = None,
    also: str | None = None,
    reads: bool = False,
) -> Any:
    """A dataclass field that knows its range and its help text.

    `group` is the heading in `--help` under which the option is listed; `advanced` ones only by `--help-all`. `kind`
    is the type of an option whose default is None (decided from the input or the preset), `also` a second name on the
    command line. `reads` marks the name of a file to read.
    """
    about = {
        "help": help,
        "group": group,
        "advanced": advanced,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "metavar": metavar,
        "kind": kind or type(default),
        "also": also,
        "reads": reads,
    }
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """The options of one stage. Raises ValueError, naming the option, for a value out of range."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, about = getattr(self, f.name), f.metadata
            if value is None:
                continue
            name = f"`{f.name}`"
            if about["choices"] and value not in about["choices"]:
                raise ValueError(f"{name} must be one of {', '.join(map(str, about['choices']))}, not {value!r}")
            low, high = about["minimum"], about["maximum"]
            too_low, too_high = low is not None and value < low, high is not None and value > high
            if too_low or too_high or value != value:
                raise ValueError(f"{name} must be {range_words(low, high)}, not {value}")

    def to_json(self) -> dict[str, Any]:
        return {name: os.fspath(v) if isinstance(v, os.PathLike) else v for name, v in asdict(self).items()}


@dataclass(frozen=True)
class InputSettings(Settings):
    """Which part of the film to read, and how to understand what its tags leave out."""

    projection: str = option(
        None,
        "How the sphere is laid out in the picture: 'equirectangular', 'half-equirectangular' (the front half, as"
        " in VR180), 'cubemap' (3x2 faces) or 'eac' (YouTube's 3x2 faces). By default as the film's tags say.",
        group="Input",
        choices=("equirectangular", "half-equirectangular", "cubemap", "eac"),
        kind=str,
    )
    stereo: str = option(
        None,
        "How the two eyes are stored: 'mono' (there is one), 'top-bottom' or 'left-right'. The top or left eye is"
        " used. By default as the film's tags say.",
        group="Input",
        choices=("mono", "top-bottom", "left-right"),
        kind=str,
    )
    start: str = option(
        None,
        "Begin at this time: seconds, 1:30 or 1:02:03.5.",
        group="Input",
        metavar="TIME",
        kind=str,
    )
    end: str = option(
        None,
        "Stop at this time.",
        group="Input",
        metavar="TIME",
        kind=str,
    )
    duration: str = option(
        None,
        "Stop this long after --start.",
        group="Input",
        metavar="TIME",
        kind=str,
    )
    video_track: int = option(
        None,
        "Video track to use, counted from 1. By default the 360° one, found by its tags or its 2:1 shape.",
        group="Input",
        advanced=True,
        minimum=1,
        kind=int,
    )
    audio_track: int = option(
        None,
        "Sound track to listen to and keep, counted from 1. By default the film's main one.",
        group="Input",
        minimum=1,
        kind=int,
    )
    ambisonics: str = option(
        None,
        "How the first four sound channels are to be understood: 'ambix' (W, Y, Z, X), 'n3d' (the same order, "
        "other levels), 'fuma' (W, X, Y, Z) or 'none' (plain channels). By default as the film's tags say.",
        group="Input",
        advanced=True,
        choices=("ambix", "fuma", "n3d", "none"),
        kind=str,
    )
    max_damage: float = option(
        0.5,
        "Give up when more than this share of the frames is damaged, 0..1. Up to that, damaged frames are left out.",
        group="Input",
        advanced=True,
        minimum=0.0,
        maximum=1.0,
    )
    max_megapixels: float = option(
        150.0,
        "Refuse larger pictures. 16384x8192 is 134 megapixels.",
        group="Input",
        advanced=True,
        minimum=0.01,
        maximum=1000.0,
    )
    max_hours: float = option(
        24.0,
        "Refuse longer films: their index is probably damaged.",
        group="Input",
        advanced=True,
        minimum=0.01,
        maximum=10000.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        start, end, length = (parse_time(getattr(self, n), f"`{n}`") for n in ("start", "end", "duration"))
        if end is not None and length is not None:
            raise ValueError("`end` and `duration` exclude each other")
        if length == 0 or (end is not None and end <= (start or 0)):
            raise ValueError("nothing is left between `start` and `end`")


@dataclass(frozen=True)
class AnalyseSettings(Settings):
    """How sources are found (footage -> sound map)."""

    model: str = option(
        "base",
        "Weights of the network: a name from `pano-sound models`, or a .safetensors file.",
        group="Listening",
        metavar="NAME|FILE",
        reads=True,
    )
    every: float = option(
        0.5,
        "Seconds between the times at which sources are located. 0: at every frame, as in the paper.",
        group="Listening",
        advanced=True,
        minimum=0.0,
        maximum=10.0,
    )
    window: float = option(
        3.0,
        "Seconds of sound to compare with each picture, centred on it. The paper uses 20, too long to follow "
        "sources that take turns.",
        group="Listening",
        advanced=True,
        minimum=0.5,
        maximum=60.0,
    )
    listen: str = option(
        "auto",
        "How to find sources: 'auto' (all cues: what looks like the sound, what moves with it, and the direction "
        "recorded in an ambisonic track), 'mono' (without that direction) or 'spatial' (by that direction alone).",
        group="Listening",
        choices=("auto", "mono", "spatial"),
    )
    attention: int = option(
        None,
        "Use only the paper's network, with its attention mechanism 1 (softmax) or 2 (ReLU, then softmax).",
        group="Listening",
        advanced=True,
        choices=(1, 2),
        kind=int,
    )
    device: str = option(
        "cpu",
        "Where the networks run: 'cpu' or 'cuda' (an NVIDIA GPU).",
        group="Listening",
        choices=("cpu", "cuda"),
    )


# A camera that holds, follows and switches.
_DEFAULT: dict[str, Any] = {
    "signal": "glimpse",
    "fov": 90.0,
    "centring": 0.5,
    "step": 0.5,
    "tilt": 60.0,
    "min_hold": 2.0,
    "switch_cost": 0.6,
    "move_cost": 0.006,
    "dead_zone": 0.33,
    "look_ahead": 0.5,
    "max_speed": 60.0,
    "max_acceleration": 120.0,
    "max_jerk": 400.0,
    "home_after": 20.0,
    "zoom_speed": 0.0,
    "min_fov": 46.4,
    "max_fov": 104.3,
}

PRESETS: dict[str, dict[str, Any]] = {
    "calm": {
        **_DEFAULT,
        "tilt": 50.0,
        "min_hold": 4.0,
        "switch_cost": 1.5,
        "move_cost": 0.012,
        "dead_zone": 0.5,
        "look_ahead": 0.75,
        "max_speed": 30.0,
        "max_acceleration": 40.0,
        "max_jerk": 100.0,
        "home_after": 30.0,
    },
    "default": _DEFAULT,
    "lively": {
        **_DEFAULT,
        "min_hold": 1.5,
        "switch_cost": 0.3,
        "move_cost": 0.003,
        "dead_zone": 0.2,
        "look_ahead": 0.3,
        "max_speed": 60.0,
        "max_acceleration": 240.0,
        "max_jerk": 1000.0,
        "home_after": 10.0,
        "zoom_speed": 10.0,
    },
    # Su et al. 2016: 198 directions, 5 s clips, 30° per clip and axis, 65.5°, 640x480.
    "paper": {
        "signal": "glimpse",
        "fov": 65.5,
        "size": "640x480",
        "centring": 0.0,
        "step": 5.0,
        "max_speed": 6.0,
    },
}
ASPECTS = ("16:9", "9:16", "1:1", "4:3", "3:4")


@dataclass(frozen=True)
class PlanSettings(Settings):
    """How the camera moves (sound map -> camera path).

    None stands for the preset's value, which `resolved()` fills in. An option that is still None then is not used.
    """

    preset: str = option(
        "default",
        "How the camera behaves: 'calm' (few, slow moves), 'default', 'lively' (follows sooner and zooms) or "
        "'paper' (AUTOCAM as published).",
        group="Camera",
        choices=tuple(PRESETS),
    )
    signal: str = option(
        None,
        "What to follow: 'glimpse' (the view most likely to hold the source; works with several sources), 'mean' "
        "(mean direction on the sphere; points between several sources) or 'centroid' (the paper's mean of pixel "
        "positions; wrong near the seam and with several sources).",
        group="Camera",
        advanced=True,
        choices=("glimpse", "mean", "centroid"),
        kind=str,
    )
    aspect: str = option(
        None,
        "Shape of the output, as large as the source's detail allows. By default 16:9.",
        group="View",
        choices=ASPECTS,
        kind=str,
    )
    size: str | None = option(
        None,
        "Exact output size in pixels. By default 16:9, as large as the source's detail allows; 640x480 with "
        "--preset paper.",
        group="View",
        metavar="WxH",
        kind=str,
    )
    fov: float = option(
        None,
        "Field of view along the longer side of the output, in degrees.",
        group="View",
        minimum=20.0,
        maximum=150.0,
        kind=float,
    )
    yaw: float = option(
        0.0,
        "Which direction is the front: degrees right of the middle of the 360° picture.",
        group="View",
        minimum=-180.0,
        maximum=180.0,
    )
    pitch: float = option(
        0.0,
        "How far up the horizon lies in front, in degrees: levels a tilted camera.",
        group="View",
        minimum=-90.0,
        maximum=90.0,
    )
    roll: float = option(
        0.0,
        "How far the horizon leans to the right, in degrees: levels a tilted camera.",
        group="View",
        minimum=-180.0,
        maximum=180.0,
    )
    centring: float = option(
        None,
        "How much less a source in the corner of the view counts than one in its middle, 0..1.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=1.0,
        kind=float,
    )
    step: float = option(
        None,
        "Seconds between decisions. With --preset paper, the length of a clip.",
        group="Camera",
        advanced=True,
        minimum=0.1,
        maximum=30.0,
        kind=float,
    )
    tilt: float = option(
        None,
        "Steepest look up or down, in degrees.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=90.0,
        kind=float,
    )
    min_hold: float = option(
        None,
        "Stay on a source at least this long, in seconds.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=60.0,
        kind=float,
    )
    switch_cost: float = option(
        None,
        "What moving to another source costs, in expected seconds of source in view. Higher is calmer.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=60.0,
        kind=float,
    )
    move_cost: float = option(
        None,
        "What each degree of turning costs, in expected seconds of source in view. Higher is calmer.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=1.0,
        kind=float,
    )
    dead_zone: float = option(
        None,
        "How far a source may wander before the camera follows, as a share of the view, 0..1.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=1.0,
        kind=float,
    )
    look_ahead: float = option(
        None,
        "How early to start turning, in seconds: the middle of a move comes this long before the new source starts.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=10.0,
        kind=float,
    )
    max_speed: float = option(
        None,
        "Fastest turn, in degrees per second. With --preset paper, per axis.",
        group="Camera",
        advanced=True,
        minimum=1.0,
        maximum=180.0,
        kind=float,
    )
    max_acceleration: float = option(
        None,
        "How softly moves begin and end: greatest acceleration, in degrees/s².",
        group="Camera",
        advanced=True,
        minimum=1.0,
        maximum=5000.0,
        kind=float,
    )
    max_jerk: float = option(
        None,
        "How softly acceleration sets in: greatest jerk, in degrees/s³.",
        group="Camera",
        advanced=True,
        minimum=1.0,
        maximum=50000.0,
        kind=float,
    )
    cut_over: float = option(
        None,
        "Cut instead of turning when the next source is more than this many degrees away. By default never.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=180.0,
        kind=float,
    )
    home_after: float = option(
        None,
        "Return to the front after this many seconds of silence. 0: never.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=3600.0,
        kind=float,
    )
    zoom_speed: float = option(
        None,
        "Fastest zoom, in degrees of view per second. The view widens to hold what sounds. 0: no zoom.",
        group="Camera",
        advanced=True,
        minimum=0.0,
        maximum=90.0,
        kind=float,
    )
    min_fov: float = option(
        None,
        "Narrowest horizontal view when zooming, in degrees.",
        group="Camera",
        advanced=True,
        minimum=20.0,
        maximum=150.0,
        kind=float,
    )
    max_fov: float = option(
        None,
        "Widest horizontal view when zooming, in degrees.",
        group="Camera",
        advanced=True,
        minimum=20.0,
        maximum=150.0,
        kind=float,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            parse_size(self.size)
            if self.aspect is not None:
                raise ValueError("`size` and `aspect` exclude each other")
        if self.preset == "paper":
            idle = [f for f in (*_DEFAULT, "cut_over") if f not in PRESETS["paper"] and getattr(self, f) is not None]
            if idle:
                raise ValueError(f"`{idle[0]}` is not used by `preset='paper'`")
        chosen = PRESETS[self.preset] | {k: v for k, v in vars(self).items() if v is not None}
        if "min_fov" in chosen and chosen["min_fov"] > chosen["max_fov"]:
            raise ValueError("`min_fov` must not be above `max_fov`")

    def resolved(self) -> PlanSettings:
        """The same settings with the preset's numbers filled in. A size of None is left to the source's detail."""
        chosen = {k: v for k, v in PRESETS[self.preset].items() if getattr(self, k) is None}
        if self.aspect is not None:
            chosen.pop("size", None)
        return replace(self, **chosen)


@dataclass(frozen=True)
class RenderSettings(Settings):
    """How the video is written (footage + camera path -> video)."""

    codec: str = option(
        None,
        "Video encoder, by FFmpeg's name: libx264, libx265, libsvtav1, prores_ks, or a hardware encoder such as "
        "hevc_nvenc. By default libx264, or libx265 for films of more than 8 bits, which few players show as H.264.",
        group="Video",
        choices=tuple(ENCODERS),
        metavar="ENCODER",
        kind=str,
        also="-c:v",
    )
    crf: float = option(
        None,
        "Quality in the encoder's own terms: with most, smaller is better. By default "
        f"{', '.join(f'{e.default:g} for {name}' for name, e in ENCODERS.items() if e.default and not e.instead)}.",
        group="Video",
        minimum=0.0,
        maximum=100.0,
        kind=float,
    )
    bitrate: str = option(
        None,
        "Bits per second, such as 20M or 800k, instead of a quality.",
        group="Video",
        metavar="RATE",
        kind=str,
    )
    encoder_preset: str = option(
        None,
        "Speed against file size, in the encoder's own terms: ultrafast to veryslow for libx264 and libx265 "
        "(default: medium), 13 to 0 for libsvtav1 (8), proxy, lt, standard or hq for prores_ks (hq), p1 to p7 for"
        " nvenc (p5).",
        group="Video",
        advanced=True,
        metavar="NAME",
        kind=str,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        codec = self.codec or default_encoder(8)  # Both default encoders take the same qualities and presets.
        ENCODERS[codec].check(codec, self.crf, self.bitrate, self.encoder_preset)
        if self.bitrate is not None:
            bits_per_second(self.bitrate)


@dataclass(frozen=True)
class BatchSettings(Settings):
    """How to work through a whole library."""

    name: str = option(
        "{folder}/{stem}.mp4",
        "What to call the results: {folder} is the film's folder below FOLDER, {stem} its name without the "
        "ending. The ending decides the format.",
        group="Batch",
        metavar="RULE",
    )
    workers: int = option(
        None,
        "How many films to work on at once, one core each. By default as many as cores and memory allow.",
        group="Batch",
        minimum=1,
        maximum=1024,
        kind=int,
    )
    limit: int = option(
        None,
        "Stop after this many films.",
        group="Batch",
        minimum=1,
        kind=int,
    )
    soundmaps: str = option(
        None,
        "Folder or URL in which to keep sound maps, so that no film is analysed twice. By default your cache "
        "folder or, if OUT is a URL, a folder in it.",
        group="Batch",
        metavar="FOLDER",
        kind=str,
    )
    manifest: str = option(
        None,
        "File that records what has been made, on a local disk. By default in OUT or, if OUT is a URL, in your "
        "state folder.",
        group="Batch",
        advanced=True,
        metavar="FILE",
        kind=str,
    )
    ray: str = option(
        None,
        "Work on a Ray cluster: its address, 'auto' for the one this machine belongs to, or 'local' to start one "
        "on this machine. Every machine must reach films, results and --soundmaps under the same names.",
        group="Batch",
        advanced=True,
        metavar="ADDRESS",
        kind=str,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            made = {self.name.format(folder="a", stem=stem) for stem in "bc"}
        except (KeyError, IndexError, ValueError, AttributeError):
            made = set()
        if len(made) < 2 or any(".." in name.split("/") for name in made):
            raise ValueError(f"`name` must hold {{stem}}, and may hold {{folder}}; not {self.name!r}")


def option_name(field_name: str) -> str:
    """'max_speed' -> '--max-speed'."""
    return "--" + field_name.replace("_", "-")


def with_flags(text: str) -> str:
    """A message with its options spelt as on the command line: '`max_hours`' -> '--max-hours',
    "`stereo='mono'`" -> '--stereo mono'."""

    def flag(match: re.Match[str]) -> str:
        return " ".join([_FLAGS[match[1]], *([match[2]] if match[2] else [])]) if match[1] in _FLAGS else match[0]

    return re.sub(r"`(\w+)(?:=['\"]?([^`'\"]*)['\"]?)?`", flag, text)


_FLAGS = {f.name: option_name(f.name) for kind in Settings.__subclasses__() for f in fields(kind)} | {"overwrite": "-y"}


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


def parse_time(text: str | float | None, name: str = "the time") -> Fraction | None:
    """Seconds of '90', '1:30', '1:02:03.5' or a number, exactly; None for None.

    Raises ValueError, beginning with `name`, for text in another form, or a time above 10,000 hours.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(?:(?:(\d{1,5}):)?(\d{1,8}):)?(\d{1,8}(?:\.\d{1,9})?)", str(text).strip())
    if match is None:
        raise ValueError(f"{name} must look like 90, 1:30 or 1:02:03.5, not {text!r}")
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > 10_000 * 3600:
        raise ValueError(f"{name} must be at most 10000 hours, not {text!r}")
    return total


def range_words(low: float | None, high: float | None) -> str:
    """'from 20 to 150', 'at least 1' or 'at most 9'."""
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}"
