"""A strip along the bottom of an overlay: the film's level over time, coloured by how sure the map is, and both in
words for this moment, after what is heard."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media.colour import Colour
from ..soundmap import SILENCE_DB, SURE, SoundMap
from ..sphere.view import Plane
from .colours import heat_colours, in_film

_FLOOR_DB = -60.0
_SHARE = 16
"""The picture's height divided by the strip's."""
_BACKGROUND = 24


class Strip:
    """Drawn into a picture's planes at each moment."""

    def __init__(self, soundmap: SoundMap, sureness: NDArray[np.float32], width: int, height: int) -> None:
        """`sureness`: (n,) of the map's times. `width`, `height`: of the pictures, pixels, even."""
        self.height = max(height // _SHARE // 4 * 4, 4)
        self._times, self._level, self._named = soundmap.times, soundmap.level_db, soundmap.named
        self._end = max(float(soundmap.times[-1]), float(soundmap.source.get("end") or 0.0))
        bars = self.height // 2
        when = np.linspace(self._times[0], self._end, width)
        sure = np.interp(when, self._times, sureness)
        tall = np.clip(np.interp(when, self._times, self._level) / -_FLOOR_DB + 1, 0, 1) * bars
        self._empty = np.full((self.height, width, 3), _BACKGROUND, np.uint8)
        rows = bars - np.arange(bars)[:, None]
        lit = np.broadcast_to(heat_colours()[(sure * 255).astype(int)], (bars, width, 3))
        np.copyto(self._empty[-bars:], lit, where=(rows <= tall)[..., None])

    def draw(self, planes: list[Plane], bit_depth: int, colour: Colour, t: float, sure: float) -> None:
        """Replace the lowest rows of a picture's planes. `sure`: 0..1, at `t` seconds."""
        y, u, v = in_film(self._image(t, sure), bit_depth, colour)
        planes[0][-self.height :] = y
        for plane, whole in ((planes[1], u), (planes[2], v)):
            size = (plane.shape[1], self.height // 2)
            plane[-size[1] :] = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)

    def _image(self, t: float, sure: float) -> NDArray[np.uint8]:
        image = self._empty.copy()
        width, half = image.shape[1], self.height // 2
        x = round((t - self._times[0]) / max(self._end - self._times[0], 1e-6) * (width - 1))
        cv2.line(image, (x, half), (x, self.height), (255, 255, 255), max(1, width // 640))
        level = float(np.interp(t, self._times, self._level))
        size = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, max(half * 3 // 5, 1))
        thick = max(1, half // 14)
        nearest = int(np.abs(self._times - t).argmin())
        text = words(level, sure, [] if self._named is None else self._named.at(nearest))
        (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
        # In the middle, which is in front of a viewer who does not turn.
        corner = ((width - wide) // 2, (half + tall) // 2)
        cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), thick, cv2.LINE_AA)
        return image


def words(level_db: float, sure: float, names: Sequence[str] = ()) -> str:
    """What is heard, how loud, and how sure the map is where: 'guitar: -22 dB, 94% sure', '-30 dB, unsure (31%)',
    'silent'."""
    if level_db <= SILENCE_DB:
        return "silent"
    what = f"{', '.join(names)}: " if names else ""
    return f"{what}{level_db:.0f} dB, " + (f"{sure:.0%} sure" if sure >= SURE else f"unsure ({sure:.0%})")
