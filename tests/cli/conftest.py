"""Whole commands on tiny made films with a tiny untrained model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import films
import numpy as np
import pytest

from pano_sound.commands import main


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> Path:
    """Two seconds of 360° film, 256x128, 15 fps, with a tone."""
    path = tmp_path_factory.mktemp("film") / "made film é.mp4"
    return films.make_film(path, films.steady(30, 15), size=(256, 128), halves=True, sound=films.tone(2.0))


@dataclass
class Done:
    """The result of a command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path, tiny, monkeypatch, capsys):
    """Runs `pano-sound ARGS` as a user would, in an empty folder; `model=True` adds --model tiny and a fast preset."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, model: bool = False) -> Done:
        words = [*map(str, args), *(["--model", str(tiny)] if model else [])]
        if model and words[0] in ("pan", "overlay") and "-c:v" not in words:
            words += ["--encoder-preset", "ultrafast"]
        monkeypatch.setattr(sys, "argv", ["pano-sound", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        return Done(exit.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def bad(tmp_path, film):
    """Files that cannot be panned, or only just, by name."""
    rng = np.random.default_rng(0)

    def make(kind: str) -> Path:
        path = tmp_path / f"{kind}.mp4"
        if kind == "empty":
            path.write_bytes(b"")
        elif kind == "noise":
            path.write_bytes(rng.bytes(50_000))
        elif kind == "text":
            path.write_text("this is no film\n" * 100)
        elif kind == "headless":
            path.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
        elif kind == "folder":
            path.mkdir()
        elif kind == "sound only":
            return films.make_sound(tmp_path / "sound.wav", films.tone(1.0))
        elif kind == "flat":
            films.make_film(path, size=(320, 180), sound=films.tone(0.4))
        elif kind == "tiny":
            films.make_film(path, size=(32, 16), sound=films.tone(0.4))
        elif kind == "mute":
            films.make_film(path, size=(256, 128))
        elif kind == "silent":
            films.make_film(path, size=(256, 128), sound=0 * films.tone(0.4))
        return path

    return make
