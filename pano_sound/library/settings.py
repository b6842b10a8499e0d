"""How a film is made, as the manifest records it: all options, and the content of the other files that are read."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..errors import InputError
from ..localize.nets.files import find
from ..options.listening import ListeningOptions
from .storage import digest


def full_settings(options: ListeningOptions) -> dict[str, Any]:
    """Everything that a result depends on besides the film: all options, and the SHA-256 of the weights and of a
    separate recording.

    Raises ModelError or InputError if they cannot be read.
    """
    weights = find(options.model).read_bytes()
    settings = {**options.to_json(), "weights": hashlib.sha256(weights).hexdigest()}
    if settings.get("sound") is not None:
        settings["recording"] = digest(settings["sound"])
    return settings


def settings_key(settings: dict[str, Any]) -> str:
    """Stable hash of settings. Weights and a recording count by their content, not by their files' names; the device
    does not."""
    without = {"model", "device", *(["sound"] if "recording" in settings else [])}
    return key_of({k: v for k, v in settings.items() if k not in without})


def key_of(value: Any) -> str:
    """Stable hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def unchanged_recording(settings: dict[str, Any]) -> list[str]:
    """The separate recording of recorded settings, if they name one. Raises InputError if its content has changed."""
    sound = settings.get("sound")
    if not isinstance(sound, str):
        return []
    # Earlier versions did not record its content.
    if "recording" in settings and digest(sound) != settings["recording"]:
        raise InputError("has changed since the batch was run", sound, "run the batch itself again")
    return [sound]
