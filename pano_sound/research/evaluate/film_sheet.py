"""A film in a few moments, as the paper shows them: the pictures with what was heard (Fig. 13), the saliency maps of
each cue (Fig. 14), and where the camera looks with what it sees (Fig. 15)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...camera_path import CameraPath
from ...media.probe import MediaInfo
from ...media.reader import VideoReader
from ...soundmap import SoundMap
from ...sphere.view import View, render_planes
from ...visualize.overlay import Overlay, outline

_SPHERE = (960, 480)
_VIEW_WIDTH = 320

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Moment:
    """A film at `t` seconds: the picture (480, 960, 3) with the camera's view outlined in it, the view itself, and maps
    in 0..1 at the picture's size: of what was heard and of each cue. `names` are what is heard."""

    t: float
    names: list[str]
    picture: RGB
    view: RGB
    maps: Mapping[str, NDArray[np.float32]]


def moments(film: MediaInfo, soundmap: SoundMap, path: CameraPath, count: int) -> list[Moment]:
    """`count` moments, evenly spaced over the film. Raises InputError."""
    start = film.origin + film.start
    due = [start + film.duration * (i + 0.5) / count for i in range(count)]
    highest = {name: max(float(np.max(maps, initial=0)), 1e-6) for name, maps in soundmap.cues.items()}
    overlay = Overlay(soundmap, *_SPHERE)
    found: list[Moment] = []
    with VideoReader(film) as reader:
        for picture in reader.stored():
            t = float(picture.t) + film.origin
            if len(found) == count or t < due[len(found)]:
                continue
            k = int(np.abs(soundmap.times - t).argmin())
            maps = {"what was heard": overlay.heat(t)[0]}
            maps |= {name: soundmap.cues[name][k].astype(np.float32) / most for name, most in highest.items()}
            names = [] if soundmap.named is None else soundmap.named.at(k)
            rgb = picture.rgb(*_SPHERE)
            view = _view(rgb, path, t)
            cv2.polylines(
                rgb, outline(View(path.width, path.height, path.at(t)[3]), *path.at(t)[:3], *_SPHERE), False, 255, 3
            )
            found.append(Moment(t, names, rgb, view, {name: _enlarged(one) for name, one in maps.items()}))
    return found


def _view(rgb: RGB, path: CameraPath, t: float) -> RGB:
    yaw, pitch, roll, hfov = path.at(t)
    height = round(_VIEW_WIDTH * path.height / path.width / 2) * 2
    stacked = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).ravel()
    width, rows = _SPHERE
    sizes = (width * rows, width * rows // 4, width * rows // 4)
    parts = np.split(np.asarray(stacked, np.uint8), np.cumsum(sizes)[:-1])
    shapes = ((rows, width), (rows // 2, width // 2), (rows // 2, width // 2))
    planes = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    seen = render_planes(planes, View(_VIEW_WIDTH, height, hfov), yaw, pitch, roll)
    flat = np.concatenate([plane.ravel() for plane in seen]).reshape(-1, _VIEW_WIDTH)
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _enlarged(one: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(cv2.resize(one, _SPHERE, interpolation=cv2.INTER_LINEAR), 0, 1).astype(np.float32)
