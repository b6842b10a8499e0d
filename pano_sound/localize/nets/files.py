"""Finding weights files, without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import ModelError

SUFFIX = ".safetensors"


def folders() -> list[Path]:
    """Folders of named models, in order: in the installed package, then at the top of a checkout."""
    package = Path(__file__).resolve().parents[2]
    return [package / "weights", package.parent / "weights"]


def find(model: str | os.PathLike[str]) -> Path:
    """The file of a model. Raises ModelError if there is no such file."""
    given = os.fspath(model)
    if given.endswith(SUFFIX) or os.sep in given:
        path = Path(given)
        if path.is_file():
            return path
        raise ModelError("there are no weights there", path=path)
    for folder in folders():
        path = folder / f"{given}{SUFFIX}"
        if path.is_file():
            return path
    names = ", ".join(sorted({path.stem for folder in folders() for path in folder.glob(f"*{SUFFIX}")})) or "none"
    raise ModelError(f"no model is called {given!r}", hint=f"there are: {names}; or give a path to a {SUFFIX} file")
