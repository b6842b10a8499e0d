"""How a film is made, as the manifest records it: all options, and the content of the other files that are read."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from ..errors import InputError, ModelError
from ..localize.nets.files import find, is_file_name
from ..media.footage import is_url
from ..options.listening import ListeningOptions
from .storage import digest


def full_settings(options: ListeningOptions) -> dict[str, Any]:
    """Everything that a result depends on besides the film: all options, and the SHA-256 of the weights and of a
    separate recording. The names of these files do not depend on the current folder.

    Raises ModelError or InputError if they cannot be read.
    """
    settings = {**options.to_json(), "weights": _weights(options.model)}
    if is_file_name(settings["model"]):
        settings["model"] = os.path.abspath(settings["model"])
    if (sound := settings.get("sound")) is not None:
        settings["recording"] = digest(sound)
        settings["sound"] = sound if is_url(sound) else os.path.abspath(sound)
    return settings


def settings_key(settings: dict[str, Any]) -> str:
    """Stable hash of settings. Weights and a recording count by their content, not by their files' names; the device
    does not."""
    without = {"model", "device", *(["sound"] if "recording" in settings else [])}
    return key_of({k: v for k, v in settings.items() if k not in without})


def key_of(value: Any) -> str:
    """Stable hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def unchanged_files(settings: dict[str, Any]) -> list[str]:
    """The files that recorded settings name: the weights, and a separate recording if there is one.

    Raises ModelError or InputError if one cannot be read, or its content has changed.
    """
    hint, found = "run the batch itself again", []
    model, sound = settings.get("model"), settings.get("sound")
    if isinstance(model, str) and "weights" in settings:
        found.append(str(find(model)))
        if _weights(model) != settings["weights"]:
            raise ModelError("the weights have changed since the batch was run", found[0], hint)
    if isinstance(sound, str):
        # Earlier versions did not record its content.
        if "recording" in settings and digest(sound) != settings["recording"]:
            raise InputError("has changed since the batch was run", sound, hint)
        found.append(sound)
    return found


def _weights(model: str | os.PathLike[str]) -> str:
    """The SHA-256 of a model's file. Raises ModelError."""
    return hashlib.sha256(find(model).read_bytes()).hexdigest()
