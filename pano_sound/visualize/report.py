"""One self-contained HTML page about a pan: what was heard and planned over time, beside the videos."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import NDArray

from ..atomic_file import local_path, written_whole
from ..camera_path import CameraPath
from ..soundmap import SoundMap
from .colours import heat_colours
from .curve import camera_curve, curve_shapes
from .summary import heard, shown

_WIDTH, _HEIGHT, _LEVEL_HEIGHT = 1000, 240, 60
_COLUMNS = 2000
_FLOOR_DB = -60.0
_FAINTEST = 0.35
"""How bright the likeliest direction is where the map knows nothing."""


def write_report(
    file: Path,
    soundmap: SoundMap,
    path: CameraPath,
    *,
    source: str | os.PathLike[str] | None = None,
    result: str | os.PathLike[str] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a page that opens from disk, without a network; the videos stay where they are.

    Args:
        file: the page, .html.
        source, result: the 360° film and the video made of it, to be played beside each other; URLs are left out.

    Raises OutputError.
    """
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("pano_sound.visualize"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = templates.get_template("report.html").render(
        **_contents(soundmap, path),
        source=_relative(source, file),
        result=_relative(result, file),
    )
    with written_whole(file, overwrite=overwrite) as out:
        out.write(page.encode("utf-8", "replace"))


def _contents(soundmap: SoundMap, path: CameraPath) -> dict[str, Any]:
    start = float(soundmap.times[0])
    end = max(float(soundmap.times[-1]), float(soundmap.source.get("end") or 0.0), start + 0.1)
    chosen = _columns(soundmap, start, end)
    sureness = soundmap.sureness()
    saliency = np.stack([soundmap.saliency(slice(k, k + 1))[0].max(axis=0) for k in chosen])
    relative = saliency / np.maximum(saliency.max(axis=1, keepdims=True), 1e-9)
    heat = relative * (_FAINTEST + (1 - _FAINTEST) * sureness[chosen, None])
    level = np.clip(soundmap.level_db[chosen] / -_FLOOR_DB + 1, 0, 1)
    x = np.linspace(0, _WIDTH, len(chosen))
    curve = [[t - start, yaw, hfov] for t, yaw, hfov in camera_curve(path, start, end)]
    settings = {"analysed with": soundmap.settings, "planned with": path.settings}
    return {
        "name": str(soundmap.source.get("path", "")),
        "start": start,
        "end": end,
        "size": (_WIDTH, _HEIGHT, _LEVEL_HEIGHT),
        "heat": _png(heat),
        "camera": curve_shapes(curve, _WIDTH, _HEIGHT, end - start),
        "cuts": [(t - start) / (end - start) * _WIDTH for t in soundmap.cuts if start < t < end],
        "level": _points(x, level),
        "sure": _points(x, sureness[chosen]),
        "cues": {name: _png(_evidence(maps[chosen])) for name, maps in soundmap.cues.items()},
        "heard": heard(soundmap),
        "shown": shown(soundmap, path),
        "settings": {title: rows for title, rows in settings.items() if rows},
        "moments": [
            {"t": float(soundmap.times[k]), "sure": round(float(sureness[k]), 3), "db": float(soundmap.level_db[k])}
            for k in np.unique(chosen)
        ],
    }


def _columns(soundmap: SoundMap, start: float, end: float) -> NDArray[np.intp]:
    """Which times of the map are drawn, one a column."""
    count = min(max(len(soundmap), 2) * 4, _COLUMNS)
    when = start + (np.arange(count) + 0.5) / count * (end - start)
    return np.clip(np.searchsorted(soundmap.times, when, side="right") - 1, 0, len(soundmap) - 1)


def _evidence(maps: NDArray[np.float16]) -> NDArray[np.float32]:
    """A cue's log-likelihood ratios (n, rows, columns), highest of each column, relative to the film's highest."""
    highest = np.clip(maps.astype(np.float32).max(axis=1), 0, None)
    return np.asarray(highest / max(float(highest.max()), 1e-6), np.float32)


def _png(heat: NDArray[Any]) -> str:
    """(columns, yaws) of 0..1 as a data URL: time to the right, yaw upwards."""
    index = (np.clip(heat, 0, 1).T[::-1] * 255).round().astype(np.uint8)
    dark = np.clip(np.linspace(0, 3, 256), 0, 1)[:, None]
    image = (heat_colours() * dark).astype(np.uint8)[index]
    encoded = cv2.imencode(".png", image)[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(encoded).decode()}"


def _points(x: NDArray[Any], share: NDArray[Any]) -> str:
    return " ".join(f"{a:.1f},{(1 - b) * _LEVEL_HEIGHT:.1f}" for a, b in zip(x, share, strict=True))


def _relative(video: str | os.PathLike[str] | None, page: Path) -> str | None:
    """A video as a URL relative to the page; None for what is on another machine."""
    local = None if video is None else local_path(video)
    if local is None:
        return None
    return quote(Path(os.path.relpath(os.fspath(local), page.parent)).as_posix())
