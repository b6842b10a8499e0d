"""Time and memory follow from what a file is, not from what it says."""

from __future__ import annotations

import contextlib
import json
import warnings

import numpy as np
import pytest

from pano_sound.camera import formats
from pano_sound.camera_path import CameraPath
from pano_sound.errors import DataFileError
from pano_sound.media.tags import Spherical, _of_xml

MEGABYTE = 1_000_000
CSV_HEAD = "t,yaw,pitch,roll,hfov\n"
SENDCMD_HEAD = "# ffmpeg v360=yaw=1:pitch=1:roll=0:h_fov=90\n"
AE_HEAD = "Adobe After Effects 8.0 Keyframe Data\nTransform\tX Rotation\n"


def megabyte(of: str) -> str:
    return of * (MEGABYTE // len(of))


XML = ["{}", "GSpherical:{}", "GSpherical:a{}", "GSpherical:a>{}", "GSpherical:a='{}", "GSpherical:a={}"]


@pytest.mark.parametrize("before", XML)
@pytest.mark.parametrize("unit", [" ", "a", ">", "GSpherical:", "GSpherical:a>", "GSpherical:a=' ", "GSpherical:a = "])
def test_tags_are_read_in_linear_time(before, unit):
    """What takes more than linear time takes hours for a megabyte."""
    assert _of_xml(before.format(megabyte(unit))) == Spherical()


def test_tags_with_a_megabyte_of_spaces_are_read_nevertheless():
    space = megabyte(" ")
    xml = f"<GSpherical:Spherical>{space}true{space}</GSpherical:Spherical><GSpherical:StereoMode{space}='top-bottom'/>"
    assert _of_xml(xml) == Spherical("equirectangular", "top-bottom")


TEXTS = [
    *[("csv", CSV_HEAD + megabyte(unit)) for unit in ("a", "1", '"', ",", "\n", "\0")],
    ("csv", megabyte("t,yaw,pitch,roll,hfov,")),
    *[("sendcmd", before + megabyte(unit)) for before in ("", "v360=") for unit in ("a", "a=", "v360=", ":")],
    *[
        ("sendcmd", f"{SENDCMD_HEAD}0.0 {before}{megabyte(unit)}';")
        for before in ("", "[expr] v360 yaw '")
        for unit in ("lerp(", "lerp(1,", "0", "0-", "[expr] v360 yaw 'lerp(", "[enter] v360 yaw 1")
    ],
    *[("ae", AE_HEAD + megabyte(unit)) for unit in ("a", "\t", "\t1.2.3\t4\n", "\t1", "Transform\tX Rotation\n")],
    ("ae", "Adobe After Effects 8.0 Keyframe Data\nUnits Per Second\t0\nTransform\tX Rotation\n\t0\t1\n\t1\t2\n"),
    *[("humanedit", megabyte(unit)) for unit in ("[", '{"a":', "9", '"')],
    ("humanedit", '{"a": {"b": {"0": [[' + "9" * 5000 + ", 0]]}}}"),
]


@pytest.mark.parametrize(("kind", "text"), TEXTS, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(TEXTS)])
def test_files_of_other_programs_are_read_or_refused_in_linear_time(tmp_path, kind, text):
    file = tmp_path / "a.file"
    file.write_text(text)
    with warnings.catch_warnings(), contextlib.suppress(DataFileError):
        warnings.simplefilter("error")
        assert len(formats.read(file, kind, (128, 64), 30).samples) == 1


@pytest.mark.parametrize("kind", ["ae", "humanedit", "sendcmd"])
def test_a_path_of_years_is_not_written_frame_by_frame(kind):
    path = CameraPath(128, 64, np.array([[0.0, 0, 0, 0, 90], [36e6, 90, 0, 0, 90]]))
    with pytest.raises(DataFileError, match="the path is 1e\\+04 hours long"):
        formats.WRITERS[kind](path, 30)


@pytest.mark.parametrize("kind", ["pins", "masks"])
def test_more_pins_or_masks_than_people_make_are_refused(tmp_path, kind):
    file = tmp_path / "a.path.json"
    pin = {"pins": {"yaw": 0, "pitch": 0}, "masks": {"yaw": [0, 1], "pitch": [0, 1]}}[kind]
    path = CameraPath(128, 64, np.array([[0.0, 0, 0, 0, 90]])).to_json()
    path[kind] = [{"from": i, "to": i + 0.5, **pin} for i in range(1000)]
    file.write_text(json.dumps(path))
    assert len(getattr(CameraPath.load(file), kind)) == 1000
    path[kind].append({"from": 1000, "to": 1001, **pin})
    file.write_text(json.dumps(path))
    with pytest.raises(DataFileError, match=f"{kind}: there are 1001"):
        CameraPath.load(file)


def test_samples_too_near_for_a_speed_are_refused(tmp_path):
    file = tmp_path / "a.path.json"
    CameraPath(128, 64, np.array([[0.0, 0, 0, 0, 90], [5e-324, 90, 0, 0, 90]])).save(file)
    text = file.read_text().replace('"t": 0.0, "yaw": 90.0', '"t": 5e-324, "yaw": 90.0')
    file.write_text(text)
    with pytest.raises(DataFileError, match=r"samples\[1\]: t must be greater"):
        CameraPath.load(file)
