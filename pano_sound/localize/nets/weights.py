"""Weights on disk: safetensors files that carry their architecture, their matrices kept as float16 and used as float32.

A model's name stands for `weights/NAME.safetensors`, in the installed package or at the top of a checkout; a path
stands for itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from ...errors import ModelError
from ...outputs import written_whole
from ..memory import keep_freed_memory
from .files import SUFFIX, find, folders
from .network import Localizer
from .paper import PaperLocalizer
from .trunks import channels_last

FORMAT = "pano-sound.model/1"
_KINDS = {"base": Localizer, "paper": PaperLocalizer}
_RENAMED = {"listener": "sound_encoder", "hear": "audio_head", "look": "visual_head", "see": "code_head"}
"""What parts of a model, and options of its architecture, were called in earlier files."""


def build(config: Mapping[str, Any]) -> Localizer:
    """An untrained model of that architecture, `model.config` of another: the paper's where its `kind` says so.

    Raises:
        TypeError, ValueError: the options do not fit; KeyError: no such kind.
    """
    options = {_RENAMED.get(name, name): value for name, value in config.items()}
    return _KINDS[options.pop("kind", "base")](**options)


def load(model: str | os.PathLike[str] = "base", device: str | torch.device | None = None) -> Localizer:
    """Read a model, ready to use (eval mode, no gradients). From now on the process keeps freed memory (`memory.py`).

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
        network = build(json.loads(metadata["config"]))
        state = load_file(path, device="cpu")
        network.load_state_dict({_today(k): v.float() if v.is_floating_point() else v for k, v in state.items()})
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"the weights do not fit this version of pano-sound: {reason}", path=path) from error
    network.requires_grad_(False).eval()
    channels_last(network)
    network.to(device or "cpu")
    if torch.device(device or "cpu").type == "cpu" and has_bfloat16():
        network.precision = torch.bfloat16
    return network


def _today(key: str) -> str:
    """The key of a state dict by today's names."""
    part, dot, rest = key.partition(".")
    return _RENAMED.get(part, part) + dot + rest


def save(model: Localizer, path: str | os.PathLike[str], metadata: dict[str, str], overwrite: bool = True) -> None:
    """Write a model, its matrices as float16. `metadata` (name, version, …) is kept beside format and config.

    Raises:
        OutputError: it cannot be written, or exists and `overwrite` is False; what was there before is kept.
    """
    state = {
        # Biases and statistics are small in number, and some of them too small or too large for float16.
        k: (v.detach().half() if v.dim() > 1 and v.is_floating_point() else v.detach()).contiguous().cpu()
        for k, v in model.state_dict().items()
    }
    about = {**metadata, "format": FORMAT, "config": json.dumps(model.config)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, overwrite=overwrite) as file:
        file.write(to_bytes(state, about))


def read_metadata(path: str | os.PathLike[str], format: str = FORMAT) -> dict[str, str]:
    """What a weights file says of itself. Raises ModelError when it is damaged or of another format."""
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
    """The named models that are there: name, path, size (bytes), parameters, sha256 and metadata of each."""
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


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively; elsewhere autocast to it would be slower."""
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())
