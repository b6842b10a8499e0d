"""pano-sound: 360° footage in, an ordinary video that looks where the sound comes from out.

    import pano_sound
    pano_sound.pan("input.mp4", "out.mp4", pano_sound.PanOptions(fov=80))

`analyse`, `plan` and `render` are the three steps of `pan`; between them are a `SoundMap` and a `CameraPath`. `Pin` and
`Mask` tell `plan` where to look and where not to. `overlay` draws a sound map over the footage. Errors for users are
`PanoSoundError`s (pano_sound.errors). See docs/python.md.
"""

from __future__ import annotations

TYPE_CHECKING = False  # Ctrl-C while `typing` is imported would end in a traceback.
if TYPE_CHECKING:
    from typing import Any

    from .camera_path import CameraPath
    from .constraints import Mask, Pin
    from .errors import PanoSoundError
    from .options.camera import PlanOptions
    from .options.steps import AnalyseOptions, PanOptions, RenderOptions
    from .pipeline import analyse, overlay, pan, plan, render
    from .soundmap import SoundMap

__version__ = "0.1.0"
__all__ = [
    "AnalyseOptions",
    "CameraPath",
    "Mask",
    "PanOptions",
    "PanoSoundError",
    "Pin",
    "PlanOptions",
    "RenderOptions",
    "SoundMap",
    "__version__",
    "analyse",
    "overlay",
    "pan",
    "plan",
    "render",
]

_HOMES = {
    "AnalyseOptions": "options.steps",
    "CameraPath": "camera_path",
    "Mask": "constraints",
    "PanOptions": "options.steps",
    "PanoSoundError": "errors",
    "Pin": "constraints",
    "PlanOptions": "options.camera",
    "RenderOptions": "options.steps",
    "SoundMap": "soundmap",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: torch, OpenCV and PyAV take seconds to import."""
    if name not in __all__:
        raise AttributeError(f"module 'pano_sound' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES.get(name, 'pipeline')}", __name__), name)


def __dir__() -> list[str]:
    return __all__
