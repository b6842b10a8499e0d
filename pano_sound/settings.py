"""Every option once: name, default, range, choices and help. The command line, the path file and the docs
are derived from these classes; no default is written anywhere else."""

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
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[Any, ...] | None = None,
    metavar: str | None = None,
    kind: type | None = None,
    also: str | None = None,
    reads: bool = False,
) -> Any:
    """A dataclass field that knows its range and its help text.

    `kind` gives the type of an option whose default is None (decided from the input or the preset), `also` another
    name that the command line takes for it, `reads` that it names a file that is read.
    """
    about = {
        "help": help,
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
    """Values of one stage's options. Raises ValueError, naming the option, for a value out of range."""

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
                raise ValueError(f"{name} must be {_range_words(low, high)}, not {value}")

    def to_json(self) -> dict[str, Any]:
        return {name: os.fspath(v) if isinstance(v, os.PathLike) else v for name, v in asdict(self).items()}


@dataclass(frozen=True)
class InputSettings(Settings):
    """What of the film is read, and how what it does not say is to be understood."""

    projection: str = option(
        None,
        "How the sphere is laid out in the picture: 'equirectangular', 'half-equirectangular' (the front half, as in "
        "VR180), 'cubemap' (3x2 faces) or 'eac' (3x2 faces as YouTube's). By default as the film's tags say.",
        choices=("equirectangular", "half-equirectangular", "cubemap", "eac"),
        kind=str,
    )
    stereo: str = option(
        None,
        "Where the two eyes are: 'mono', 'top-bottom' or 'left-right'; the upper or left one is used. By default as "
        "the film's tags say.",
        choices=("mono", "top-bottom", "left-right"),
        kind=str,
    )
    start: str = option(
        None,
        "Leave out what is before this time of the film: seconds, or 1:30, or 1:02:03.5.",
        metavar="TIME",
        kind=str,
    )
    end: str = option(None, "Leave out what is from this time of the film on.", metavar="TIME", kind=str)
    duration: str = option(None, "Read so much of the film, from --start on.", metavar="TIME", kind=str)
    video_track: int = option(
        None,
        "Video track to read, counted from 1. By default the 360° one: by its tags, else by its 2:1 shape.",
        minimum=1,
        kind=int,
    )
    audio_track: int = option(
        None,
        "Sound track to listen to and to keep, counted from 1. By default the film's main one.",
        minimum=1,
        kind=int,
    )
    ambisonics: str = option(
        None,
        "What the sound's first four channels are: 'ambix' (W, Y, Z, X), 'n3d' (the same order, other levels), 'fuma' "
        "(W, X, Y, Z) or 'none' (plain channels). By default as the film's tags say.",
        choices=("ambix", "fuma", "n3d", "none"),
        kind=str,
    )
    max_damage: float = option(
        0.5,
        "Share of the pictures that may be damaged, 0..1; they are left out. With more the work stops.",
        minimum=0.0,
        maximum=1.0,
    )
    max_megapixels: float = option(
        150.0, "Larger pictures are not decoded; 16384x8192 are 134 megapixels.", minimum=0.01, maximum=1000.0
    )
    max_hours: float = option(24.0, "Longer films are refused, as damaged.", minimum=0.01, maximum=10000.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        start, end, length = (parse_time(getattr(self, n), f"`{n}`") for n in ("start", "end", "duration"))
        if end is not None and length is not None:
            raise ValueError("`end` and `duration` exclude each other")
        if length == 0 or (end is not None and end <= (start or 0)):
            raise ValueError("nothing is left between `start` and `end`")


@dataclass(frozen=True)
class AnalyseSettings(Settings):
    """How the film is listened to and looked at (footage -> sound map)."""

    model: str = option(
        "base",
        "Weights: a name that `pano-sound models` lists, or a .safetensors file.",
        metavar="NAME|FILE",
        reads=True,
    )
    every: float = option(
        0.5,
        "Seconds between analysed pictures; 0 analyses every frame, as the paper does.",
        minimum=0.0,
        maximum=10.0,
    )
    window: float = option(
        3.0,
        "Seconds of sound, centred on a picture, that are compared with it. The paper uses 20, which cannot "
        "follow sources that take turns.",
        minimum=0.5,
        maximum=60.0,
    )
    listen: str = option(
        "auto",
        "What tells where it sounds: 'auto' (all there is: what looks like the sound, what moves with it, and the "
        "direction that an ambisonic track carries), 'mono' (not the direction) or 'spatial' (the direction alone).",
        choices=("auto", "mono", "spatial"),
    )
    attention: int = option(
        None,
        "The paper's way: no fusion of cues, but the network's attention alone, by its mechanism 1 (softmax) or 2 "
        "(ReLU, then softmax).",
        choices=(1, 2),
        kind=int,
    )
    device: str = option("cpu", "What the network runs on: 'cpu', or 'cuda', an NVIDIA GPU.", choices=("cpu", "cuda"))


# How a camera moves that holds, follows and switches.
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
    """How the camera is moved (sound map -> camera path).

    What is None is as the preset says, and has its number after `resolved()`; there None means that it has no part.
    """

    preset: str = option(
        "default",
        "Numbers for the options below: 'calm', 'default', 'lively', or 'paper': AUTOCAM's 198 directions, 5 s clips "
        "and at most 30° per clip.",
        choices=tuple(PRESETS),
    )
    signal: str = option(
        None,
        "What is followed: 'glimpse' (the view that holds most saliency; also right for several sources), 'mean' "
        "(vector mean on the sphere; of several sources it is between them, or holds) or 'centroid' (the paper's "
        "planar mean of pixels; wrong near the seam and for several sources).",
        choices=("glimpse", "mean", "centroid"),
        kind=str,
    )
    aspect: str = option(
        None,
        "Shape of the output, in the size that the source's detail fills; by default 16:9.",
        choices=ASPECTS,
        kind=str,
    )
    size: str | None = option(None, "Output size in pixels; any. With --preset paper 640x480.", metavar="WxH", kind=str)
    fov: float = option(
        None,
        "Field of view of the output's longer side, degrees. By default 90 (paper: 65.5).",
        minimum=20.0,
        maximum=150.0,
        kind=float,
    )
    yaw: float = option(
        0.0, "Where the front of the film is in its picture, degrees to the right.", minimum=-180.0, maximum=180.0
    )
    pitch: float = option(
        0.0, "Where the horizon in front is, degrees upwards: levels a tilted film.", minimum=-90.0, maximum=90.0
    )
    roll: float = option(
        0.0, "How far the horizon leans to the right, degrees: levels a tilted film.", minimum=-180.0, maximum=180.0
    )
    centring: float = option(
        None,
        "How much less a source at the corner of the view counts than one in its middle, 0..1.",
        minimum=0.0,
        maximum=1.0,
        kind=float,
    )
    step: float = option(None, "Seconds between decisions (paper: of a clip).", minimum=0.1, maximum=30.0, kind=float)
    tilt: float = option(None, "Steepest look up or down, degrees.", minimum=0.0, maximum=90.0, kind=float)
    min_hold: float = option(
        None, "Seconds that a source is shown at least before another one is.", minimum=0.0, maximum=60.0, kind=float
    )
    switch_cost: float = option(
        None,
        "Price of moving to another source, in expected seconds of source in view: higher is calmer.",
        minimum=0.0,
        maximum=60.0,
        kind=float,
    )
    move_cost: float = option(
        None,
        "Price of turning by one degree, in expected seconds of source in view: higher is calmer.",
        minimum=0.0,
        maximum=1.0,
        kind=float,
    )
    dead_zone: float = option(
        None,
        "Share of the view, around its middle, in which a source may wander without being followed, 0..1.",
        minimum=0.0,
        maximum=1.0,
        kind=float,
    )
    look_ahead: float = option(
        None,
        "Seconds by which a move to a source that starts while another one sounds has its middle before that.",
        minimum=0.0,
        maximum=10.0,
        kind=float,
    )
    max_speed: float = option(
        None, "Fastest turn, degrees per second (paper: per axis).", minimum=1.0, maximum=180.0, kind=float
    )
    max_acceleration: float = option(
        None,
        "Greatest acceleration of a move, degrees/s²: how softly it is eased.",
        minimum=1.0,
        maximum=5000.0,
        kind=float,
    )
    max_jerk: float = option(None, "Greatest jerk of a move, degrees/s³.", minimum=1.0, maximum=50000.0, kind=float)
    cut_over: float = option(
        None,
        "Make turns to another source of more than this many degrees as cuts; by default none.",
        minimum=0.0,
        maximum=180.0,
        kind=float,
    )
    home_after: float = option(
        None,
        "Return to the front after so many seconds of silence; 0: never.",
        minimum=0.0,
        maximum=3600.0,
        kind=float,
    )
    zoom_speed: float = option(
        None,
        "Fastest zoom, degrees of view per second: the view becomes as wide as what sounds asks for; 0: no zoom.",
        minimum=0.0,
        maximum=90.0,
        kind=float,
    )
    min_fov: float = option(
        None, "Narrowest horizontal view when zooming, degrees.", minimum=20.0, maximum=150.0, kind=float
    )
    max_fov: float = option(
        None, "Widest horizontal view when zooming, degrees.", minimum=20.0, maximum=150.0, kind=float
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
                raise ValueError(f"`{idle[0]}` has no part in `preset='paper'`")
        chosen = PRESETS[self.preset] | {k: v for k, v in vars(self).items() if v is not None}
        if "min_fov" in chosen and chosen["min_fov"] > chosen["max_fov"]:
            raise ValueError("`min_fov` must not be above `max_fov`")

    def resolved(self) -> PlanSettings:
        """The same settings with the preset's numbers filled in (size may stay None: as the source's detail)."""
        chosen = {k: v for k, v in PRESETS[self.preset].items() if getattr(self, k) is None}
        if self.aspect is not None:
            chosen.pop("size", None)
        return replace(self, **chosen)


@dataclass(frozen=True)
class RenderSettings(Settings):
    """How the video is written (footage + camera path -> video)."""

    codec: str = option(
        None,
        "Video encoder, by FFmpeg's name. By default libx264, but libx265 for films of more than 8 bits, which few "
        "players show as H.264. One of a graphics card that does not work here is replaced, with a warning.",
        choices=tuple(ENCODERS),
        kind=str,
        also="-c:v",
    )
    crf: float = option(
        None,
        "Quality in the encoder's own terms: with most, smaller is better. By default "
        f"{', '.join(f'{e.default:g} for {name}' for name, e in ENCODERS.items() if e.default and not e.instead)}.",
        minimum=0.0,
        maximum=100.0,
        kind=float,
    )
    bitrate: str = option(None, "Bits per second instead of a quality, such as 20M or 800k.", metavar="RATE", kind=str)
    encoder_preset: str = option(
        None,
        "Encoder effort in the encoder's own terms: ultrafast to veryslow for libx264 and libx265 (default: medium), "
        "13 to 0 for libsvtav1 (8), proxy, lt, standard or hq for prores_ks (hq), p1 to p7 for nvenc (p5).",
        metavar="NAME",
        kind=str,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        codec = self.codec or default_encoder(8)  # Both defaults understand the same.
        ENCODERS[codec].check(codec, self.crf, self.bitrate, self.encoder_preset)
        if self.bitrate is not None:
            bits_per_second(self.bitrate)


@dataclass(frozen=True)
class BatchSettings(Settings):
    """How a whole library is worked through."""

    name: str = option(
        "{folder}/{stem}.mp4",
        "What results are called: {folder} is where the film lies below the FOLDER given, {stem} its name without "
        "ending. The ending decides the format.",
        metavar="RULE",
    )
    workers: int = option(
        None,
        "How many films are worked on at once, each by one core. By default as many as cores and memory allow.",
        minimum=1,
        maximum=1024,
        kind=int,
    )
    limit: int = option(None, "Make at most so many films, then stop.", minimum=1, kind=int)
    soundmaps: str = option(
        None,
        "Where sound maps are kept, so that no film is listened to twice: a folder or URL. By default this user's "
        "cache folder; for results behind a URL, beside them.",
        metavar="FOLDER",
        kind=str,
    )
    manifest: str = option(
        None,
        "The file in which is noted what has been made. By default in OUT; for results behind a URL, in this user's "
        "state folder. It must not lie on a network drive.",
        metavar="FILE",
        kind=str,
    )
    ray: str = option(
        None,
        "Work on a Ray cluster: its address, 'auto' for the one that this machine belongs to, or 'local' for one of "
        "this machine's own. All its machines must reach films, results and --soundmaps by the same names.",
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
    """A message with its options as the command line has them: '`max_hours`' -> '--max-hours',
    "`stereo='mono'`" -> '--stereo mono'."""

    def flag(match: re.Match[str]) -> str:
        return " ".join([_FLAGS[match[1]], *([match[2]] if match[2] else [])]) if match[1] in _FLAGS else match[0]

    return re.sub(r"`(\w+)(?:=['\"]?([^`'\"]*)['\"]?)?`", flag, text)


_FLAGS = {f.name: option_name(f.name) for kind in Settings.__subclasses__() for f in fields(kind)} | {"overwrite": "-y"}


def parse_size(text: str) -> tuple[int, int]:
    """'1280x720' -> (1280, 720), pixels. Raises ValueError for another form, odd or out of 64..8192."""
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

    Raises ValueError, beginning with `name`, for what is none, negative, or above 10,000 hours.
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


def _range_words(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}"
