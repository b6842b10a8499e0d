"""Pictures whose every pixel encodes its position, and the same view drawn by other programs."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from pano_sound.sphere.view import View


def coordinates(width: int, height: int) -> np.ndarray:
    """A smooth equirectangular picture (height, width, 3) uint8, without a jump at the seam or the poles."""
    yaw = np.radians(((np.arange(width) + 0.5) / width - 0.5) * 360)[None, :]
    pitch = np.radians((0.5 - (np.arange(height) + 0.5) / height) * 180)[:, None]
    x, y, z = np.cos(pitch) * np.cos(yaw), -np.cos(pitch) * np.sin(yaw), np.sin(pitch) + 0 * yaw
    return np.round(127.5 + 120 * np.stack([x, y, z], axis=-1)).astype(np.uint8)


def stripes(width: int, height: int) -> np.ndarray:
    """Fine upright (red) and level (green) sine stripes, 8 pixels long, (height, width, 3) uint8."""
    across = np.sin(2 * np.pi * (np.arange(width) + 0.5) / 8)[None, :]
    down = np.sin(2 * np.pi * (np.arange(height) + 0.5) / 8)[:, None]
    planes = np.broadcast_arrays(across, down, 0 * across * down)
    return np.round(127.5 + 100 * np.stack(planes, axis=-1)).astype(np.uint8)


def through_v360(picture: np.ndarray, view: View, yaw: float, pitch: float, roll: float) -> np.ndarray:
    """FFmpeg's v360, equirectangular to flat, (height, width, 3) uint8."""
    graph = av.filter.Graph()
    rows, columns = picture.shape[:2]
    source = graph.add_buffer(width=columns, height=rows, format="gbrp", time_base=Fraction(1, 25))
    size = f"w={view.width}:h={view.height}:h_fov={view.hfov}:v_fov={view.vfov}"
    v360 = graph.add("v360", f"e:flat:{size}:interp=linear:yaw={yaw}:pitch={pitch}:roll={roll}")
    sink = graph.add("buffersink")
    source.link_to(v360)
    v360.link_to(sink)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="gbrp")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    source.push(frame)
    return sink.pull().to_ndarray(format="rgb24")
