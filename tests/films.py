"""Tiny films for the tests, made with PyAV alone and not with the code under test."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pano_sound.media.threads import usual_priority

NTSC = Fraction(30000, 1001)


def steady(count: int, fps: Fraction | int = 30, start: Fraction | int = 0) -> list[Fraction]:
    """Presentation times in s of `count` pictures."""
    return [Fraction(start) + n / Fraction(fps) for n in range(count)]


def grey_levels(count: int) -> list[int]:
    """A brightness for each picture that tells it from its neighbours."""
    return [40 + 37 * n % 160 for n in range(count)]


def make_film(
    path: Path,
    times: Sequence[Fraction] = tuple(steady(12)),
    *,
    size: tuple[int, int] = (128, 64),
    time_base: Fraction = Fraction(1, 30000),
    levels: Sequence[int] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    halves: bool = False,
    sound: np.ndarray | None = None,
    rate: int = 48000,
    layout: str = "stereo",
    sound_codec: str = "aac",
    sound_start: Fraction | int = 0,
    holes: Sequence[tuple[float, float]] = (),
    jump: tuple[float, int] | None = None,
    stereo: str | None = None,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
) -> Path:
    """A film of flat grey pictures, whose upper left quarter is black with `halves`.

    `sound`: float32 (channels, n), beginning at `sound_start` s; packets that begin inside `holes` (s) are
    left out, those after jump[0] s come jump[1] s later. `options` are the container's, `encoder` the pictures'.
    """
    levels = levels or grey_levels(len(times))
    with av.open(str(path), "w", container_options=options or {}) as out:
        out.metadata.update(metadata or {})
        stream: Any = out.add_stream(codec, rate=(len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 30)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.options = encoder or {}
        if stereo is not None:
            packing = {"left-right": 3, "top-bottom": 4}[stereo]
            stream.options = {"x264-params": f"frame-packing={packing}"}
        stream.codec_context.time_base = time_base
        track: Any = None
        if sound is not None:
            track = out.add_stream(sound_codec, rate=rate, layout=layout)
            track.codec_context.time_base = Fraction(1, rate)
        if codec == "libsvtav1":
            with usual_priority():
                out.start_encoding()
        converter = VideoReformatter()
        for t, level in zip(times, levels, strict=True):
            rgb = np.full((size[1], size[0], 3), level, np.uint8)
            if halves:
                rgb[: size[1] // 2, : size[0] // 2] = 0
            frame = converter.reformat(av.VideoFrame.from_ndarray(rgb, format="rgb24"), format=pix_fmt)
            frame.pts, frame.time_base = round(t / time_base), time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            begin = round(Fraction(sound_start) * rate)
            packets = []
            for at in range(0, sound.shape[1], 1024):
                block: np.ndarray = np.ascontiguousarray(sound[:, at : at + 1024], np.float32)
                if sound_codec == "flac":
                    block = (block * 32767).astype(np.int16).T.reshape(1, -1)
                kind = "s16" if sound_codec == "flac" else "fltp"
                heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format=kind, layout=layout)
                heard.sample_rate, heard.pts, heard.time_base = rate, begin + at, Fraction(1, rate)
                packets += track.encode(heard)
            for packet in packets + track.encode(None):
                begins = float(packet.pts * packet.time_base)
                if any(a <= begins < b for a, b in holes):
                    continue
                if jump is not None and begins > jump[0]:
                    packet.pts += round(jump[1] / packet.time_base)
                    packet.dts = packet.pts
                out.mux(packet)
    return path


def make_sound(path: Path, sound: np.ndarray, rate: int = 48000, layout: str = "stereo") -> Path:
    """A 16-bit wav file of float samples (channels, n)."""
    with av.open(str(path), "w") as out:
        track = out.add_stream("pcm_s16le", rate=rate, layout=layout)
        packed = np.ascontiguousarray((sound * 32767).astype(np.int16).T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def tone(seconds: float, rate: int = 48000, channels: int = 2, hz: float = 440, level: float = 0.5) -> np.ndarray:
    """A sine, the same in all channels, float32 (channels, n)."""
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


def clicks(seconds: float, at: Sequence[float], rate: int = 48000, channels: int = 2) -> np.ndarray:
    """Silence with a short loud burst at each time of `at` (s), float32 (channels, n)."""
    sound = np.zeros((channels, round(seconds * rate)), np.float32)
    burst = 0.8 * np.sin(2 * np.pi * 2000 * np.arange(rate // 100) / rate)
    for t in at:
        begin = round(t * rate)
        sound[:, begin : begin + len(burst)] = burst
    return sound


def damage(path: Path, numbers: Sequence[int], kind: str = "video") -> None:
    """Overwrite packets of an mp4 file, counted from 0, with zeros."""
    with av.open(str(path)) as film:
        places = [(p.pos, p.size) for p in film.demux(**{kind: 0}) if p.pos is not None and p.size]
    content = bytearray(path.read_bytes())
    for pos, size in (places[n] for n in numbers):
        content[pos : pos + size] = bytes(size)
    path.write_bytes(content)
