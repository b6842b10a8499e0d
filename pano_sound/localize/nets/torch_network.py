"""A network of any kind, on any device, computed by PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ModelError
from ..network import Floats, Network
from ..windows import SoundFeatures
from .localizer import Localizer
from .weights import load


class TorchNetwork(Network):
    """See `Network`; embeddings of pictures are tensors (1, D, rows, columns)."""

    def __init__(self, model: Localizer) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self.sound, self.panorama, self.tags = model.sound_encoder, model.panorama, model.tags
        self.temperature, self.presence = model.temperature, model.presence

    @classmethod
    def load(cls, path: Path, device: str | None = None) -> TorchNetwork:
        """Raises ModelError as `weights.load` does, and if PyTorch does not find the device."""
        if device == "cuda" and not torch.cuda.is_available():
            hint = "leave `device` out, or install a PyTorch build that fits the GPU"
            raise ModelError("PyTorch finds no NVIDIA GPU here", hint=hint)
        network = cls(load(path, device))
        network.path = path
        return network

    @torch.inference_mode()
    def sound_features(self, wave: Floats) -> Floats:
        return _array(self._model.sound_features(self._tensor(wave)))

    @torch.inference_mode()
    def embed_sound(self, pooled: Floats) -> Floats:
        return _array(self._model.sound_embedding(self._tensor(pooled)))

    @torch.inference_mode()
    def tag_scores(self, pooled: Floats) -> Floats:
        return _array(self._model.tag_scores(self._tensor(pooled)))

    @torch.inference_mode()
    def embed_picture(self, picture: NDArray[np.uint8]) -> Tensor:
        return self._model.visual(self._tensor(picture).permute(2, 0, 1)[None], wrap=True)

    @torch.inference_mode()
    def respond(self, picture: Tensor, sound: Floats) -> Floats:
        return _array(self._model.respond(picture, self._tensor(sound)[None])[0])

    def _tensor(self, array: NDArray) -> Tensor:
        return torch.as_tensor(np.require(array, requirements=["C", "W"]), device=self._device)


def pooled(model: Localizer, wave: ArrayLike) -> Tensor:
    """The mean feature of a whole wave, mono float32 at `model.sound_rate`: float32 (F,), on the CPU."""
    features = SoundFeatures(TorchNetwork(model))
    features.add(wave)
    features.finish()
    return torch.from_numpy(features.pooled([features.times.mean()], np.inf)[0])


def _array(tensor: Tensor) -> Floats:
    found: Floats = tensor.float().cpu().numpy()
    return found
