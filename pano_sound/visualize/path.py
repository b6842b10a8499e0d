"""Showing a camera path: a table of its holds and moves, and a plot over the sound map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..atomic_file import written_whole
from ..camera_path import CameraPath
from ..errors import PanoSoundError, printable
from ..soundmap import SoundMap
from ..sphere.convention import angles
from ..sphere.geometry import cell_directions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STILL = 1e-3
CLEAR = 1.0
"""Nats at its peak from which the sound's own direction is drawn."""


@dataclass(frozen=True)
class Stretch:
    """Part of a path: 'hold', 'move' or 'cut'; from `begin` to `end`, seconds, with the looks (yaw, pitch, roll, hfov)
    there, and the fastest turn in degrees per second."""

    what: str
    begin: float
    end: float
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    fastest: float


def stretches(path: CameraPath) -> list[Stretch]:
    """The holds, moves and cuts of a path, in order. A cut has no length."""
    samples, speed = path.samples, path.speed()
    found: list[Stretch] = []
    for i in range(1, len(samples)):
        a, b = samples[i - 1], samples[i]
        if i in path.cuts:
            found.append(Stretch("hold", a[0], b[0], a[1:], a[1:], 0.0))
            found.append(Stretch("cut", b[0], b[0], a[1:], b[1:], 0.0))
        else:
            found.append(Stretch(_kind(a, b), a[0], b[0], a[1:], b[1:], float(speed[i - 1])))
    joined = found[:1]
    for part in found[1:]:
        last = joined[-1]
        if part.what == last.what != "cut":
            fastest = max(last.fastest, part.fastest)
            joined[-1] = Stretch(part.what, last.begin, part.end, last.first, part.last, fastest)
        else:
            joined.append(part)
    only = samples[0]
    return joined or [Stretch("hold", only[0], only[0], only[1:], only[1:], 0.0)]


def _kind(a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    return "move" if np.abs(b[1:] - a[1:]).max() > STILL else "hold"


def table(path: CameraPath) -> str:
    """The stretches of a path as text, one per line."""
    lines = [f"{'from':>9} {'to':>9}  {'':<5}{'yaw':>8} {'pitch':>7} {'roll':>6} {'hfov':>6}  fastest"]
    for part in stretches(path):
        yaw, pitch, roll, hfov = np.round(part.last, 1) + 0.0  # No -0.0.
        fastest = f"{part.fastest:5.0f}°/s" if part.what == "move" else ""
        numbers = f"{yaw:8.1f} {pitch:7.1f} {roll:6.1f} {hfov:6.1f}"
        lines.append(f"{part.begin:9.2f} {part.end:9.2f}  {part.what:<5}{numbers}  {fastest}".rstrip())
    lines += [f"pinned from {p.start:g} to {p.end:g} s: {p.yaw:g}, {p.pitch:g}" for p in path.pins]
    lines += [f"masked: yaw {m.yaw[0]:g} to {m.yaw[1]:g}, pitch {m.pitch[0]:g} to {m.pitch[1]:g}" for m in path.masks]
    return "\n".join(lines)


def plot(path: CameraPath, file: Path, soundmap: SoundMap | None = None, overwrite: bool = True) -> None:
    """Yaw, pitch and field of view over time as a picture; the saliency of a sound map behind them, and where an
    ambisonic film's sound comes from by its own direction.

    The band around a line is what the view holds. Raises PanoSoundError without matplotlib, OutputError.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PanoSoundError("figures need matplotlib", hint="pip install 'pano-sound[evaluate]'") from error
    start, end = float(path.times[0]), float(path.times[-1])
    if soundmap is not None:
        start, end = float(soundmap.times[0]), max(end, float(soundmap.times[-1]))
    end = max(end, start + 0.1)
    times = np.linspace(start, end, 2000)
    looks = path.looks(times)
    figure = Figure((11, 7), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2, 1]})
    if soundmap is not None:
        _saliency(upper, lower, soundmap)
        times_heard, heard = directions_heard(soundmap)
        for axes, axis in ((upper, 0), (lower, 1)):
            axes.scatter(times_heard, heard[:, axis], s=14, color="white", edgecolors="black", linewidths=0.5, zorder=3)
    aspect = path.height / path.width
    vertical = 2 * np.degrees(np.arctan(aspect * np.tan(np.radians(looks[:, 3]) / 2)))
    for axes, values, width, limit in ((upper, looks[:, 0], looks[:, 3], 180), (lower, looks[:, 1], vertical, 90)):
        gap = np.abs(np.diff(values, prepend=values[0])) > 180
        for turn in (-360, 0, 360) if limit == 180 else (0,):
            line = np.where(gap, np.nan, values + turn)
            axes.plot(times, line, color="#00e5ff", linewidth=2)
            axes.fill_between(times, line - width / 2, line + width / 2, color="#00e5ff", alpha=0.12, linewidth=0)
        axes.set(ylim=(-limit, limit), yticks=np.arange(-limit, limit + 1, limit / 2))
    colour = "white" if soundmap is not None else "grey"
    upper.vlines(path.times[sorted(path.cuts)], -180, 180, color=colour, linewidth=1, linestyle=":")
    upper.set(ylabel="yaw (degrees to the right)")
    upper.set_title(printable(str(path.source.get("path", ""))), parse_math=False)
    lower.set(ylabel="pitch (degrees up)", xlabel="time (s)", xlim=(start, end))
    with written_whole(file, overwrite=overwrite) as out:
        figure.savefig(out, format="png")


def directions_heard(soundmap: SoundMap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When an ambisonic film's sound has a clear direction of its own, (n,) seconds, and its yaw and pitch, (n, 2)
    degrees; none of other films."""
    maps = soundmap.cues.get("spatial")
    if maps is None:
        return np.zeros(0), np.zeros((0, 2))
    ratios = maps.reshape(len(soundmap), -1)
    clear = ratios.max(axis=1) > CLEAR
    cells = cell_directions(*maps.shape[1:]).reshape(-1, 3)
    return soundmap.times[clear], np.stack(angles(cells[ratios[clear].argmax(axis=1)]), axis=1)


def _saliency(upper: Axes, lower: Axes, soundmap: SoundMap) -> None:
    """The highest saliency of each column and of each row over time, as sure as the map is."""
    saliency = soundmap.saliency()
    saliency /= np.maximum(saliency.max(axis=(1, 2), keepdims=True), 1e-30)
    saliency *= soundmap.present()[:, None, None]
    steps = np.diff(soundmap.times) if len(soundmap) > 1 else np.array([0.1])
    first, last = soundmap.times[0] - steps[0] / 2, soundmap.times[-1] + steps[-1] / 2
    edges = np.concatenate([[first], (soundmap.times[1:] + soundmap.times[:-1]) / 2, [last]])
    rows, columns = soundmap.grid
    yaws, pitches = np.linspace(-180, 180, columns + 1), np.linspace(90, -90, rows + 1)
    for axes, axis, cells in ((upper, 1, yaws), (lower, 2, pitches)):
        axes.pcolormesh(edges, cells, saliency.max(axis=axis).T, cmap="inferno", vmin=0, vmax=1)
