"""One self-contained HTML page about a pan: what was heard and planned over time, beside the videos."""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import NDArray

from ..atomic_file import local_path, written_whole
from ..camera_path import CameraPath
from ..errors import ModelError
from ..media.probe import MediaInfo
from ..options.base import Options, described
from ..options.camera import CameraOptions, PlanOptions, options_behind
from ..options.flags import command_words
from ..options.input import InputOptions
from ..options.steps import AnalyseOptions, RenderOptions
from ..soundmap import SoundMap
from .colours import heat_colours
from .curve import camera_curve, curve_shapes
from .overlay import Overlay
from .preview import preview_film, spectrogram
from .summary import path_summary, sound_summary

_WIDTH, _HEIGHT, _LEVEL_HEIGHT = 1000, 240, 60
_COLUMNS = 2000
_BANDS = 96
_FLOOR_DB = -60.0
_FAINTEST = 0.35
"""How bright the likeliest direction is where the map knows nothing."""
_MOST_MAPS = 400
"""Moments at which the 360° view has a map: a page must not grow with the film."""
_MOST_LOOKS = 5000
_LOOKS_EVERY = 0.1
_CHANGED = re.compile(r'^[. ]+|[<>:"/\\|?*~\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
"""What browsers change in the names of files that they save."""
_SAME_TIME = 0.05
"""Seconds by which the first pictures of a film and of its sound map may differ."""
_SHORTEST_NAME = 1.0
"""Seconds for which something is heard before it is written over the spectrogram."""


def write_report(
    file: Path,
    soundmap: SoundMap,
    path: CameraPath,
    *,
    film: MediaInfo | None = None,
    options: Options | None = None,
    source: Sequence[str | os.PathLike[str]] = (),
    result: str | os.PathLike[str] | None = None,
    at: str | os.PathLike[str] | None = None,
    kept: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    stem: str | None = None,
    overwrite: bool = True,
    progress: Callable[[str, float, float], None] | None = None,
) -> None:
    """Write a page that opens from disk, without a network.

    The videos stay where they are and are played from there. For the 360° view, the page itself holds a preview of
    the film, of some 8 MB at most; it also plays beside the result where the film is not one file that can be linked.

    Args:
        file: the page, .html.
        film: the 360° film, as `probe` found it; without it, the page has no 360° view and no spectrogram.
        options: those of `pan`, or of any of its steps, for the commands on the page that make the video again. The
            sound map and the camera path tell those for listening, view and camera, where these do not.
        source: the film's files, by the names that they have beside the page, if those are not `film`'s.
        result: the video made of it.
        at: where the page will lie, if it is moved there afterwards. Videos on other machines than the page's are left
            out.
        kept: the files of the sound map and the camera path, if there are any.
        stem: what the files that the page and its commands make are called, without endings: as the film, by default.
        progress: called with the stage, 'report', and seconds done and in all.

    Raises InputError, OutputError.
    """
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("pano_sound.visualize"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    originals = source or (() if film is None else film.footage.paths)
    is_one_file = film is not None and len(film.footage.paths) == 1
    stem = re.sub(r"\.[^.]*$", "", _name(soundmap)) if stem is None else stem
    page = templates.get_template("report.html").render(
        **_contents(soundmap, path, film, stem),
        preview=None if film is None else _base64(preview_film(film, progress)),
        source=_relative(originals[0], at or file) if is_one_file else None,
        result=_relative(result, at or file),
        again=_again(soundmap, path, options, originals, result, at or file, kept, stem),
        is_video_known=isinstance(options, RenderOptions),
        is_kept=kept is not None,
        three=files("pano_sound.visualize").joinpath("three/three.min.js").read_text("utf-8"),
    )
    with written_whole(file, overwrite=overwrite) as out:
        out.write(page.encode("utf-8", "replace"))


def _again(
    soundmap: SoundMap,
    planned: CameraPath,
    options: Options | None,
    originals: Sequence[str | os.PathLike[str]],
    result: str | os.PathLike[str] | None,
    page: str | os.PathLike[str],
    kept: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None,
    stem: str,
) -> list[str]:
    """The commands, in the page's folder, that make the video and the page again with the pins that the page saves,
    each with the options it has. Only the first, where no sound map is kept, is slow."""

    def beside(file: str | os.PathLike[str]) -> str:
        local, here = local_path(file), local_path(page)
        if local is None or here is None:
            return typed(os.fspath(file))
        return typed(os.path.relpath(os.fspath(local), os.path.dirname(os.path.abspath(os.fspath(here)))))

    def read(name: Any) -> str:
        # Weights and proxies may also be names of no file, such as 'base' and 'none'; a sound map may say anything.
        is_file = isinstance(name, (str, os.PathLike)) and os.path.isfile(local_path(name) or "")
        return beside(name) if is_file else str(name)

    def typed(name: str) -> str:
        return f"./{name}" if name.startswith("-") else name  # Otherwise it would be an option.

    given = {**soundmap.settings, **options_behind(planned.settings), **(options.to_json() if options else {})}
    if given.get("preset") == "paper":  # The paper's camera takes no pins.
        given = {name: value for name, value in given.items() if name not in described(CameraOptions)}

    def words(kind: type[Options]) -> list[str]:
        return command_words(kind, given, read)

    pins, stem = typed(_pins_file(stem)), typed(stem)
    heard, path = map(beside, kept) if kept else (f"{stem}.soundmap.npz", f"{stem}.path.json")
    film, *following = map(beside, originals) if originals else ["FILM"]
    joined = [word for chapter in following for word in ("--concat", chapter)]
    video = beside(result) if result else f"{stem}-flat.mp4"
    steps = [
        ["plan", heard, "--pins", pins, *words(PlanOptions), "-o", path, "-y"],
        ["render", film, *joined, path, *words(RenderOptions), "-o", video, "-y"],
        ["report", film, *joined, heard, path, *words(InputOptions), "--result", video, "-o", beside(page), "-y"],
    ]
    if kept is None:
        steps.insert(0, ["analyse", film, *joined, *words(AnalyseOptions), "-o", heard])
    return [shlex.join(["pano-sound", *step]) for step in steps]


def _name(soundmap: SoundMap) -> str:
    return str(soundmap.source.get("path", "film"))


def _pins_file(stem: str) -> str:
    """The name under which the page saves pins: one that browsers do not change."""
    return f"{_CHANGED.sub('_', stem) or 'film'}.pins.json"


def _contents(soundmap: SoundMap, path: CameraPath, film: MediaInfo | None, stem: str) -> dict[str, Any]:
    start = float(soundmap.times[0])
    end = max(float(soundmap.times[-1]), float(soundmap.source.get("end") or 0.0), start + 0.1)
    begin = start if film is None else float(film.origin + film.start)
    chosen = _columns(soundmap, start, end)
    sureness = soundmap.sureness()
    saliency = np.stack([soundmap.saliency(slice(k, k + 1))[0].max(axis=0) for k in chosen])
    relative = saliency / np.maximum(saliency.max(axis=1, keepdims=True), 1e-9)
    heat = relative * (_FAINTEST + (1 - _FAINTEST) * sureness[chosen, None])
    level = np.clip(soundmap.level_db[chosen] / -_FLOOR_DB + 1, 0, 1)
    x = np.linspace(0, _WIDTH, len(chosen))
    settings = {
        "analysed with": soundmap.settings,
        "weights": _weights(soundmap.settings.get("model")),
        "planned with": path.settings,
    }
    return {
        "name": _name(soundmap),
        "size": (_WIDTH, _HEIGHT, _LEVEL_HEIGHT),
        "heat": _png(heat),
        "camera": curve_shapes(camera_curve(path, start, end, _WIDTH), _WIDTH, _HEIGHT, end - start),
        "cuts": [(t - start) / (end - start) * _WIDTH for t in soundmap.cuts if start < t < end],
        "level": _points(x, level),
        "sure": _points(x, sureness[chosen]),
        "cues": {name: _png(_evidence(maps[chosen])) for name, maps in soundmap.cues.items()},
        "spectrogram": None
        if film is None or film.audio is None
        else _png(spectrogram(film, start, end, _COLUMNS, _BANDS)),
        "names": [
            {"name": name, "left": (a - start) / (end - start) * 100, "width": (b - a) / (end - start) * 100}
            for name, a, b in _names_over_time(soundmap, end)
        ],
        "heard": sound_summary(soundmap),
        "shown": path_summary(soundmap, path),
        "settings": {title: rows for title, rows in settings.items() if rows},
        "data": {
            "pins_file": _pins_file(stem),
            "start": start,
            "end": end,
            "film": begin,
            # A whole film's result has its time stamps; that of a part begins at 0.
            "result": start if film is None or abs(start - begin) > _SAME_TIME else float(film.origin),
            "moments": [
                {
                    "t": float(soundmap.times[k]),
                    "sure": round(float(sureness[k]), 3),
                    "db": round(float(soundmap.level_db[k]), 1),
                    "names": [] if soundmap.named is None else soundmap.named.at(int(k)),
                }
                for k in np.unique(chosen)
            ],
            "maps": _maps(soundmap, sureness),
            "colours": heat_colours()[:, ::-1].ravel().tolist(),
            "size": [path.width, path.height],
            "looks": _looks(path, start, end),
            "pins": [pin.to_json() for pin in path.pins],
            "masks": [mask.to_json() for mask in path.masks],
        },
    }


def _maps(soundmap: SoundMap, sureness: NDArray[np.float32]) -> dict[str, Any]:
    """What the 360° view paints: of each kind its maps, uint8 (n, rows, columns) in base64, and the n times."""
    which = np.unique(np.linspace(0, len(soundmap) - 1, min(len(soundmap), _MOST_MAPS)).round().astype(int))
    overlay = Overlay(soundmap, 64, 32)
    heard_maps = np.stack([overlay.heat(float(soundmap.times[k]))[0] for k in which])
    kinds = [("what was heard", _bytes(heard_maps))]
    for name, maps in soundmap.cues.items():
        evidence = np.clip(maps[which].astype(np.float32), 0, None)
        kinds.append((name, _bytes(evidence / max(float(evidence.max()), 1e-6))))
    rows, columns = soundmap.grid
    times = [float(t) for t in soundmap.times[which]]
    return {"rows": rows, "columns": columns, "times": times, "sure": sureness[which].tolist(), "kinds": kinds}


def _looks(path: CameraPath, start: float, end: float) -> list[list[float]]:
    """[t, yaw, pitch, roll, hfov] of a camera path at even times."""
    times = np.linspace(start, end, int(min(max((end - start) / _LOOKS_EVERY, 2), _MOST_LOOKS)))
    return np.column_stack([times, path.looks(times)]).round(3).tolist()


def _names_over_time(soundmap: SoundMap, end: float) -> list[tuple[str, float, float]]:
    """What is heard, from when and until when, seconds."""
    if soundmap.named is None:
        return []
    times = np.append(soundmap.times, end)
    found = []
    for name, scores in zip(soundmap.named.names, soundmap.named.scores.T, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], scores > 0, [0]])))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            if times[b] - times[a] >= _SHORTEST_NAME:
                found.append((name, float(times[a]), float(times[b])))
    return found


def _weights(model: Any) -> dict[str, str]:
    """What the weights say of themselves; nothing, where they are not there any more."""
    from ..localize.nets.files import describe, find

    if not isinstance(model, str):
        return {}
    try:
        about = describe(Path(find(model)))
    except (ModelError, OSError):
        return {}
    version = about["metadata"].get("version")
    rows = {
        "name": about["name"],
        "version": version,
        "parameters": f"{about['parameters']:,}",
        "sha256": about["sha256"],
    }
    return {name: str(value) for name, value in rows.items() if value is not None}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(maps: NDArray[np.float32]) -> str:
    return _base64((np.clip(maps, 0, 1) * 255).round().astype(np.uint8).tobytes())


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


def _relative(video: str | os.PathLike[str] | None, page: str | os.PathLike[str]) -> str | None:
    """A video as a URL relative to the page; None for what is on another machine."""
    if video is None:
        return None
    local, here = local_path(video), local_path(page)
    if local is None and here is None and os.path.dirname(os.fspath(video)) == os.path.dirname(os.fspath(page)):
        return quote(os.fsencode(os.path.basename(os.fspath(video))))
    if local is None or here is None:
        return None
    relative = Path(os.path.relpath(os.fspath(local), os.path.dirname(os.fspath(here))))
    return quote(os.fsencode(relative.as_posix()))
