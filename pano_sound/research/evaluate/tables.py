"""The paper's Tables I to VI with our rows beside its own, on whatever data is given; as text, CSV and pictures.

Our rows come from one test set and from models as they are: nothing is retrained for a split (Table IV), and rows are
named by what a weights file states (mode, counts, mechanism, balance). What the data cannot tell is stated in a note.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataFileError
from ...localize.nets import files, weights
from . import boxed, retrieval
from .boxed import Boxed, Variant
from .metrics import area_under_curve, success
from .published import TABLES
from .retrieval import Retrieval
from .sets import HeldOut

SETS = 3
"""Disjoint test sets of Table IV."""


@dataclass
class Measured:
    """One model on one test set. `boxed` and `retrieval` are None where the data do not allow them; `reasons` says
    why, by the measure's name. `recipe` is what the weights file says of its training, {} where it is silent."""

    name: str
    recipe: dict[str, Any]
    mechanism: int
    boxed: Boxed | None = None
    retrieval: Retrieval | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The row's name in the paper's words, and the model's: 'Sup. 0.5k + Unsup. 10k (mine)'."""
        labelled, unlabelled = (self.recipe.get(name) for name in ("labelled", "unlabelled"))
        parts = {
            "unsupervised": [("Unsup.", unlabelled)],
            "supervised": [("Sup.", labelled)],
            "semi": [("Sup.", labelled), ("Unsup.", unlabelled)],
        }.get(str(self.recipe.get("mode")), [])
        words = " + ".join(f"{what} {thousands(count)}".strip() for what, count in parts)
        return f"{words} ({self.name})" if words else self.name


@dataclass
class Table:
    """One table: the paper's rows, then ours, each a name and its cells as text ('' where there is none)."""

    number: str
    title: str
    first: str
    columns: tuple[str, ...]
    paper: dict[str, tuple[str, ...]]
    ours: dict[str, tuple[str, ...]]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """Names and texts."""
        return {
            "table": self.number,
            "columns": self.columns,
            "paper": self.paper,
            "ours": self.ours,
            "notes": self.notes,
        }

    def csv(self) -> str:
        """As CSV: source ('paper' or 'ours'), name, and a column for each of the table's."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["source", self.first, *self.columns])
        for source, rows in (("paper", self.paper), ("ours", self.ours)):
            writer.writerows([source, name, *cells] for name, cells in rows.items())
        return out.getvalue()

    def __str__(self) -> str:
        names = [self.first, *self.paper, *self.ours]
        side = max(len(name) for name in names) + 2
        rows = [self.columns, *self.paper.values(), *self.ours.values()]
        widths = [max(len(row[i]) for row in rows) + 2 for i in range(len(self.columns))]

        def line(name: str, cells: Sequence[str]) -> str:
            return (name.ljust(side) + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))).rstrip()

        lines = [f"Table {self.number}. {self.title}", line(self.first, self.columns), "the paper:"]
        lines += [line(name, cells) for name, cells in self.paper.items()]
        lines += ["ours:"] + [line(name, cells) for name, cells in self.ours.items()]
        return "\n".join(lines + [f"({note})" for note in self.notes])


def short_names(models: Sequence[str]) -> list[str]:
    """Names of the models in rows: their file names without folders, unless two would be the same."""
    stems = [Path(model).stem for model in models]
    return stems if len(set(stems)) == len(set(models)) else list(models)


def measure(
    model: str,
    name: str,
    data: HeldOut,
    labels: Sequence[frozenset[str]] | None = None,
    repeats: int = 100,
    seed: int = 0,
) -> Measured:
    """Measure a model (its name or file) for the tables; rows call it `name`.

    Raises:
        ModelError: the weights cannot be read.
        InputError: a picture or a sound of the set cannot be read.
    """
    network = weights.load(model)
    metadata = files.read_metadata(files.find(model))
    try:
        recipe = json.loads(metadata.get("recipe", "{}"))
    except ValueError:
        recipe = {}
    measured = Measured(name, recipe if isinstance(recipe, dict) else {}, network.mechanism)
    try:
        measured.boxed = boxed.evaluate(network, data.examples, data.kinds, repeats, seed)
    except DataFileError as error:
        measured.reasons["boxed"] = str(error)
    try:
        measured.retrieval = retrieval.evaluate(retrieval.encode(network, data.examples), data.examples, labels, seed)
    except DataFileError as error:
        measured.reasons["retrieval"] = str(error)
    return measured


def build(measured: Sequence[Measured], seed: int = 0) -> list[Table]:
    """All six tables. `seed`: of the disjoint test sets."""
    on_boxes = [(one, one.boxed) for one in measured if one.boxed is not None]
    why = sorted({one.reasons["boxed"] for one in measured if "boxed" in one.reasons})
    missing = [f"not measured: {reason}" for reason in why]
    return [
        _table("I", _schemes(on_boxes), missing + _test_set(on_boxes)),
        _table("II", _amounts(on_boxes), missing, "no weights file says how many examples it was trained on"),
        _table("III", _subjects(on_boxes), missing, "no example has boxes of more than one annotator"),
        _table("IV", _sets(on_boxes, seed), [*missing, "ours: one model each, on disjoint random parts of the set"]),
        _table("V", _balances(on_boxes), missing, "no weights file says with which balance it was trained"),
        _table("VI", _neighbours(measured), _search_notes(measured)),
    ]


def curves(measured: Sequence[Measured]) -> dict[str, NDArray[np.float64]]:
    """What Fig. 9 is drawn from: the cIoUs of each model's answers, and of the fixed boxes."""
    found = {one.label: _answers(one, one.boxed) for one in measured if one.boxed is not None}
    fixed = next((one.boxed.centres for one in measured if one.boxed is not None), {})
    return found | fixed


def thousands(count: Any) -> str:
    """144000 -> '144k', 2500 -> '2.5k', 395 -> '395'; '' for anything but a number, and for -1 (all of a set)."""
    if not isinstance(count, int | float) or count < 0:
        return ""
    return f"{count:g}" if count < 1000 else f"{round(count / 1000, 2):g}k"


def _table(number: str, ours: dict[str, tuple[str, ...]], notes: list[str], if_empty: str | None = None) -> Table:
    paper = TABLES[number]
    if not ours and not any(note.startswith("not measured") for note in notes):
        notes = [*notes, f"not measured: {if_empty}" if if_empty else "not measured"]
    return Table(number, paper.title, paper.first, paper.columns, paper.rows, ours, notes)


def _figures(overlaps: NDArray[np.float64], interval: bool = False) -> tuple[str, str]:
    """cIoU success and AUC in percent, as text."""
    share = success(overlaps)
    low, high = (f"{100 * end:.1f}" for end in share.interval())
    return f"{100 * share.value:.1f}" + (
        f" [{low}, {high}]" if interval else ""
    ), f"{100 * area_under_curve(overlaps):.1f}"


def _in_column(mechanism: int, figures: tuple[str, str]) -> tuple[str, ...]:
    return (*figures, "", "") if mechanism == 1 else ("", "", *figures)


def _answers(one: Measured, result: Boxed) -> NDArray[np.float64]:
    """cIoU of the answers of the model's own mechanism."""
    return result.overlaps[Variant(mechanism=one.mechanism)]


def _schemes(on_boxes: Sequence[tuple[Measured, Boxed]]) -> dict[str, tuple[str, ...]]:
    rows = {one.label: _in_column(one.mechanism, _figures(_answers(one, result), True)) for one, result in on_boxes}
    for _, result in on_boxes[:1]:
        if len(result.random):
            (right, area), (right_sd, area_sd) = 100 * result.random.mean(axis=0), 100 * result.random.std(axis=0)
            rows["Random pattern"] = (f"{right:.2f} ± {right_sd:.2f}", f"{area:.1f} ± {area_sd:.1f}", "", "")
        rows |= {name.capitalize(): (*_figures(overlaps), "", "") for name, overlaps in result.centres.items()}
    return rows


def _amounts(on_boxes: Sequence[tuple[Measured, Boxed]]) -> dict[str, tuple[str, ...]]:
    return {
        one.label: _in_column(one.mechanism, _figures(_answers(one, result)))
        for one, result in on_boxes
        if any(thousands(one.recipe.get(name)) for name in ("labelled", "unlabelled"))
    }


def _subjects(on_boxes: Sequence[tuple[Measured, Boxed]]) -> dict[str, tuple[str, ...]]:
    """As many annotators as the paper's table has columns for; the average is over those."""
    rows = {}
    for one, result in on_boxes:
        found = [o[np.isfinite(o)] for (_, m), o in sorted(result.subjects.items()) if m == one.mechanism][:3]
        if found:
            pairs = [_figures(overlaps) for overlaps in found] + [("", "")] * (3 - len(found))
            average = np.mean([[success(o).value, area_under_curve(o)] for o in found], axis=0)
            rows[one.label] = (*(cell for pair in pairs for cell in pair), *(f"{100 * x:.1f}" for x in average))
    return rows


def _sets(on_boxes: Sequence[tuple[Measured, Boxed]], seed: int) -> dict[str, tuple[str, ...]]:
    rows = {}
    for one, result in on_boxes:
        if len(result.keys) >= SETS:
            parts = result.parts(SETS, seed)
            rows[one.label] = tuple(cell for part in parts for cell in _figures(_answers(one, result)[part]))
    return rows


def _balances(on_boxes: Sequence[tuple[Measured, Boxed]]) -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for one, result in on_boxes:
        balance = one.recipe.get("balance")
        if one.recipe.get("mode") == "semi" and isinstance(balance, int | float):
            rows[f"Unsup.={balance:g}, Sup.={1 - balance:g} ({one.name})"] = _figures(_answers(one, result))
    return rows


def _neighbours(measured: Sequence[Measured]) -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for one in measured:
        result = one.retrieval
        if result is not None:
            for k in retrieval.TOP:
                found = (result.success[query][k] for query in retrieval.DIRECTIONS)
                rows[f"Top-{k} ({one.name})"] = tuple(f"{100 * share:.1f}" for share in found)
            rows["Random-10"] = tuple(f"{100 * result.chance[q][0]:.1f}" for q in retrieval.DIRECTIONS)
    return rows


def _search_notes(measured: Sequence[Measured]) -> list[str]:
    notes = {f"not measured: {one.reasons['retrieval']}" for one in measured if "retrieval" in one.reasons}
    notes |= {f"ours: {r.examples} examples, labels: {r.labels}" for r in (one.retrieval for one in measured) if r}
    return sorted(notes)


def _test_set(on_boxes: Sequence[tuple[Measured, Boxed]]) -> list[str]:
    return [
        f"ours: {len(result.keys)} examples with boxes over {100 * result.truth_area:.0f} % of a picture on average; "
        "in brackets 95 % intervals"
        for _, result in on_boxes[:1]
    ]
