"""What a media file holds, and whether it can be panned."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from ..errors import UnsupportedInputError
from .ambisonics import FIRST_ORDER, FUMA, Ambisonics
from .colour import Colour
from .footage import Footage
from .tags import Spherical
from .unwrap import Unwrapping, unwrapping

log = logging.getLogger("pano_sound")

_SMALLEST_WIDTH = 64
_TOLERANCE = 0.02

_CAN_BE_UNWRAPPED = ("equirectangular", "equirectangular-tile", "half-equirectangular", "cubemap", "eac")
_CANNOT = {
    "rectilinear": "the picture is tagged as ordinary flat video",
    "fisheye": "the picture is fisheye, straight from the lens",
    "mesh": "the picture has a projection of its own (a mesh, as some VR180 cameras and YouTube use)",
}
_UNKNOWN = "the tags name a projection that is unknown"
_MIXED_EYES = {
    "interleaved": "the two eyes are interleaved",
    "anaglyph": "the two eyes are mixed by colour (anaglyph)",
}
EXPORT = "export it as a 360° video (equirectangular, 2:1) with the camera's software"


@dataclass(frozen=True)
class VideoInfo:
    """The video track that is used.

    track: its number among the file's video tracks, from 1; `tracks`: how many there are.
    width, height: size of the stored picture in pixels, both eyes included.
    fps: average frames per second, or None if unknown.
    time_base: seconds per tick of the time stamps.
    rotation: display rotation in degrees, counter-clockwise, as the file asks for.
    mirrored: whether it asks to flip the picture upside down before that. (Left to right is both: flipped and turned by
        180°.)
    sample_aspect_ratio: width of a pixel divided by its height, or None if unknown.
    steady: whether the frame rate is constant, according to the file's header.
    colour: range, matrix, primaries and transfer.
    """

    width: int
    height: int
    fps: Fraction | None
    codec: str
    pix_fmt: str
    bit_depth: int
    time_base: Fraction
    rotation: int
    mirrored: bool
    sample_aspect_ratio: Fraction | None
    steady: bool
    colour: Colour
    track: int = 1
    tracks: int = 1


@dataclass(frozen=True)
class AudioInfo:
    """The sound track that is used.

    track: its number among the file's sound tracks, from 1; `tracks`: how many there are.
    rate: samples per second.
    layout: FFmpeg's name of the channel layout.
    start, end: presentation times in seconds, from the file's header; end 0: unknown.
    ambisonic: the channels that hold a sound field; None for plain channels.
    assumed: what was assumed because tags are missing or unclear; None: nothing.
    """

    codec: str
    rate: int
    channels: int
    layout: str
    start: float
    end: float
    track: int
    tracks: int
    ambisonic: Ambisonics | None
    assumed: str | None = None


@dataclass(frozen=True)
class MediaInfo:
    """A media file, or several as one film, or a part of it.

    path, container: of the first file; size_bytes: of all.
    start: presentation time of the first picture in seconds.
    duration: length of the video (without one: of the sound) in seconds.
    raw: for unstitched camera files, what they are and what to do; else None.
    footage: what is read.
    """

    path: str
    container: str
    size_bytes: int
    start: float
    duration: float
    video: VideoInfo | None
    audio: AudioInfo | None
    spherical: Spherical
    metadata: dict[str, str]
    raw: str | None
    footage: Footage

    def in_order(self, order: str | None) -> Self:
        """The same film, the order of its sound field's channels decided where it was open: 'ambix' or 'fuma'."""
        field = self.audio.ambisonic if self.audio else None
        if self.audio is None or field is None or field.certain or order is None:
            return self
        decided = replace(FUMA if order == "fuma" else FIRST_ORDER, order=field.order)
        return replace(self, audio=replace(self.audio, ambisonic=decided))

    @property
    def origin(self) -> float:
        """The film's time in seconds at presentation time 0: not 0 if only a part is read."""
        return float(self.footage.origin)

    @property
    def unwrapping(self) -> Unwrapping:
        """How stored frames become one eye's full sphere."""
        if self.video is None:
            return Unwrapping((), 0, 0)
        video = self.video
        return unwrapping(video.width, video.height, video.rotation, video.mirrored, self.spherical)

    @property
    def eye(self) -> tuple[int, int]:
        """(width, height) in pixels of the full sphere of the one eye that is read; (0, 0) without video."""
        how = self.unwrapping
        return how.width, how.height

    @property
    def covers(self) -> tuple[float, float, float, float] | None:
        """For footage of a part of the sphere, yaw of its left and right edge and pitch of its lower and upper one, in
        degrees; None for a whole sphere, and for tilted parts."""
        left, top, right, bottom = self.spherical.missing
        if not any(self.spherical.missing) or any(self.spherical.pose):
            return None
        return 360 * left - 180, 180 - 360 * right, 180 * bottom - 90, 90 - 180 * top

    @property
    def problem(self) -> str | None:
        """Why the file cannot be panned, in words for a film-maker; None if it can."""
        if self.video is None:
            return "the file has no picture, only sound" if self.audio else "the file has no picture"
        size = f"{self.video.width}x{self.video.height}"
        if self.raw is not None:
            return self.raw
        if self.video.width < _SMALLEST_WIDTH:
            return f"the picture is {size}: too small to be 360° footage"
        if self.video.rotation % 90:
            return f"the file asks players to turn the picture by {self.video.rotation}°: export it without a rotation"
        if self.video.colour.unreadable is not None:
            what = f"its colours are stored as {self.video.colour.unreadable}, which cannot be converted"
            return f"{what}: encode it with BT.709 or BT.2020 (non-constant luminance) first"
        projection, stereo = self.spherical.projection, self.spherical.stereo
        if projection is not None and projection not in _CAN_BE_UNWRAPPED:
            return f"{_CANNOT.get(projection, _UNKNOWN)}: {EXPORT}"
        if stereo in _MIXED_EYES:
            return f"{_MIXED_EYES[stereo]}: export one eye, or top-bottom or left-right stereo"
        if stereo == "unknown":
            return "the tags name a stereo layout that is unknown: say `stereo='mono'` (or top-bottom, left-right)"
        if projection is None:
            return self._untagged_problem(self.video, size)
        width, height = self.eye
        if width and width * height <= self.footage.max_pixels:
            return None
        return f"the picture is {size}, and its tags would make a sphere of {width}x{height} of it"

    def _untagged_problem(self, video: VideoInfo, size: str) -> str | None:
        width, height = video.width, video.height
        if video.rotation % 180:
            width, height = height, width
            size = f"{width}x{height} when turned as its tags ask"
        shapes = {width / height, width / height * float(video.sample_aspect_ratio or 1)}
        # Each eye of a pair may be 2:1, or squeezed into half of a 2:1 picture.
        spheres = {"mono": (2.0,), "top-bottom": (1.0, 2.0), "left-right": (4.0, 2.0)}[self.spherical.stereo]
        if any(_is_about(shape, sphere) for shape in shapes for sphere in spheres):
            return None
        for stereo, shape in (("top-bottom", 1.0), ("left-right", 4.0)):
            if self.spherical.stereo == "mono" and any(_is_about(s, shape) for s in shapes):
                return f"the picture is {size} and not tagged: if these are two eyes, say `stereo={stereo!r}`"
        if any(_is_about(s, 1.5) for s in shapes):
            return f"the picture is {size} and not tagged: if it is a cubemap, say `projection='cubemap'` or eac"
        return (
            f"the picture is {size}, not 2:1: this looks like ordinary video, not a full 360° sphere; "
            "if it is one, say `projection='equirectangular'` (or cubemap, eac, half-equirectangular)"
        )

    @property
    def pannable(self) -> PannableFilm | None:
        """The same as a PannableFilm; None if there is a problem."""
        if self.problem is not None:
            return None
        return PannableFilm(**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    def to_json(self) -> dict[str, Any]:
        """The same as plain dicts, strings and numbers (fractions as 'num/den'), with `problem` and `eye`."""
        plain = {k: _plain(v) for k, v in dataclasses.asdict(self).items()}
        plain["files"] = plain.pop("footage")["paths"]
        return {**plain, "origin": self.origin, "eye": list(self.eye), "problem": self.problem}


@dataclass(frozen=True)
class PannableFilm(MediaInfo):
    """A film that can be panned: it has a picture, a readable sphere, and no other problem."""

    video: VideoInfo


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _is_about(shape: float, expected: float) -> bool:
    return abs(shape / expected - 1) <= _TOLERANCE


def require_pannable(info: MediaInfo) -> PannableFilm:
    """Raises UnsupportedInputError, with the reason, unless the file can be panned. Warns of what is assumed of its
    sound."""
    film = info.pannable
    if film is None:
        raise UnsupportedInputError(info.problem or "it cannot be panned", info.path)
    if film.audio is not None and film.audio.assumed is not None:
        log.warning("%s: %s", film.path, film.audio.assumed)
    return film
