"""Whole processes compared with FFmpeg: time, processor time and memory, and the time of each stage of rendering.

    python benchmarks/run.py [--sizes 960,1920,3840] [--seconds 10] [--runs 5] [--only render,render-moving,pan]
                             [--films FILE,FILE] [--older CHECKOUT] [--json FILE] [--baseline benchmarks/baseline.json]

The yardstick is a fixed view by FFmpeg's v360 filter of the same film at the same size, encoded alike. All programs
take turns; a ratio is the median of those of pairs that ran one after the other, so that a machine that is busy with
other things moves it little. Processor time moves least. Films are made by footage.py, unless `--films` names some.

render: the same fixed view by `pano-sound render`. render-moving: a camera that turns 50° every five seconds, which
costs any encoder more. pan: `pano-sound pan` with its defaults. older-…: the same by another checkout. help:
`pano-sound --help`, compared with a Python that imports click and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import footage
import numpy as np

from pano_sound.camera_path import CameraPath
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.sphere.view import View, render_planes

HERE = Path(__file__).parents[1]
OUTPUT = {960: (640, 360), 1920: (640, 360), 3840: (1280, 720), 7680: (1920, 1080)}
YAW, PITCH, HFOV = 30.0, -5.0, 90.0
PACKAGES = ("numpy", "opencv-python-headless", "av", "openvino")
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
DRAWN = 60
WORTH_SAYING = 0.05
"""Proportion by which a ratio has to differ from the baseline's to be marked."""


_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(process, 0)
found = {"wall": time.perf_counter() - began, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}
os.write(int(sys.argv[1]), json.dumps({**found, "code": os.waitstatus_to_exitcode(status)}).encode())
"""
"""Starts a command from a small process: the peak that the system reports is at least that of who started it."""


@dataclass(frozen=True)
class Run:
    """One process: seconds by the clock, seconds of processor time, peak resident memory in MB."""

    wall: float
    cpu: float
    peak: float


def run(command: list[str], folder: Path, quiet: bool = False) -> Run:
    """Run a command in `folder` and wait for it. `quiet`: hide its output. Raises SystemExit when it fails."""
    out = subprocess.DEVNULL if quiet else None
    reader, writer = os.pipe()
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(writer), *command]
    with subprocess.Popen(launch, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, pass_fds=[writer]):
        os.close(writer)
        with open(reader) as file:
            found = json.loads(file.read() or '{"code": 127}')
    if found["code"]:
        raise SystemExit(f"exit code {found['code']}: {' '.join(command)}")
    return Run(found["wall"], found["cpu"], found["peak"])


def start(runs: int) -> dict[str, float]:
    """Medians of the time of `--help` and of importing click alone, in seconds, and of the ratio of the pairs."""
    programs = {"help": ["-m", "pano_sound", "--help"], "click": ["-c", "import click"]}
    walls: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, arguments in programs.items():
            walls[name].append(run([sys.executable, *arguments], HERE, quiet=True).wall)
    ratio = statistics.median(a / b for a, b in zip(walls["help"], walls["click"], strict=True))
    return {**{name: statistics.median(one) for name, one in walls.items()}, "help / click": ratio}


def still_and_moving(size: tuple[int, int], seconds: float) -> tuple[CameraPath, CameraPath]:
    """A camera that stands, and one that turns for two seconds after each three."""
    rows, t, yaw = [], 0.0, YAW
    while t < seconds:
        rows.append([t, yaw, PITCH, 0.0, HFOV])
        for x in np.arange(0, 1, 0.05):
            rows.append([t + 3 + 2 * x, yaw + 50 * (3 * x * x - 2 * x**3), PITCH, 0.0, HFOV])
        t, yaw = t + 5, yaw + 50
    return CameraPath(*size, np.array([[0, YAW, PITCH, 0, HFOV]])), CameraPath(*size, np.array(rows))


def commands(
    film: Path, width: int, seconds: float, only: list[str], older: Path | None, folder: Path
) -> dict[str, Any]:
    """(command, folder) of each program, by name; FFmpeg first. They write into `folder`."""
    size = OUTPUT[width]
    view = View(*size, HFOV)
    angles = f"yaw={YAW}:pitch={PITCH}:h_fov={HFOV}:v_fov={view.vfov}:w={size[0]}:h={size[1]}"
    x264 = ["-c:v", "libx264", "-preset", "medium", "-crf", "18", "-c:a", "copy"]
    ffmpeg = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(film), "-vf", f"v360=e:flat:{angles}", *x264]
    for name, path in zip(("render", "render-moving"), still_and_moving(size, seconds), strict=True):
        path.save(folder / f"{name}.path.json")
    found: dict[str, Any] = {"ffmpeg": ([*ffmpeg, str(folder / "ffmpeg.mp4")], HERE)}
    for prefix, checkout in (("", HERE), ("older-", older)):
        for name in only if checkout else []:
            verb = [sys.executable, "-m", "pano_sound", name.split("-")[0], str(film)]
            path_file = (
                [str(folder / f"{name}.path.json")] if name.startswith("render") else ["--size", f"{size[0]}x{size[1]}"]
            )
            out = ["-o", str(folder / f"{prefix}{name}.mp4"), "-y", "-q"]
            found[prefix + name] = ([*verb, *path_file, *out], checkout)
    return found


def stages(film: Path, width: int) -> dict[str, float]:
    """Milliseconds of processor time per picture of what rendering consists of, but for encoding."""
    size = OUTPUT[width]

    def timed(work: Callable[[], Any]) -> tuple[float, Any]:
        before = _own_cpu()
        result = work()
        return (_own_cpu() - before) * 1000, result

    def decoded(**how: Any) -> tuple[int, Any]:
        with VideoReader(probe(film), **how) as reader:
            count = 0
            for picture in reader.pictures():
                last, count = picture, count + 1
        return count, last

    def drawn(turn: float) -> None:
        for n in range(DRAWN):
            render_planes(picture.planes, View(*size, HFOV), YAW + turn * n, PITCH)

    decoding, (count, picture) = timed(decoded)
    return {
        "decode": decoding / count,
        "decode for analysis": timed(lambda: decoded(for_analysis=True, only="reference"))[0] / count,
        "draw, still": timed(lambda: drawn(0.0))[0] / DRAWN,
        "draw, moving": timed(lambda: drawn(1.0))[0] / DRAWN,
    }


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def machine() -> dict[str, Any]:
    """The machine and versions that the figures depend on."""
    model, flags = platform.processor(), ""
    if os.path.exists("/proc/cpuinfo"):
        lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
        known = {name.strip(): value.strip() for name, value in lines.items()}
        model, flags = known.get("model name", model), known.get("flags", "")
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags.split()],
        "python": platform.python_version(),
        "ffmpeg": ffmpeg,
        **{name: version(name) for name in PACKAGES},
    }


def compare(runs: dict[str, list[Run]]) -> dict[str, dict[str, float]]:
    """Medians of each program, and of its ratios to FFmpeg and to the older checkout's, pair by pair."""
    found = {}
    for name, mine in runs.items():
        row = {key: statistics.median(getattr(r, key) for r in mine) for key in ("wall", "cpu", "peak")}
        for other, label in (("ffmpeg", "ffmpeg"), (f"older-{name}", "older")):
            if other in runs and other != name:
                for key in ("wall", "cpu"):
                    pairs = zip(mine, runs[other], strict=True)
                    row[f"{key} / {label}"] = statistics.median(getattr(a, key) / getattr(b, key) for a, b in pairs)
        found[name] = row
    return found


def table(report: dict[str, Any], baseline: dict[str, Any] | None) -> Iterator[str]:
    """The figures in Markdown, as docs/performance.md has them."""
    yield ", ".join(f"{name} {' '.join(v) if isinstance(v, list) else v}" for name, v in report["machine"].items())
    yield "Start in s: " + ", ".join(f"{name} {value:.2f}" for name, value in report["start"].items())
    yield ""
    rows = [row for one in report["sizes"].values() for row in one["programs"].values()]
    ratios = [
        c for c in ("wall / ffmpeg", "cpu / ffmpeg", "wall / older", "cpu / older") if any(c in row for row in rows)
    ]
    columns = (
        f"{report['seconds']:g} s of film" if report["seconds"] else "film",
        "wall s",
        "cpu s",
        "peak MB",
        *ratios,
        *(["against the baseline"] if baseline else []),
    )
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for size, one in report["sizes"].items():
        for name, row in one["programs"].items():
            cells = [f"{size} {name}", f"{row['wall']:.1f}", f"{row['cpu']:.1f}", f"{row['peak']:.0f}"]
            cells += [f"{row[c]:.2f}" if c in row else "" for c in ratios]
            before = (baseline or {}).get("sizes", {}).get(size, {}).get("programs", {}).get(name, {})
            change = row.get("cpu / ffmpeg", 1.0) / before.get("cpu / ffmpeg", row.get("cpu / ffmpeg", 1.0)) - 1
            if baseline:
                cells.append(f"cpu {change:+.0%}" if abs(change) > WORTH_SAYING else "")
            yield f"| {' | '.join(cells)} |"
    yield ""
    stages = next(iter(report["sizes"].values()))["stages"]
    yield f"| ms of cpu a picture | {' | '.join(stages)} |"
    yield "|---" * (len(stages) + 1) + "|"
    for size, one in report["sizes"].items():
        yield f"| {size} | {' | '.join(f'{ms:.1f}' for ms in one['stages'].values())} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="960,1920,3840", help="widths of the films, pixels")
    parser.add_argument("--films", help="films to use instead, 960, 1920, 3840 or 7680 pixels wide")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the films that are made")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="render,render-moving,pan")
    parser.add_argument("--older", type=Path, help="a checkout to compare with, run by this Python")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--baseline", type=Path, default=HERE / "benchmarks" / "baseline.json")
    args = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "start": start(args.runs), "sizes": {}}
    report["seconds"] = None if args.films else args.seconds
    given = [Path(name).resolve() for name in args.films.split(",")] if args.films else []
    films = [(film, probe(film)) for film in given]
    widths = [info.eye[0] for _, info in films] if films else list(map(int, args.sizes.split(",")))
    for number, width in enumerate(widths):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if films:
                film, seconds = films[number][0], films[number][1].duration
            else:
                film, seconds = folder / "film.mp4", args.seconds
                footage.make(film, width, width // 2, seconds)
            programs = commands(film, width, seconds, args.only.split(","), args.older, folder)
            runs: dict[str, list[Run]] = {program: [] for program in programs}
            for _ in range(args.runs):
                for program, (command, where) in programs.items():
                    runs[program].append(run(command, where))
            report["sizes"][f"{width}x{width // 2} -> {'x'.join(map(str, OUTPUT[width]))}"] = {
                "programs": compare(runs),
                "stages": stages(film, width),
                "runs": {program: [asdict(r) for r in one] for program, one in runs.items()},
            }
    baseline = json.loads(args.baseline.read_text()) if args.baseline.exists() else None
    print("\n".join(table(report, baseline)))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
