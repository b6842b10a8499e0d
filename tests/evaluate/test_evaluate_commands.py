"""`pano-sound evaluate …` on a made set with a tiny untrained model."""

import builtins
import csv
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

NAMES = ("boxes", "ambient", "retrieval", "interactive", "pictures", "direction")
QUICK = {
    "boxes": ("--repeats", 2),
    "interactive": ("--draws", 3),
    "pictures": ("--draws", 5),
    "direction": ("--turns", 1),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_prints_text_and_json(evaluate, name) -> None:
    text = evaluate(name, "DATA", *QUICK.get(name, ()))
    assert (text.code, text.err) == (0, "")
    assert len(text.out.splitlines()) >= 2
    found = json.loads(evaluate(name, "DATA", *QUICK.get(name, ()), "--json").out)
    assert found


def test_pasted(evaluate, made_set, tmp_path) -> None:
    data = shutil.copytree(made_set, tmp_path / "set")
    (data / "stills").mkdir()
    for number in range(6):
        cv2.imwrite(str(data / "stills" / f"{number}.jpg"), np.full((48, 96, 3), 40 * number, np.uint8))
    done = evaluate("pasted", data, "--draws", 3)
    assert (done.code, done.err) == (0, "")
    assert json.loads(evaluate("pasted", data, "--draws", 3, "--json").out)["right"]["of"] == 3


@pytest.mark.slow
def test_scenes_judged_with_weights_learnt_on_them_are_reported_as_such(evaluate, monkeypatch, caplog) -> None:
    monkeypatch.setattr("pano_sound.research.evaluate.scenes.composed_scenes", lambda *about: [])
    done = evaluate("scenes", "DATA", "--kind", "real", "--work", "work", "--fit", "fusion.json")
    assert done.code == 0, done.err
    assert "another scene's sound" in done.out
    assert "judges the real scenes with weights learnt on them" in caplog.text
    assert "weights" in json.loads(Path("fusion.json").read_text())
    caplog.clear()
    again = evaluate("scenes", "DATA", "--kind", "real", "--work", "work", "--leave-one-out", "--json")
    assert (again.code, caplog.text) == (0, "")
    assert {row["variant"] for row in json.loads(again.out)["rows"]} >= {"all cues", "another scene's sound"}


def test_speed(evaluate) -> None:
    found = json.loads(evaluate("speed", "--json", "--threads", 1).out)
    assert found["threads"] == 1
    assert found["ms per second of sound"] > 0


@pytest.mark.parametrize(
    "name", ["boxes", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ambient", "retrieval", "interactive"))]
)
def test_figures_are_pictures(evaluate, name, tmp_path) -> None:
    options = ("DATA", *QUICK.get(name, ()), "-o", "figure.png")
    assert evaluate(name, *options).code == 0
    figure = cv2.imread(str(tmp_path / "figure.png"))
    assert min(figure.shape[:2]) > 200
    assert figure.std() > 10
    again = evaluate(name, *options)
    assert again.code == 5
    assert "exists already" in again.err
    assert evaluate(name, *options, "-y").code == 0


@pytest.mark.slow
def test_tables_are_printed_and_written(evaluate, tmp_path, tiny_weights) -> None:
    done = evaluate("tables", "DATA", "--repeats", 2, "-o", "tables")
    assert done.code == 0, done.err
    folder = tmp_path / "tables"
    assert done.out.strip() == (folder / "tables.txt").read_text(encoding="utf-8").strip()
    for number in ("I", "II", "III", "IV", "V", "VI"):
        assert f"Table {number}. " in done.out
        picture = cv2.imread(str(folder / f"table-{number}.png"))
        assert picture.std() > 10
        with open(folder / f"table-{number}.csv", newline="", encoding="utf-8") as file:
            sources = {row["source"] for row in csv.DictReader(file)}
        assert sources == ({"paper"} if number == "III" else {"paper", "ours"})
    assert cv2.imread(str(folder / "figure-9.png")).std() > 10
    assert "Sup. 2.5k + Unsup. 144k (small)" in done.out
    assert "Unsup.=0.25, Sup.=0.75 (small)" in done.out
    assert evaluate("tables", "DATA", "--repeats", 2, "-o", "tables").code == 5
    assert json.loads(evaluate("tables", "DATA", "--repeats", 0, "--json").out)[0]["table"] == "I"


def test_a_set_without_boxes_is_refused_in_one_line(evaluate, made_set, tmp_path) -> None:
    (tmp_path / "bare.csv").write_text(f"picture,sound\n{made_set / 'dog-val-0.png'},{made_set / 'dog-val.wav'}\n")
    done = evaluate("boxes", tmp_path / "bare.csv")
    assert done.code == 7
    assert done.err.startswith("pano-sound: error: no example has a box")
    assert len(done.err.splitlines()) == 1


def test_a_set_of_one_scene_is_refused_in_one_line(evaluate, made_set, tmp_path) -> None:
    data = shutil.copytree(made_set, tmp_path / "set")
    table = data / "pano" / "directions.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if not line.startswith("C.mp4")))
    done = evaluate("direction", data)
    assert (done.code, len(done.err.splitlines())) == (7, 1)
    assert "there are no two scenes" in done.err


def test_a_set_of_one_place_is_refused_in_one_line(evaluate, made_set, tmp_path) -> None:
    data = shutil.copytree(made_set, tmp_path / "set")
    table = data / "pano" / "directions.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{head},place", *(f"{row},park" for row in rows)]))
    done = evaluate("direction", data)
    assert (done.code, len(done.err.splitlines())) == (7, 1)
    assert "all scenes are of one place, park" in done.err


def test_direction_needs_sounds_to_compare_with_and_spans_of_time(evaluate, made_set, tmp_path) -> None:
    data = shutil.copytree(made_set, tmp_path / "set")
    table = data / "sounds.csv"
    table.write_text(table.read_text().replace(",val", ",train"))
    done = evaluate("direction", data)
    assert (done.code, len(done.err.splitlines())) == (7, 1)
    assert "there are no sounds of the split val" in done.err
    assert evaluate("direction", "DATA", "--smooth", "-1").code == 2
    assert evaluate("direction", "DATA", "--window", "-1").code == 2


def test_seeds_are_not_negative(evaluate) -> None:
    done = evaluate("pictures", "DATA", "--seed", "-1")
    assert done.code == 2
    assert "Invalid value for '--seed'" in done.err


def test_mistakes_are_refused_in_one_line(evaluate, monkeypatch) -> None:
    assert evaluate("boxes", "nowhere").code == 7
    assert evaluate("boxes", "DATA", "--split", "test").code == 7
    assert evaluate("boxes", "DATA", "-o", "figure.doc").code == 2
    assert evaluate("retrieval", "DATA", "--labels", "nowhere.csv").code == 7
    assert evaluate("tables", "DATA", "-o", "no/such/folder").code == 5
    Path("file").write_text("")
    assert "file: is not a folder" in evaluate("tables", "DATA", "-o", "file").err
    monkeypatch.setattr(sys, "argv", ["pano-sound"])

    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for module in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(builtins, "__import__", without)
    for name, *options in (("interactive", "-o", "figure.png"), ("scenes", "--work", "work", "-o", "scenes")):
        done = evaluate(name, "DATA", *options)
        assert done.code == 1
        assert "pip install 'pano-sound[evaluate]'" in done.err
        assert len(done.err.splitlines()) == 1
    assert not Path("work").exists()
