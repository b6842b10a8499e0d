"""Arrays on disk."""

from __future__ import annotations

import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pano_sound.errors import DiskError
from pano_sound.spool import Spool, SpooledMaps


def test_slices_are_what_was_put_in():
    arrays = np.random.default_rng(0).normal(size=(7, 3, 4)).astype(np.float32)
    spool = Spool((3, 4), np.float32)
    for begin in range(0, 7, 2):
        spool.extend(arrays[begin : begin + 2])
        assert np.array_equal(spool[:], arrays[: begin + 2])  # reading between writes
    assert spool.shape == arrays.shape
    for part in (slice(2, 5), slice(-3, None), slice(None, None, 3), slice(5, 2), slice(0, 100), slice(7, 9)):
        assert np.array_equal(spool[part], arrays[part])


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        Spool((3, 4)).extend(np.zeros((2, 4, 3)))


def test_an_empty_one_has_no_arrays():
    assert Spool((3, 4))[:].shape == (0, 3, 4)


def test_maps_are_read_by_name():
    spool, array = Spool((2, 2), np.float32), np.ones((3, 2, 2), np.float16)
    spool.extend(np.full((3, 2, 2), 0.1))
    maps = SpooledMaps({"motion": spool, "semantic": array})
    assert list(maps) == ["motion", "semantic"]
    assert maps["motion"].dtype == np.float16
    assert np.array_equal(maps["motion"], np.full((3, 2, 2), 0.1, np.float16))
    assert maps["semantic"] is not None
    assert "stereo" not in maps


def test_copies_for_other_processes_hold_arrays():
    spool = Spool((2, 2))
    spool.extend(np.ones((3, 2, 2)))
    maps = pickle.loads(pickle.dumps(SpooledMaps({"motion": spool})))
    assert type(maps) is dict
    assert np.array_equal(maps["motion"], np.ones((3, 2, 2), np.float16))


def test_threads_may_read_at_once():
    arrays = np.arange(4000, dtype=np.float32).reshape(1000, 2, 2)
    spool = Spool((2, 2), np.float32)
    spool.extend(arrays)
    with ThreadPoolExecutor(8) as pool:
        read = pool.map(
            lambda k: np.array_equal(spool[k % 990 : k % 990 + 9], arrays[k % 990 : k % 990 + 9]), range(4000)
        )
        assert all(read)


def test_a_full_disk_is_one_clear_error(monkeypatch):
    class Full:
        def seek(self, *_):
            return 0

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    spool = Spool((2, 2))
    with pytest.raises(DiskError, match="No space left on device") as raised:
        spool.extend(np.zeros((1, 2, 2)))
    assert "TMPDIR" in str(raised.value.hint)
