"""The same library through Ray: a real cluster of several processes on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import made
import psutil
import pytest
from conftest import Batch, states

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one core each, as far as Ray knows."""
    from ray.cluster_utils import Cluster

    found = Cluster()
    for _ in range(2):
        found.add_node(num_cpus=1, memory=4_000_000_000, object_store_memory=80_000_000, include_dashboard=False)
    yield found
    found.shutdown()


def workers() -> list[psutil.Process]:
    """Processes of Ray that are making a film."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] == ["ray::_film"]:
                found.append(process)
    return found


@pytest.mark.slow
def test_a_cluster_makes_the_same_files_also_when_workers_are_lost(small, cluster, batch, tiny, tmp_path):
    clean = Batch(tmp_path / "clean", tiny)
    clean.folder.mkdir()
    clean(small[0], "-o", "out")
    work = batch.start(small[0], "-o", "out", "--ray", cluster.address)
    killed, deadline = set(), time.monotonic() + 300
    while len(killed) < 2 and work.poll() is None:
        assert time.monotonic() < deadline
        for process in workers():
            if process.pid not in killed and len(killed) < 2:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.add(process.pid)
        time.sleep(0.3)
    _, said = work.communicate(timeout=600)
    assert len(killed) == 2
    assert work.returncode == 1, said
    assert "Traceback" not in said
    assert states(batch.folder / "out") == small[1]
    assert made.hashes(batch.folder / "out") == made.hashes(clean.folder / "out")

    # Stopped, and continued on this machine alone.
    (batch.folder / "out" / "day 0" / "clip-0001.mp4").unlink()
    batch(small[0], "-o", "out")
    assert made.hashes(batch.folder / "out") == made.hashes(clean.folder / "out")


def test_a_cluster_that_is_not_there(small, batch):
    done = batch(small[0], "-o", "out", "--ray", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no Ray cluster answers" in done.stderr
