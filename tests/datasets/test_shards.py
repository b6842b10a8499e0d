"""Tar shards: what was written is read, in an order that a seed decides, from files and from a server."""

import functools
import http.server
import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import sets

pytest.importorskip("webdataset")

from pano_sound.errors import DataFileError
from pano_sound.research.datasets.shards import Shards, is_shards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(3):
        sets.shard(tmp_path / f"set-{n:03}.tar", range(8 * n, 8 * n + 8), tmp_path)
    return tmp_path


def test_examples_are_those_written(folder: Path) -> None:
    examples = {e.key: e for e in Shards([f"{folder}/set-{{000..002}}.tar"])}
    assert sorted(examples) == [f"{i:03}" for i in range(24)]
    e = examples["010"]
    assert e.boxes == (((0.25, 0.25, 0.75, 0.75),), ((0.0, 0.0, 0.5, 0.5),))
    assert (e.video, e.label, e.split) == ("v5", "l10", "train")
    assert (e.picture() == 100).all()
    assert np.abs(e.sound(sets.RATE)[100:-100] - 0.1).max() < 1e-3
    assert examples["011"].boxes == ()


def test_the_order_is_the_seeds_and_goes_on_where_it_was(folder: Path) -> None:
    names = [f"{folder}/set-{n:03}.tar" for n in range(3)]

    def keys(seed: int, skip: int, count: int) -> list[str]:
        return [e.key for e in itertools.islice(Shards(names, seed=seed, buffer=5).forever(skip), count)]

    first = keys(0, 0, 60)
    assert sorted(first[:24]) == sorted(first[24:48]) == [f"{i:03}" for i in range(24)]
    assert first[:24] != first[24:48]
    assert keys(0, 30, 30) == first[30:]
    assert keys(1, 0, 24) != first[:24]
    assert [e.key for e in Shards(names, buffer=0)] == [f"{i:03}" for i in range(24)]


def test_processes_share_the_shards(folder: Path) -> None:
    names = [f"{folder}/set-{n:03}.tar" for n in range(3)]
    parts = [{e.key for e in Shards(names, part=(rank, 2))} for rank in (0, 1)]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 24
    with pytest.raises(DataFileError, match="too few"):
        Shards(names, part=(0, 4))


def test_shards_from_a_server(folder: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert is_shards(f"{url}/set-{{000..001}}.tar")
        assert len(list(Shards([f"{url}/set-{{000..001}}.tar"]))) == 16
        left = Shards([f"{url}/set-000.tar", f"{url}/gone.tar"])
        assert len(list(left)) == 8
        assert left.bad_files.count == 1
        server.shutdown()


def test_bad_members_and_cut_shards_are_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = sets.picture(folder / "x.png", 7).read_bytes(), sets.sound(folder / "x.wav", 0.1).read_bytes()
    sets.tar(
        folder / "odd.tar",
        {
            "a.png": good[0],
            "a.wav": good[1],
            "a.pkl": b"not read",
            "a.json": b"[1]",
            "b.png": good[0],
            "b.wav": good[1],
            "c.png": good[0],
            "d.png": good[0],
            "d.wav": good[1],
            "d.json": b'{"boxes": [[[1, 2, 3]]]}',
            "e.png": good[0],
            "e.wav": good[1],
            "e.json": b'{"boxes": ',
            "f.png": good[0],
            "f.wav": good[1],
            "f.json": b'{"boxes": [[[10, 20, 60, 70]]]}',
            "g.png": good[0],
            "g.wav": good[1],
            "g.json": b'{"boxes": ' + b"[" * 100_000,
        },
    )
    cut = folder / "cut.tar"
    cut.write_bytes((folder / "set-000.tar").read_bytes()[:20_000])
    shards = Shards([str(folder / "odd.tar"), str(cut), str(folder / "set-001.tar")], buffer=0)
    keys = [e.key for e in shards]
    assert keys[0] == "b"
    assert keys[-8:] == [f"{i:03}" for i in range(8, 16)]
    assert shards.bad_files.count == 8  # of the odd ones a, c, d, e, f and g; the cut shard, and the example in its cut
    assert "a is left out" in caplog.text
    assert "e is left out: its json cannot be read: " in caplog.text
    assert "cut.tar is left out: unexpected end of data\n" in caplog.text


def test_only_the_requested_parts_are_given(folder: Path) -> None:
    files = {}
    for name, about in (("a", "{}"), ("b", '{"split": "val"}'), ("c", '{"boxes": [[[0, 0, 1, 1]]]}')):
        files[f"{name}.png"] = sets.picture(folder / "x.png", 7).read_bytes()
        files[f"{name}.wav"] = sets.sound(folder / "x.wav", 0.1).read_bytes()
        files[f"{name}.json"] = about.encode()
    at = str(sets.tar(folder / "mixed.tar", files))
    assert {e.key for e in Shards([at])} == {"a", "c"}
    assert {e.key for e in Shards([at], "val")} == {"a", "b", "c"}
    assert {e.key for e in Shards([at], boxed=True)} == {"c"}


def test_names_that_are_not_shards_are_refused(folder: Path) -> None:
    with pytest.raises(DataFileError, match="no such shard"):
        Shards([f"{folder}/gone.tar"])
    with pytest.raises(DataFileError, match="no such shard"):
        Shards(["pipe:touch oops.tar"])
    sets.tar(folder / "empty.tar", {"readme.txt": b"hello"})
    with pytest.raises(DataFileError, match="no pair"):
        next(Shards([str(folder / "empty.tar")]).forever())
