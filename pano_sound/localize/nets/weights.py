"""Weights on disk: safetensors files with their architecture; matrices are stored as float16 and used as float32.

A model is named either by a path, or by NAME for `weights/NAME.safetensors` in the installed package or at the top of a
checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from ...atomic_file import written_whole
from ...errors import ModelError
from ..memory import keep_freed_memory
from .files import SUFFIX, find, folders
from .network import Localizer
from .paper import PaperLocalizer
from .trunks import channels_last

FORMAT = "pano-sound.model/1"
_MOST_PIXELS = 4_200_000
"""Most pixels of the panorama: 2880x1440. The visual net needs up to 500 bytes per pixel."""
_WIDEST = {"widths[0]": 64, "panorama": 1e6, "panorama[0]": 1e6}
_LARGEST = 16_384
"""Largest numbers of an architecture, such as channels and strides. Those of first layers are allocated per sample or
pixel."""
_LONGEST_CONFIG = 100_000
_DAMAGE = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, AssertionError),
    SafetensorError,
)
"""What building and filling a network raises for a damaged file."""
_KINDS = {"base": Localizer, "paper": PaperLocalizer}
_RENAMED = {"listener": "sound_encoder", "hear": "audio_head", "look": "visual_head", "see": "code_head"}
"""Old names, in earlier files, of parts of a model and options of its architecture."""


def build(config: Mapping[str, Any]) -> Localizer:
    """An untrained model with this architecture (another model's `config`); a PaperLocalizer if its `kind` says so.

    Raises:
        TypeError, ValueError: the options do not fit; KeyError: no such kind.
    """
    options = {_RENAMED.get(name, name): value for name, value in config.items()}
    return _KINDS[options.pop("kind", "base")](**options)


def load(model: str | os.PathLike[str] = "base", device: str | torch.device | None = None) -> Localizer:
    """Read a model, ready to use (eval mode, no gradients). This also makes the process keep freed memory
    (`memory.py`).

    Args:
        model: a name such as 'base', or a path to a .safetensors file.
        device: where to put it; None is the CPU.

    Raises:
        ModelError: missing, damaged, or of another format.
    """
    path = find(model)
    metadata = read_metadata(path)
    keep_freed_memory()
    try:
        config = _checked_config(metadata["config"])
        _check_shapes(path, config)
        network = build(config)
        state = load_file(path, device="cpu")
        network.load_state_dict({_today(k): v.float() if v.is_floating_point() else v for k, v in state.items()})
        _check_numbers(network.eval())
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"the weights do not fit this version of pano-sound: {reason}", path=path) from error
    network.requires_grad_(False).eval()
    channels_last(network)
    network.to(device or "cpu")
    if torch.device(device or "cpu").type == "cpu" and has_bfloat16():
        network.precision = torch.bfloat16
    return network


def _checked_config(text: str) -> dict[str, Any]:
    """The architecture that a file states. Raises ValueError for impossible numbers, and those that would need more
    memory than any known architecture."""
    if len(text) > _LONGEST_CONFIG:
        raise ValueError(f"its architecture takes {len(text)} characters")
    config: dict[str, Any] = json.loads(text)
    for name, value in _numbers(config):
        if not abs(value) <= _WIDEST.get(name, _LARGEST):
            raise ValueError(f"{name} is {value}")
    for name in ("hidden", "embedding"):
        if not config.get(name, 1) >= 1:
            raise ValueError(f"{name} is {config[name]}")
    rows, columns = config.get("panorama", (1, 1))
    if not (rows > 0 and columns > 0 and rows * columns <= _MOST_PIXELS):
        raise ValueError(f"a panorama of {rows}x{columns} is larger than {_MOST_PIXELS / 1e6:g} megapixels")
    return config


def _numbers(value: Any, name: str = "config") -> Iterator[tuple[str, float]]:
    """(name, number) of all numbers in a config; the name of a list's first entry ends in '[0]'."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, key)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _numbers(inner, name if i else f"{name}[0]")
    elif isinstance(value, (int, float)):
        yield name, value


def _check_shapes(path: Path, config: dict[str, Any]) -> None:
    """Raises ValueError unless a file has all tensors of an architecture, before a network is built."""
    with torch.device("meta"):
        network = build(config).state_dict()
    wanted = {key: tuple(value.shape) for key, value in network.items()}
    with safe_open(path, "pt") as file:
        slices = {_today(key): file.get_slice(key) for key in file.keys()}  # noqa: SIM118
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
    if not (torch.isfinite(found).all() and 0 < network.temperature < _LARGEST):
        raise ValueError("it computes NaN or infinity")


def _today(key: str) -> str:
    """A key of a state dict with current names."""
    part, dot, rest = key.partition(".")
    return _RENAMED.get(part, part) + dot + rest


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


def read_metadata(path: str | os.PathLike[str], format: str = FORMAT) -> dict[str, str]:
    """The metadata of a weights file. Raises ModelError if it is damaged or of another format."""
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ModelError("the weights are damaged, or not a safetensors file", path=path) from error
    if metadata.get("format") != format:
        found = metadata.get("format", "none")
        raise ModelError(f"the weights are of another format: {found}, not {format}", path=path)
    return metadata


def available() -> list[dict[str, Any]]:
    """The named models: name, path, size (bytes), parameters, sha256 and metadata of each."""
    models: dict[str, dict[str, Any]] = {}
    for path in (path for folder in folders() for path in sorted(folder.glob(f"*{SUFFIX}"))):
        if path.stem not in models:
            models[path.stem] = describe(path)
    return list(models.values())


def describe(path: Path, format: str = FORMAT) -> dict[str, Any]:
    """One entry of `available`. Raises ModelError as `read_metadata` does."""
    metadata = read_metadata(path, format)
    with safe_open(path, "pt") as file:
        parameters = sum(
            torch.Size(file.get_slice(key).get_shape()).numel()
            for key in file.keys()  # noqa: SIM118
        )
    return {
        "name": path.stem,
        "path": str(path),
        "size": path.stat().st_size,
        "parameters": parameters,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "metadata": metadata,
    }


def has_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Whether this device multiplies bfloat16 natively; otherwise it would be slower."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported()
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())
