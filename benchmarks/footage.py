"""Reproducible camera-like 360° footage, with pixels, bits and edges like a real camera's.

A textured sphere (noise of equal power in every octave, as pictures of nature have, and hard-edged shapes) seen by a
camera that turns slowly; sensor noise in every frame; things that move, one of which sounds.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

FPS = 30
SOUND_RATE = 48_000
THINGS = 12
SEED = 17
NOISE = 1.5
"""Standard deviation of the sensor's noise, of 255."""


def texture(width: int, height: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A full-size picture, uint8 (height, width), without a seam, with detail at every scale."""
    sums = np.zeros((height, width), np.float32)
    size = 8
    while size < height:
        octave = random.standard_normal((size, 2 * size)).astype(np.float32)
        octave = np.hstack([octave, octave[:, :2]])
        wide = cv2.resize(octave, (width + width // size, height), interpolation=cv2.INTER_CUBIC)
        sums += wide[:, :width]
        size *= 2
    for _ in range(150):
        centre = (int(random.integers(width)), int(random.integers(height // 5, height)))
        axes = tuple(int(a) for a in random.integers(height // 100, height // 12, 2))
        angle = float(random.uniform(0, 180))
        for shift in (-width, 0, width):
            cv2.ellipse(sums, (centre[0] + shift, centre[1]), axes, angle, 0, 360, float(random.uniform(-6, 6)), -1)
    return np.clip(120 + 14 * sums, 16, 235).astype(np.uint8)


def make(path: Path, width: int, height: int, seconds: float) -> None:
    """Write an H.264 film of `seconds` with AAC stereo sound, tagged by its 2:1 shape alone."""
    random = np.random.default_rng(SEED)
    luma = texture(width, height, random)
    chroma = [texture(width // 2, height // 2, random) // 4 + 96 for _ in range(2)]
    pool = (NOISE * random.standard_normal((height + 64, width + 64))).round().astype(np.int16)
    sizes = random.integers(height // 30, height // 8, (THINGS, 2))
    at, speed = random.uniform(0, 1, (THINGS, 2)), random.uniform(-0.05, 0.05, (THINGS, 2))
    things = [texture(2 * int(w), 2 * int(h), random)[: 2 * int(h)] for w, h in sizes]
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20", "g": "30"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = film.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        for number in range(round(seconds * FPS)):
            turn = number // 2 * 2
            y = np.roll(luma, turn, axis=1).astype(np.int16)
            for thing, place, move in zip(things, at, speed, strict=True):
                left = int((place[0] + move[0] * number / FPS) % 1 * (width - thing.shape[1]))
                # Up and down between two heights, however long the film.
                down = abs((place[1] + 0.5 * move[1] * number / FPS) % 2 - 1)
                top = int((0.3 + 0.4 * down) * (height - thing.shape[0]))
                y[top : top + thing.shape[0], left : left + thing.shape[1]] = thing
            dx, dy = random.integers(0, 64, 2)
            y = np.clip(y + pool[dy : dy + height, dx : dx + width], 0, 255).astype(np.uint8)
            frame = av.VideoFrame(width, height, "yuv420p")
            planes = (y, *(np.roll(c, turn // 2, axis=1) for c in chroma))
            for target, plane in zip(frame.planes, planes, strict=True):
                rows = np.frombuffer(memoryview(target), np.uint8).reshape(target.height, -1)
                rows[:, : target.width] = plane
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        _add_sound(film, sound, seconds, random)


def _add_sound(film: Any, stream: Any, seconds: float, random: np.random.Generator) -> None:
    t = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    bursts = random.standard_normal(len(t)) * np.exp(-8 * (t % 0.8))
    samples = np.stack([0.2 * bursts, 0.1 * bursts]).astype(np.float32)
    for begin in range(0, len(t), 1024):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, begin : begin + 1024]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, begin, Fraction(1, SOUND_RATE)
        film.mux(stream.encode(frame))
    film.mux(stream.encode(None))
