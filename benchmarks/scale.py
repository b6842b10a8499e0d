"""The cost of a large library, and the time on clusters of different sizes: the figures of docs/research/scale.md.

    python benchmarks/scale.py measure [FILM …]      core seconds and bytes per minute of film, by stage
    python benchmarks/scale.py simulate [--hours 100000]

`measure` counts processor time of one thread, which does not depend on what else the machine does, and ends with the
constants of pano_sound/library/estimate.py. `simulate` plays a cluster through, film by film: cores take films in
turn, fetch them over a line that all share, work as long as the cost model says, put the result, and are lost now and
then; the manifest takes one change after the other. And one film of an hour, in segments, with no other.
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np

from pano_sound.library import estimate
from pano_sound.library.discover import File, Film, path_name
from pano_sound.library.manifest import Manifest, Wanted
from pano_sound.library.process_lock import ProcessLock
from pano_sound.library.records import RenderResult
from pano_sound.media.segments import SECONDS
from pano_sound.options.steps import PanOptions

SAMPLE = Path(__file__).parents[1] / "samples" / "meadow.mp4"
SHORT = 3.0
"""Seconds of film whose sound map is kept, to know its size."""
TIMES_READ = 5
"""How often a film of which others make the segments is read: for its hash, for what is heard and what is seen of each
segment, for rendering, and for its sound. One that a worker makes alone is read once."""
FASTEST = 1.25e9
"""Bytes a second that one machine's network takes."""
REPLACED_AFTER = 60.0
LOST_AFTER = 48.0
"""Hours after which a core is lost on average, as cheap machines are."""
LONGEST = 4.0
"""Hours of the longest film."""


def measure(films: list[Path], model: str) -> None:
    """Print what each stage costs."""
    from stages import stages

    from pano_sound.library.work import prepare_process
    from pano_sound.media.info import require_pannable
    from pano_sound.media.probe import probe
    from pano_sound.options.steps import AnalyseOptions
    from pano_sound.pipeline import analyse

    prepare_process()
    for film in films:
        info = require_pannable(probe(film))
        minutes = info.duration / 60
        with tempfile.TemporaryDirectory() as folder:
            took = stages(film, model, folder, clock=time.process_time)
            part = min(SHORT, info.duration)
            analyse(film, AnalyseOptions(model=model, duration=f"{part}")).save(f"{folder}/map.npz")
            made, kept = (os.path.getsize(f"{folder}/{name}") for name in ("out.mp4", "map.npz"))
            result = probe(f"{folder}/out.mp4").video
        assert info.video.fps is not None
        assert result is not None
        fps = float(info.video.fps)
        decoded = info.video.width * info.video.height * fps * info.duration / 1e6
        drawn = result.width * result.height * fps * info.duration / 1e6
        print(f"{film.name}: {info.video.width}x{info.video.height}, {fps:g} fps, {info.video.codec}")
        print(f"  to {result.width}x{result.height}; core seconds per minute of film:")
        for stage, seconds in [*took.items(), ("all", sum(took.values()))]:
            print(f"  {stage:24}{seconds / minutes:10.2f}")
        print(
            f"  bytes per minute: read {info.size_bytes / minutes / 1e6:.1f} MB each time, "
            f"written {made / minutes / 1e6:.2f} MB, sound map {kept / part * 60 / 1e6:.2f} MB"
        )
        decoding = took["decode for analysis"] + took["decode for rendering"]
        looks = estimate.looks(fps, info.duration, AnalyseOptions())
        print(
            f"  DECODE {decoding / 2 / decoded:.5f}  LOOK {took['look (visual net)'] / looks:.3f}  "
            f"LISTEN {(took['decode sound'] + took['listen (sound net)']) / minutes:.2f}  "
            f"DRAW {(took['render'] + took['encode']) / drawn:.4f}  "
            f"BITS_A_PIXEL {8 * made / (drawn * 1e6):.3f}"
        )


def manifest_rate(films: int = 300) -> float:
    """Films a second that one manifest, on this disk, hands out and takes back."""
    with tempfile.TemporaryDirectory(dir=".") as folder, Manifest(Path(folder) / "manifest.sqlite") as manifest:
        run = ProcessLock(manifest.locks)
        wanted = [Wanted(f"{i}.mp4", Film((File(f"/films/{i}.mp4", (i, "1")),))) for i in range(films)]
        manifest.sync(run.name, wanted, {}, "key", {})
        made = RenderResult(1, "0" * 64, "1" * 64, 1.0, (640, 360), {}, (), bytes(8000), [[0.0, 0.0, 90.0]] * 200)
        began = time.perf_counter()
        while (row := manifest.claim(run.name, run.name)) is not None:
            manifest.record_pending(row, made)
            manifest.finish(row, {row.output: (1, "1"), path_name(row.output): (1, "1")})
        rate = films / (time.perf_counter() - began)
        run.end()
    return rate


def simulate(
    seconds: np.ndarray,
    cores: int,
    per_second: float,
    bytes_per_second: float,
    line: float,
    rate: float,
    lost_every: float,
) -> tuple[float, float]:
    """(days until all is made, share of the cores' time spent working).

    Args:
        seconds: lengths of the films.
        per_second: core seconds per second of film.
        bytes_per_second: read and written per second of film.
        line: bytes a second that the store gives to all together.
        rate: changes a second that the manifest takes.
        lost_every: hours after which a core is lost, on average, with what it works on.
    """
    rng = np.random.default_rng(0)
    free = [(0.0, i) for i in range(cores)]
    waiting = deque((length, length * bytes_per_second) for length in -np.sort(-seconds))
    if len(waiting) <= cores:
        # Those who would have nothing to do help with long films.
        for _ in range(len(waiting)):
            length, volume = waiting.popleft()
            count = max(1, round(length / SECONDS)) if length > 2 * SECONDS else 1
            waiting.extend([(length / count, (TIMES_READ if count > 1 else 1) * volume / count)] * count)
    fetching: list[float] = []
    manifest, worked, end = 0.0, 0.0, 0.0
    while waiting:
        at, core = heapq.heappop(free)
        length, volume = waiting.popleft()
        manifest = max(manifest, at) + 1 / rate
        while fetching and fetching[0] <= manifest:
            heapq.heappop(fetching)
        share = min(FASTEST, line / (len(fetching) + 1))
        moved = manifest + volume / share
        heapq.heappush(fetching, moved)
        done = moved + length * per_second
        lost = at + rng.exponential(lost_every * 3600)
        if lost < done:
            waiting.append((length, volume))
            heapq.heappush(free, (lost + REPLACED_AFTER, core))
            continue
        worked += length * per_second
        end = max(end, done)
        heapq.heappush(free, (done, core))
    return end / 86400, worked / (end * cores)


def show_simulation(hours: float, minutes: float, per_second: float, megabits: float, gigabits: float) -> None:
    """Print how long clusters of different sizes take."""
    rng = np.random.default_rng(1)
    count = round(hours * 60 / minutes)
    # Lengths of films are spread like those of most archives: many short ones, a few very long.
    seconds = rng.lognormal(0.0, 1.0, count)
    seconds = np.minimum(seconds * hours * 3600 / seconds.sum(), LONGEST * 3600)
    rate = manifest_rate()
    print(
        f"{count} films, {hours:g} hours, longest {seconds.max() / 3600:.1f} h; {per_second:.2f} core seconds a second;"
    )
    print(f"{megabits:g} Mbit a second of film, store {gigabits:g} Gbit/s; manifest {rate:.0f} films/s")
    given = (per_second, megabits * 1e6 / 8, gigabits * 1e9 / 8, rate, LOST_AFTER)
    print(f"{'cores':>8}{'days':>10}{'core-years':>12}{'busy':>8}")
    for cores in (100, 1000, 5000, 20_000, 50_000):
        days, busy = simulate(seconds, cores, *given)
        print(f"{cores:8}{days:10.1f}{seconds.sum() * per_second / 86400 / 365:12.1f}{busy:8.0%}")
    print(f"one film of an hour\n{'cores':>8}{'minutes':>10}")
    for cores in (1, 10, 30, 100):
        days, _ = simulate(np.array([3600.0]), cores, *given)
        print(f"{cores:8}{days * 24 * 60:10.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="what", required=True)
    measuring = sub.add_parser("measure")
    measuring.add_argument("films", nargs="*", type=Path, default=[SAMPLE])
    measuring.add_argument("--model", default="base")
    simulating = sub.add_parser("simulate")
    simulating.add_argument("--hours", type=float, default=100_000)
    simulating.add_argument("--minutes", type=float, default=60, help="mean length of a film")
    simulating.add_argument("--width", type=int, default=3840, help="of the films, which are 2:1, at 30 fps")
    simulating.add_argument("--megabits", type=float, default=60, help="read and written per second of film")
    simulating.add_argument("--gigabits", type=float, default=400, help="that the store gives a second")
    args = parser.parse_args()
    if args.what == "measure":
        sys.path.insert(0, str(Path(__file__).parent))
        measure(args.films, args.model)
    else:
        per_second = estimate.core_seconds(args.width, args.width // 2, 30.0, 60.0, PanOptions()) / 60
        show_simulation(args.hours, args.minutes, per_second, args.megabits, args.gigabits)


if __name__ == "__main__":
    main()
