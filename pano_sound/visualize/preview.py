"""What a report carries of a film in itself: a preview film of the 360° picture, and the spectrogram of its sound.

Browsers do not let a page from disk paint a video beside it onto a sphere; one inside the page they do.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from ..media import threads
from ..media.inputs import DecodedPictures
from ..media.probe import MediaInfo
from ..media.reader import VideoReader
from ..media.sound import SoundReader

MOST_BYTES = 8 << 20
"""Of a preview, about: that of a longer film has fewer pictures."""
_SIZE = (960, 480)
_MOST_FPS = 15.0
_BITS = 40_000
"""For each picture, about what such a size takes to look well."""
_KEY_EVERY = 1.0
"""Seconds between pictures that can be jumped to."""
_TICKS = 1000


_RATE = 16_000
_WINDOW = 1024
_FLOOR_DB = -80.0


def preview_film(info: MediaInfo, progress: Callable[[str, float, float], None] | None = None) -> bytes:
    """The sphere as a small MP4 without sound; its time 0 is the film's first picture.

    `progress` is called with 'report', and seconds done and in all. Raises InputError.
    """
    seconds = max(info.duration, 1.0)
    fps = min(_MOST_FPS, MOST_BYTES * 8 / seconds / _BITS)
    file = io.BytesIO()
    with (
        av.open(file, "w", format="mp4") as container,
        VideoReader(info, for_analysis=True, only=_pictures(fps)) as reader,
    ):
        stream = container.add_stream("libx264", rate=Fraction(max(fps, 1 / _TICKS)).limit_denominator(_TICKS))
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
        rate = round(min(_BITS * fps, MOST_BYTES * 8 / seconds))
        stream.bit_rate = rate
        # The buffer must hold a few pictures, also where several seconds lie between them.
        stream.options = {"preset": "veryfast", "maxrate": str(rate), "bufsize": str(4 * max(rate, _BITS))}
        stream.codec_context.gop_size = max(1, round(fps * _KEY_EVERY))
        threads.limit(stream.codec_context)
        latest = -_TICKS * 3600
        for picture in reader.stored():
            t = float(picture.t)
            pts = round((t - info.start) * _TICKS)
            # Half a picture early rather than a whole one late.
            if pts <= latest or pts < latest + (1 / fps - 0.5 / _MOST_FPS) * _TICKS:
                continue
            frame = av.VideoFrame.from_ndarray(picture.rgb(*_SIZE), "rgb24")
            frame.pts = latest = pts
            frame.time_base = Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
            if progress is not None:
                progress("report", min(t - info.start, info.duration), info.duration)
        container.mux(stream.encode(None))
    return file.getvalue()


def _pictures(fps: float) -> DecodedPictures:
    """Which pictures need be decoded for so many a second."""
    return "all" if fps > _MOST_FPS / 3 else "reference" if fps > 0.5 else "key"


def spectrogram(info: MediaInfo, start: float, end: float, columns: int, bands: int) -> NDArray[np.float32]:
    """How loud each band is over a film, (columns, bands) 0..1: from `start` to `end`, the film's times in seconds,
    bands of equal width in mel from 0 to 8 kHz. Zeros where there is no sound."""
    found, measured = np.zeros((columns, bands), np.float32), np.zeros(columns, bool)
    window = np.hanning(_WINDOW).astype(np.float32)
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(_WINDOW, 1 / _RATE) / 700)
    band = np.minimum((mel / mel[-1] * bands).astype(int), bands - 1)
    of_band = np.eye(bands, dtype=np.float32)[band]
    width = max(end - start, 0.1) / columns
    begin = info.origin + info.start - start
    for block in SoundReader(info, _RATE).blocks(20.0):
        wave = np.pad(block, (0, max(0, _WINDOW - len(block))))
        pieces = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[:: _WINDOW // 2]
        power = np.abs(np.fft.rfft(pieces * window)) ** 2 / _WINDOW**2
        times = begin + (np.arange(len(pieces)) + 1) * _WINDOW / 2 / _RATE
        level = np.clip(10 * np.log10(power.astype(np.float32) @ of_band + 1e-12) / -_FLOOR_DB + 1.1, 0, 1)
        column = np.floor(times / width).astype(int)
        inside = (column >= 0) & (column < columns)
        np.maximum.at(found, column[inside], level[inside])
        measured[column[inside]] = True
        begin += len(block) / _RATE
    known = np.flatnonzero(measured)
    if len(known):
        # In a short film a window has several columns: each shows the nearest one, if there is one near.
        nearest = known[np.abs(known[:, None] - np.arange(columns)).argmin(axis=0)]
        near = np.abs(nearest - np.arange(columns)) * width <= _WINDOW / 2 / _RATE
        found = np.where(near[:, None], found[nearest], np.float32(0))
    return found
