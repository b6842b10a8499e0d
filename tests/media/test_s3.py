"""Films in buckets, over a real connection to a server that speaks S3."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import films
import pytest
from test_footage import flashes, flashing

from pano_sound.errors import InputError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.input import InputOptions

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket 'films' on a server of this machine; it can be stopped."""
    # Here, because these imports take seconds, and most workers of pytest do without.
    s3fs = pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for key, value in (KEYS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="films")
    client.stop = server.stop
    yield client
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_films_in_a_bucket_are_read_like_files(tmp_path, bucket, container):
    path = flashing(tmp_path / f"a b é.{container}")
    bucket.upload_file(str(path), "films", f"day 1/a b é.{container}")
    url = f"s3://films/day 1/a b é.{container}"
    here, there = probe(path, InputOptions(start=1)), probe(url, InputOptions(start=1))
    assert (there.duration, there.size_bytes, there.video) == (here.duration, here.size_bytes, here.video)
    assert flashes(url, start=1) == flashes(path, start=1)


@pytest.mark.slow
def test_a_film_in_a_bucket_is_rendered_from_the_command_line(tmp_path, bucket):
    """In a process of its own, as a user runs it; its input stays unchanged."""
    path = films.make_film(tmp_path / "a.mp4", films.steady(30), sound=films.tone(1))
    bucket.upload_file(str(path), "films", "a.mp4")
    words = ["render", "s3://films/a.mp4", "a.path.json", "-o", "b.mp4", "--encoder-preset", "ultrafast"]
    (tmp_path / "a.path.json").write_text(
        '{"format": "pano-sound.path/1", "view": {"width": 64, "height": 64}, '
        '"samples": [{"t": 0, "yaw": 0, "pitch": 0, "roll": 0, "hfov": 90}]}'
    )
    cli = Path(__file__).parents[2] / "cli.py"
    done = subprocess.run(
        [sys.executable, str(cli), *words], cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert probe(tmp_path / "b.mp4").audio.codec == "aac"
    assert bucket.get_object(Bucket="films", Key="a.mp4")["Body"].read() == path.read_bytes()


@pytest.mark.parametrize("url", ["s3://films/none.mp4", "s3://nobody/a.mp4"])
def test_a_missing_file_is_an_error(bucket, url):
    with pytest.raises(InputError, match=r"no such file") as caught:
        probe(url)
    assert "\n" not in str(caught.value)


def test_missing_keys_are_an_error(bucket, monkeypatch, tmp_path):
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(key)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InputError, match=r"cannot be opened: .*credentials") as caught:
        probe("s3://films/a.mp4")
    assert "\n" not in str(caught.value)


def test_a_lost_server_is_an_error(tmp_path, bucket):
    bucket.upload_file(str(films.make_film(tmp_path / "a.mp4")), "films", "a.mp4")
    info = probe("s3://films/a.mp4")
    bucket.stop()
    with pytest.raises(InputError, match=r"cannot be opened: Could not connect") as caught:
        list(VideoReader(info).pictures())
    assert "\n" not in str(caught.value)
