"""How the output is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from ..encoders import ENCODERS, bits_per_second, default_encoder
from .base import Option, Options

OutputSound = Literal["stereo", "binaural", "mono", "keep"]

_DEFAULT_QUALITIES = ", ".join(
    f"{e.default:g} for {name}" for name, e in ENCODERS.items() if e.default and not e.instead
)


@dataclass(frozen=True, kw_only=True)
class VideoOptions(Options):
    """How the output is encoded."""

    heading: ClassVar[str] = "Video"

    codec: Annotated[
        str | None,
        Option(
            "Video encoder, by FFmpeg's name: libx264, libx265, libsvtav1, prores_ks, or a hardware encoder such as "
            "hevc_nvenc. By default libx264; for films of more than 8 bits libx265, because few players play "
            "those as H.264.",
            choices=tuple(ENCODERS),
            metavar="ENCODER",
            also="-c:v",
        ),
    ] = None
    crf: Annotated[
        float | None,
        Option(
            "Quality in the encoder's own terms: for most, lower is better. By default " + _DEFAULT_QUALITIES + ".",
            minimum=0.0,
            maximum=100.0,
        ),
    ] = None
    bitrate: Annotated[
        str | None, Option("Bits per second, such as 20M or 800k, instead of --crf.", metavar="RATE")
    ] = None
    encoder_preset: Annotated[
        str | None,
        Option(
            "Speed against file size, in the encoder's own terms: ultrafast to veryslow for libx264 and libx265 "
            "(default: medium), 13 to 0 for libsvtav1 (8), proxy, lt, standard or hq for prores_ks (hq), p1 to p7 for"
            " nvenc (p5).",
            advanced=True,
            metavar="NAME",
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        codec = self.codec or default_encoder(8)  # Both default encoders take the same qualities and presets.
        ENCODERS[codec].check(codec, self.crf, self.bitrate, self.encoder_preset)
        if self.bitrate is not None:
            bits_per_second(self.bitrate)


@dataclass(frozen=True, kw_only=True)
class FlatVideoOptions(VideoOptions):
    """How a flat video is encoded."""

    output_sound: Annotated[
        OutputSound | None,
        Option(
            "The output's sound: 'stereo', 'mono', 'keep' (all channels; ambisonic sound stays ambisonic, of first "
            "order, and turns with the camera) or 'binaural' (for headphones: ambisonic sound as two ears at the "
            "camera would hear it, other sound as it is; needs pip install 'pano-sound[binaural]'). By default "
            "ambisonic sound becomes stereo, and other sound stays as it is if players know its channels."
        ),
    ] = None
