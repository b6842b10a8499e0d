"""The tensors of a weights file, as NumPy arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import safe_open

from ..nets.files import today
from ..network import Floats

_BATCH_NORM_EPS = 1e-5
_COUNTER = "num_batches_tracked"


class Tensors:
    """The tensors of a weights file, each taken once, by its name and shape."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "np") as file:
            self._arrays = {today(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

    def take(self, name: str, *shape: int) -> Floats:
        """Float32 array of this shape. Raises ValueError: missing, of another shape, not numbers, or not finite."""
        if name not in self._arrays:
            raise ValueError(f"{name} is missing")
        found = self._arrays.pop(name)
        if found.shape != shape:
            raise ValueError(f"{name} is {found.shape}, not {shape}")
        if found.dtype.kind != "f":
            raise ValueError(f"{name} holds numbers of another type, {found.dtype}")
        if not np.isfinite(found).all():
            raise ValueError(f"{name} contains NaN or infinity")
        return found.astype(np.float32)

    def take_norm(self, name: str, channels: int, affine: bool = True) -> tuple[Floats, Floats]:
        """A trained BatchNorm as a factor and what is added, (channels,) each."""
        self._arrays.pop(f"{name}.{_COUNTER}", None)
        mean, variance = self.take(f"{name}.running_mean", channels), self.take(f"{name}.running_var", channels)
        if (variance < 0).any():
            raise ValueError(f"{name}.running_var is negative")
        factor = 1.0 / np.sqrt(variance + _BATCH_NORM_EPS)
        added = -mean * factor
        if affine:
            weight, bias = self.take(f"{name}.weight", channels), self.take(f"{name}.bias", channels)
            factor, added = factor * weight, added * weight + bias
        return factor.astype(np.float32), added.astype(np.float32)

    def end(self) -> None:
        """Raises ValueError if any are left."""
        for name, left in self._arrays.items():
            raise ValueError(f"{name} is {left.shape}, not wanted")
