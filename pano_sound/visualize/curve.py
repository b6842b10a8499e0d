"""A camera path as SVG: yaw over time, in a band as wide as the view."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..camera_path import CameraPath


def camera_curve(path: CameraPath, start: float, end: float, points: int) -> list[list[float]]:
    """[t, yaw, hfov] of a camera path at even times from `start` to `end`: seconds from `start`, and degrees."""
    times = np.linspace(start, max(end, start + 0.1), points)
    looks = path.looks(times)
    return np.round(np.column_stack([times - start, looks[:, 0], looks[:, 3]]), 3).tolist()


def curve_shapes(curve: list[list[float]], width: float, height: float, end: float) -> str:
    """SVG shapes of a curve ([t, yaw, view]) from 0 to `end` seconds: yaw 180° is at the top, -180° at the bottom; the
    long way round it breaks."""
    pieces: list[list[list[float]]] = [[curve[0]]]
    for before, point in pairwise(curve):
        if abs(point[1] - before[1]) > 180:
            pieces.append([])
        pieces[-1].append(point)

    def at(t: float, yaw: float) -> str:
        return f"{t / end * width:.1f},{(180 - yaw) / 360 * height:.1f}"

    shapes = []
    for piece in pieces:
        # What the view holds beyond one edge of the turn it holds at the other.
        for turn in (-360, 0, 360):
            upper = [at(t, yaw + turn + fov / 2) for t, yaw, fov in piece]
            lower = [at(t, yaw + turn - fov / 2) for t, yaw, fov in reversed(piece)]
            shapes.append(f'<polygon points="{" ".join(upper + lower)}" fill="#00e5ff" fill-opacity=".18"/>')
        line = " ".join(at(t, yaw) for t, yaw, _ in piece)
        shapes.append(f'<polyline points="{line}" fill="none" stroke="#00e5ff" stroke-width="2"/>')
    return "".join(shapes)
