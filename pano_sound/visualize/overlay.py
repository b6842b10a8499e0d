"""The sound map drawn over the 360° picture, in the picture's own planes: the posterior as a heat map, a ring around
the sound's own direction, the planned view's outline, and a strip along the bottom with the level and how sure the map
is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from ..camera_path import CameraPath
from ..media.colour import Colour
from ..media.reader import Picture
from ..soundmap import SoundMap
from ..sphere.convention import angles, angles_to_pixel, rotation
from ..sphere.view import Plane, Planes, View
from .colours import heat_colours, in_film
from .path import CLEAR
from .strip import Strip

FAINTEST, STRONGEST = 0.4, 0.75
"""Opacity of the likeliest direction if the map knows nothing, and if it is certain."""
_COOLEST = 0.35
"""Position in the colour map of the likeliest direction if the map knows nothing."""
_SOLID = 2.0
"""Directions above half of the peak are as opaque as the peak; colour tells them apart."""
_SHARPNESS = 0.6
"""Exponent that makes directions less probable than the peak visible."""
_EDGE_POINTS = 64
_AROUND = 1.5
"""Nats below its peak at which the ring around the sound's own direction is drawn."""
_FINER, _OUTSIDE = 8, 4
"""Points of a ring per cell, and cells beyond the picture's edges that are drawn and cut off."""
_WHITE, _CYAN = (np.array([bgr], np.uint8) for bgr in ((255, 255, 255), (255, 229, 0)))


class Overlay:
    """Draws a sound map over pictures: for each Picture its planes with what was heard.

    Heat is relative to each moment's own peak, so that something shows whenever there is sound; the surer the map is,
    the warmer and the less transparent its colours are, and the strip says "unsure" where it is. Where ambisonic sound
    has a clear direction of its own, a ring is around it.
    """

    def __init__(self, soundmap: SoundMap, width: int, height: int, path: CameraPath | None = None) -> None:
        """`width`, `height`: size of the pictures' luma, even. `path`: whose view is outlined."""
        self.soundmap = soundmap
        self.size = (width, height)
        self.path = path
        self.sureness = soundmap.sureness()
        self._spatial = soundmap.cues.get("spatial")  # once: it may be on disk
        self._strip = Strip(soundmap, self.sureness, width, height)

    def heat(self, t: float) -> tuple[NDArray[np.float32], float]:
        """What is drawn at `t`, seconds in the map's time: the map's shape, (rows, columns) float32, 0..1; and how
        sure it is, 0..1."""
        i, j, share = self._between(t)
        shape = (1 - share) * self._shape(i) + share * self._shape(j)
        return shape, float((1 - share) * self.sureness[i] + share * self.sureness[j])

    def rings(self, t: float) -> list[NDArray[np.int32]]:
        """Closed lines around the direction that the sound itself has at `t`, as of `outline`; none where it has no
        clear one."""
        if self._spatial is None:
            return []
        i, j, share = self._between(t)
        before, after = (self._spatial[k].astype(np.float32) for k in (i, j))
        ratios = (1 - share) * before + share * after
        peak = float(ratios.max())
        return contours(ratios, max(peak - _AROUND, CLEAR), *self.size) if peak > CLEAR else []

    def _between(self, t: float) -> tuple[int, int, float]:
        """The analysed times before and after `t`, and how far it is from the first to the second, 0..1: if the picture
        cuts between them, all of the way or none."""
        times, cuts = self.soundmap.times, self.soundmap.cuts
        i = int(np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 1))
        j = min(i + 1, len(times) - 1)
        for cut in cuts[np.searchsorted(cuts, times[i], side="right") :][:1]:
            if cut <= times[j]:
                return i, j, float(t >= cut)
        return i, j, 0.0 if i == j else float(np.clip((t - times[i]) / (times[j] - times[i]), 0.0, 1.0))

    def __call__(self, picture: Picture, t: float) -> Planes:
        """A picture's planes with what was heard at `t`, seconds in the map's time."""
        width, height = self.size
        shape, sure = self.heat(t)
        colours = in_film(heat_colours(), picture.bit_depth, picture.colour)
        small = _spread(shape, width // 2, height // 2)
        spread = (_spread(shape, width, height), small, small)
        lines = ((self.rings(t), _CYAN), (self._outline(t), _WHITE))
        planes: list[Plane] = []
        for plane, table, heat, scale in zip(picture.planes, colours, spread, (1, 2, 2), strict=True):
            plane = plane[: height // scale, : width // scale]
            index = (heat * (255 * (_COOLEST + (1 - _COOLEST) * sure))).astype(np.uint8)
            painted = cv2.LUT(index, table) if table.dtype == np.uint8 else table[index]
            alpha = np.minimum(heat * _SOLID, 1) * np.float32(FAINTEST + (STRONGEST - FAINTEST) * sure)
            blended = cv2.blendLinear(painted.astype(np.float32), plane.astype(np.float32), alpha, 1 - alpha)
            planes.append(blended.round().astype(plane.dtype))
        for each, bgr in lines:
            self._draw_lines(planes, each, bgr, picture.bit_depth, picture.colour)
        self._strip.draw(planes, picture.bit_depth, picture.colour, t, sure)
        return planes[0], planes[1], planes[2]

    def _shape(self, k: int) -> NDArray[np.float32]:
        saliency = self.soundmap.saliency(part=slice(k, k + 1))[0]
        # If half of all directions are as probable as the rest, nothing is drawn.
        low = np.median(saliency)
        excess = np.clip(saliency - low, 0, None) / max(float(saliency.max() - low), 0.05 * float(saliency.max()), 1e-9)
        return np.asarray(excess**_SHARPNESS, np.float32)

    def _outline(self, t: float) -> list[NDArray[np.int32]]:
        if self.path is None:
            return []
        yaw, pitch, roll, hfov = self.path.at(t)
        return outline(View(self.path.width, self.path.height, hfov), yaw, pitch, roll, *self.size)

    def _draw_lines(
        self,
        planes: list[Plane],
        lines: Sequence[NDArray[np.int32]],
        bgr: NDArray[np.uint8],
        bit_depth: int,
        colour: Colour,
    ) -> None:
        """Lines with a dark edge, visible on any background."""
        if not lines:
            return
        width, height = self.size
        thin = max(2, round(width / 640))
        for shade, thickness in ((0 * bgr, 2 * thin), (bgr, thin)):
            mask = np.zeros((height, width), np.uint8)
            cv2.polylines(mask, lines, False, 255, thickness, cv2.LINE_AA)
            for i, value in enumerate(in_film(shade, bit_depth, colour)):
                here = mask if i == 0 else cv2.resize(mask, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
                at = here > 0
                alpha = here[at].astype(np.float32) / 255
                planes[i][at] = np.round(planes[i][at] * (1 - alpha) + float(value[0]) * alpha)


def outline(view: View, yaw: float, pitch: float, roll: float, width: int, height: int) -> list[NDArray[np.int32]]:
    """The border of a view on an equirectangular picture: polylines (n, 2) of pixels, split where they leave it at one
    side and return at the other."""
    side = np.linspace(-1, 1, _EDGE_POINTS)
    ones = np.ones_like(side)
    x, y = np.concatenate([[side, ones], [ones, -side], [-side, -ones], [-ones, side]], axis=1)
    across, up = x * view.width / 2 / view.focal, y * view.height / 2 / view.focal
    vectors = np.stack([np.ones_like(across), -across, up], axis=-1) @ rotation(yaw, pitch, roll).T
    points = np.stack(angles_to_pixel(*angles(vectors), width, height), axis=-1)
    lines, line = [], [points[0]]
    for before, point in pairwise(points):
        step = point[0] - before[0]
        if abs(step) > width / 2:
            turn = np.array([np.copysign(width, step), 0])
            lines.append([*line, point - turn])
            line = [before + turn]
        line.append(point)
    return [np.round(each).astype(np.int32) for each in (*lines, line)]


def contours(ratios: NDArray[np.float32], level: float, width: int, height: int) -> list[NDArray[np.int32]]:
    """Lines along which a map (rows, columns) has a value, on an equirectangular picture: polylines (n, 2) of pixels.
    They are closed, and end outside the picture where they cross its edges."""
    rows, columns = ratios.shape
    padded = np.pad(np.pad(ratios, ((0, 0), (_OUTSIDE, _OUTSIDE)), "wrap"), ((_OUTSIDE, _OUTSIDE), (0, 0)), "edge")
    fine = cv2.resize(padded, None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(fine, (0, 0), _FINER / 2)
    slope_y, slope_x = np.gradient(fine)
    found, _ = cv2.findContours((fine > level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    lines = []
    for line in found:
        x, y = line[:, 0].T
        across, down = slope_x[y, x], slope_y[y, x]
        # From the pixel's middle to where the value is exactly reached.
        step = (level - fine[y, x]) / np.maximum(across**2 + down**2, 1e-9)
        u = (x + np.clip(step * across, -1, 1) + 0.5) / _FINER - _OUTSIDE
        v = (y + np.clip(step * down, -1, 1) + 0.5) / _FINER - _OUTSIDE
        points = np.stack([u * width / columns, v * height / rows], axis=1) - 0.5
        lines.append(np.round(np.concatenate([points, points[:1]])).astype(np.int32))
    return lines


def _spread(heat: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """A map enlarged to `width` x `height`, smooth across the seam."""
    rows, columns = heat.shape
    wrapped = np.concatenate([heat[:, -1:], heat, heat[:, :1]], axis=1).astype(np.float32)
    x = (np.arange(width, dtype=np.float32) + 0.5) * columns / width + 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) * rows / height - 0.5
    u, v = np.meshgrid(x, y)
    return np.clip(cv2.remap(wrapped, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), 0, 1)
