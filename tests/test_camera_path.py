import json
import os
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pano_sound.camera import formats
from pano_sound.camera_path import CameraPath
from pano_sound.constraints import Mask, Pin, load_constraints, read_masks
from pano_sound.errors import DataFileError, OutputError, PanoSoundError
from pano_sound.library.discover import read_list


def path_of(*rows):
    return CameraPath(640, 360, np.array(rows, float))


def test_between_samples_it_moves_along_the_sphere():
    path = path_of([0, 170, 0, 0, 60], [2, -170, 0, 10, 100])
    assert path.at(1) == pytest.approx((180, 0, 5, 80))
    assert path.at(-5) == pytest.approx((170, 0, 0, 60))
    assert path.at(99) == pytest.approx((-170, 0, 10, 100))
    assert path.speed() == pytest.approx([10])


rows = st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.floats(20, 150))


@given(st.lists(rows, min_size=1, max_size=6))
def test_a_saved_path_loads_unchanged(tmp_path_factory, looks):
    file = tmp_path_factory.mktemp("p") / "a.path.json"
    path = path_of(*[[0.5 * i, *look] for i, look in enumerate(looks)])
    path.save(file)
    back = CameraPath.load(file)
    assert back.samples == pytest.approx(path.samples, abs=1e-5)
    assert (back.width, back.height) == (640, 360)
    assert [p.name for p in file.parent.iterdir()] == [file.name]


GOOD = path_of([0, 0, 0, 0, 90], [1, 5, 0, 0, 90]).to_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(format="other/9"), "format is 'other/9'"),
        (lambda d: d.update(samples=[]), "samples: there are none"),
        (lambda d: d["samples"][1].update(t=0), "samples[1]: t must be greater"),
        (lambda d: d["samples"][1].update(yaw="left"), 'samples[1]: yaw is "left", not a number'),
        (lambda d: d["samples"][1].update(yaw="40"), 'samples[1]: yaw is "40", not a number'),
        (lambda d: d["samples"][1].update(cut="true"), 'samples[1]: cut is "true", not true or false'),
        (lambda d: d["samples"][0].update(pitch=91), "samples[0]: pitch is 91, outside -90..90"),
        (lambda d: d["samples"][0].pop("hfov"), "samples[0]: 'hfov' is missing"),
        (lambda d: d["samples"].insert(0, 7), "samples[0]: not an object"),
        (lambda d: d["view"].update(width=641), "view: width and height must be even"),
        (lambda d: d["view"].update(width=10**9), "view: width and height must be even"),
        (lambda d: d.update(source="holiday.mp4"), "source and settings must be objects"),
        (lambda d: d["samples"][0].update(yaw=float("nan")), "samples[0]: yaw is NaN"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, change, says):
    data = json.loads(json.dumps(GOOD))
    change(data)
    file = tmp_path / "a.path.json"
    file.write_text(json.dumps(data))
    with pytest.raises(DataFileError) as error:
        CameraPath.load(file)
    assert says in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1]", b"null"])
def test_files_that_are_not_paths_are_refused(tmp_path, content):
    file = tmp_path / "a.path.json"
    file.write_bytes(content)
    with pytest.raises(DataFileError):
        CameraPath.load(file)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Pin("1", 2, 0, 0), TypeError, "`start` must be a number, not '1'"),
        (lambda: Pin(1, 2, float("nan"), 0), ValueError, "`yaw`"),
        (lambda: Pin(1, 2, 0, 100), ValueError, "`pitch` must be from -90 to 90, not 100"),
        (lambda: Pin(1, 2, 0, 0, 500), ValueError, "`hfov` must be from 0.1 to 170, not 500"),
        (lambda: Pin(3, 2, 0, 0), ValueError, "`end` must not be before `start`"),
        (lambda: Mask((0, 10), (10, -10)), ValueError, r"`pitch` must be \(lower, higher\)"),
        (lambda: Mask((0, 10), (0, 10), 3, 1), ValueError, "`end` must not be before `start`"),
        (lambda: Mask(5, (0, 10)), TypeError, "`yaw` must be two numbers, not 5"),
    ],
)
def test_impossible_pins_and_masks_are_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_masks_that_end_before_they_begin_are_refused():
    with pytest.raises(DataFileError, match="'to' is before 'from'"):
        read_masks([{"yaw": [0, 10], "pitch": [0, 10], "from": 3, "to": 1}])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "rows of t, yaw, pitch, roll, hfov"),
        ([0, 0, 0, 0, 90], "rows of t"),
        ([[0, 0, 0, 90]], "rows of t"),
        ([[0, 0, 0, 0, 90], [1, np.nan, 0, 0, 90]], r"samples\[1\]: yaw cannot be nan"),
        ([[0, 0, 0, 0, 0]], "hfov cannot be 0"),
        ([[0, 0, 95, 0, 90]], "pitch cannot be 95"),
        ([[1, 0, 0, 0, 90], [0, 0, 0, 0, 90]], r"samples\[1\]: t must be greater"),
    ],
)
def test_a_path_that_cannot_be_followed_cannot_be_made(rows, says):
    with pytest.raises(ValueError, match=says):
        CameraPath(640, 360, rows)


def test_a_path_can_be_made_from_lists():
    assert CameraPath(640, 360, [[0, 10, 0, 0, 90], [2, 20, 0, 0, 90]]).at(1)[0] == pytest.approx(15)


def test_pins_and_masks_of_numpy_numbers_can_be_saved(tmp_path):
    pin = Pin(np.float32(1), Fraction(5, 2), np.int64(30), np.float32(0.5), np.float32(60))
    mask = Mask((np.float32(1), np.int64(2)), (np.int16(-30), 0), np.float32(1))
    path = CameraPath(640, 360, [[0, 0, 0, 0, 90]], pins=(pin,), masks=(mask,))
    path.save(tmp_path / "a.json")
    back = CameraPath.load(tmp_path / "a.json")
    assert (back.pins, back.masks) == (path.pins, path.masks)


def test_a_path_of_numpy_numbers_can_be_saved(tmp_path):
    source = {"width": np.int64(960), "end": np.float32(1.5), "covers": np.array([-90, 90, -45, 45])}
    path = CameraPath(np.int64(640), np.int32(360), [[0, 1, 2, 0, 90]], source, {"fov": np.float32(90)})
    path.with_view((np.int64(320), np.int64(320))).save(tmp_path / "a.path.json")
    back = CameraPath.load(tmp_path / "a.path.json")
    assert (back.width, back.height, back.settings) == (320, 320, {"fov": 90})
    assert back.source == {"width": 960, "end": 1.5, "covers": [-90, 90, -45, 45]}


def test_saving_says_why_it_cannot(tmp_path):
    path = path_of([0, 0, 0, 0, 90])
    path.save(tmp_path / "a.json")
    with pytest.raises(OutputError, match="exists already"):
        path.save(tmp_path / "a.json", overwrite=False)
    with pytest.raises(OutputError, match="the folder does not exist"):
        path.save(tmp_path / "none" / "a.json")


def test_a_large_film_in_the_place_of_a_text_file_is_not_read_as_a_whole(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(struct.pack(">I4s", 16, b"ftyp") + b"isom" + bytes(4))
    os.truncate(film, 1 << 40)
    for read, error in (
        (CameraPath.load, "not a camera path: it is not text"),
        (load_constraints, "not a file of pins: it is not text"),
        (lambda path: formats.read(path, "csv", None, 30), "cannot be read as text"),
        (read_list, "not a list of films: it is not text"),
    ):
        with pytest.raises(PanoSoundError, match=error):
            read(film)
