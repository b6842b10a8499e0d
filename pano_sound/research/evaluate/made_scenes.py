"""Made 360° scenes with known truth: real clips play in a still panorama, and one of them is heard at a time.

All clips move all the time, so that motion alone gives nothing away. The camera may shake, as if hand-held, or turn
slowly.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...sphere.convention import angles, angles_to_pixel, directions, rotation
from ...sphere.geometry import cell_directions
from ..datasets.examples import read_picture
from ..datasets.labelled import read_clips, read_stills

WIDTH, HEIGHT, FPS, RATE = 1920, 960, 25, 48_000
TURN = 6.0
"""Seconds after which another clip is heard."""
SETTLED = 1.0
"""Seconds after each change that are not judged."""
_LOUDNESS, _NOISE = 0.08, 0.002

Motion = Callable[[float], tuple[float, float, float]]
"""Yaw, pitch and roll of the camera, degrees, at a time in seconds."""
Sources = list[tuple[float, float, float]]
"""(time in seconds, yaw, pitch) of what is heard, degrees."""


def still(t: float) -> tuple[float, float, float]:
    """A camera on a tripod."""
    return 0.0, 0.0, 0.0


def shaking(t: float) -> tuple[float, float, float]:
    """A hand-held camera: two or three degrees to and fro about each axis, irregularly."""

    def sway(slow: float, quick: float, phase: float) -> float:
        slowly, quickly = 2 * np.pi * slow * t + phase, 2 * np.pi * quick * t + 2 * phase
        return float(1.6 * np.sin(slowly) + np.sin(quickly))

    return sway(0.9, 2.3, 0.0), sway(1.1, 2.9, 1.0), sway(0.7, 1.9, 2.0)


def turning(t: float) -> tuple[float, float, float]:
    """A camera that turns to the right, six degrees a second."""
    return 6.0 * t, 0.0, 0.0


MOTIONS: dict[str, Motion] = {"still": still, "shaking": shaking, "turning": turning}


@dataclass(frozen=True)
class _Layer:
    """A clip in the panorama."""

    frames: list[NDArray[np.uint8]]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    alpha: NDArray[np.float32]
    yaw: float
    pitch: float

    def draw(self, picture: NDArray[np.uint8], n: int) -> None:
        frame = self.frames[n % len(self.frames)]
        rows = np.flatnonzero(self.alpha.any(axis=1))
        part = slice(rows[0], rows[-1] + 1)
        height, width = frame.shape[:2]
        drawn = cv2.remap(frame, self.x[part] * (width - 1), self.y[part] * (height - 1), cv2.INTER_LINEAR)
        alpha = self.alpha[part, :, None]
        picture[part] = (picture[part] * (1 - alpha) + drawn * alpha).astype(np.uint8)


def make_scenes(
    data: Path, folder: Path, split: str, count: int, seed: int, motion: str = "still"
) -> dict[Path, Sources]:
    """Make films of scenes in a folder and return the true sources of each. Those that are there are kept: a film's
    name ends with a hash of what it shows and where.

    Args:
        data: a folder with clips/ (clips.csv: file, split) and stills/.
        motion: one of MOTIONS.

    Raises:
        DataFileError: the table of clips cannot be read or lacks a column.
        InputError: there are too few clips or panoramas of the split.
    """
    clips = [clip for clip in read_clips(data, split) if _has_sound(clip)]
    stills = read_stills(data, split)
    if len(clips) < 4 or not stills:
        raise InputError("too few clips or panoramas for scenes", data)
    found: dict[Path, Sources] = {}
    for k in range(count):
        rng = random.Random(f"{seed} {k}")
        shown = rng.sample(clips, 4)[:3]  # the fourth was heard without being seen; the published scenes drew it
        back = rng.choice(stills), rng.randrange(WIDTH)
        start = rng.uniform(-180, 180)
        places = [(start + 120 * i + rng.uniform(-20, 20), rng.uniform(-15, 8), rng.uniform(14, 26)) for i in range(3)]
        order = rng.sample(range(3), 3)
        drawn = [clip.name for clip in shown], back[0].name, back[1], places, order
        name = f"{split}-{seed}-{k:02d}-{zlib.crc32(repr(drawn).encode()):08x}"
        film = folder / f"{name}{'' if motion == 'still' else '-' + motion}.mp4"
        if not film.exists():
            _make(film, shown, places, [shown[i] for i in order], back, MOTIONS[motion], seed + k)
        times = [t for t in np.arange(0.25, 3 * TURN, 0.5) if t % TURN > SETTLED]
        found[film] = [_seen(float(t), *places[order[int(t / TURN)]][:2], MOTIONS[motion]) for t in times]
    return found


def move_camera(picture: NDArray[np.uint8], pose: tuple[float, float, float]) -> NDArray[np.uint8]:
    """An equirectangular picture (h, w, 3) as a camera sees it that is turned by yaw, pitch and roll, degrees."""
    if not any(pose):
        return picture
    height, width = picture.shape[:2]
    # A coarse grid, enlarged: unit vectors vary smoothly, pixel positions jump at the seam.
    rays = cv2.resize(
        (cell_directions(height // 4, width // 4) @ rotation(*pose).T).astype(np.float32), (width, height)
    )
    u, v = angles_to_pixel(*angles(rays), width, height)
    return np.asarray(
        cv2.remap(picture, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    )


def write_film(path: Path, frames: Iterator[NDArray[np.uint8]], fps: float, wave: NDArray[np.float32]) -> None:
    """An H.264 film with mono AAC of BGR pictures (h, w, 3) and samples (n,) at RATE."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.mp4")
    with av.open(str(partial), "w") as out:
        rate = Fraction(fps).limit_denominator(1001)
        video = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        for n, picture in enumerate(frames):
            if n == 0:
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuv420p"
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(video.encode())
        for n in range(0, len(wave), 1024):
            piece = np.ascontiguousarray(wave[None, n : n + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, n, Fraction(1, RATE)
            out.mux(sound.encode(frame))
        out.mux(sound.encode())
    partial.rename(path)


def _make(
    film: Path,
    shown: list[Path],
    places: list[tuple[float, float, float]],
    heard: list[Path],
    back: tuple[Path, int],
    motion: Motion,
    seed: int,
) -> None:
    seconds = len(heard) * TURN
    still = np.ascontiguousarray(read_picture(back[0])[..., ::-1])  # BGR, as the clips
    picture = np.roll(cv2.resize(still, (WIDTH, HEIGHT)), back[1], axis=1)
    layers = [_layer(clip, *place, seconds) for clip, place in zip(shown, places, strict=True)]

    def frames() -> Iterator[NDArray[np.uint8]]:
        for n in range(round(seconds * FPS)):
            whole = picture.astype(np.uint8)
            for layer in layers:
                layer.draw(whole, n)
            yield move_camera(whole, motion(n / FPS))

    pieces = [
        _sound(clip, seconds)[round(j * TURN * RATE) : round((j + 1) * TURN * RATE)] for j, clip in enumerate(heard)
    ]
    wave = np.concatenate(pieces)
    wave += np.random.default_rng(seed).normal(0, _NOISE, len(wave))
    write_film(film, frames(), FPS, np.clip(wave, -1, 1).astype(np.float32))


def _layer(clip: Path, yaw: float, pitch: float, half_width: float, seconds: float) -> _Layer:
    frames = _frames(clip, round(seconds * FPS))
    rays = cell_directions(HEIGHT, WIDTH) @ rotation(yaw, pitch)
    ahead = np.maximum(rays[..., 0], 1e-3) * np.tan(np.radians(half_width))
    aspect = frames[0].shape[1] / frames[0].shape[0]
    across, down = -rays[..., 1] / ahead, -rays[..., 2] / ahead * aspect
    edge = np.clip((1 - np.maximum(np.abs(across), np.abs(down))) / 0.12, 0, 1) * (rays[..., 0] > 0.05)
    x, y, alpha = (one.astype(np.float32) for one in ((across + 1) / 2, (down + 1) / 2, edge))
    return _Layer(frames, x, y, alpha, yaw, pitch)


def _seen(t: float, yaw: float, pitch: float, motion: Motion) -> tuple[float, float, float]:
    """Where a place of the scene is for a moving camera."""
    there = angles(directions(yaw, pitch) @ rotation(*motion(t)))
    return t, float(there[0]), float(there[1])


def _frames(clip: Path, count: int) -> list[NDArray[np.uint8]]:
    """Frames of a clip at FPS; short clips play to and fro."""
    found: list[NDArray[np.uint8]] = []
    with av.open(str(clip)) as file:
        for frame in file.decode(video=0):
            while len(found) < count and (frame.time or 0.0) >= len(found) / FPS - 1e-3:
                found.append(frame.to_ndarray(format="bgr24").astype(np.uint8))
            if len(found) >= count:
                break
    return found + found[::-1]


def _sound(clip: Path, seconds: float) -> NDArray[np.float64]:
    """The sound of a clip at RATE, over and over, equally loud."""
    with av.open(str(clip)) as file:
        resampler = av.AudioResampler("flt", "mono", RATE)
        wave = np.concatenate([out.to_ndarray()[0] for f in file.decode(audio=0) for out in resampler.resample(f)])
    wave = np.resize(wave.astype(np.float64), round(seconds * RATE))
    return wave / max(1e-6, float(np.sqrt(np.mean(wave**2)))) * _LOUDNESS


def _has_sound(clip: Path) -> bool:
    with av.open(str(clip)) as file:
        return bool(file.streams.audio)
