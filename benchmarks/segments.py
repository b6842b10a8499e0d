"""What it costs to make a film in segments, and what of that is seen: against the same film made at once.

    python benchmarks/segments.py [--minutes 4.2] [--seconds 120]

Both are made by one thread; counted is processor time. The film is a sample's packets over and over.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from memory import make

from pano_sound.library.work import prepare_process
from pano_sound.localize.loading import load_network
from pano_sound.media.info import require_pannable
from pano_sound.media.joining import join
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.segments import segments
from pano_sound.media.sound import SoundReader
from pano_sound.options.listening import ListeningOptions
from pano_sound.options.video import VideoOptions
from pano_sound.pipeline import plan, render, render_segment
from pano_sound.pipeline.analyse import analyse_segment, joined


def silent(stage: str, done: float, total: float) -> None:
    pass


def luma(film: Path) -> tuple[list[float], np.ndarray]:
    """(times, pictures) of a film, its brightness alone."""
    with VideoReader(probe(film)) as reader:
        found = [(picture.t, picture.planes[0].astype(np.int16)) for picture in reader.pictures()]
    return [t for t, _ in found], np.stack([plane for _, plane in found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.2)
    parser.add_argument("--seconds", type=float, default=120.0)
    args = parser.parse_args()
    prepare_process()
    load_network()  # Importing what computes it counts for neither.
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make(work / "film.mp4", args.minutes * 60)
        info = require_pannable(probe(work / "film.mp4"))
        found = segments(info, args.seconds)
        took = [time.process_time()]
        whole = analyse_segment(info, ListeningOptions(), silent)
        took.append(time.process_time())
        parts = joined([analyse_segment(info, ListeningOptions(), silent, segment) for segment in found])
        took.append(time.process_time())
        path = plan(whole)
        same_path = np.array_equal(path.samples, plan(parts).samples)
        took.append(time.process_time())
        render(work / "film.mp4", path, work / "once.mp4")
        took.append(time.process_time())
        files = []
        for number, segment in enumerate(found):
            render_segment(info, segment, path, work / f"{number}.mp4", VideoOptions(), silent)
            files.append((segment.begin or 0, work / f"{number}.mp4"))
        join(files, work / "parts.mp4", info, None)
        took.append(time.process_time())
        analysis, in_parts, _, rendering, in_segments = (b - a for a, b in pairwise(took))
        print(f"{info.duration:.0f} s of film in {len(found)} segments")
        print(f"analysis   {in_parts / analysis:.3f} times the processor time of the film made at once")
        print(f"rendering  {in_segments / rendering:.3f} times")
        sizes = [(work / name).stat().st_size for name in ("parts.mp4", "once.mp4")]
        print(f"bytes      {sizes[0] / sizes[1]:.3f} times")
        print(
            f"probabilities differ by {np.abs(whole.posterior.astype(float) - parts.posterior).max():.5f} at most; ",
            end="",
        )
        print("the path is the same" if same_path else "the path is another one")
        (times, here), (other_times, there) = luma(work / "once.mp4"), luma(work / "parts.mp4")
        edges = [float((s.begin or 0) * info.video.time_base) for s in found[1:]]
        apart = np.array([np.abs(a - b).mean() for a, b in zip(here, there, strict=True)])
        near = np.array([min(abs(t - edge) for edge in edges) < 0.5 for t in times])
        print(f"times of all {len(times)} pictures are the same: {times == other_times}")
        print(f"luma differs by {apart.mean():.2f} of 255, within half a second of a seam by {apart[near].mean():.2f}")
        heard = [np.concatenate(list(SoundReader(probe(work / n), 48000).blocks(9))) for n in ("once.mp4", "parts.mp4")]
        print(f"the sound is the same, sample by sample: {np.array_equal(heard[0], heard[1])}")


if __name__ == "__main__":
    main()
