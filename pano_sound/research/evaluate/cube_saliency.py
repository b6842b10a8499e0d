"""The paper's rival: saliency from pictures alone, after Cheng et al., *Cube Padding for Weakly-Supervised Saliency
Prediction in 360° Videos*, CVPR 2018.

The sphere is cut into the six faces of a cube. A classifier trained on ImageNet runs on them; each of its convolutions
is padded with what the neighbouring faces hold, so that faces have no borders. The saliency of a place is the highest
class activation there. It knows nothing of sound. (Their network over time, which smooths the maps, was not published
with weights and is left out.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import ClassVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from ...localize.cue import GRID, Cue, Evidence, Maps, Pictures, normalized
from ...localize.nets.trunks import Conv, EfficientNetLite0, MBConv
from ...media.info import PannableFilm
from ...pipeline.film import Progress
from ...pipeline.passes import FilmPart, feed_pictures
from ...soundmap import SoundMap
from ...sphere.convention import angles, angles_to_pixel
from ...sphere.geometry import cell_areas, cell_directions
from ..train.pretrained import lite0, lite0_classes

PICTURE = "picture"
FACE = 256
"""Pixels along the edge of a face; a multiple of the trunk's stride."""
_LEAST = 1e-3
"""Least saliency, relative to the highest of the same moment."""

# Of each face: where it looks, its right, and its bottom (x forward, y left, z up).
_FRONT, _LEFT, _UP = np.eye(3)
_FACES = (
    (_FRONT, -_LEFT, -_UP),
    (-_LEFT, -_FRONT, -_UP),
    (-_FRONT, _LEFT, -_UP),
    (_LEFT, _FRONT, -_UP),
    (_UP, -_LEFT, _FRONT),
    (-_UP, -_LEFT, -_FRONT),
)


def positions(vectors: NDArray[np.floating], size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Directions (..., 3) -> the faces that they are on, (...), and row and column there, (..., 2), in pixels of a face
    with edges of `size` (0 = centre of the first pixel)."""
    ahead, right, down = (np.array([face[i] for face in _FACES]) for i in range(3))
    face = (vectors @ ahead.T).argmax(axis=-1)
    depth = np.sum(vectors * ahead[face], axis=-1)
    place = np.stack([np.sum(vectors * down[face], axis=-1), np.sum(vectors * right[face], axis=-1)], axis=-1)
    return face, (place / depth[..., None] + 1) / 2 * size - 0.5


def cube_surface(size: int, before: int = 0, after: int = 0) -> NDArray[np.float64]:
    """The points of all pixels of the cube, (6, rows, columns, 3), with so many beyond the edges of each face: these
    are folded round the edge onto the neighbour."""
    line = (np.arange(-before, size + after) + 0.5) / size * 2 - 1
    down, right = np.meshgrid(line, line, indexing="ij")
    # Beyond a corner there is no neighbour: what lies beyond the vertical edge, at its end, stands for it.
    inner = 1 - 1 / size
    down = np.where(np.abs(right) > 1, np.clip(down, -inner, inner), down)
    beyond = np.maximum(np.abs(right) - 1, np.abs(down) - 1).clip(0)
    right, down = np.clip(right, -1, 1), np.clip(down, -1, 1)
    return np.stack(
        [
            (1 - beyond)[..., None] * ahead + right[..., None] * to_right + down[..., None] * to_bottom
            for ahead, to_right, to_bottom in _FACES
        ]
    )


@cache
def _sources(size: int, before: int, after: int) -> Tensor:
    """Which of the 6 * size * size pixels each pixel of the padded faces takes, (6, rows, columns)."""
    face, place = positions(cube_surface(size, before, after), size)
    row, column = np.moveaxis(place.round().astype(int).clip(0, size - 1), -1, 0)
    return torch.from_numpy((face * size + row) * size + column)


def padded(faces: Tensor, before: int, after: int) -> Tensor:
    """Faces (6, channels, size, size) with pixels of their neighbours around them."""
    if before == after == 0:
        return faces
    flat = faces.permute(1, 0, 2, 3).reshape(faces.shape[1], -1)
    return flat[:, _sources(faces.shape[-1], before, after)].permute(1, 0, 2, 3)


def to_faces(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """An equirectangular picture (height, width, 3) -> the six faces, (6, size, size, 3)."""
    height, width = picture.shape[:2]
    u, v = (at.astype(np.float32) for at in angles_to_pixel(*angles(cube_surface(size)), width, height))
    wrapped = cv2.BORDER_WRAP
    faces = [cv2.remap(picture, u[i], v[i], cv2.INTER_LINEAR, borderMode=wrapped) for i in range(len(_FACES))]
    return np.stack(faces).astype(np.uint8)


def on_sphere(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps on faces (6, size, size) -> on the sphere, in the cells of GRID; linear, also across edges."""
    face, place = positions(cell_directions(*GRID), faces.shape[-1])
    around = padded(torch.from_numpy(faces)[:, None], 1, 1)[:, 0].numpy()
    return np.asarray(map_coordinates(around, [face, place[..., 0] + 1, place[..., 1] + 1], order=1), np.float32)


class CubeSaliency(Cue):
    """Saliency from pictures alone, as evidence: the more salient, the likelier."""

    names: ClassVar[tuple[str, ...]] = (PICTURE,)

    def __init__(self, trunk: EfficientNetLite0, classes: Tensor, size: int = FACE) -> None:
        """
        Args:
            classes: (classes, channels), what each channel of the trunk's map counts for each class.
            size: pixels along the edge of a face, a multiple of the trunk's stride.
        """
        self.pictures = Pictures(4 * size, 2 * size)
        self._trunk, self._classes, self._size = trunk, classes, size
        self._latest: NDArray[np.uint8] | None = None
        self._maps: list[NDArray[np.float32]] = []

    def add_picture(self, t: float, picture: NDArray[np.uint8]) -> None:
        self._latest = picture

    def request(self, t: float) -> None:
        if self._latest is not None:
            self._maps.append(self.saliency(self._latest))

    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        maps, self._maps = np.array(self._maps, np.float32).reshape(-1, *GRID), []
        return {PICTURE: Evidence(normalized(np.log(maps + _LEAST)), np.zeros(len(maps), np.float32))}

    @torch.inference_mode()
    def saliency(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Of an equirectangular picture (height, width, 3), in the cells of GRID: from 0, the least of the sphere, to
        1, the highest."""
        faces = torch.from_numpy(to_faces(picture, self._size)).permute(0, 3, 1, 2).float()
        found = torch.einsum("fchw,kc->fkhw", self._features(faces), self._classes).amax(dim=1)
        sphere = on_sphere(found.numpy())
        return np.asarray((sphere - sphere.min()) / max(float(np.ptp(sphere)), 1e-9), np.float32)

    def _features(self, faces: Tensor) -> Tensor:
        """The trunk's map of each face, (6, channels, size / stride, size / stride)."""
        trunk = self._trunk
        x = convolve_faces(trunk.stem, (faces - 127.0) / 128.0)
        for block in trunk.blocks:
            assert isinstance(block, MBConv)
            inner = x if block.expand is None else block.expand.only(x, relu6=True)
            found = block.project.only(convolve_faces(block.depthwise, inner))
            x = x + found if block.residual else found
        return trunk.head.only(x, relu6=True)


def pretrained() -> CubeSaliency:
    """With EfficientNet-Lite0 as trained on ImageNet.

    Raises ModelError: the package of its weights is not installed.
    """
    return CubeSaliency(lite0(), lite0_classes())


def convolve_faces(layer: Conv, faces: Tensor) -> Tensor:
    """A convolution on a cube, then ReLU6; as many pixels before a face as TensorFlow's 'SAME' has."""
    beyond = layer.kernel_size[0] - layer.stride[0]
    return layer.only(padded(faces, beyond // 2, beyond - beyond // 2), relu6=True)


def picture_only(film: PannableFilm, soundmap: SoundMap, saliency: CubeSaliency, progress: Progress) -> SoundMap:
    """A film's sound map as the rival would have it: certain at all times, wherever the picture is salient.

    Args:
        soundmap: the film's; its times and cuts are kept.

    Raises InputError.
    """
    every = float(soundmap.settings.get("every") or 0.5)
    seen = feed_pictures(FilmPart(film), [saliency], every, progress)
    at = np.abs(np.array(seen.times)[:, None] + film.origin - soundmap.times).argmin(axis=0)
    return from_saliency(soundmap, seen.evidence([saliency])[PICTURE].maps[:].astype(np.float32)[at])


def from_saliency(soundmap: SoundMap, maps: Maps) -> SoundMap:
    """A sound map with other maps (n, rows, columns), log-likelihood ratios, that doubts nothing."""
    mass = np.exp(maps) * cell_areas(*GRID)
    mass /= mass.sum(axis=(1, 2), keepdims=True)
    nowhere = np.zeros(len(mass), np.float32)
    return replace(soundmap, posterior=mass.astype(np.float16), elsewhere=nowhere, cues={}, named=None)
