"""Labelled pictures and sounds become pairs: same label, same split, always the same for one seed."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import wavfile

from pano_sound.errors import DataFileError
from pano_sound.research.datasets.labelled import paired, read_photographs, read_table, small_things
from pano_sound.research.datasets.layouts import read_set


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two labels with sounds and pictures, one with sounds only, one with pictures only."""
    sounds, pictures = ["file,label,source,group,split,seconds"], ["file,label,source,split,x0,y0,x1,y1,box_by"]
    for k in range(12):
        label, split = ("dog", "bell", "rain")[k % 3], "train" if k < 9 else "val"
        wavfile.write(tmp_path / f"{k}.wav", 16000, np.full(1600, 100 * k, np.int16))
        sounds.append(f"{k}.wav,{label},us,{k},{split},0.1")
    for k in range(9):
        label, split = ("dog", "bell", "cup")[k % 3], "train" if k < 6 else "val"
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((20, 30, 3), 20 * k, np.uint8))
        pictures.append(f"{k}.png,{label},us,{split}," + ("0.1,0.2,0.6,0.7,ssd" if k % 2 else ",,,,"))
    (tmp_path / "sounds.csv").write_text("\n".join(sounds))
    (tmp_path / "pictures.csv").write_text("\n".join(pictures))
    (tmp_path / "pairs.csv").write_text("sound,picture\ndog,dog\nbell,bell\nbell,dog\n")
    return tmp_path


def test_pairs_share_label_and_split(data: Path) -> None:
    examples = paired(data, "train")
    assert [e.key for e in examples] == ["0.png", "1.png", "3.png", "4.png"]
    assert [e.boxes for e in examples] == [(), (((0.1, 0.2, 0.6, 0.7),),), (((0.1, 0.2, 0.6, 0.7),),), ()]
    for k, e in zip((0, 1, 3, 4), examples, strict=True):
        assert e.label in (("dog", "bell") if k % 3 == 0 else ("bell",))
        number = round(float(e.sound(16000).mean()) * 2**15 / 100)
        assert number < 9
        assert number % 3 == ("dog", "bell").index(e.label)
        assert e.picture().shape == (20, 30, 3)
        assert e.picture().mean() == 20 * k


def test_small_things_are_boxed_together_and_heard_one_by_one(data: Path) -> None:
    (data / "coco").mkdir()
    (data / "boxed").mkdir()
    (data / "coco" / "boxes.csv").write_text(
        "file,label,x0,y0,x1,y1,split\n"
        "a.jpg,dog,0,0,0.3,0.4,val\na.jpg,dog,0.5,0.5,0.8,0.8,val\na.jpg,cup,0,0,0.1,0.1,val\n"
        "a.jpg,bell,0,0,0.5,0.5,val\n"  # a quarter of the picture is not small
        "b.jpg,dog,0,0,0.1,0.1,train\n"
    )
    (data / "boxed" / "boxes.csv").write_text(
        "file,label,x0,y0,x1,y1\n7.jpg,dog,0,0,0.1,0.1\nc.jpg,bell,0,0,0.2,0.2\n"  # 7.jpg is trained on
    )
    found = small_things(data, "val")
    assert [(e.key, e.video) for e in found] == [
        ("coco/a.jpg (dog)", "coco/a.jpg"),
        ("boxed/c.jpg (bell)", "boxed/c.jpg"),
    ]
    assert [e.boxes for e in found] == [
        (((0.0, 0.0, 0.3, 0.4), (0.5, 0.5, 0.8, 0.8)),),
        (((0.0, 0.0, 0.2, 0.2),),),
    ]
    assert found[0].label in ("dog", "bell")  # both belong to the picture of a dog
    assert found[1].label == "bell"
    assert [e.key for e in small_things(data, "train")] == ["coco/b.jpg (dog)"]
    (data / "coco" / "boxes.csv").unlink()
    with pytest.raises(DataFileError, match="no photograph shows a small thing that has a sound in the split 'train'"):
        small_things(data, "train")


def test_the_same_seed_draws_the_same_pairs(data: Path) -> None:
    def drawn(seed: int) -> list[float]:
        return [float(e.sound(16000).mean()) for e in paired(data, "train", seed)]

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 1


def test_the_layout_is_recognised(data: Path) -> None:
    assert [e.split for e in read_set(data)] == ["train"] * 4 + ["val"] * 2
    assert len(read_set(data, split="val")) == 2
    with pytest.raises(DataFileError, match="'test'"):
        read_set(data, split="test")
    (data / "empty").mkdir()
    with pytest.raises(DataFileError, match="looked for"):
        read_set(data / "empty")
    with pytest.raises(DataFileError, match="no layout"):
        read_set(data, layout="other")


def test_a_split_without_sounds_is_skipped(data: Path) -> None:
    with open(data / "pictures.csv", "a") as file:
        file.write("\n0.png,dog,us,test,,,,,")
    assert {e.split for e in read_set(data)} == {"train", "val"}


def test_boxes_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    for corners in ("0.5,0.2,0.5,0.4", "0.5,0.4,0.7,0.2"):
        (tmp_path / "boxes.csv").write_text(f"file,label,x0,y0,x1,y1\na.jpg,dog,{corners}\n")
        with pytest.raises(DataFileError, match="line 2: the box holds nothing"):
            read_photographs(tmp_path / "boxes.csv")


def test_tables_are_checked(data: Path) -> None:
    (data / "marked.csv").write_bytes(b"\xef\xbb\xbffile,label\na,b\n")  # as spreadsheets write them
    assert read_table(data / "marked.csv", ("file", "label")) == [{"file": "a", "label": "b"}]
    with open(data / "pictures.csv", "a") as file:
        file.write("\n0.png,dog,us,train,left,0,1,1,")
    with pytest.raises(DataFileError, match="line 11: the box must be four numbers"):
        read_set(data)
    (data / "sounds.csv").write_text("file,split\n0.wav,train\n")
    with pytest.raises(DataFileError, match=r"sounds.csv: the table lacks the column label \(it needs file, label"):
        paired(data, "train")


@pytest.mark.parametrize("corners", ["10,20,60,70", "nan,0,1,1", "0.6,0.2,0.1,0.7"])
def test_boxes_that_are_no_shares_of_the_picture_are_refused(data: Path, corners: str) -> None:
    with open(data / "pictures.csv", "a") as file:
        file.write(f"\n0.png,dog,us,train,{corners},")
    with pytest.raises(DataFileError, match=r"pictures.csv: line 11: the box \(.*\) is not in shares"):
        read_set(data)


def test_an_empty_table_is_an_error_and_short_rows_have_empty_cells(data: Path) -> None:
    (data / "short.csv").write_text("file,label\na,b\nc\n")
    assert read_table(data / "short.csv") == [{"file": "a", "label": "b"}, {"file": "c", "label": ""}]
    (data / "pairs.csv").write_bytes(b"")
    with pytest.raises(DataFileError, match=r"pairs.csv: the table lacks the column sound \(it needs sound, picture"):
        read_set(data)
