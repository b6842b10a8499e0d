"""Films from an object store, results into it, over a real connection."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import urllib.request

import made
import pytest
from waiting import wait_until


@pytest.fixture(scope="module")
def bucket(small, monkeypatch_module):
    """A file system of an object store behind a socket, with the small library in it."""
    import fsspec

    # Here, because these imports take seconds, and most workers of pytest do without.
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    # What a server of this process held before is still there: these tests may not all run one after the other.
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")).close()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("FSSPEC_S3_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
    ):
        monkeypatch_module.setenv(name, value)
    fsspec.config.set_conf_env(fsspec.config.conf)
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    fs.mkdir("rushes")
    for path in small[0].rglob("*"):
        if path.is_file() and path.name.isascii():
            fs.put_file(str(path), f"rushes/DCIM/{path.relative_to(small[0])}")
    yield fs
    server.stop()
    fsspec.config.conf.pop("s3")
    fs.clear_instance_cache()


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def results(fs, url: str) -> dict[str, bytes]:
    fs.invalidate_cache()
    found = [name for name in fs.find(url) if ".pano-sound" not in name and not name.startswith(f"{url}/report")]
    return {name[len(url) + 1 :]: fs.cat_file(name) for name in found}


@pytest.mark.slow
def test_a_batch_reads_from_a_bucket_and_writes_into_it(small, finished, bucket, batch, tmp_path):
    done = batch.alone("s3://rushes/DCIM", "-o", "s3://rushes/flat", "--reports", "--json")
    counts = json.loads(done.stdout)["films"]
    rows = [json.loads(line) for line in bucket.cat_file("rushes/flat/report.jsonl").splitlines()]
    assert {row["output"]: row["state"] for row in rows} == small[1]
    assert done.returncode == 1
    found = results(bucket, "rushes/flat")
    pages = {name: content for name, content in found.items() if name.endswith(".report.html")}
    others = {name: made.sha256(content) for name, content in found.items() if name not in pages}
    assert others == made.hashes(finished[0] / "out")
    assert {name.replace(".report.html", ".mp4") for name in pages} == {n for n, s in small[1].items() if s == "done"}
    assert b'src="clip-0001.mp4"' in pages["day 0/clip-0001.report.html"]
    assert b'href="day%200/clip-0001.report.html"' in bucket.cat_file("rushes/flat/report.html")

    again = batch("s3://rushes/DCIM", "-o", "s3://rushes/flat", "--json")
    assert json.loads(again.stdout)["films"] == counts
    before = {name: info["LastModified"] for name, info in bucket.find("rushes/flat/day 0", detail=True).items()}

    # Another machine, which has only what is in the store, finds all finished.
    shutil.rmtree(tmp_path / "state")
    bucket.rm("rushes/flat/day 0/clip-0001.mp4")
    there = batch.alone("s3://rushes/DCIM", "-o", "s3://rushes/flat", "--json")
    assert json.loads(there.stdout)["films"] == counts
    after = {name: info["LastModified"] for name, info in bucket.find("rushes/flat/day 0", detail=True).items()}
    assert {n for n in before if after[n] != before[n]} <= {
        "rushes/flat/day 0/clip-0001.mp4",
        "rushes/flat/day 0/clip-0001.path.json",
        "rushes/flat/day 0/clip-0001.report.html",
    }
    assert results(bucket, "rushes/flat") == found
    assert not bucket.exists("rushes/flat/.pano-sound/lease.json")


@pytest.mark.slow
def test_killed_while_it_writes_into_a_bucket(small, finished, bucket, batch, tmp_path):
    rng = random.Random(3)
    for _ in range(4):
        work = batch.start("s3://rushes/DCIM", "-o", "s3://rushes/killed", "--workers", "2")
        wait_until(lambda work=work: work.poll() is not None or list(tmp_path.glob("state/**/work/*")))
        with contextlib.suppress(subprocess.TimeoutExpired):
            work.wait(rng.uniform(0, 3))
        work.kill()
        work.communicate()
    done = batch.alone("s3://rushes/DCIM", "-o", "s3://rushes/killed")
    assert done.returncode == 1
    rows = [json.loads(line) for line in bucket.cat_file("rushes/killed/report.jsonl").splitlines()]
    assert {row["output"]: row["state"] for row in rows} == small[1]
    found = {name: made.sha256(content) for name, content in results(bucket, "rushes/killed").items()}
    assert found == made.hashes(finished[0] / "out")


def test_another_machine_at_work_is_respected(bucket, batch):
    bucket.pipe_file("rushes/other/.pano-sound/lease.json", json.dumps({"id": "x", "host": "elsewhere"}).encode())
    done = batch("s3://rushes/DCIM", "-o", "s3://rushes/other")
    assert done.returncode == 1
    assert "another machine is at work here: elsewhere" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_missing_store_ends_in_one_line(batch, bucket, monkeypatch):
    import fsspec

    done = batch("s3://nowhere/DCIM", "-o", "out")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": "http://127.0.0.1:9"})
    done = batch("s3://rushes/DCIM", "-o", "s3://rushes/flat")
    assert done.returncode in (3, 5)
    assert done.stderr.count("\n") == 1
