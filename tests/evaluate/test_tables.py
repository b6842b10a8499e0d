"""The paper's numbers as printed, and ours beside them."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from pano_sound.research.evaluate.boxed import Boxed, Variant
from pano_sound.research.evaluate.published import TABLES
from pano_sound.research.evaluate.retrieval import Retrieval
from pano_sound.research.evaluate.tables import Measured, build, short_names, thousands

PAPER = Path(__file__).parents[3] / "shared" / "paper" / "paper.txt"


def boxed(count: int, annotators: int = 0) -> Boxed:
    """cIoUs 0, 1/n … for both mechanisms, the second's halved."""
    overlaps = np.arange(count) / count
    result = Boxed([str(i) for i in range(count)], 0.3)
    result.overlaps = {Variant("own", 1, "level"): overlaps, Variant("own", 2, "level"): overlaps / 2}
    result.subjects = {(s, m): overlaps / m for s in range(annotators) for m in (1, 2)}
    result.centres = {"centre, half the sides": overlaps}
    result.random = np.array([[0.0, 0.3], [0.02, 0.34]])
    return result


@pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is not here")
def test_every_number_is_that_of_the_paper() -> None:
    text = PAPER.read_text(encoding="utf-8").replace("plus-or-minus\\pm", "").replace("(± standard deviation)", "")
    for number, table in TABLES.items():
        begin = text.index(f"TABLE {number}:")
        lines = [line.strip() for line in text[begin : begin + 2500].splitlines()]
        if number == "III":  # which is turned
            for subject, first in (("Subj. 1", 0), ("Subj. 2", 2), ("Subj. 3", 4), ("Avg.", 6)):
                cells = [cell for row in table.rows.values() for cell in row[first : first + 2]]
                assert " ".join([subject, *cells]) in lines
            continue
        for name, row in table.rows.items():
            (line,) = [line for line in lines if line.startswith(f"{name} ")][:1]
            assert [w for w in line[len(name) :].split() if w[0].isdigit() or w[0] == "±"] == [
                word.replace("±", "±") for cell in row for word in cell.split()
            ], name


def test_rows_say_how_a_model_was_trained() -> None:
    assert Measured("a", {}, 1).label == "a"
    assert Measured("a", {"mode": "unsupervised", "unlabelled": 10000}, 1).label == "Unsup. 10k (a)"
    assert Measured("a", {"mode": "supervised", "labelled": 395}, 1).label == "Sup. 395 (a)"
    recipe = {"mode": "semi", "labelled": 2500, "unlabelled": 144000}
    assert Measured("a", recipe, 1).label == "Sup. 2.5k + Unsup. 144k (a)"
    assert Measured("a", {"mode": "semi"}, 1).label == "Sup. + Unsup. (a)"
    assert (
        Measured("a", {"mode": "semi", "labelled": -1, "unlabelled": -1}, 1).label == "Sup. + Unsup. (a)"
    )  # of shards
    assert [thousands(n) for n in (100, 1000, 2786, None)] == ["100", "1k", "2.79k", ""]
    assert short_names(["x/a.safetensors", "b"]) == ["a", "b"]
    assert short_names(["x/a.safetensors", "y/a.safetensors"]) == ["x/a.safetensors", "y/a.safetensors"]


def test_ours_stand_in_the_column_of_their_mechanism() -> None:
    semi = {"mode": "semi", "labelled": 500, "unlabelled": 10000, "balance": 0.25}
    one, two = Measured("one", {}, 1, boxed(10, 3)), Measured("two", semi, 2, boxed(10, 3))
    tables = {table.number: table for table in build([one, two])}
    # Five of ten reach 0.5; halved, none does.
    assert tables["I"].ours["one"][0].startswith("50.0 [18.7, 81.3]")
    assert tables["I"].ours["one"][2:] == ("", "")
    assert tables["I"].ours["Sup. 500 + Unsup. 10k (two)"][:2] == ("", "")
    assert tables["I"].ours["Sup. 500 + Unsup. 10k (two)"][2].startswith("0.0 ")
    assert tables["I"].ours["Random pattern"] == ("1.00 ± 1.00", "32.0 ± 2.0", "", "")
    assert list(tables["II"].ours) == ["Sup. 500 + Unsup. 10k (two)"]
    assert tables["III"].ours["one"][::2] == ("50.0",) * 4
    assert list(tables["V"].ours) == ["Unsup.=0.25, Sup.=0.75 (two)"]
    shares = [float(cell) for cell in tables["IV"].ours["one"][::2]]
    assert len(shares) == 3
    assert all(share in (0, 33.3, 66.7, 100) for share in shares)


def test_cells_that_cannot_be_filled_say_so() -> None:
    shards = {"mode": "semi", "labelled": -1, "unlabelled": -1}
    tables = {table.number: table for table in build([Measured("one", shards, 1, boxed(10))])}
    assert tables["II"].notes == ["not measured: no weights file says how many examples it was trained on"]
    assert "annotator" in tables["III"].notes[0]
    assert "balance" in tables["V"].notes[0]
    assert not tables["VI"].ours
    nothing = Measured("none", {}, 1, reasons={"boxed": "no example has a box", "retrieval": "the set has no labels"})
    for table in build([nothing]):
        assert not table.ours
        assert any("no example has a box" in note or "the set has no labels" in note for note in table.notes)
        assert "not measured" in str(table)


def test_text_and_csv_hold_both() -> None:
    found = Retrieval(
        30,
        "the set's own",
        {q: {20: 0.5, 15: 0.6, 10: 0.7} for q in ("image", "audio")},
        {"image": (0.1, 0.01), "audio": (0.2, 0.01)},
    )
    table = build([Measured("one", {}, 1, boxed(4), found)])[5]
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert rows[0] == ["source", "Top-k", "Image → Audio", "Audio → Image"]
    assert ["paper", "Top-10", "80.8", "69.9"] in rows
    assert ["ours", "Top-10 (one)", "70.0", "70.0"] in rows
    assert ["ours", "Random-10", "10.0", "20.0"] in rows
    assert str(table).count("\n") == len(rows) + 3
