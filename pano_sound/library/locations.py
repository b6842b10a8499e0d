"""Where a batch keeps its manifest and its sound maps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from ..errors import OutputError
from .storage import HIDDEN, Bucket, Store

MANIFEST = "manifest.sqlite"


def manifest_path(out: Store, manifest: str | None) -> Path:
    """The path of the manifest: the file named, or else the default for these results."""
    if manifest is not None:
        at = Path(manifest).absolute()
        if at.is_dir():
            raise OutputError("is a folder", at, "give a file to `manifest`")
        return at
    if isinstance(out, Bucket):
        name = hashlib.sha256(out.root.encode()).hexdigest()[:16]
        folder = _own_folder(platformdirs.user_state_path)
        if folder is None:
            raise OutputError("there is no home folder to keep the manifest in", hint="give a file with `manifest`")
        return folder / "batch" / name / MANIFEST
    return Path(out.root) / HIDDEN / MANIFEST


def soundmaps_folder(out: Store, on_cluster: bool) -> str:
    """Where sound maps are kept by default: in the user's cache, or beside the results if others must reach them."""
    cache = _own_folder(platformdirs.user_cache_path)
    if on_cluster or isinstance(out, Bucket) or cache is None:
        return out.name(f"{HIDDEN}/soundmaps")
    return str(cache / "soundmaps")


def _own_folder(place: Callable[[str], Path]) -> Path | None:
    """A folder of the user's, if it exists or can be made. Unknown user ids have no home folder."""
    try:
        folder = place("pano-sound")
    except RuntimeError:  # Some versions of platformdirs raise this; others return '~'.
        return None
    existing = next((f for f in (folder, *folder.parents) if os.path.exists(f)), folder)
    usable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return folder if folder.is_absolute() and usable else None
