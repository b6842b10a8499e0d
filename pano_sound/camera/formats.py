"""Camera paths in the formats of other programs, export and import.

csv         t,yaw,pitch,roll,hfov in seconds and degrees, width,height of the output in pixels; where there are cuts
            another column, cut, is 1 for samples that are jumped to
sendcmd     commands for FFmpeg's v360, with the command line that runs them
ae          After Effects keyframes, to paste onto a 3D layer: X, Y and Z rotation are pitch, yaw and roll, and a
            slider is the field of view
humanedit   Pano2Vid's HumanEdit JSON: {video: {editor: {number: [[longitude, latitude, field of view], ...]}}},
            a row for each frame, degrees (Su et al. 2016)
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..camera_path import COLUMNS, SHORTEST_STEP, CameraPath
from ..constraints import LIMITS, number, read_text
from ..errors import DataFileError
from ..options.values import parse_size
from ..sphere.convention import wrap_degrees
from ..sphere.view import View
from .motion import SAME, SAMPLE_EVERY, thin

log = logging.getLogger("pano_sound")

Array = NDArray[np.float64]

_MOST_ROWS = 3_000_000
"""Most rows of a file with one row per frame: a day at 30 frames per second."""

DEFAULT_SIZE = (1280, 720)
ENDINGS = {"csv": ".csv", "sendcmd": ".cmd", "ae": ".txt", "humanedit": ".json"}
_COMMAND = re.compile(r"\[(?:enter|expr)\] v360 (\w+) (?:'[^']*lerp\(([^,'(]+),([^,'(]+),TI\)[^']*'|([^\s,]+))(?:,|$)")
_MPEG_ENDINGS = {".ts", ".m2ts", ".mts", ".m2t", ".mpg", ".mpeg", ".vob"}
"""Films whose clock may start anywhere. Paths count from their beginning, as FFmpeg does unless it is given -copyts."""
_AE = "Adobe After Effects 8.0 Keyframe Data"
_SIZES = {
    "sendcmd": r"\bw=(\d{1,6}):h=(\d{1,6})\b",
    "ae": r"Source Width\t(\d{1,6})\s{1,4}Source Height\t(\d{1,6})",
}
"""Patterns for the output size: v360's options, and the size of the layer."""
_AE_TRACKS = {
    "Transform\tX Rotation": 2,
    "Transform\tY Rotation": 1,
    "Transform\tRotation": 3,
    "Effects\tSlider Control #1\tSlider #2": 4,
}


def to_csv(path: CameraPath, fps: float) -> str:
    """The samples, with the output size in each row."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([*COLUMNS, *(["cut"] if path.cuts else []), "width", "height"])
    for i, row in enumerate(path.samples.tolist()):
        values = [f"{value:.10g}" for value in np.round(row, 6) + 0.0]
        table.writerow([*values, *([int(i in path.cuts)] if path.cuts else []), path.width, path.height])
    return out.getvalue()


def from_csv(text: str, name: str, fps: float) -> tuple[Array, set[int]]:
    """Samples and cuts. Raises DataFileError that names the wrong line."""
    reader = csv.DictReader(io.StringIO(text))
    try:
        return _from_rows(reader, name)
    except csv.Error as error:
        raise DataFileError(f"line {reader.line_num}: {error}", name) from None


def _from_rows(reader: csv.DictReader[str], name: str) -> tuple[Array, set[int]]:
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
    if missing:
        raise DataFileError(f"no column {missing[0]!r}", name, f"the first line must have {','.join(COLUMNS)}")
    samples, cuts = [], set()
    for i, row in enumerate(reader):
        where = f"line {reader.line_num}"
        samples.append([number({c: _number(row[c])}, c, where, name) for c in COLUMNS])
        if str(row.get("cut") or "0").strip() not in ("0", "1"):
            raise DataFileError(f"{where}: cut is neither 0 nor 1", name)
        if str(row.get("cut") or "0").strip() == "1":
            cuts.add(i)
    return np.array(samples).reshape(-1, 5), cuts


def to_sendcmd(path: CameraPath, fps: float) -> str:
    """Commands that move FFmpeg's v360 along the path, at any frame rate. The head says how to run them.

    FFmpeg evaluates an [expr] for each frame, so values are interpolated linearly between samples. v360 adds up
    rotations unless `reset_rot` is 1. Its commands cannot have times below 0: the path begins there at the latest.
    """
    rows, cut = _dense(_from_zero(path))
    heights = np.array([View(path.width, path.height, hfov).vfov for hfov in rows[:, 4]])
    values = {"yaw": rows[:, 1], "pitch": rows[:, 2], "roll": rows[:, 3], "h_fov": rows[:, 4], "v_fov": heights}
    now = {name: round(float(column[0]), 4) for name, column in values.items()}
    options = ":".join(f"{name}={value:g}" for name, value in now.items())
    size = f"w={path.width}:h={path.height}"
    mpeg = Path(str(path.source.get("path"))).suffix.lower() in _MPEG_ENDINGS
    times = "" if mpeg else "-copyts "
    lines = [
        "# pano-sound camera path for FFmpeg's v360. Run it with",
        f"# ffmpeg {times}-i INPUT -vf sendcmd=f=THIS_FILE,v360=e:flat:{size}:interp=cubic:reset_rot=1:{options}"
        " -c:a copy OUTPUT",
    ]
    for i, t in enumerate(rows[:, 0]):
        last = i == len(rows) - 1
        # The first one is always sent: FFmpeg refuses a file without commands.
        commands = [] if i else [f"[enter] v360 yaw {now['yaw']:g}"]
        for name, column in values.items():
            a = round(float(column[i]), 4)
            b = a if last or i + 1 in cut else round(float(column[i + 1]), 4)
            if name == "yaw" and abs(b - a) > 180.0:
                b += 360.0 if a > 0 else -360.0
            if abs(b - a) > SAME:
                line = f"lerp({a:g},{b:g},TI)"
                commands.append(f"[expr] v360 {name} '{f'mod({line}+540,360)-180' if abs(b) > 180 else line}'")
                now[name] = np.nan
            elif not abs(now[name] - a) <= SAME:
                commands.append(f"[enter] v360 {name} {a:g}")
                now[name] = a
        if commands:
            until = "" if last else f"-{rows[i + 1, 0]:.6f}"
            lines.append(f"{t:.6f}{until} {', '.join(commands)};")
    return "\n".join(lines) + "\n"


def sendcmd_line(path: CameraPath, file: Path, source: str = "INPUT") -> str:
    """The command line that runs a file that `to_sendcmd` wrote, for a POSIX shell."""
    (command,) = (line[2:] for line in to_sendcmd(path, 0).splitlines() if line.startswith("# ffmpeg"))
    name = re.sub(r"([\\':])", r"\\\1", str(file))
    name = re.sub(r"([\\'\[\],;])", r"\\\1", name)
    words = [word.replace("THIS_FILE", name) if "sendcmd" in word else word for word in command.split(" ")]
    words = [source if word == "INPUT" else "output.mp4" if word == "OUTPUT" else word for word in words]
    return shlex.join(words)


def from_sendcmd(text: str, name: str, fps: float) -> tuple[Array, set[int]]:
    """Samples and cuts of a file in the form that `to_sendcmd` writes."""
    head = re.search(r"v360=(\S+)", text)
    if head is None:
        raise DataFileError("no line '# ffmpeg … v360=…', which says where the camera begins", name)
    columns = ("yaw", "pitch", "roll", "h_fov")
    found = dict(part.partition("=")[::2] for part in re.split("[:,]", head.group(1)))
    now = {c: _number(found.get(c)) for c in columns}
    rows: list[list[Any]] = []
    cuts: set[int] = set()
    for line in text.splitlines():
        at = re.match(r"([\d.]+)(?:-([\d.]+))? (\[.*);$", line)
        if not at:
            continue
        start = _number(at.group(1))
        steps = _COMMAND.findall(at.group(3))
        jump = {column: value for column, _, _, value in steps if value and column in now}
        moves = {column: (a, b) for column, a, b, value in steps if not value and column in now}
        new = now | {c: _number(v) for c, v in jump.items()} | {c: _number(a) for c, (a, _) in moves.items()}
        if not rows or rows[-1][0] < start - 1e-7:
            rows.append([start, *now.values()])
        off = np.array([*new.values()]) - rows[-1][1:]
        if max(abs(float(wrap_degrees(off[0]))), *np.abs(off[1:])) > 1e-3:
            cuts.add(len(rows) - 1)
            rows[-1] = [start, *new.values()]
        now = new | {c: float(wrap_degrees(_number(b))) if c == "yaw" else _number(b) for c, (_, b) in moves.items()}
        if moves:
            rows.append([_number(at.group(2)), *now.values()])
    rows = rows or [[0.0, *now.values()]]
    return _checked(rows, name), cuts


def to_ae(path: CameraPath, fps: float) -> str:
    """A keyframe for each frame from the first sample to the last. Yaw continues past ±180°, so that nothing spins."""
    rows = _frames(path, fps)
    rows[:, 1] = np.degrees(np.unwrap(np.radians(rows[:, 1])))
    head = {
        "Units Per Second": f"{fps:g}",
        "Source Width": path.width,
        "Source Height": path.height,
        "Source Pixel Aspect Ratio": 1,
        "Comp Pixel Aspect Ratio": 1,
    }
    lines = [_AE, "", *(f"\t{name}\t{value}" for name, value in head.items())]
    first = round(float(path.times[0]) * fps)
    for track, column in _AE_TRACKS.items():
        unit = "degrees" if column < 4 else ""
        lines += ["", track, f"\tFrame\t{unit}\t"]
        lines += [f"\t{first + i}\t{value:.6g}\t" for i, value in enumerate(np.round(rows[:, column], 4))]
    return "\r\n".join([*lines, "", "", "End of Keyframe Data", ""])


def from_ae(text: str, name: str, fps: float) -> tuple[Array, set[int]]:
    """Samples of keyframes as written by `to_ae`. Missing rotations are 0, a missing field of view is 90°."""
    if not text.startswith(_AE):
        raise DataFileError(f"its first line is not {_AE!r}", name)
    rate = re.search(r"Units Per Second\t([\d.]+)", text)
    per_second = _number(rate.group(1)) if rate else fps
    if not per_second > 0:
        raise DataFileError("Units Per Second is not a positive number", name)
    tracks: dict[int, dict[float, float]] = {}
    now: dict[float, float] = {}
    for line in text.splitlines():
        cells = line.strip().split("\t")
        if not line.startswith("\t"):
            column = _AE_TRACKS.get(line.strip())
            now = tracks.setdefault(column, {}) if column else {}
        elif len(cells) >= 2 and re.fullmatch(r"-?\d+(\.\d+)?", cells[0]):
            now[_number(cells[0])] = _number(cells[1])
    frames = np.array(sorted({frame for track in tracks.values() for frame in track}))
    if not len(frames):
        raise DataFileError("no keyframes of X Rotation, Y Rotation or Rotation", name)
    rows = np.tile([0.0, 0.0, 0.0, 0.0, 90.0], (len(frames), 1))
    rows[:, 0] = frames / per_second
    for column, track in tracks.items():
        if track:
            at = np.array(sorted(track))
            rows[:, column] = np.interp(frames, at, [track[frame] for frame in at])
    return _checked(rows.tolist(), name), set()


def to_humanedit(path: CameraPath, fps: float) -> str:
    """A row for each frame, from the first sample on."""
    rows = np.round(_frames(path, fps)[:, [1, 2, 4]], 4).tolist()
    video = Path(str(path.source.get("path") or "video")).stem
    return json.dumps({video: {"pano-sound": {"0": rows}}}) + "\n"


def from_humanedit(text: str, name: str, fps: float) -> tuple[Array, set[int]]:
    """The only trajectory of a HumanEdit file, from time 0. Raises DataFileError if there are several."""
    found = read_humanedit(text, name)
    if len(found) != 1:
        names = ", ".join("/".join(key) for key in list(found)[:5])
        raise DataFileError(f"has {len(found)} trajectories ({names} …)", name, "leave one of them in the file")
    (rows,) = found.values()
    times = np.arange(len(rows))[:, None] / fps
    return _checked(np.hstack([times, rows[:, :2], 0 * times, rows[:, 2:]]).tolist(), name), set()


def read_humanedit(text: str, name: str) -> dict[tuple[str, str, str], Array]:
    """All trajectories by video, editor and number: (frames, 3) longitude, latitude and field of view (65.5° if
    missing), degrees. Raises DataFileError for another form."""
    try:
        found = {
            (video, editor, key): np.array(rows, dtype=np.float64)
            for video, editors in json.loads(text).items()
            for editor, trajectories in editors.items()
            for key, rows in trajectories.items()
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise DataFileError(
            "not HumanEdit JSON: {video: {editor: {number: [[longitude, latitude], …]}}}", name
        ) from None
    for key, rows in found.items():
        if rows.ndim != 2 or rows.shape[1] not in (2, 3) or not len(rows) or not np.isfinite(rows).all():
            raise DataFileError(f"{'/'.join(key)}: not rows of longitude and latitude", name)
        if rows.shape[1] == 2:
            found[key] = np.hstack([rows, np.full((len(rows), 1), 65.5)])
    return found


def load_humanedit(file: Path) -> dict[tuple[str, str, str], Array]:
    """`read_humanedit` of a file. Raises DataFileError, also if the file is missing."""
    return read_humanedit(_text(file), str(file))


WRITERS: dict[str, Callable[[CameraPath, float], str]] = {
    "csv": to_csv,
    "sendcmd": to_sendcmd,
    "ae": to_ae,
    "humanedit": to_humanedit,
}
READERS: dict[str, Callable[[str, str, float], tuple[Array, set[int]]]] = {
    "csv": from_csv,
    "sendcmd": from_sendcmd,
    "ae": from_ae,
    "humanedit": from_humanedit,
}


def read(file: Path, kind: str, size: tuple[int, int] | None, fps: float) -> CameraPath:
    """A camera path from another program's file.

    Args:
        size: of the output, pixels; None: the file's, or else 1280x720 with a warning.

    Raises:
        DataFileError: the file cannot be used.
    """
    text = _text(file)
    samples, cuts = READERS[kind](text, str(file), fps)
    if not len(samples):
        raise DataFileError("has no samples", file)
    late = np.flatnonzero(np.diff(samples[:, 0]) < SHORTEST_STEP)
    if len(late):
        raise DataFileError(f"sample {late[0] + 2}: t must be greater than the one before", file)
    needed = thin(samples)
    needed[sorted(cuts)] = True
    kept = np.flatnonzero(needed)
    if size is None:
        size = _size_in(text, kind)
    if size is None:
        size = DEFAULT_SIZE
        log.warning("%s: does not state the output size, so %dx%d is used; `size` sets another", file, *size)
    return CameraPath(*size, samples[needed], cuts=frozenset(np.searchsorted(kept, sorted(cuts)).tolist()))


def _size_in(text: str, kind: str) -> tuple[int, int] | None:
    """The output size that a file states, pixels; None if there is none, or it is not valid."""
    if kind == "csv":
        row = next(csv.DictReader(io.StringIO(text)))
        found = f"{row.get('width')}x{row.get('height')}"
    else:
        match = re.search(_SIZES[kind], text) if kind in _SIZES else None
        found = "x".join(match.groups()) if match else ""
    try:
        return parse_size(found)
    except ValueError:
        return None


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except FileNotFoundError:
        raise DataFileError("no such file", file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError("cannot be read as text", file) from error


def _dense(path: CameraPath) -> tuple[Array, set[int]]:
    """Samples so dense that straight lines in yaw and pitch follow the great circle; and the indices of cuts."""
    _check_length(path, 1 / SAMPLE_EVERY)
    rows, cut = [path.samples[:1]], set()
    count = 1
    for i in range(1, len(path.samples)):
        a, b = path.samples[i - 1], path.samples[i]
        moves = i not in path.cuts and np.abs(b[1:] - a[1:]).max() > SAME
        steps = int(np.ceil((b[0] - a[0]) / SAMPLE_EVERY - 1e-6)) if moves else 1
        between = np.linspace(a[0], b[0], steps + 1)[1:-1]
        rows.append(np.column_stack([between, path.looks(between)]).reshape(-1, 5))
        rows.append(b[None])
        count += len(between) + 1
        if i in path.cuts:
            cut.add(count - 1)
    found = np.concatenate(rows)
    found[:, 1] = wrap_degrees(found[:, 1])
    return found, cut


def _from_zero(path: CameraPath) -> CameraPath:
    """A path without its part before time 0."""
    if path.times[0] >= 0:
        return path
    after = int(np.searchsorted(path.times, 0.0, side="right"))
    samples = np.vstack([[0.0, *path.at(0.0)], path.samples[after:]])
    return replace(path, samples=samples, cuts=frozenset(i - after + 1 for i in path.cuts if i >= after))


def _frames(path: CameraPath, fps: float) -> Array:
    """Rows of t, yaw, pitch, roll, hfov, one per frame, from the first sample to the last."""
    _check_length(path, fps)
    times = path.times[0] + np.arange(int((path.times[-1] - path.times[0]) * fps + 1e-6) + 1) / fps
    return np.column_stack([times, path.looks(times)])


def _check_length(path: CameraPath, fps: float) -> None:
    """Raises DataFileError if a path is too long to be written frame by frame: few samples can span years."""
    seconds = float(path.times[-1] - path.times[0])
    if seconds * fps > _MOST_ROWS:
        what = f"the path is {seconds / 3600:.3g} hours long: too many frames for this format"
        raise DataFileError(what, hint="export csv, which keeps the samples")


def _checked(rows: list[list[Any]], name: str) -> Array:
    for i, row in enumerate(rows):
        for column, value in zip(COLUMNS, row, strict=True):
            low, high = LIMITS.get(column, (-np.inf, np.inf))
            if not low <= value <= high:
                raise DataFileError(f"sample {i + 1}: {column} is {value}, outside {low:g}..{high:g}", name)
    return np.array(rows, dtype=np.float64)


def _number(text: Any) -> float:
    """A number; nan, which is outside every range, if it is not one."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
