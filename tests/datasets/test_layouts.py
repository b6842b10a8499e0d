"""Every layout is recognised and read as it was written; one bad file is left out, many are an error."""

import json
import struct
from pathlib import Path
from typing import Any

import films
import numpy as np
import pytest
import sets

from pano_sound.errors import DataFileError, InputError
from pano_sound.research.datasets.examples import Example, read_picture
from pano_sound.research.datasets.layouts import LAYOUTS, read_set, recognise


def check(example: Example, level: int, loudness: float) -> None:
    """The picture and the sound are those that were written."""
    assert example.picture().shape == (30, 40, 3)
    assert np.abs(example.picture().astype(int) - level).max() <= 2
    assert np.abs(example.sound(sets.RATE)[100:-100] - loudness).max() < 0.01


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    for i in range(12):
        sets.picture(tmp_path / "Data" / str(i) / f"{i}.png", 10 * i)
        sets.sound(tmp_path / "Data" / str(i) / f"{i}.wav", i / 100)
    notes = tmp_path / "Annotations"
    notes.mkdir()
    whole, half = (0, 0, 256, 256), (64, 128, 192, 256)
    notes.joinpath("1.xml").write_text(sets.annotation(("object", whole), ("object", half), ("object", half)))
    notes.joinpath("2.xml").write_text(sets.annotation(("ambient", whole), ("ambient", whole), ("object", half)))
    notes.joinpath("3.xml").write_text(sets.annotation(("object", whole), ("object", half), ("ambient", half)))
    (tmp_path / "test_list.txt").write_text("1.png\n2.mp4\n")
    return tmp_path


def test_flickr_soundnet_is_read(flickr: Path) -> None:
    assert recognise(flickr) == "flickr-soundnet"
    examples = {e.key: e for e in read_set(flickr)}
    assert len(examples) == 12
    assert examples["1"].boxes == (((0, 0, 1, 1),), ((0.25, 0.5, 0.75, 1),), ((0.25, 0.5, 0.75, 1),))
    assert (examples["2"].ambient, examples["2"].boxes) == (True, ((), (), ((0.25, 0.5, 0.75, 1),)))
    assert (examples["3"].ambient, examples["3"].boxes[2]) == (False, ())
    assert examples["4"].boxes == ()
    assert {e.key for e in read_set(flickr, split="test")} == {"1", "2"}
    check(examples["7"], 70, 0.07)


def test_a_bad_annotation_is_left_out_and_named(flickr: Path, caplog: pytest.LogCaptureFixture) -> None:
    (flickr / "Annotations" / "1.xml").write_text("<annotation><subject>")
    assert "1" not in {e.key for e in read_set(flickr)}
    assert sum("1.xml is left out" in r.getMessage() for r in caplog.records) == 1
    (flickr / "Annotations" / "1.xml").write_text("<annotation><subject><bbox/></subject></annotation>")
    assert "1" not in {e.key for e in read_set(flickr)}
    assert "a box must be four numbers" in caplog.text
    for i in range(2, 5):
        (flickr / "Annotations" / f"{i}.xml").write_text("no")
    with pytest.raises(DataFileError, match="2 of 12 examples cannot be read"):
        read_set(flickr)


def test_vggss_is_read(tmp_path: Path) -> None:
    sets.picture(tmp_path / "frames" / "abcdefghijk_000030.jpg", 100)
    sets.sound(tmp_path / "audio" / "abcdefghijk_000030.wav", 0.5)
    (tmp_path / "videos").mkdir()
    clip, levels = tmp_path / "videos" / "ABCDEFGHIJK_000001.mp4", [20] * 10 + [200] * 10
    films.make_film(clip, films.steady(20, 10), size=(40, 30), levels=levels, sound=films.tone(2.0))
    entries = [
        {"file": "abcdefghijk_000030", "class": "dog barking", "bbox": [[0.1, 0.2, 0.5, 1.2]]},
        {"file": "ABCDEFGHIJK_000001", "class": "bell", "bbox": [[0, 0, 1, 1], [0.5, 0.5, 1, 1]]},
        {"file": "not-downloaded", "class": "bell", "bbox": [[0, 0, 1, 1]]},
    ]
    (tmp_path / "vggss.json").write_text(json.dumps(entries))
    assert recognise(tmp_path) == recognise(tmp_path / "vggss.json") == "vggss"
    dog, bell = read_set(tmp_path)
    check(dog, 100, 0.5)
    assert (dog.label, dog.video, dog.split, dog.boxes) == (
        "dog barking",
        "abcdefghijk",
        "test",
        (((0.1, 0.2, 0.5, 1.0),),),
    )
    assert len(bell.boxes[0]) == 2
    assert abs(int(bell.picture().mean()) - 200) < 5  # the picture at 1.0 s, in the middle
    assert len(bell.sound(16000)) == pytest.approx(32000, abs=1500)
    for corners in ([20, 20, 80, 90], [0.8, 0.9, 0.2, 0.2]):
        (tmp_path / "vggss.json").write_text(json.dumps([{**entries[0], "bbox": [corners]}, entries[1]]))
        assert [e.key for e in read_set(tmp_path)] == ["ABCDEFGHIJK_000001"]
    for broken in ("[", "[" * 100_000):
        (tmp_path / "vggss.json").write_text(broken)
        with pytest.raises(DataFileError, match="cannot be read"):
            read_set(tmp_path)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("picture,sound,x0,y0,x1,y1\n")
    with pytest.raises(DataFileError, match="no rows"):
        read_set(tmp_path / "boxes.csv")


@pytest.mark.slow
def test_videos_are_cut_with_the_sound_around(tmp_path: Path) -> None:
    levels = [20 + 5 * (i // 10) for i in range(300)]
    rising = np.repeat(np.linspace(0.0, 0.6, 30), 48000)[None].repeat(2, 0).astype(np.float32)
    (tmp_path / "val").mkdir()
    films.make_film(tmp_path / "val" / "long.mp4", films.steady(300, 10), levels=levels, sound=rising)
    films.make_film(tmp_path / "short.mp4", films.steady(20, 10), sound=films.tone(2.0))
    assert recognise(tmp_path) == "videos"
    examples = {e.key: e for e in read_set(tmp_path)}
    assert sorted(examples) == ["short.mp4@1.0", "val/long.mp4@15.0", "val/long.mp4@25.0", "val/long.mp4@5.0"]
    assert [e.split for k, e in sorted(examples.items())] == ["train", "val", "val", "val"]
    assert len({e.video for e in examples.values()}) == 2
    late = examples["val/long.mp4@15.0"]
    assert abs(late.picture().astype(int) - 95).max() <= 4
    wave = late.sound(8000)
    assert len(wave) == 20 * 8000
    second = np.abs(wave.reshape(20, 8000)).mean(axis=1)
    assert np.abs(second[1:-1] - np.linspace(0.0, 0.6, 30)[6:24]).max() < 0.03  # the seconds from 5 to 25
    assert len(examples["val/long.mp4@25.0"].sound(8000)) == pytest.approx(15 * 8000, abs=500)
    assert len(examples["val/long.mp4@5.0"].sound(8000)) == 15 * 8000


def test_silent_and_damaged_videos_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    films.make_film(tmp_path / "good.mp4", films.steady(20, 10), sound=films.tone(2.0))
    for name in ("mute.mp4", "still.mp4"):
        films.make_film(tmp_path / name, films.steady(20, 10))
    assert [e.video for e in read_set(tmp_path)] == ["good.mp4"]
    assert "2 of 3 films have no sound or no picture: mute.mp4, still.mp4" in caplog.text
    (tmp_path / "junk.mp4").write_bytes(b"junk")
    assert [e.video for e in read_set(tmp_path)] == ["good.mp4"]
    assert "junk.mp4 is left out" in caplog.text
    (tmp_path / "trash.mp4").write_bytes(b"junk")
    with pytest.raises(DataFileError, match="2 of 5"):
        read_set(tmp_path)


def test_a_table_of_examples_is_read(tmp_path: Path) -> None:
    sets.picture(tmp_path / "a.png", 50)
    sets.sound(tmp_path / "a.wav", 0.25)
    films.make_film(
        tmp_path / "c.mp4", films.steady(30, 10), size=(40, 30), levels=[20] * 20 + [120] * 10, sound=films.tone(3.0)
    )
    table = tmp_path / "set.csv"
    table.write_text(
        "picture,clip,sound,time,x0,y0,x1,y1,annotator,label,split,video\n"
        "a.png,,a.wav,,0.1,0.1,0.5,0.5,ann,dog,train,film1\n"
        "a.png,,a.wav,,0.6,0.1,0.9,0.5,ann,dog,train,film1\n"
        "a.png,,a.wav,,0.2,0.1,0.5,0.5,bob,dog,train,film1\n"
        ",c.mp4,,2.5,,,,,,,val,\n"
        ",c.mp4,a.wav,0.5,,,,,,,,\n"
    )
    assert recognise(table) == "csv"
    first, second, third = read_set(table)
    assert first.boxes == (((0.1, 0.1, 0.5, 0.5), (0.6, 0.1, 0.9, 0.5)), ((0.2, 0.1, 0.5, 0.5),))
    assert (first.video, first.label, first.split) == ("film1", "dog", "train")
    check(first, 50, 0.25)
    assert (second.boxes, second.split, second.video) == ((), "val", "c.mp4")
    assert abs(int(second.picture().mean()) - 120) < 5
    assert abs(int(third.picture().mean()) - 20) < 5
    assert np.abs(third.sound(sets.RATE)[100:-100] - 0.25).max() < 0.01


def test_annotators_are_told_apart_by_name(tmp_path: Path) -> None:
    sets.sound(tmp_path / "a.wav", 0.25)
    of = {"anna": (0.1, 0.1, 0.5, 0.5), "ben": (0.2, 0.1, 0.5, 0.5)}
    rows = ["picture,sound,annotator,x0,y0,x1,y1", "a.png,a.wav,zoe,,,,", "a.png,a.wav,ben,,,,"]  # no boxes yet
    for picture, names in {"a": ["anna", "ben"], "b": ["ben", "anna"], "c": ["ben"], "d": ["anna"]}.items():
        sets.picture(tmp_path / f"{picture}.png", 50)
        rows += [f"{picture}.png,a.wav,{name},{','.join(map(str, of[name]))}" for name in names]
    (tmp_path / "set.csv").write_text("\n".join(rows))
    anna, ben = ((of[name],) for name in ("anna", "ben"))
    assert [e.boxes for e in read_set(tmp_path / "set.csv")] == [(anna, ben), (anna, ben), ((), ben), (anna, ())]


@pytest.mark.parametrize(
    "row",
    [
        *("a.png,gone.wav,,,,", "a.png,,,,,", "a.png,a.wav,1,2,30,40", "a.png,a.wav,0.1,,0.5,0.5", ",,,,,"),
        f"{300 * 'a'}.png,a.wav,,,,",
    ],
)
def test_bad_rows_are_left_out(tmp_path: Path, row: str, caplog: pytest.LogCaptureFixture) -> None:
    sets.picture(tmp_path / "a.png", 50)
    sets.sound(tmp_path / "a.wav", 0.25)
    table = tmp_path / "set.csv"
    table.write_text(f"picture,sound,x0,y0,x1,y1\na.png,a.wav,0.1,0.1,0.5,0.5\n{row}\n")
    assert len(read_set(table)) == 1
    assert "line 3 is left out" in caplog.text
    table.write_text(f"picture,sound,x0,y0,x1,y1\na.png,a.wav,0.1,0.1,0.5,0.5\n{row}\n{row}\n")
    with pytest.raises(DataFileError, match="2 of 3"):
        read_set(table)


@pytest.mark.parametrize("time", ["nan", "inf", "-3", "soon"])
def test_a_time_is_in_the_film(tmp_path: Path, time: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "c.mp4").write_bytes(b"not looked at")
    (tmp_path / "set.csv").write_text(f"clip,time\nc.mp4,1.5\nc.mp4,{time}\n")
    assert [e.key for e in read_set(tmp_path / "set.csv")] == ["c.mp4|1.5"]
    assert "line 3 is left out" in caplog.text


def test_a_folder_that_is_not_a_set_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no such data set"):
        read_set(tmp_path / "gone")
    with pytest.raises(DataFileError, match="looked for") as error:
        read_set(tmp_path)
    assert all(layout.looks in str(error.value) for layout in LAYOUTS.values())
    with pytest.raises(DataFileError, match="no such data set"):
        read_set(tmp_path / "gone", "videos")
    with pytest.raises(DataFileError, match="tar shards can only be trained on"):
        read_set(tmp_path / "set-{000..002}.tar")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataFileError, match="columns"):
        read_set(tmp_path / "x.csv")
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(DataFileError, match="no examples"):
        read_set(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"no picture", "huge"])
def test_a_bad_picture_is_one_error_and_nothing_is_printed(tmp_path: Path, capfd, content: Any) -> None:
    path = tmp_path / "a.jpg"
    if content == "huge":  # more pixels than OpenCV takes, as its header says
        whole = sets.picture(path, 50).read_bytes()
        sizes = whole.index(b"\xff\xc0") + 5
        path.write_bytes(whole[:sizes] + struct.pack(">HH", 60_000, 60_000) + whole[sizes + 4 :])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg: the picture cannot be read"):
        read_picture(path)
    assert capfd.readouterr() == ("", "")


def test_encodings_of_lists_and_annotations(flickr: Path, caplog: pytest.LogCaptureFixture) -> None:
    (flickr / "test_list.txt").write_bytes(b"\xef\xbb\xbf1.png\n2.mp4\n\xe9\n")  # a mark as of Windows, and Latin-1
    (flickr / "Annotations" / "3.xml").write_text('<?xml version="1.0" encoding="none-such"?><annotation/>')
    assert {e.key for e in read_set(flickr, split="test")} == {"1", "2"}
    assert "3.xml is left out: the annotation cannot be read: unknown encoding" in caplog.text


def test_a_missing_file_is_an_error_when_it_is_read(flickr: Path) -> None:
    example = read_set(flickr)[0]
    for path in flickr.rglob(f"{example.key}.*"):
        path.unlink()
    with pytest.raises(InputError):
        example.picture()
    with pytest.raises(InputError):
        example.sound(16000)
