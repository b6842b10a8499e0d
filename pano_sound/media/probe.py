"""What a media file holds, and whether it can be panned."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import InputError, UnsupportedInputError
from .ambisonics import Ambisonics, ambisonics_of
from .inputs import Source, fraction, open_source
from .spherical import Spherical, read_side_data

_SMALLEST_WIDTH = 64
_TOLERANCE = 0.02

_NOT_EQUIRECTANGULAR = {
    "cubemap": "the picture is a cubemap",
    "equirectangular-tile": "the picture covers only a part of the sphere",
    "half-equirectangular": "the picture covers only half of the sphere (VR180)",
    "rectilinear": "the picture is tagged as ordinary flat video",
    "fisheye": "the picture is fisheye, straight from the lens",
}


@dataclass(frozen=True)
class VideoInfo:
    """The picture track.

    width, height: size of the stored picture in pixels, both eyes included.
    fps: average frames per second, or None when the file does not say.
    time_base: seconds per tick of the time stamps.
    rotation: display rotation in degrees, counter-clockwise, as the file asks for.
    sample_aspect_ratio: width of one pixel by its height, or None when the file does not say.
    """

    width: int
    height: int
    fps: Fraction | None
    codec: str
    pix_fmt: str
    bit_depth: int
    time_base: Fraction
    rotation: int
    sample_aspect_ratio: Fraction | None


@dataclass(frozen=True)
class AudioInfo:
    """The sound track that is used.

    track: its number among the file's sound tracks, from 1; `tracks`: how many there are.
    rate: samples per second.
    layout: FFmpeg's name for what its channels are.
    ambisonic: where in them a sound field is; None for plain channels.
    """

    codec: str
    rate: int
    channels: int
    layout: str
    track: int
    tracks: int
    ambisonic: Ambisonics | None


@dataclass(frozen=True)
class MediaInfo:
    """A media file.

    start: presentation time of the first picture in seconds.
    duration: length of the video (without one: of the sound) in seconds.
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

    @property
    def eye(self) -> tuple[int, int]:
        """(width, height) in pixels of the one eye that is read; (0, 0) without video."""
        if self.video is None:
            return 0, 0
        width, height = self.video.width, self.video.height
        if self.spherical.stereo == "left-right":
            return width // 2, height
        if self.spherical.stereo == "top-bottom":
            return width, height // 2
        return width, height

    @property
    def problem(self) -> str | None:
        """Why the file cannot be panned, for a film-maker; None when it can."""
        if self.video is None:
            return "the file has no picture, only sound" if self.audio else "the file has no picture"
        size = f"{self.video.width}x{self.video.height}"
        if self.video.width < _SMALLEST_WIDTH:
            return f"the picture is {size}: too small to be 360° footage"
        if self.video.rotation:
            return (
                f"the file asks players to turn the picture by {self.video.rotation}°, which is not "
                "supported yet: export it again without a rotation"
            )
        if self.spherical.stereo == "other":
            return "the two eyes are interleaved: export one eye, or top-bottom or left-right stereo"
        projection = self.spherical.projection
        if projection == "equirectangular":
            return None
        if projection is not None:
            what = _NOT_EQUIRECTANGULAR.get(projection, "the picture's projection is unknown")
            return f"{what}: export it as a full equirectangular sphere (2:1) with the camera's software"
        if _looks_spherical(self.video, self.spherical.stereo):
            return None
        return (
            f"the picture is {size}, not 2:1: this looks like ordinary video, not a full 360° sphere; "
            "if it is 360°, export it as equirectangular with its 360° tags"
        )

    def to_json(self) -> dict[str, Any]:
        """The same as plain dicts, strings and numbers (fractions as 'num/den'), with `problem`."""
        plain = {k: _plain(v) for k, v in dataclasses.asdict(self).items()}
        return {**plain, "problem": self.problem}


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _looks_spherical(video: VideoInfo, stereo: str) -> bool:
    """Whether an untagged picture has the shape of a full sphere: 2:1, or two eyes that are 2:1 each."""
    expected = {"mono": (2.0,), "top-bottom": (1.0, 2.0), "left-right": (4.0, 2.0)}.get(stereo, ())
    stored = video.width / video.height
    shown = stored * float(video.sample_aspect_ratio or 1)
    return any(abs(shape / e - 1) <= _TOLERANCE for e in expected for shape in (stored, shown))


def require_pannable(info: MediaInfo) -> None:
    """Raises UnsupportedInputError, with the reason, unless the file can be panned."""
    if info.problem is not None:
        raise UnsupportedInputError(info.problem, info.path)


def probe(path: str | os.PathLike[str], audio_track: int | None = None, ambisonics: str | None = None) -> MediaInfo:
    """Open a file, decode its first frame, and say what is in it.

    Args:
        audio_track: the sound track to use, from 1; None: the main one.
        ambisonics: 'ambix', 'fuma' or 'none', where the user knows better than the tags.

    Raises:
        UnsupportedInputError: `ambisonics` of fewer than four channels.
        InputError: the file is missing, a folder, empty, not media, or so damaged that no frame decodes.
    """
    with open_source(path, audio_track) as source:
        if source.video is None and source.audio is None:
            raise InputError("holds neither pictures nor sound", source.path)
        video, spherical, start = None, Spherical(), 0.0
        duration = _seconds(source.container.duration, Fraction(1, 1_000_000))
        if source.video is not None:
            frame = next(source.frames(source.video), None)
            if frame is None or not frame.width or not frame.height:
                hint = "the file is damaged, cut short, or in a format that cannot be decoded"
                raise InputError("no picture can be decoded", source.path, hint)
            spherical = read_side_data(frame)
            video = _video_info(source.video, frame)
            ticks = 0 if frame.pts is None else frame.pts - source.ticks(source.video)
            start = float(ticks * video.time_base)
            duration = _video_duration(source, start)
        audio = None if source.audio is None else _audio_info(source, ambisonics)
        return MediaInfo(
            path=source.path,
            container=source.container.format.name,
            size_bytes=os.path.getsize(source.path),
            start=start,
            duration=duration,
            video=video,
            audio=audio,
            spherical=spherical,
            metadata=dict(source.container.metadata),
        )


def _video_info(stream: Any, frame: Any) -> VideoInfo:
    context = stream.codec_context
    return VideoInfo(
        width=frame.width,
        height=frame.height,
        fps=fraction(stream.average_rate) or fraction(stream.guessed_rate),
        codec=context.name,
        pix_fmt=frame.format.name,
        bit_depth=max(c.bits for c in frame.format.components),
        time_base=Fraction(stream.time_base),
        rotation=frame.rotation,
        sample_aspect_ratio=fraction(stream.sample_aspect_ratio) or fraction(context.sample_aspect_ratio),
    )


def _audio_info(source: Source, ambisonics: str | None) -> AudioInfo:
    stream: Any = source.audio
    context = stream.codec_context
    layout, channels = context.layout.name, context.layout.nb_channels
    kind = ambisonics_of(source.path, source.container.format.name, stream.id, layout, channels, ambisonics)
    track = source.tracks.index(stream) + 1
    return AudioInfo(context.name, context.sample_rate or 0, channels, layout, track, len(source.tracks), kind)


def _seconds(ticks: int | None, time_base: Fraction) -> float:
    return 0.0 if ticks is None or ticks < 0 else float(ticks * time_base)


def _video_duration(source: Source, start: float) -> float:
    """From the stream itself; else from Matroska's DURATION tag, the end; else from the container."""
    assert source.video is not None
    if source.video.duration:
        return _seconds(source.video.duration, source.video.time_base)
    tag = next((v for k, v in source.video.metadata.items() if k.upper() == "DURATION"), None)
    if tag is not None:
        try:
            hours, minutes, seconds = tag.split(":")
            return max(0.0, int(hours) * 3600 + int(minutes) * 60 + float(seconds) - start)
        except ValueError:
            pass
    container = source.container
    begin = _seconds(container.start_time, Fraction(1, 1_000_000)) - float(source.shift)
    whole = _seconds(container.duration, Fraction(1, 1_000_000))
    if "matroska" in container.format.name:
        begin = 0.0
    return max(0.0, begin + whole - start)
