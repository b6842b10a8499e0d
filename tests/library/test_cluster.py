"""The same library through Ray: a real cluster of several processes on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
from dataclasses import replace

import made
import psutil
import pytest
from batches import states
from waiting import PATIENCE, wait_until

from pano_sound.library import cluster as cluster_work
from pano_sound.library.job import Job
from pano_sound.library.storage import SEGMENTS

if importlib.util.find_spec("ray") is None:  # Importing it takes a second, on each worker of pytest.
    pytest.skip("needs Ray", allow_module_level=True)


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one core each, as far as Ray knows."""
    from ray.cluster_utils import Cluster

    found = Cluster()
    for _ in range(2):
        found.add_node(num_cpus=1, memory=4_000_000_000, object_store_memory=80_000_000, include_dashboard=False)
    yield found
    found.shutdown()


TASKS = ("_film", "_analysed", "_rendered")


def workers(*tasks: str) -> list[psutil.Process]:
    """Processes of Ray that are making a film, or a segment of one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] and process.cmdline()[0] in [f"ray::{task}" for task in tasks]:
                found.append(process)
    return found


def with_losses(work, count: int, *tasks: str) -> None:
    """Wait for a batch on a cluster, of which so many workers at these tasks are killed meanwhile."""
    killed = set()

    def kill() -> bool:
        for process in workers(*tasks):
            if process.pid not in killed and len(killed) < count:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.add(process.pid)
        return len(killed) == count

    wait_until(kill, work)
    _, said = work.communicate(timeout=PATIENCE)
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_cluster_makes_the_same_files_also_when_workers_are_lost(large, cluster, batch):
    alone, library, expected = large
    work = batch.start(library, "-o", "out", "--ray", cluster.address)
    with_losses(work, 2, *TASKS)
    assert work.returncode == 1
    assert states(batch.folder / "out") == expected
    assert made.hashes(batch.folder / "out") == made.hashes(alone.folder / "out")

    # Stopped, and continued on this machine alone.
    (batch.folder / "out" / "day 0" / "clip-0001.mp4").unlink()
    batch(library, "-o", "out")
    assert made.hashes(batch.folder / "out") == made.hashes(alone.folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["_analysed", "_rendered"])
def test_a_long_film_is_made_by_all_and_is_the_same(long_library, long_finished, cluster, batch, lost):
    work = batch.start(long_library, "-o", "out", "--ray", cluster.address)
    with_losses(work, 1, lost)
    assert work.returncode == 0
    assert states(batch.folder / "out") == {"long.mp4": "done", "short.mp4": "done"}
    assert made.hashes(batch.folder / "out") == long_finished
    assert not (batch.folder / "out" / SEGMENTS).exists()


@pytest.mark.slow
def test_pages_made_by_a_cluster_are_the_same(cluster, batch):
    (batch.folder / "card").mkdir()
    for number, name in enumerate("ab"):
        made.good(batch.folder / "card" / f"{name}.mp4", number)
    assert batch("card", "-o", "alone", "--reports").returncode == 0
    assert batch.alone("card", "-o", "out", "--reports", "--ray", cluster.address).returncode == 0
    found = made.hashes(batch.folder / "out")
    assert {"a.report.html", "b.report.html"} < found.keys()
    assert found == made.hashes(batch.folder / "alone")
    assert 'href="a.report.html"' in (batch.folder / "out" / "report.html").read_text()


@pytest.mark.slow
def test_a_cluster_without_graphics_cards_says_so(small, cluster, batch):
    done = batch.alone(small[0], "-o", "out", "--ray", cluster.address, "--device", "cuda")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("pano-sound: error: no machine of the cluster has a GPU")
    # What was handed out is given back.
    assert "running" not in states(batch.folder / "out").values()


def test_settings_of_an_earlier_version_may_lack_the_device():
    job = Job(None, {"device": "cuda"}, "out", "maps", {}, {})
    assert cluster_work._card(job) != {}
    assert cluster_work._card(replace(job, settings={})) == {}


def test_a_missing_cluster_is_an_error_in_one_line(small, batch):
    done = batch.alone(small[0], "-o", "out", "--ray", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no Ray cluster answers" in done.stderr
