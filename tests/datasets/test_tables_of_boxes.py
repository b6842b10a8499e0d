"""Pictures of several boxed things, films and panoramas of the data folder, by split."""

from pathlib import Path

import pytest

from pano_sound.errors import DataFileError
from pano_sound.research.datasets.labelled import Photograph, read_clips, read_photographs, read_stills


def test_boxes_of_photographs_are_read_by_split(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(
        "file,label,x0,y0,x1,y1,split,score\n"
        "a.jpg,Traffic light,0.1,0.2,0.3,0.4,train,0.9\n"
        "a.jpg,car,0,0,1,1,train,0.3\n"
        "b.jpg,dog,0,0,0.5,1,val,\n"
    )
    light, car = ("traffic_light", (0.1, 0.2, 0.3, 0.4)), ("car", (0.0, 0.0, 1.0, 1.0))
    dog = Photograph(tmp_path / "b.jpg", (("dog", (0.0, 0.0, 0.5, 1.0)),))
    assert read_photographs(table) == [Photograph(tmp_path / "a.jpg", (light, car)), dog]
    assert read_photographs(table, "train", least=0.4) == [Photograph(tmp_path / "a.jpg", (light,))]
    assert read_photographs(table, "val") == [dog]
    assert read_photographs(tmp_path / "none.csv") == []
    table.write_text("file,label,x0,y0,x1,y1\na.jpg,car,0,0,1,\n")
    with pytest.raises(DataFileError, match="line 2: the box must be four numbers"):
        read_photographs(table)


def test_films_and_panoramas_by_split(tmp_path: Path) -> None:
    assert read_clips(tmp_path, "train") == []
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "clips.csv").write_text("file,split\na.mp4,train\nb.mp4,val\n")
    assert read_clips(tmp_path, "train") == [tmp_path / "clips" / "a.mp4"]
    (tmp_path / "stills").mkdir()
    for k in range(6):
        (tmp_path / "stills" / f"{k}.jpg").touch()
    assert [still.stem for still in read_stills(tmp_path, "val")] == ["4", "5"]
    assert [still.stem for still in read_stills(tmp_path, "train")] == ["0", "1", "2", "3"]
