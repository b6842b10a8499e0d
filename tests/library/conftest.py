from __future__ import annotations

import subprocess
from pathlib import Path

import films
import made
import pytest
from batches import Batch


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A library of 10 files, one of each kind, and the final state of each film."""
    folder = tmp_path_factory.mktemp("library") / "DCIM"
    return folder, made.make_library(folder, 10)


@pytest.fixture
def batch(tmp_path, tiny) -> Batch:
    return Batch(tmp_path, tiny)


@pytest.fixture(scope="session")
def finished(small, tiny, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The small library's results in 'out', made in one clean run; and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, Batch(folder, tiny)(small[0], "-o", "out")


@pytest.fixture(scope="session")
def large(tmp_path_factory, tiny) -> tuple[Batch, Path, dict[str, str]]:
    """A library of 100 files made by one machine: its batch, its folder, and the state of each film."""
    folder = tmp_path_factory.mktemp("large")
    expected = made.make_library(folder / "DCIM", 100)
    batch = Batch(folder, tiny)
    done = batch("DCIM", "-o", "out", "--workers", "2")
    assert done.returncode == 1
    return batch, folder / "DCIM", expected


@pytest.fixture(scope="session")
def long_library(tmp_path_factory) -> Path:
    """A folder with a film of more than two segments, and a short one."""
    from pano_sound.media.segments import SECONDS

    folder = tmp_path_factory.mktemp("long") / "DCIM"
    folder.mkdir()
    count = round(2.2 * SECONDS * 4)
    films.make_film(folder / "long.mp4", films.steady(count, 4), size=(128, 64), sound=films.tone(count / 4))
    films.make_film(folder / "short.mp4", films.steady(20, 4), size=(128, 64), sound=films.tone(5.0))
    return folder


@pytest.fixture(scope="session")
def long_finished(long_library, tiny, tmp_path_factory) -> dict[str, str]:
    """The hashes of that folder's results, made in one clean run."""
    batch = Batch(tmp_path_factory.mktemp("long finished"), tiny)
    assert batch(long_library, "-o", "out").returncode == 0
    return made.hashes(batch.folder / "out")
