"""The video encoders to choose from, with their options for quality and effort. Only data: `media/writer.py` opens
them."""

from __future__ import annotations

from dataclasses import dataclass, replace

_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_QSV = ("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_NVENC = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")
_ALL = ("mp4", "mov", "matroska")
_AV1 = ("mp4", "matroska")
_COMMON_MATRICES = (1, 6, 9)  # BT.709, BT.601, BT.2020
_LAMBDA = 118  # FFmpeg's FF_QP2LAMBDA, the factor for VideoToolbox's quality.


@dataclass(frozen=True)
class Encoder:
    """What one encoder supports.

    best, worst: the range of its quality, from large to small files. Either may be the larger number.
    default: its default quality; None: it has only presets.
    quality: FFmpeg's options for a quality, with '{q}' in their values.
    effort: FFmpeg's option for a preset; `presets`: its values; `preset`: the default.
    pix_fmts: pixel formats for 8 and 10 bits; None: not supported.
    muxers: FFmpeg's formats that can hold its output.
    instead: for hardware encoders, the software encoder of the same codec.
    own: FFmpeg's option for the encoder's private options, 'a=b:c=d'; `quiet`: those that are always set.
    light: its private options for HDR10's mastering display and content light level.
    full_range: whether its files can state full range.
    matrices: the matrices that its files can state, by FFmpeg's numbers; None: all.
    """

    best: float
    worst: float
    default: float | None
    quality: tuple[tuple[str, str], ...]
    effort: str
    presets: tuple[str, ...]
    preset: str
    pix_fmts: tuple[str | None, str | None] = ("yuv420p", "yuv420p10le")
    muxers: tuple[str, ...] = _ALL
    instead: str | None = None
    own: str = ""
    quiet: str = ""
    light: tuple[str, str] | None = None
    full_range: bool = True
    matrices: tuple[int, ...] | None = None

    def check(self, name: str, crf: float | None, bitrate: str | None, preset: str | None) -> None:
        """Raises ValueError for a value that this encoder does not support."""
        if crf is not None and bitrate is not None:
            raise ValueError("`crf` and `bitrate` cannot be used together")
        if self.default is None and not (crf is None and bitrate is None):
            raise ValueError(f"{name} takes neither `crf` nor `bitrate`: its quality is its `encoder_preset`")
        low, high = sorted((self.best, self.worst))
        if crf is not None and not low <= crf <= high:
            raise ValueError(f"`crf` of {name} must be from {low:g} to {high:g}, not {crf:g}")
        if preset is not None and not self.presets:
            raise ValueError(f"{name} has no `encoder_preset`")
        if preset is not None and preset not in self.presets:
            raise ValueError(f"`encoder_preset` of {name} must be one of {', '.join(self.presets)}, not {preset!r}")

    def options(self, crf: float | None, bitrate: int | None, preset: str | None) -> dict[str, str]:
        """FFmpeg's options for a quality, or `bitrate` bits per second, or the default quality; and for an effort."""
        chosen = {self.effort: preset or self.preset} if self.effort else {}
        if bitrate is not None:
            return chosen | {"b": str(bitrate)}
        q = self.default if crf is None else crf
        if q is None:
            return chosen
        scaled = q * _LAMBDA if "global_quality" in dict(self.quality) and "flags" in dict(self.quality) else q
        return chosen | {key: value.format(q=f"{scaled:g}") for key, value in self.quality}

    def private_options(
        self,
        primaries: tuple[float, ...] | None = None,
        luminance: tuple[float, float] | None = None,
        content: tuple[int, int] | None = None,
    ) -> dict[str, str]:
        """FFmpeg's option with the encoder's private options, including HDR10's where it has them.

        Args:
            primaries: x, y of red, green, blue and white; luminance: least and most, cd/m². Only used together.
            content: MaxCLL, MaxFALL, cd/m².
        """
        said = [self.quiet] if self.quiet else []
        if self.light is not None and primaries is not None and luminance is not None:
            if self.own == "svtav1-params":
                said_as = [f"{v:.5f}" for v in (*primaries, *luminance)]
            else:
                # x264 and x265 count in the standard's units, 0.00002 and 0.0001 cd/m².
                said_as = [str(round(v * 50_000)) for v in primaries] + [str(round(v * 10_000)) for v in luminance]
            rx, ry, gx, gy, bx, by, wx, wy, low, high = said_as
            said.append(f"{self.light[0]}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})")
        if self.light is not None and content is not None:
            said.append(f"{self.light[1]}={content[0]},{content[1]}")
        return {self.own: ":".join(said)} if said else {}


def _nvenc(instead: str, deep: bool = True) -> Encoder:
    quality = (("rc", "vbr"), ("cq", "{q}"), ("b", "0"))
    return Encoder(1, 51, 19, quality, "preset", _NVENC, "p5", ("yuv420p", "p010le" if deep else None), _ALL, instead)


def _qsv(instead: str, deep: bool = True) -> Encoder:
    formats = ("nv12", "p010le" if deep else None)
    return Encoder(1, 51, 19, (("global_quality", "{q}"),), "preset", _QSV, "medium", formats, _ALL, instead)


def _amf(instead: str, deep: bool = True) -> Encoder:
    quality = (("rc", "cqp"), ("qp_i", "{q}"), ("qp_p", "{q}"))
    efforts = ("speed", "balanced", "quality")
    formats = ("nv12", "p010le" if deep else None)
    return Encoder(
        0, 51, 19, quality, "quality", efforts, "balanced", formats, _ALL, instead, matrices=_COMMON_MATRICES
    )


def _videotoolbox(instead: str, deep: bool = True) -> Encoder:
    quality = (("flags", "+qscale"), ("global_quality", "{q}"))
    formats = ("nv12", "p010le" if deep else None)
    return Encoder(100, 1, 65, quality, "", (), "", formats, _ALL, instead, matrices=(*_COMMON_MATRICES, 7))


ENCODERS: dict[str, Encoder] = {
    "libx264": Encoder(
        0,
        51,
        18,
        (("crf", "{q}"),),
        "preset",
        _X26X,
        "medium",
        own="x264-params",
        light=("mastering-display", "cll"),
    ),
    "libx265": Encoder(
        0,
        51,
        20,
        (("crf", "{q}"),),
        "preset",
        _X26X,
        "medium",
        own="x265-params",
        quiet="log-level=error",
        light=("master-display", "max-cll"),
    ),
    "libsvtav1": Encoder(
        1,
        63,
        24,
        (("crf", "{q}"),),
        "preset",
        tuple(map(str, range(14))),
        "8",
        muxers=_AV1,
        own="svtav1-params",
        light=("mastering-display", "content-light"),
    ),
    "prores_ks": Encoder(
        0,
        0,
        None,
        (),
        "profile",
        ("proxy", "lt", "standard", "hq"),
        "hq",
        ("yuv422p10le", "yuv422p10le"),
        ("mov", "matroska"),
        full_range=False,
        matrices=_COMMON_MATRICES,
    ),
    "h264_nvenc": _nvenc("libx264", deep=False),
    "hevc_nvenc": _nvenc("libx265"),
    "av1_nvenc": replace(_nvenc("libsvtav1"), muxers=_AV1),
    "h264_qsv": _qsv("libx264", deep=False),
    "hevc_qsv": _qsv("libx265"),
    "av1_qsv": replace(_qsv("libsvtav1"), muxers=_AV1),
    "h264_amf": _amf("libx264", deep=False),
    "hevc_amf": _amf("libx265"),
    "av1_amf": replace(_amf("libsvtav1"), muxers=_AV1),
    "h264_videotoolbox": _videotoolbox("libx264", deep=False),
    "hevc_videotoolbox": _videotoolbox("libx265"),
}
"""By FFmpeg's names. The default qualities look alike: their losses are invisible."""


def default_encoder(bit_depth: int) -> str:
    """What plays in most places: H.264 for 8 bits, HEVC for more, which hardly anything plays as H.264."""
    return "libx265" if bit_depth > 8 else "libx264"


def bits_per_second(text: str) -> int:
    """'20M' -> 20000000, '800k' -> 800000. Raises ValueError for another form, and outside 1k to 1000M."""
    digits, unit = (text[:-1], text[-1:].lower()) if isinstance(text, str) else ("", "")
    if unit in ("k", "m") and digits.replace(".", "", 1).isdecimal():
        bits = round(float(digits) * (1000 if unit == "k" else 1_000_000))
        if 1000 <= bits <= 1_000_000_000:
            return bits
    raise ValueError(f"`bitrate` must look like 20M or 800k, from 1k to 1000M, not {text!r}")
