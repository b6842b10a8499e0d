"""Tiny sets in the layouts of others, made for the tests."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
from scipy.io import wavfile

RATE = 16_000


def picture(path: Path, level: int, size: tuple[int, int] = (40, 30)) -> Path:
    """A flat grey picture (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), level, np.uint8))
    return path


def sound(path: Path, level: float, seconds: float = 0.5) -> Path:
    """A constant signal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, RATE, np.full(round(seconds * RATE), level, np.float32))
    return path


def annotation(*annotators: tuple[str, tuple[int, int, int, int]]) -> str:
    """The XML of Flickr-SoundNet: kind and box (pixels of 256) of each annotator."""
    names = ("xmin", "ymin", "xmax", "ymax")
    parts = []
    for kind, box in annotators:
        corners = "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, box, strict=True))
        parts.append(f"<subject><bbox><type>{kind}</type>{corners}</bbox></subject>")
    return f"<annotation>{''.join(parts)}</annotation>"


def tar(path: Path, members: dict[str, bytes]) -> Path:
    """A tar file."""
    with tarfile.open(path, "w") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def shard(path: Path, numbers: range, folder: Path) -> Path:
    """A shard of examples, number i with brightness 10 i and sound level i / 100, two to a video, boxes for even i."""
    members = {}
    for i in numbers:
        about: dict[str, object] = {"video": f"v{i // 2}", "label": f"l{i}"}
        if i % 2 == 0:
            about["boxes"] = [[[0.25, 0.25, 0.75, 0.75]], [[0.0, 0.0, 0.5, 0.5]]]
        members[f"{i:03}.png"] = picture(folder / "x.png", 10 * i).read_bytes()
        members[f"{i:03}.wav"] = sound(folder / "x.wav", i / 100).read_bytes()
        members[f"{i:03}.json"] = json.dumps(about).encode()
    return tar(path, members)
