"""A mutation fuzzer: damaged films and data files through whole commands, each run in a process of its own.

    python benchmarks/fuzz.py --runs 2000 [--samples GLOB] [--seed 0] [--only NUMBER] [--keep FOLDER]

Tiny samples of every kind are made first. Each run takes one, damages it (bits, bytes, numbers, truncation, splices
of itself or of another sample) and gives it to a command, with a tiny untrained model. What is wrong:

- a traceback, an unexpected error, a crash, an unknown exit code, more than one line of error
- more than 30 s of work, no end after five minutes, or more than a gigabyte of memory
- an output under its final name after a failure, a partial file under any name, a changed input
- success with an output that does not decode to its end or whose time stamps do not grow

Each run is forked from a process that has imported everything, so it takes only as long as its work.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import fnmatch
import io
import itertools
import json
import os
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import films

from pano_sound import pipeline
from pano_sound.camera import formats
from pano_sound.commands import main as pano_sound_main
from pano_sound.errors import EXIT_CODES
from pano_sound.library.intake import Library
from pano_sound.library.pool import work as work_through
from pano_sound.localize import network_threads
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.weights import save
from pano_sound.media.ambisonics import FIRST_ORDER
from pano_sound.media.spherical import tag_mp4
from pano_sound.options.batch import BatchOptions
from pano_sound.options.steps import AnalyseOptions, PanOptions

SECONDS, PATIENCE = 30.0, 300.0
"""Of the processor's time, which does not depend on what else runs, and until a run counts as stuck."""
MOST_MEMORY = 1 << 20
"""kB."""
VARIABLE = [Fraction(n, 30) + Fraction(n * n % 7, 300) for n in range(12)]

DESCRIPTION = {"title": "Été", "creation_time": "2024-05-06T07:08:09Z", "location": "+48.1371+011.5754+519.000/"}
HDR10 = {
    "x265-params": "log-level=error:range=limited:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
}

FILMS: dict[str, dict] = {
    "h264+aac.mp4": {},
    "h264+aac-fragmented.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "h264+mp3.mov": {"sound_codec": "libmp3lame", "options": {"movflags": "+faststart"}, "metadata": DESCRIPTION},
    "hevc10+ambisonics.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "layout": "4.0", "metadata": DESCRIPTION},
    "hdr10.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le", "metadata": DESCRIPTION, "encoder": HDR10},
    "prores+pcm.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "sound_codec": "pcm_s16le"},
    "h264+flac-variable.mkv": {"times": VARIABLE, "sound_codec": "flac"},
    "h264-top-bottom.mkv": {"size": (128, 128), "stereo": "top-bottom"},
    "hevc+opus-5.1.mkv": {"codec": "libx265", "sound_codec": "libopus", "layout": "5.1"},
    "vp9+opus.webm": {"codec": "libvpx-vp9", "sound_codec": "libopus"},
    "vp8+opus-mono.webm": {"codec": "libvpx", "sound_codec": "libopus", "layout": "mono"},
    "av1+opus.mp4": {"codec": "libsvtav1", "sound_codec": "libopus"},
    "h264+aac.ts": {},
    "mpeg2+ac3.ts": {
        "times": films.steady(10, 25),
        "time_base": Fraction(1, 25),
        "codec": "mpeg2video",
        "sound_codec": "ac3",
    },
    "mjpeg+pcm.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "sound_codec": "pcm_s16le"},
}
"""Names of samples, and how `films.make_film` makes each."""


WAYS = (
    ("--start", 0.1, "--duration", 0.2),
    ("--end", 0.3),
    ("--projection", "cubemap"),
    ("--projection", "equirectangular"),
    ("--stereo", "left-right"),
    ("--audio-track", 1),
    ("--ambisonics", "ambix"),
    ("--max-damage", 1),
)
"""Options with which a sample is read sometimes."""

FILM, SOUNDMAP, PATH, WEIGHTS = "h264+aac.mp4", "film.soundmap.npz", "film.path.json", "tiny.safetensors"
MANIFEST = "batch.sqlite"


def make_samples(folder: Path) -> int:
    """Write all samples into `folder`."""
    for name, how in FILMS.items():
        at = folder / name
        channels = {"mono": 1, "4.0": 4, "5.1": 6}.get(how.get("layout", "stereo"), 2)
        films.make_film(at, **{"times": films.steady(12), "sound": films.tone(0.4, channels=channels), **how})
        if name.endswith((".mp4", ".mov")) and "fragmented" not in name:
            tag_mp4(at, FIRST_ORDER.box if channels == 4 else None)
    torch.manual_seed(0)
    save(Localizer(**TINY), folder / WEIGHTS, {"name": "tiny", "version": "0"})
    soundmap = pipeline.analyse(folder / FILM, AnalyseOptions(model=str(folder / WEIGHTS)))
    soundmap.save(folder / SOUNDMAP)
    path = pipeline.plan(soundmap)
    path.save(folder / PATH)
    for name, text in formats.WRITERS.items():
        (folder / f"film.{name}").write_text(text(path, 30.0), encoding="utf-8")
    options = BatchOptions(manifest=str(folder / MANIFEST), soundmaps=str(folder / "soundmaps"))
    with Library.open(str(folder / "results"), options) as library:
        library.take_in([str(folder / FILM)], [], PanOptions(model=str(folder / WEIGHTS), size="128x64"))
        work_through(library, lambda *_: None)
    return 0


def mutated(rng: np.random.Generator, data: bytes, others: list[bytes]) -> tuple[str, bytes]:
    """(how, damaged copy). Half of the single places are among the first and last 2,000 bytes, where headers are."""
    content = bytearray(data)
    size = len(content)

    def place(room: int = 1) -> int:
        if rng.random() < 0.5:
            return int(rng.integers(max(1, size - room)))
        near = int(rng.integers(min(2000, max(1, size - room))))
        return near if rng.random() < 0.5 else max(0, size - room - near)

    how = str(rng.choice(["bits", "bytes", "number", "truncation", "splice", "swap", "insert"]))
    if how == "bits":
        for _ in range(int(2 ** rng.uniform(0, 10))):
            content[place()] ^= 1 << int(rng.integers(8))
    elif how == "bytes":
        for _ in range(int(2 ** rng.uniform(0, 8))):
            content[place()] = int(rng.integers(256))
    elif how == "number":
        for _ in range(int(rng.integers(1, 4))):
            at = place(4)
            lie = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, size, size * 2])
            content[at : at + 4] = int(lie).to_bytes(4, "big" if rng.random() < 0.5 else "little")
    elif how == "truncation":
        del content[int(rng.integers(size)) :]
    elif how == "splice":
        other = others[int(rng.integers(len(others)))]
        begin = int(rng.integers(len(other)))
        piece = other[begin : begin + int(2 ** rng.uniform(2, 14))]
        at = place()
        content[at : at + len(piece)] = piece
    elif how == "swap":
        length = int(2 ** rng.uniform(2, 12))
        a, b = place(length), place(length)
        content[a : a + length], content[b : b + length] = content[b : b + length], content[a : a + length]
    else:
        begin = int(rng.integers(size))
        content[place() : place()] = content[begin : begin + int(2 ** rng.uniform(0, 12))]
    return how, bytes(content)


ODD_VALUES: tuple = (None, True, -1, 0, 1e308, -1e-300, 10**40, "", "é" * 9999, "1e999", [], {}, [[]], [{"t": 0}])
ODD_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 6e4, 1e30)


def mutated_json(rng: np.random.Generator, data: bytes | str) -> bytes:
    """An object that is still JSON, with odd or missing values in some places."""
    path = json.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        at = path
        while True:
            key = rng.choice(list(at)) if isinstance(at, dict) else int(rng.integers(len(at)))
            if not (isinstance(at[key], (dict, list)) and at[key]) or rng.random() < 0.15:
                break
            at = at[key]
        if rng.random() < 0.2:
            del at[key]
        else:
            at[key] = copy.deepcopy(ODD_VALUES[int(rng.integers(len(ODD_VALUES)))])
        if not path:
            break
    return json.dumps(path).encode()


def mutated_soundmap(rng: np.random.Generator, data: bytes) -> bytes:
    """A sound map that is still a complete archive, with odd numbers, shapes or types in one array, or without it."""
    arrays = dict(np.load(io.BytesIO(data)))
    name = str(rng.choice([*sorted(arrays), "about"]))
    array = arrays[name]
    how = rng.choice(["odd", "shape", "type", "text", "none"] if name != "about" else ["text", "text", "type", "none"])
    if how == "odd" and array.size and array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array.flat[rng.integers(array.size, size=3)] = rng.choice(ODD_NUMBERS)
    elif how == "shape":
        arrays[name] = array[..., None] if rng.random() < 0.5 else array.ravel()[: int(rng.integers(array.size + 1))]
    elif how == "type":
        arrays[name] = np.zeros(array.shape, rng.choice(["int8", "complex64", "bool", "U3"]))
    elif how == "text" and name == "about":
        arrays[name] = np.array(mutated_json(rng, str(array)).decode())
    elif how == "text":
        arrays[name] = np.array(json.dumps(ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]))
    else:
        del arrays[name]
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def mutated_manifest(rng: np.random.Generator, data: bytes) -> bytes:
    """A database that is still complete, with an odd value in one column of one table."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(data[:18] + b"\1\1" + data[20:])  # In memory there is no write-ahead log.
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
        table = str(rng.choice(tables))
        column = str(rng.choice([row[1] for row in db.execute(f"PRAGMA table_info({table})")]))
        value = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
        value = json.dumps(value) if isinstance(value, list | dict) or value == 10**40 else value
        with contextlib.suppress(sqlite3.IntegrityError):
            db.execute(f"UPDATE {table} SET {column}=?", (value,))
        db.commit()
        return db.serialize()


def command_for(rng: np.random.Generator, whole: Path, sample: Path) -> tuple[list[str], str | None]:
    """(arguments, name of the output or None) of a command that reads `sample`, beside undamaged files in `whole`."""
    model = ["--model", str(whole / WEIGHTS), "--every", "0.2"]
    fast = ["--encoder-preset", "ultrafast"]
    small = ["--size", "128x64"]
    if sample.suffix == ".npz":
        if rng.random() < 0.5:
            return ["plan", str(sample), "-o", "out.path.json"], "out.path.json"
        return ["overlay", str(whole / FILM), "--soundmap", str(sample), *fast, "-o", "out.mp4"], "out.mp4"
    if sample.suffix == ".json":
        if rng.random() < 0.5:
            to = str(rng.choice(list(formats.WRITERS)))
            return ["path", "export", str(sample), "--to", to, "-o", f"out.{to}"], f"out.{to}"
        return ["render", str(whole / FILM), str(sample), *small, *fast, "-o", "out.mp4"], "out.mp4"
    if sample.suffix[1:] in formats.READERS:
        return ["path", "import", str(sample), "--from", sample.suffix[1:], "-o", "out.path.json"], "out.path.json"
    if sample.suffix == ".sqlite":
        if rng.random() < 0.5:
            return ["batch", "status", str(whole / "results"), "--manifest", str(sample), "--json"], None
        words = ["batch", str(whole / FILM), "-o", str(whole / "results"), "--manifest", str(sample), "--dry-run"]
        return [*words, *model[:2], *small], None
    if sample.suffix == ".safetensors":
        model[1] = str(sample)
        return ["analyse", str(whole / FILM), *model, "-o", "out.soundmap.npz"], "out.soundmap.npz"
    container = str(rng.choice([".mp4", ".mov", ".mkv"]))
    source = [str(sample)]
    if rng.random() < 0.3:
        source += [str(word) for word in WAYS[int(rng.integers(len(WAYS)))]]
    if rng.random() < 0.1:
        source += ["--concat", str(whole / FILM if rng.random() < 0.5 else sample)]
    kind = rng.choice(["pan", "render", "overlay", "analyse", "probe"], p=[0.4, 0.3, 0.15, 0.1, 0.05])
    if kind == "pan":
        return ["pan", *source, *model, *small, *fast, "-o", f"out{container}"], f"out{container}"
    if kind == "render":
        return ["render", *source, str(whole / PATH), *small, *fast, "-o", f"out{container}"], f"out{container}"
    if kind == "overlay":
        return ["overlay", *source, "--soundmap", str(whole / SOUNDMAP), *fast, "-o", "out.mp4"], "out.mp4"
    if kind == "analyse":
        return ["analyse", *source, *model, "-o", "out.soundmap.npz"], "out.soundmap.npz"
    return ["probe", *source, "--json"], None


WITHIN = {PATH: mutated_json, SOUNDMAP: mutated_soundmap, MANIFEST: mutated_manifest}
"""Damage that leaves these samples readable; damaged bits and bytes mostly do not."""


def forked(
    work: Callable[[], int], folder: Path, said: Path, limit: float = SECONDS, patience: float = PATIENCE
) -> tuple[int | str, float, int]:
    """Run `work` in a separate process, like a program's main: (exit code or signal, seconds, peak kB)."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.chdir(folder)
        for number, mode in ((1, os.devnull), (2, str(said))):
            os.dup2(os.open(mode, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        code = 1
        try:
            code = work()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        took = time.monotonic() - began
        if done:
            break
        if took > patience or (took > limit and sum(psutil.Process(pid).cpu_times()[:2]) > limit):
            os.killpg(pid, signal.SIGKILL)
            os.wait4(pid, 0)
            return "hang", took, 0
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    return (code if code >= 0 else signal.Signals(-code).name), took, usage.ru_maxrss


def plays(path: Path) -> int:
    """0 if a film decodes to its end and its time stamps grow."""
    with av.open(str(path)) as film:
        stamps = [frame.pts for frame in film.decode(video=0)]
        if film.streams.audio:
            film.seek(0)
            for _ in film.decode(audio=0):
                pass
    known = [stamp for stamp in stamps if stamp is not None]
    return 0 if stamps and known == stamps and all(a < b for a, b in itertools.pairwise(known)) else 3


def faults(code: int | str, said: str, output: Path | None, folder: Path, inputs: dict[Path, bytes]) -> Iterator[str]:
    """The faults in how a run ended."""
    if code == "hang":
        yield f"no end after {SECONDS:g} s of work or {PATIENCE:g} s in all"
        return
    if code not in EXIT_CODES:
        yield f"ended by {code}"
    if "Traceback" in said or "unexpected" in said:
        yield "a traceback, or an error that nobody foresaw"
    lines = [line for line in said.splitlines() if "error: " in line]
    if len(lines) != (code != 0):
        yield f"{len(lines)} lines of error with exit code {code}"
    manifests = {path for path in inputs if path.name == MANIFEST}
    if any(path.read_bytes() != before for path, before in inputs.items() if path not in manifests):
        yield "an input was changed"
    expected = {path.name for path in inputs} | ({output.name} if output and code == 0 else set())
    if manifests:  # It is opened for writing; what SQLite and the batch keep beside it is no output.
        expected |= {p.name for p in folder.iterdir()} & {"alive", "work", f"{MANIFEST}-wal", f"{MANIFEST}-shm"}
    for name in sorted({p.name for p in folder.iterdir()} ^ expected):
        yield f"{name} {'is left behind' if (folder / name).exists() else 'is missing'}"
    if code == 0 and output and output.suffix in (".mp4", ".mov", ".mkv") and output.exists():
        verdict, _, _ = forked(lambda: plays(output), folder, Path(os.devnull))
        if verdict != 0:
            yield "the output does not play to its end"


def run(
    number: int, seed: int, samples: dict[str, bytes], whole: Path, folder: Path
) -> tuple[str, str, int | str, list[str], str, float, int]:
    """One run: (sample, damage, exit code, faults, what it said, seconds, peak kB)."""
    rng = np.random.default_rng([seed, number])
    name = sorted(samples)[int(rng.integers(len(samples)))]
    if name in WITHIN and rng.random() < 0.7:
        how, content = "within", WITHIN[name](rng, samples[name])
    else:
        how, content = mutated(rng, samples[name], list(samples.values()))
    sample = folder / name
    sample.write_bytes(content)
    words, out = command_for(rng, whole, sample)

    def work() -> int:
        sys.argv = ["pano-sound", *words]
        pano_sound_main()
        return 0

    said = folder.with_name(f"{folder.name}.said")
    said.write_bytes(b"")
    code, took, peak = forked(work, folder, said)
    text = said.read_text(errors="replace")
    found = list(faults(code, text, folder / out if out else None, folder, {sample: content}))
    if peak > MOST_MEMORY:
        found.append(f"{peak >> 10} MB of memory")
    return name, f"{words[0]}, {how}", code, found, text, took, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--samples", default="*", metavar="GLOB", help="only samples of these names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="do this run alone and show what it said")
    parser.add_argument("--keep", type=Path, help="folder for the damaged files that were not met well")
    args = parser.parse_args()
    network_threads.use(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ends: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    wrong: list[str] = []
    slowest, largest = (0.0, -1), 0
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "samples"
        made.mkdir()
        if forked(lambda: make_samples(made), made, Path(place) / "said", 1000.0, 1000.0)[0] != 0:
            raise SystemExit((Path(place) / "said").read_text())
        samples = {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}
        samples = {name: content for name, content in samples.items() if fnmatch.fnmatch(name, args.samples)}
        numbers = [args.only] if args.only is not None else range(args.first, args.first + args.runs)
        for number in numbers:
            folder = Path(place) / f"run{number}"
            folder.mkdir()
            name, what, code, found, said, took, peak = run(number, args.seed, samples, made, folder)
            ends[name][code] += 1
            slowest, largest = max(slowest, (took, number)), max(largest, peak)
            if found:
                wrong.append(f"run {number}: {name}, {what}: {'; '.join(found)}")
                print(f"{wrong[-1]}\n    {said.strip()[-600:]}", flush=True)
                if args.keep:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(folder / name, args.keep / f"{number}-{name}")
            elif args.only is not None:
                print(f"{name}, {what}: exit code {code}, {took:.1f} s\n{said}")
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
            if number % 100 == 99:
                print(f"{number + 1 - args.first} runs, {len(wrong)} wrong", file=sys.stderr, flush=True)
    report(ends, wrong, slowest, largest)
    raise SystemExit(1 if wrong else 0)


def report(ends: dict[str, collections.Counter], wrong: list[str], slowest: tuple[float, int], largest: int) -> None:
    """The table of docs/reliability.md."""
    codes = sorted({code for counts in ends.values() for code in counts}, key=str)
    print(f"| sample | runs | {' | '.join(f'exit {c}' if isinstance(c, int) else str(c) for c in codes)} |")
    print(f"|---|{'---|' * (len(codes) + 1)}")
    total: collections.Counter = sum(ends.values(), collections.Counter())
    for name, counts in [*sorted(ends.items()), ("all", total)]:
        print(f"| {name} | {counts.total()} | {' | '.join(str(counts[c]) for c in codes)} |")
    longest = f"longest run {slowest[0]:.1f} s (number {slowest[1]})"
    print(f"\nwrong: {len(wrong)}; {longest}; largest process {largest / 1024:.0f} MB")


if __name__ == "__main__":
    main()
