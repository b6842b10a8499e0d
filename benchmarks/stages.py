"""Time per stage of `pan` on one film: seconds per minute of film, and share of the whole.

    python benchmarks/stages.py [FILM] [--model base] [--runs 3]

Every stage is timed alone, `--runs` times in turn with the others, and its median taken: shares of one run can be
compared between machines and days, seconds cannot.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from pano_sound.camera.planner import plan
from pano_sound.localize import network_threads
from pano_sound.localize.loading import load_network
from pano_sound.localize.semantic import SemanticCue
from pano_sound.localize.windows import SoundFeatures
from pano_sound.media.info import require_pannable
from pano_sound.media.output_file import VideoFormat
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.sound import SoundReader
from pano_sound.media.soundtrack import SoundPlan
from pano_sound.media.writer import VideoWriter
from pano_sound.options.listening import ListeningOptions
from pano_sound.options.steps import AnalyseOptions
from pano_sound.options.video import VideoOptions
from pano_sound.pipeline import analyse
from pano_sound.pipeline.passes import SOUND_BLOCK, Schedule
from pano_sound.sphere.view import View, render_planes

SAMPLE = Path(__file__).parents[1] / "samples" / "meadow.mp4"


def stages(
    film: Path, model_name: str, folder: str, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Seconds by `clock` that each stage takes for the whole film."""
    info = require_pannable(probe(film))
    settings, rendering = ListeningOptions(model=model_name), VideoOptions()
    network = load_network(model_name)
    took: dict[str, float] = {}

    def timed(name: str, began: float) -> None:
        took[name] = took.get(name, 0.0) + clock() - began

    began = clock()
    blocks = list(SoundReader(info, network.sound.rate).blocks(SOUND_BLOCK))
    timed("decode sound", began)
    began = clock()
    sound = SoundFeatures(network)
    for block in blocks:
        sound.add(block)
    sound.finish()
    timed("listen (sound net)", began)

    with VideoReader(info) as reader:
        height, width = network.panorama
        start = Fraction(info.start).limit_denominator(10**9)
        looks = SemanticCue(network, settings.window, settings.every).pictures
        assert looks is not None
        schedule = Schedule(1 / looks.rate, start)
        pictures = ((float(p.t), p.rgb(width, height)) for p in reader.stored() if schedule.due(p.t))
        while True:
            began = clock()
            found = next(pictures, None)
            timed("decode for analysis", began)
            if found is None:
                break
            t, rgb = found
            began = clock()
            seen = network.embed_picture(rgb)
            timed("look (visual net)", began)
            began = clock()
            heard = network.embed_sound(sound.pooled([t - info.start], settings.window))
            network.respond(seen, heard[0])
            timed("attention", began)

    soundmap = analyse(film, AnalyseOptions(model=model_name))
    began = clock()
    path = plan(soundmap)
    timed("plan", began)

    with VideoReader(info) as reader:
        began = clock()
        for picture in reader.pictures():
            time_base = picture.time_base
        timed("decode for rendering", began)
        out = os.path.join(folder, "out.mp4")
        size = VideoFormat(path.width, path.height, time_base, info.video.fps)
        with VideoWriter(out, size, rendering, sound=SoundPlan.of(info), source=info, overwrite=True) as writer:
            for picture in reader.pictures():
                yaw, pitch, roll, hfov = path.at(picture.t)
                began = clock()
                planes = render_planes(picture.planes, View(path.width, path.height, hfov), yaw, pitch, roll)
                timed("render", began)
                began = clock()
                writer.write(replace(picture, planes=planes))
                timed("encode", began)
            began = clock()
        timed("encode", began)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--model", default="base")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    info = require_pannable(probe(args.film))
    minutes = info.duration / 60
    with tempfile.TemporaryDirectory() as folder:
        runs = [stages(args.film, args.model, folder) for _ in range(args.runs)]
    median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    whole = sum(median.values())
    video = info.video
    print(f"{args.film.name}: {video.width}x{video.height}, {info.duration:.1f} s; median of {args.runs} runs")
    print(f"{'stage':24}{'s per minute':>14}{'share':>8}")
    for name, seconds in [*median.items(), ("all", whole)]:
        print(f"{name:24}{seconds / minutes:14.2f}{seconds / whole:8.0%}")
    print(f"{info.duration / whole:.2f} x real time on {network_threads.count()} threads")


if __name__ == "__main__":
    main()
