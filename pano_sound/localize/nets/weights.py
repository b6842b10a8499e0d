"""Networks made of weights files, and weights files of networks; matrices are stored as float16 and used as float32."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from ...atomic_file import written_whole
from .. import network_threads
from ..memory import keep_freed_memory
from .files import FORMAT, LARGEST, find, must_fit, read_config, today
from .localizer import Localizer
from .paper import PaperLocalizer
from .trunks import channels_last

_KINDS = {"base": Localizer, "paper": PaperLocalizer}


def build(config: Mapping[str, Any]) -> Localizer:
    """An untrained model with this architecture (another model's `config`); a PaperLocalizer if its `kind` says so.

    Raises:
        TypeError, ValueError: the options do not fit; KeyError: no such kind.
    """
    options = dict(config)
    return _KINDS[options.pop("kind", "base")](**options)


def load(model: str | os.PathLike[str] = "base", device: str | torch.device | None = None) -> Localizer:
    """Read a model, ready to use (eval mode, no gradients). This also makes the process keep freed memory
    (`memory.py`), and PyTorch use as many threads as `network_threads.py` says.

    Args:
        model: a name such as 'base', or a path to a .safetensors file.
        device: where to put it; None is the CPU.

    Raises:
        ModelError: missing, damaged, or of another format.
    """
    path = find(model)
    config = read_config(path)
    keep_freed_memory()
    torch.set_num_threads(network_threads.count())
    with must_fit(path):
        _check_shapes(path, config)
        network = build(config)
        state = load_file(path, device="cpu")
        network.load_state_dict({today(k): v.float() if v.is_floating_point() else v for k, v in state.items()})
        _check_numbers(network.eval())
    network.requires_grad_(False).eval()
    channels_last(network)
    network.to(device or "cpu")
    if torch.device(device or "cpu").type == "cpu" and has_bfloat16():
        network.precision = torch.bfloat16
    return network


def _check_shapes(path: Path, config: dict[str, Any]) -> None:
    """Raises ValueError unless a file has all tensors of an architecture, before a network is built."""
    with torch.device("meta"):
        network = build(config).state_dict()
    wanted = {key: tuple(value.shape) for key, value in network.items()}
    with safe_open(path, "pt") as file:
        slices = {today(key): file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        found = {key: tuple(piece.get_shape()) for key, piece in slices.items()}
        kinds = {key: piece.get_dtype() for key, piece in slices.items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise ValueError(f"{key} is {found.get(key, 'missing')}, not {wanted.get(key, 'wanted')}")
        if network[key].is_floating_point() != kinds[key].startswith(("F", "BF")):
            raise ValueError(f"{key} holds numbers of another type, {kinds[key]}")


def _check_numbers(network: Localizer) -> None:
    """Raises ValueError if a network contains or computes NaN or infinity."""
    for key, value in network.state_dict().items():
        if not torch.isfinite(value).all() or (key.endswith("running_var") and (value < 0).any()):
            raise ValueError(f"{key} contains NaN or infinity")
    cell = network.grid_stride
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        picture = torch.randint(0, 256, (1, 3, 2 * cell, 4 * cell), generator=generator, dtype=torch.uint8)
        features = network.sound_features(0.1 * torch.randn(network.sound_rate, generator=generator))
        found = network.respond(network.visual(picture, True), network.sound_embedding(features.mean(0, keepdim=True)))
    if not (torch.isfinite(found).all() and 0 < network.temperature < LARGEST):
        raise ValueError("it computes NaN or infinity")


def save(model: Localizer, path: str | os.PathLike[str], metadata: dict[str, str], overwrite: bool = True) -> None:
    """Write a model, with matrices as float16. `metadata` (name, version, …) is stored beside format and config.

    Raises:
        OutputError: it cannot be written, or exists and `overwrite` is False. The old file is kept then.
    """
    state = {
        # Biases and statistics are few, and some are too small or too large for float16.
        k: (v.detach().half() if v.dim() > 1 and v.is_floating_point() else v.detach()).contiguous().cpu()
        for k, v in model.state_dict().items()
    }
    about = {**metadata, "format": FORMAT, "config": json.dumps(model.config)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, overwrite=overwrite) as file:
        file.write(to_bytes(state, about))


def has_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Whether this device multiplies bfloat16 natively; otherwise it would be slower."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())
