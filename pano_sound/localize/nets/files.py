"""Weights on disk, without importing PyTorch: safetensors files with their architecture.

A model is named either by a path, or by NAME for `weights/NAME.safetensors` in the installed package or at the top of a
checkout.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ...errors import ModelError

SUFFIX = ".safetensors"
FORMAT = "pano-sound.model/1"
_MOST_PIXELS = 4_200_000
"""Most pixels of the panorama: 2880x1440. The visual net needs up to 500 bytes per pixel."""
_WIDEST = {"widths[0]": 64, "panorama": 1e6, "panorama[0]": 1e6}
LARGEST = 16_384
"""Largest numbers of an architecture, such as channels and strides. Those of first layers are allocated per sample or
pixel."""
_LONGEST_CONFIG = 100_000
_DAMAGE = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, AssertionError),
    SafetensorError,
)
"""What building and filling a network raises for a damaged file."""
_RENAMED = {"listener": "sound_encoder", "hear": "audio_head", "look": "visual_head", "see": "code_head"}
"""Old names, in earlier files, of parts of a model and options of its architecture."""


def folders() -> list[Path]:
    """Folders of named models, in order: in the installed package, then at the top of a checkout."""
    package = Path(__file__).resolve().parents[2]
    return [package / "weights", package.parent / "weights"]


def is_file_name(model: str) -> bool:
    """Whether a model is named by its file."""
    return model.endswith(SUFFIX) or os.sep in model


def find(model: str | os.PathLike[str]) -> Path:
    """The file of a model. Raises ModelError if there is no such file, or it cannot be read."""
    given = os.fspath(model)
    if is_file_name(given):
        path = Path(given)
        if path.is_file():
            return _readable(path)
        raise ModelError("no such weights file", path=path)
    for folder in folders():
        path = folder / f"{given}{SUFFIX}"
        if path.is_file():
            return _readable(path)
    names = ", ".join(sorted({path.stem for folder in folders() for path in folder.glob(f"*{SUFFIX}")})) or "none"
    raise ModelError(f"no model is called {given!r}", hint=f"there are: {names}; or give a path to a {SUFFIX} file")


def _readable(path: Path) -> Path:
    try:
        open(path, "rb").close()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", path=path) from error
    return path


def read_metadata(path: str | os.PathLike[str], format: str = FORMAT) -> dict[str, str]:
    """The metadata of a weights file. Raises ModelError if it is damaged or of another format."""
    try:
        with safe_open(path, "np") as file:
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
    with safe_open(path, "np") as file:
        parameters = sum(
            math.prod(file.get_slice(key).get_shape())
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


@contextlib.contextmanager
def must_fit(path: Path) -> Iterator[None]:
    """While a network is built and filled: turns what that raises for a damaged file into a ModelError."""
    try:
        yield
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"the weights do not fit this version of pano-sound: {reason}", path=path) from error


def read_config(path: Path) -> dict[str, Any]:
    """The architecture that a weights file states. Raises ModelError: damaged, of another format, or impossible."""
    metadata = read_metadata(path)
    with must_fit(path):
        return _checked_config(metadata["config"])


def _checked_config(text: str) -> dict[str, Any]:
    """The architecture that a file states, with the names of today. Raises ValueError for impossible numbers, and those
    that would need more memory than any known architecture."""
    if len(text) > _LONGEST_CONFIG:
        raise ValueError(f"its architecture takes {len(text)} characters")
    config: dict[str, Any] = json.loads(text)
    for name, value in _numbers(config):
        if not abs(value) <= _WIDEST.get(name, LARGEST):
            raise ValueError(f"{name} is {value}")
    for name in ("hidden", "embedding"):
        if not config.get(name, 1) >= 1:
            raise ValueError(f"{name} is {config[name]}")
    rows, columns = config.get("panorama", (1, 1))
    if not (rows > 0 and columns > 0 and rows * columns <= _MOST_PIXELS):
        raise ValueError(f"a panorama of {columns}x{rows} is larger than {_MOST_PIXELS / 1e6:g} megapixels")
    return {_RENAMED.get(name, name): value for name, value in config.items()}


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


def today(key: str) -> str:
    """A key of a state dict with current names."""
    part, dot, rest = key.partition(".")
    return _RENAMED.get(part, part) + dot + rest
