"""Makes README's animation, docs/animation.webp: a sample with what is heard, beside the pan made of it.

    python docs/make_animation.py

Beside it, docs/animation.json says what it was made of; a test fails where that has changed since.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import pano_sound
from pano_sound.localize.nets.files import find
from pano_sound.media.probe import probe
from pano_sound.media.reader import Picture, VideoReader
from pano_sound.sphere.view import View, render_planes
from pano_sound.visualize.overlay import Overlay
from pano_sound.visualize.strip import words

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "samples" / "courtyard.mp4"
ANIMATION, SOURCES = HERE / "animation.webp", HERE / "animation.json"
FPS = 5
_SPHERE, _FLAT = (560, 280), (448, 252)
_BAR = 30
_QUALITY = 70
MOST_BYTES = 1_500_000


def sources() -> dict[str, str]:
    """The SHA-256 of each file that the animation is made of."""
    weights = Path(find("base"))
    files = (SAMPLE, Path(__file__), weights, weights.with_name("fusion.json"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> None:
    soundmap = pano_sound.analyse(SAMPLE)
    path = pano_sound.plan(soundmap)
    overlay = Overlay(soundmap, *_SPHERE, path)
    frames = []
    next_at = 0.0
    with VideoReader(probe(SAMPLE)) as reader:
        for picture in reader.pictures():
            if picture.t >= next_at:
                frames.append(_frame(picture, soundmap, overlay, path))
                next_at += 1 / FPS
    animation = cv2.Animation()
    animation.frames = frames
    animation.durations = [1000 // FPS] * len(frames)
    _, encoded = cv2.imencodeanimation(".webp", animation, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    ANIMATION.write_bytes(encoded.tobytes())
    SOURCES.write_text(json.dumps(sources(), indent=1) + "\n")
    print(f"{ANIMATION}: {len(frames)} frames, {len(encoded) / 1e6:.2f} MB")


def _frame(
    picture: Picture, soundmap: pano_sound.SoundMap, overlay: Overlay, path: pano_sound.CameraPath
) -> NDArray[np.uint8]:
    """The 360° film with what is heard and the view's outline, the view itself, and a line of words below."""
    small = Picture(_scaled(picture.planes, *_SPHERE), picture.pts, picture.time_base, 8, picture.colour)
    strip = _SPHERE[1] // 16 // 4 * 4
    left = _bgr(overlay(small, picture.t))[: _SPHERE[1] - strip]
    yaw, pitch, roll, hfov = path.at(picture.t)
    right = _bgr(render_planes(picture.planes, View(*_FLAT, hfov), yaw, pitch, roll))
    height = _BAR + max(len(left), len(right))
    frame = np.full((height, _SPHERE[0] + _FLAT[0], 3), 24, np.uint8)
    frame[: len(left), : _SPHERE[0]] = left
    top = (height - _BAR - len(right)) // 2
    frame[top : top + len(right), _SPHERE[0] :] = right
    k = int(np.abs(soundmap.times - picture.t).argmin())
    sure = float(overlay.sureness[k])
    heard = words(float(soundmap.level_db[k]), sure, [] if soundmap.named is None else soundmap.named.at(k))
    for text, x in ((f"heard in the 360 film: {heard}", 10), ("the pan", _SPHERE[0] + 10)):
        cv2.putText(frame, text, (x, height - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return frame


def _scaled(planes: tuple[NDArray, ...], width: int, height: int) -> tuple[NDArray, NDArray, NDArray]:
    sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
    y, u, v = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p, size in zip(planes, sizes, strict=True))
    return y, u, v


def _bgr(planes: tuple[NDArray, ...]) -> NDArray[np.uint8]:
    """Of 8 bits, limited range."""
    stacked = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, planes[0].shape[1])
    return np.asarray(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420), np.uint8)


if __name__ == "__main__":
    main()
