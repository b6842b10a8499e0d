"""Peak memory of `pan` on a short and a ten times longer 1920x960 film, and their ratio.

    python benchmarks/memory.py [--minutes 10]

The films repeat a sample's packets. Peak resident memory is measured by the operating system, for the whole process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import av

SAMPLE = Path(__file__).parents[1] / "samples" / "meadow.mp4"


def make(path: Path, seconds: float) -> None:
    """Repeat the sample's packets, picture and sound, until there are `seconds` of film."""
    with av.open(str(path), "w") as out, av.open(str(SAMPLE)) as first:
        streams = {s.index: out.add_stream_from_template(s) for s in (first.streams.video[0], first.streams.audio[0])}
        begin = 0.0
        while begin < seconds:
            with av.open(str(SAMPLE)) as film:
                end = begin
                for packet in film.demux(video=0, audio=0):
                    if packet.dts is None:
                        continue
                    assert packet.pts is not None
                    assert packet.duration is not None
                    end = max(end, begin + float((packet.pts + packet.duration) * packet.time_base))
                    shift = round(begin / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
            begin = end + 0.1  # room for time stamps before 0: B-frames, AAC priming


def peak_of_pan(film: Path) -> float:
    """Peak resident memory of panning `film`, MB."""
    out = film.with_name("out.mp4")
    work = subprocess.Popen([sys.executable, "-m", "pano_sound", "pan", str(film), "-o", str(out), "-y"])
    _, status, usage = os.wait4(work.pid, 0)
    if status:
        raise SystemExit(f"pan failed with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long film; the short one: a tenth")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for minutes in (args.minutes / 10, args.minutes):
            film = Path(folder) / "film.mp4"
            make(film, minutes * 60)
            peaks.append(peak_of_pan(film))
            film.unlink()
            print(f"{minutes:5g} minutes: peak {peaks[-1]:.0f} MB", flush=True)
    print(f"long / short: {peaks[1] / peaks[0]:.3f}")
    if peaks[1] > 1.1 * peaks[0] or peaks[1] > 1500:
        raise SystemExit("too much: the long film may take 10 % more than the short one, and 1,500 MB")


if __name__ == "__main__":
    main()
