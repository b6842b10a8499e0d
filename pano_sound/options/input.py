"""The input: which part of a film to read, and what its tags leave out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from .base import Option, Options
from .values import parse_time

Projection = Literal["equirectangular", "half-equirectangular", "cubemap", "eac"]
Stereo = Literal["mono", "top-bottom", "left-right"]
AmbisonicFormat = Literal["ambix", "fuma", "n3d", "none"]


@dataclass(frozen=True, kw_only=True)
class InputOptions(Options):
    """Which part of the film to read, and how to understand what its tags leave out.

    Times are seconds, or text such as '1:30' or '1:02:03.5'.
    """

    heading: ClassVar[str] = "Input"

    projection: Annotated[
        Projection | None,
        Option(
            "How the sphere is laid out in the picture: 'equirectangular', 'half-equirectangular' (the front half, as"
            " in VR180), 'cubemap' (3x2 faces) or 'eac' (YouTube's 3x2 faces). By default, what the film's tags say."
        ),
    ] = None
    stereo: Annotated[
        Stereo | None,
        Option(
            "How the film stores the two eyes: 'mono' (one picture only), 'top-bottom' or 'left-right'. The top or left"
            " eye is used. By default, what the film's tags say."
        ),
    ] = None
    start: Annotated[str | float | None, Option("Begin at this time: seconds, 1:30 or 1:02:03.5.", metavar="TIME")] = (
        None
    )
    end: Annotated[str | float | None, Option("Stop at this time.", metavar="TIME")] = None
    duration: Annotated[
        str | float | None, Option("Stop this long after --start, or after the first frame.", metavar="TIME")
    ] = None
    video_track: Annotated[
        int | None,
        Option(
            "Video track to use, counted from 1. By default the 360° one, found by its tags or its 2:1 shape.",
            advanced=True,
            minimum=1,
        ),
    ] = None
    audio_track: Annotated[
        int | None,
        Option("Sound track to listen to and keep, counted from 1. By default the film's main one.", minimum=1),
    ] = None
    sound: Annotated[
        str | os.PathLike[str] | None,
        Option(
            "A separate recording to use in place of the film's own sound. The two are aligned; a recording that does "
            "not match is refused.",
            metavar="FILE",
            reads=True,
        ),
    ] = None
    ambisonics: Annotated[
        AmbisonicFormat | None,
        Option(
            "What the first four sound channels hold: 'ambix' (W, Y, Z, X), 'n3d' (the same order, other levels), "
            "'fuma' (W, X, Y, Z) or 'none' (plain channels). By default, what the film's tags say, or for four "
            "untagged channels what they sound like.",
            advanced=True,
        ),
    ] = None
    max_damage: Annotated[
        float,
        Option(
            "Give up if more than this share of the frames is damaged, 0..1. Up to that, damaged frames are left out.",
            advanced=True,
            minimum=0.0,
            maximum=1.0,
        ),
    ] = 0.5
    max_megapixels: Annotated[
        float,
        Option(
            "Refuse pictures larger than this many megapixels. 16384x8192 is 134 megapixels.",
            advanced=True,
            minimum=0.01,
            maximum=1000.0,
        ),
    ] = 150.0
    max_hours: Annotated[
        float,
        Option(
            "Refuse films longer than this many hours: their index is probably damaged.",
            advanced=True,
            minimum=0.01,
            maximum=10000.0,
        ),
    ] = 24.0

    def __post_init__(self) -> None:
        super().__post_init__()
        start, end, length = (parse_time(getattr(self, n), f"`{n}`") for n in ("start", "end", "duration"))
        if end is not None and length is not None:
            raise ValueError("`end` and `duration` cannot be used together")
        if length == 0:
            raise ValueError("`duration` must be more than 0")
        if end is not None and end <= (start or 0):
            raise ValueError("nothing is left between `start` and `end`")
