"""The one convention for angles, and its conversions to everybody else's.

At every border (options, files, messages) angles are degrees:

    yaw    grows to the right, (-180, 180]; 0 is the middle of the equirectangular picture
    pitch  grows upwards, [-90, 90]; 0 is the horizon
    roll   grows as the camera leans to its right (clockwise, seen from behind the camera)

Inside, directions are unit vectors: x forward, y left, z up (right-handed), and a camera's orientation is a
matrix `world = R @ camera`, R = yaw · pitch · roll, each about the axis that the ones before it have moved.

Pixel (column u, row v) of a W x H equirectangular picture means its centre: yaw = ((u + 0.5) / W - 0.5) · 360,
pitch = (0.5 - (v + 0.5) / H) · 180. Columns wrap round.

    elsewhere                          yaw      pitch    roll     checked by
    ffmpeg v360 (yaw, pitch, roll)     same     same     same     tests, pixel by pixel, through PyAV
    py360convert e2p (u_deg, v_deg,    same     same     same     tests, pixel by pixel
                      in_rot_deg)
    AmbiX azimuth, elevation           minus    same     -        the format's text
    Spherical Video V2 pose            minus    same     same     the format's text

Pixels are areas here. v360 takes the centre of the source's last pixel for the edge of the sphere, py360convert the
centre of a view's last pixel for the edge of its field of view: each is up to half a pixel off at the edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def wrap_degrees(angle: ArrayLike) -> Array:
    """Any angle in degrees -> the same one in (-180, 180], float64, same shape."""
    return np.asarray(180.0 - np.mod(180.0 - np.asarray(angle, dtype=np.float64), 360.0))


def directions(yaw: ArrayLike, pitch: ArrayLike) -> Array:
    """Yaw and pitch in degrees (broadcast together) -> unit vectors (..., 3), float64."""
    y, p = np.broadcast_arrays(np.radians(yaw), np.radians(pitch))
    return np.stack([np.cos(p) * np.cos(y), -np.cos(p) * np.sin(y), np.sin(p)], axis=-1)


def angles(vectors: ArrayLike) -> tuple[Array, Array]:
    """Vectors (..., 3) of any length but 0 -> (yaw, pitch) in degrees, each (...), float64."""
    v = np.asarray(vectors, dtype=np.float64)
    yaw = np.degrees(np.arctan2(-v[..., 1], v[..., 0]))
    pitch = np.degrees(np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1])))
    return wrap_degrees(yaw), pitch


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """Orientation of a camera in degrees -> matrix R (3, 3), float64, with `world = R @ camera`."""
    y, p, r = np.radians([yaw, pitch, roll])
    turn = np.array([[np.cos(y), np.sin(y), 0], [-np.sin(y), np.cos(y), 0], [0, 0, 1]])
    tilt = np.array([[np.cos(p), 0, -np.sin(p)], [0, 1, 0], [np.sin(p), 0, np.cos(p)]])
    lean = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    return turn @ tilt @ lean


def turned(yaw: ArrayLike, pitch: ArrayLike, by: Array) -> tuple[Array, Array, Array]:
    """Orientations (yaw, pitch, no roll) turned by a matrix (3, 3): yaw, pitch and roll of `by @ R`, degrees."""
    forward = directions(yaw, pitch) @ by.T
    y = np.radians(np.broadcast_to(yaw, forward.shape[:-1]))
    left = np.stack([np.sin(y), np.cos(y), 0 * y], axis=-1) @ by.T
    new_yaw, new_pitch = angles(forward)
    y = np.radians(new_yaw)
    level = np.stack([np.sin(y), np.cos(y), 0 * y], axis=-1)
    up = np.cross(forward, level)
    roll = np.degrees(np.arctan2(np.sum(left * up, axis=-1), np.sum(left * level, axis=-1)))
    return new_yaw, new_pitch, roll


def pixel_to_angles(u: ArrayLike, v: ArrayLike, width: int, height: int) -> tuple[Array, Array]:
    """Pixel coordinates (0 = centre of the first pixel) in an equirectangular picture -> (yaw, pitch), degrees."""
    yaw = ((np.asarray(u, dtype=np.float64) + 0.5) / width - 0.5) * 360.0
    pitch = (0.5 - (np.asarray(v, dtype=np.float64) + 0.5) / height) * 180.0
    return wrap_degrees(yaw), pitch


def angles_to_pixel(yaw: ArrayLike, pitch: ArrayLike, width: int, height: int) -> tuple[Array, Array]:
    """(yaw, pitch) in degrees -> pixel coordinates (u, v), u in [-0.5, width - 0.5), v in [-0.5, height - 0.5]."""
    turn = np.asarray(yaw, dtype=np.float64) / 360.0 + 0.5
    u = (turn - np.floor(turn)) * width - 0.5
    v = (0.5 - np.asarray(pitch, dtype=np.float64) / 180.0) * height - 0.5
    return u, v
