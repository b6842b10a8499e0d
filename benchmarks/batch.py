"""Throughput of `pano-sound batch` with N workers against one: runs in turn, and their ratio.

    python benchmarks/batch.py [--workers 2] [--films 8] [--runs 3]

Each run makes the same films (parts of the samples, analysed once a second) from scratch, with its own folder and
cache. Seconds depend on the machine's other load; the ratio of alternating runs depends on it much less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

ROOT = Path(__file__).parents[1]


def films(folder: Path, count: int) -> None:
    """Parts of the samples, 3 s each, as separate files, all different."""
    samples = sorted((ROOT / "samples").glob("*.mp4"))
    for i in range(count):
        sample = samples[i % len(samples)]
        with av.open(str(sample)) as source, av.open(str(folder / f"{i}.mp4"), "w") as out:
            out.metadata["title"] = f"part {i}"
            streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
            for packet in source.demux():
                if packet.pts is not None and packet.pts * packet.time_base < 3:
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)


def seconds(library: Path, workers: int) -> float:
    """How long one run takes."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["batch", str(library), "-o", f"{folder}/out", "--workers", str(workers), "--every", "1", "-q"]
        env = {**os.environ, "XDG_CACHE_HOME": folder}
        began = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "cli.py"), *words], env=env, check=True)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        films(Path(folder), args.films)
        took: dict[int, list[float]] = {1: [], args.workers: []}
        for _ in range(args.runs):
            for workers, times in took.items():
                times.append(seconds(Path(folder), workers))
    one, many = (statistics.median(took[n]) for n in (1, args.workers))
    ratios = [a / b for a, b in zip(took[1], took[args.workers], strict=True)]
    load = os.getloadavg()[0]
    print(f"{args.films} films of 3 s, {os.cpu_count()} cores, load {load:.1f}")
    print(f"1 worker: {one:.1f} s, {args.workers} workers: {many:.1f} s (median of {args.runs} runs in turn)")
    print(f"throughput: {statistics.median(ratios):.2f} times ({', '.join(f'{r:.2f}' for r in ratios)})")


if __name__ == "__main__":
    main()
