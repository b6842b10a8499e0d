from pathlib import Path

import numpy as np
import pytest
import torch

from pano_sound.errors import DataFileError
from pano_sound.research.train.caches import cached_maps


def test_a_cache_is_kept_and_grows(tmp_path):
    asked = []

    def picture(i):
        asked.append(i)
        return np.full((4, 4, 3), i, np.uint8)

    def trunk(x: torch.Tensor) -> torch.Tensor:
        return x[:, :, ::2, ::2]

    for count, new in ((3, [0, 1, 2]), (3, []), (7, [3, 4, 5, 6]), (5, [])):
        asked.clear()
        maps = cached_maps(tmp_path, "maps", count, picture, trunk, batch=2)
        assert sorted(asked) == new
        assert maps.shape == (count, 2, 2, 3)
        assert maps[:, 0, 0, 0].tolist() == list(range(count))


def test_a_cache_is_kept_when_the_disk_is_full(tmp_path, monkeypatch):
    asked = []

    def picture(i):
        asked.append(i)
        return np.full((4, 4, 3), i, np.uint8)

    def count_maps(count):
        return cached_maps(tmp_path, "maps", count, picture, lambda x: x, batch=2)

    def full(path, text):
        path.open("w").close()
        raise OSError(28, "No space left on device")

    count_maps(2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            count_maps(4)
    asked.clear()
    assert count_maps(4)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert sorted(asked) == [2, 3]


@pytest.mark.parametrize(("name", "kept"), [("maps.npy", 200), ("maps.npy", 0), ("maps.done", 0)])
def test_a_damaged_cache_is_named_and_not_filled_up_with_zeros(tmp_path, name, kept):
    def count_maps():
        return cached_maps(tmp_path, "maps", 3, lambda i: np.full((4, 4, 3), 5 + i, np.uint8), lambda x: x)

    count_maps()
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataFileError, match=f"{name}: the file is damaged .remove it"):
        count_maps()
    file.unlink()
    assert count_maps()[:, 0, 0, 0].tolist() == [5, 6, 7]
