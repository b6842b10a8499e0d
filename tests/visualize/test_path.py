import os

import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.localize.cue import GRID, normalized
from pano_sound.localize.spatial import blur
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import cell_directions
from pano_sound.visualize.path import directions_heard, plot


def test_the_sound_s_own_direction_is_drawn_where_it_is_clear():
    nearest = (cell_directions(*GRID).reshape(-1, 3) @ directions(-63, 21)).argmax()
    clear = normalized(np.log(0.1 + 0.9 * blur(8.0, 8.0)[nearest]).reshape(1, *GRID))
    maps = np.concatenate([clear, 0 * clear, clear]).astype(np.float16)
    even = np.full((3, *GRID), 1 / 1800, np.float16)
    nothing = np.zeros(3, np.float32)
    times, heard = directions_heard(SoundMap(np.arange(3.0), even, nothing, nothing - 20, {}, cues={"spatial": maps}))
    assert times.tolist() == [0, 2]
    assert heard == pytest.approx(np.array([[-63, 21], [-63, 21]]), abs=3.1)


def test_films_without_a_sound_field_have_no_direction_to_draw():
    even, nothing = np.full((1, *GRID), 1 / 1800, np.float16), np.zeros(1, np.float32)
    times, heard = directions_heard(SoundMap(np.zeros(1), even, nothing, nothing - 20, {}))
    assert len(times) == len(heard) == 0


@pytest.mark.parametrize("name", ["$a_$.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_a_plot_is_titled_with_any_name(tmp_path, name):
    pytest.importorskip("matplotlib")
    plot(
        CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90], [1, 0, 0, 0, 90]]), source={"path": name}), tmp_path / "a.png"
    )
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("times", [[0.0], [0.0, 0.1, 10.0], [0.0, 10.0, 10.1]])
def test_a_plot_shows_a_sound_map_of_any_times_in_order(tmp_path, monkeypatch, times):
    axes = pytest.importorskip("matplotlib.axes").Axes
    even, nothing = np.full((len(times), *GRID), 1 / 1800, np.float16), np.zeros(len(times), np.float32)
    drawn, draw = [], axes.pcolormesh
    monkeypatch.setattr(
        axes, "pcolormesh", lambda self, x, *rest, **more: drawn.append(x) or draw(self, x, *rest, **more)
    )
    path = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
    plot(path, tmp_path / "a.png", SoundMap(np.array(times), even, nothing, nothing - 20, {"end": 11.0}))
    for edges in drawn:
        assert (edges[:-1] < times).all()
        assert (times < edges[1:]).all()
