"""A made library: short films, good and bad, with strange names; and the expected state of each."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import films
import numpy as np

STRANGE = (
    "take 1:30",
    "100% 'done' \"x\"",
    "concat:a|b",
    "-y",
    "Füße 🎬",
    "a#b?c=d&e",
    "line\nbreak",
    "x" * 240,
    "..a",
)
"""Stems that some program or other stumbles over; the sixth also has a byte that is not valid Unicode."""


def good(path: Path, seed: int, sound: bool = True) -> Path:
    """A third of a second of 360° film, different for each seed."""
    levels = [40 + (13 * seed + 37 * n) % 160 for n in range(4)]
    plain = path.with_name("made.mp4")
    wave = films.tone(0.4, hz=200 + seed) if sound else None
    title = {"title": f"film {seed}"}
    films.make_film(plain, films.steady(4, 10), size=(128, 64), levels=levels, sound=wave, metadata=title)
    plain.rename(path)
    return path


def bad(path: Path, seed: int) -> None:
    """A file that is not a film but is named like one."""
    rng = np.random.default_rng(seed)
    kind = seed // 10 % 4
    if kind == 0:
        path.write_bytes(b"")
    elif kind == 1:
        path.write_bytes(rng.bytes(3000))
    elif kind == 2:
        path.write_text(f"this is no film {seed}\n" * 100)
    else:
        whole = good(path.with_name("whole.mp4"), seed)
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        whole.unlink()


def make_library(folder: Path, count: int) -> dict[str, str]:
    """`count` files below `folder`; the expected state of each film's result, by its name."""
    expected: dict[str, str] = {}
    originals: list[Path] = []
    for i in range(count):
        at = folder / f"day {i // 20}"
        at.mkdir(parents=True, exist_ok=True)
        stem = f"clip-{i:04d}"
        kind = i % 10
        state = "done"
        if kind == 6:
            shutil.copyfile(originals[-1], at / f"{stem}.mp4")
            state = "duplicate"
        elif kind == 7:
            films.make_film(
                at / f"{stem}.mp4", size=(320, 180), levels=[i % 200] * 12, sound=films.tone(0.4, hz=300 + i)
            )
            state = "skipped"
        elif kind == 8:
            bad(at / f"{stem}.mp4", i)
            state = "failed"
        elif kind == 9:
            good(at / f"{stem}.MOV", i, sound=False)
        elif kind == 3:
            stem = f"{STRANGE[i // 10 % len(STRANGE)][: 200 - len(stem)]}{stem}"
            if i // 10 == 5:
                stem = os.fsdecode(os.fsencode(stem) + b"\xff")
            good(at / f"{stem}.mp4", i)
            if stem.startswith("."):
                continue  # Hidden files are no part of a library.
            stem = "".join(c if c.isprintable() else "_" for c in stem.encode(errors="replace").decode())
        elif kind == 4 and i + 1 < count:
            good(at / f"GX01{i:04d}.MP4", i)
            stem = f"GX01{i:04d}"
        elif kind == 5:
            good(at / f"GX02{i - 1:04d}.MP4", i)
            continue
        else:
            originals.append(good(at / f"{stem}.mp4", i))
        expected[f"day {i // 20}/{stem}.mp4"] = state
    return expected


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of all results in a folder: videos and camera paths, by name."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and ".pano-sound" not in p.parts)
    return {str(p.relative_to(folder)): sha256(p.read_bytes()) for p in found if not p.name.startswith("report")}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
