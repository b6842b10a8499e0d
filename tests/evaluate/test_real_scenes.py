import dataclasses
import shutil

import numpy as np
import pytest
import torch

from pano_sound.camera_path import CameraPath
from pano_sound.errors import DataFileError, InputError
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.weights import save
from pano_sound.options.listening import ListeningOptions
from pano_sound.research.evaluate.direction import read_scenes
from pano_sound.research.evaluate.scenes import (
    LabelledScene,
    collect_evidence,
    of_another_place,
    real_scenes,
    reliability,
    turning_speed,
)


@pytest.fixture
def scene(made_set):
    return LabelledScene(made_set / "pano" / "A.mp4", "A", "A", [(0.5, 40.0, 0.0), (1.5, 40.0, 0.0)])


def test_evidence_is_kept_for_its_weights_and_options_alone(scene, tiny_weights, tmp_path):
    torch.manual_seed(1)
    other_weights = tmp_path / tiny_weights.name
    save(Localizer(**TINY, mechanism=2), other_weights, {"name": "small", "version": "0"})

    def semantic(options):
        return collect_evidence(scene, None, options, tmp_path / "evidence").evidence["semantic"].maps

    options = ListeningOptions(model=tiny_weights)
    first, again = semantic(options), semantic(options)
    assert np.array_equal(first, again)
    assert len(list((tmp_path / "evidence").rglob("*.npz"))) == 1
    assert not np.array_equal(first, semantic(ListeningOptions(model=other_weights)))
    assert len(semantic(dataclasses.replace(options, every=0.25))) > len(first)


def real_set(folder, columns, *rows):
    """A table of directions, and the scenes of it whose films are there."""
    (folder / "pano").mkdir()
    lines = [f"file,tier,t_s,yaw_deg,pitch_deg{columns}", *rows]
    # Excel begins its tables with a byte order mark.
    (folder / "pano" / "directions.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    for row in rows:
        (folder / f"{row.split('.')[0]}.mp4").touch()
    return real_scenes(folder, folder)


def test_a_film_is_a_place_unless_it_is_an_excerpt_of_a_recording(tmp_path):
    names = ("aieThfuvmtY_151.webm", "aieThfuvmtY_274.webm", "scene_kitchen.mp4", "scene_street.mp4")
    scenes = real_set(tmp_path, "", *(f"{name},A,0.5,40,0" for name in names))
    assert len({scene.place for scene in scenes}) == 3
    assert scenes[0].place == scenes[1].place
    assert [other.film.stem for other in of_another_place(scenes)] == [
        *("scene_kitchen", "scene_kitchen", "scene_street", "aieThfuvmtY_151")
    ]


def test_the_table_says_what_a_place_is(tmp_path):
    scenes = real_set(tmp_path, ",place", "a.mp4,A,0.5,40,0,kitchen", "b.mp4,A,0.5,40,0,kitchen")
    assert [scene.place for scene in scenes] == ["kitchen", "kitchen"]
    with pytest.raises(DataFileError, match="all scenes are of one place, kitchen"):
        of_another_place(scenes)


def test_two_films_of_one_name_are_two_scenes(tmp_path, monkeypatch):
    monkeypatch.setattr("pano_sound.research.evaluate.scenes._turned", lambda *given: None)
    (tmp_path / "c").mkdir()
    found = real_set(tmp_path, "", *(f"{name},A,0.5,40,0" for name in ("a.mov", "a.mp4", "b.webm", "c/a.mp4")))
    assert [scene.film.name for scene in found] == ["a.mov.mp4", "a.mp4.mp4", "b.mp4", "c+a.mp4.mp4"]


def test_a_table_that_lacks_a_column_is_refused(tmp_path):
    (tmp_path / "pano").mkdir()
    (tmp_path / "pano" / "directions.csv").write_text("file,tier\na.mp4,A\n")
    with pytest.raises(DataFileError, match="lacks the column t_s"):
        real_scenes(tmp_path, tmp_path)


def test_a_cut_is_no_turn():
    still = np.array([[t, yaw, 0, 0, 90] for t, yaw in ((0, 0), (5.1, 0), (5.2, 180), (10, 180))], float)
    assert turning_speed(CameraPath(640, 360, still, {}, {}, frozenset({2})), 0.3, 9.8) == 0
    turning = np.array([[t, yaw, 0, 0, 90] for t, yaw in ((0, 0), (5, 50), (5.04, -80), (10, -30.4))], float)
    assert turning_speed(CameraPath(640, 360, turning, {}, {}, frozenset({2})), 0.3, 9.8) == pytest.approx(10)
    assert turning_speed(CameraPath(640, 360, turning, {}, {}), 5, 5) == 0


def test_nothing_is_known_of_probabilities_where_no_direction_is():
    rows, error = reliability([])
    assert rows.shape == (0, 3)
    assert np.isnan(error)


@pytest.mark.parametrize("row", ["A.mp4,A,x,40,0", "A.mp4,A,0.5,nan,0", "A.mp4", None])
def test_directions_that_are_no_numbers_are_named(made_set, tmp_path, row):
    data = shutil.copytree(made_set / "pano", tmp_path / "pano").parent
    table = data / "pano" / "directions.csv"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.splitlines()[0] if row is None else f"{text}{row}\n", encoding="utf-8")
    wrong = "no rows" if row is None else "line 6: t_s, yaw_deg, pitch_deg must be numbers"
    model = Localizer(**TINY)
    for read in (lambda: real_scenes(data, tmp_path / "work"), lambda: read_scenes(model, data)):
        with pytest.raises(DataFileError, match=wrong):
            read()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("content", [None, b"", b"no film"])
def test_a_real_film_that_cannot_be_read_is_an_error_of_the_input(made_set, tmp_path, content):
    data = shutil.copytree(made_set / "pano", tmp_path / "pano").parent
    film = data / "pano" / "A.mp4"
    film.unlink()
    if content is not None:
        film.write_bytes(content)
    with pytest.raises(InputError, match=r"A\.mp4"):
        real_scenes(data, tmp_path / "work")
    assert not (tmp_path / "work").exists()
