"""Saliency drawn over the 360° picture, in the picture's own planes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media.colour import FULL, LUMA_WEIGHTS, Colour
from ..media.reader import Picture
from ..soundmap import SoundMap
from ..sphere.view import Plane, Planes

STRENGTH = 0.65


class Overlay:
    """Draws a sound map over pictures: call with a Picture, returns its planes with the saliency as a heat map.

    Heat is the saliency over its peak, times the map's confidence: where the network is not sure, nothing shows.
    """

    def __init__(self, soundmap: SoundMap, width: int, height: int) -> None:
        """`width`, `height`: size of the pictures' luma, even."""
        self.soundmap = soundmap
        self.size = (width, height)
        self.sure = soundmap.present()

    def heat(self, t: float) -> NDArray[np.float32]:
        """Heat at presentation time `t` in seconds on the map's grid, (rows, columns) float32, 0..1."""
        times = self.soundmap.times
        i = int(np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 1))
        j = min(i + 1, len(times) - 1)
        share = 0.0 if i == j else float(np.clip((t - times[i]) / (times[j] - times[i]), 0.0, 1.0))
        maps = [self._heat_of(k) for k in (i, j)]
        return (1 - share) * maps[0] + share * maps[1]

    def __call__(self, picture: Picture) -> Planes:
        width, height = self.size
        heat = self.heat(picture.t)
        shades = colour_planes(picture.bit_depth, picture.colour)
        planes = []
        for plane, shade, half in zip(picture.planes, shades, (1, 2, 2), strict=True):
            wide, high = width // half, height // half
            here = _spread(heat, wide, high)
            index = (here * 255).astype(np.uint8)
            painted = cv2.LUT(index, shade) if shade.dtype == np.uint8 else shade[index]
            alpha = here * STRENGTH
            plane = plane[:high, :wide]
            planes.append(
                cv2.blendLinear(painted.astype(np.float32), plane.astype(np.float32), alpha, 1 - alpha)
                .round()
                .astype(plane.dtype)
            )
        return planes[0], planes[1], planes[2]

    def _heat_of(self, k: int) -> NDArray[np.float32]:
        saliency = self.soundmap.saliency(part=slice(k, k + 1))[0]
        low = np.median(saliency)
        return np.clip((saliency - low) / max(saliency.max() - low, 1e-9), 0, 1) * self.sure[k]


def colour_planes(bit_depth: int, colour: Colour) -> tuple[Plane, ...]:
    """The heat map's 256 colours as (Y, U, V) tables in a film's matrix and range, uint8 or uint16 of `bit_depth`
    bits."""
    # Without the map's dark third, which would read as shadow.
    shades = np.linspace(90, 255, 256).round().astype(np.uint8)[None]
    bgr = cv2.applyColorMap(shades, cv2.COLORMAP_INFERNO)[0].astype(np.float64) / 255
    b, g, r = bgr.T
    red, blue = LUMA_WEIGHTS[colour.space]
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    luma, chroma, base = (255, 255, 0) if colour.range == FULL else (219, 224, 16)
    scale = 1 << (bit_depth - 8)
    kind = np.uint8 if bit_depth == 8 else np.uint16
    tables = (base + luma * y, 128 + chroma * u, 128 + chroma * v)
    return tuple(np.clip(np.round(t * scale), 0, 256 * scale - 1).astype(kind) for t in tables)


def _spread(heat: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """A map enlarged to `width` x `height`, smooth across the seam."""
    rows, columns = heat.shape
    wrapped = np.concatenate([heat[:, -1:], heat, heat[:, :1]], axis=1).astype(np.float32)
    x = (np.arange(width, dtype=np.float32) + 0.5) * columns / width + 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) * rows / height - 0.5
    u, v = np.meshgrid(x, y)
    return np.clip(cv2.remap(wrapped, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), 0, 1)
