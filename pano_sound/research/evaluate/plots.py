"""Figures: responses (Fig. 5, 7 and 8), other sounds (Fig. 6), success curves (Fig. 9), ambient responses (Fig. 10),
neighbours (Fig. 11 and 12), films (Fig. 13 to 15), and tables as pictures. Needs matplotlib, which only
`pano-sound[evaluate]` brings along."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...atomic_file import written_whole
from ...errors import PanoSoundError
from ..datasets.examples import Example, square
from .ambient import Heat
from .film_sheet import Moment
from .interactive import ShownCase
from .metrics import THRESHOLDS, success_curve
from .responses import Response
from .retrieval import Association, Codes
from .tables import Table

DPI = 120


def available() -> None:
    """Raises PanoSoundError when matplotlib cannot be imported."""
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise PanoSoundError("figures need matplotlib", hint="pip install 'pano-sound[evaluate]'") from error


def success_curves(overlaps: Mapping[str, NDArray[np.float64]], path: Path, overwrite: bool = True) -> None:
    """Fig. 9: the share of examples that reach each cIoU threshold, a curve for each name."""
    figure = _figure(7, 5)
    axes = figure.subplots()
    for name, values in overlaps.items():
        axes.plot(THRESHOLDS, 100 * success_curve(values), label=name, marker=".")
    axes.set(xlabel="cIoU threshold", ylabel="success (%)", xlim=(0, 1), ylim=(0, 101))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, path, overwrite)


def ambient_sheet(heats: Sequence[Heat], path: Path, overwrite: bool = True) -> None:
    """Fig. 10: pictures, and the response to each sound in grey: 0 or less is black, the highest of the sheet white."""
    columns = list(heats[0].maps)
    white = max(float(one.max()) for heat in heats for one in heat.maps.values())
    figure, grid = _grid(len(heats), 1 + len(columns))
    for row, heat in zip(grid, heats, strict=True):
        row[0].imshow(heat.picture)
        row[0].set_ylabel(heat.name, fontsize=7)
        for axes, column in zip(row[1:], columns, strict=True):
            axes.imshow(np.maximum(heat.maps[column], 0), cmap="gray", vmin=0, vmax=max(white, 1e-6))
    for axes, sound in zip(grid[0][1:], columns, strict=True):
        axes.set_title(sound, fontsize=7)
    _save(figure, path, overwrite)


def neighbour_sheet(
    codes: Codes,
    associations: Sequence[Association],
    examples: Sequence[Example],
    path: Path,
    overwrite: bool = True,
    count: int = 6,
) -> None:
    """Fig. 11 and 12: a block of four rows for each query (framed in red): the sounds nearest to its picture, the
    pictures nearest to its sound, and the examples whose sounds, or pictures, could stand for its own.

    Whitened pictures stand for sounds: the picture had no part in it.
    """
    near = {query: codes.neighbours(query, count) for query in ("image", "audio")}
    rows = []
    for found in associations:
        i = found.query
        rows += [
            ("picture → sounds", i, False, near["image"][i], True),
            ("sound → pictures", i, True, near["audio"][i], False),
            ("same picture, other sounds", i, False, found.by_sound[:count], True),
            ("same sound, other pictures", i, True, found.by_picture[:count], False),
        ]
    figure, grid = _grid(len(rows), count + 1)
    for axes, (title, query, query_white, others, white) in zip(grid, rows, strict=True):
        _tile(axes[0], examples[query], query_white)
        axes[0].set_ylabel(title.replace(", ", ",\n").replace(" → ", "\n→ "), fontsize=7)
        for spine in axes[0].spines.values():
            spine.set(visible=True, edgecolor="red", linewidth=2)
        for place, other in zip(axes[1:], others, strict=False):
            _tile(place, examples[other], white)
    _save(figure, path, overwrite)


def interactive_sheet(shown: Sequence[ShownCase], path: Path, overwrite: bool = True) -> None:
    """Fig. 6: each picture, and its map for one sound and for another."""
    figure, grid = _grid(len(shown), 3, wide=2.0)
    for row, case in zip(grid, shown, strict=True):
        row[0].imshow(case.picture)
        for axes, heat, name in zip(row[1:], case.maps, case.names, strict=True):
            axes.imshow(heated(case.picture, heat))
            axes.set_title(f"heard: {name}", fontsize=7)
    _save(figure, path, overwrite)


def response_sheet(responses: Sequence[Response], path: Path, overwrite: bool = True) -> None:
    """Fig. 5, 7 and 8: each picture, and the map of each model; over both, what people marked."""
    from matplotlib.patches import Rectangle

    names = list(responses[0].maps)
    figure, grid = _grid(len(responses), 1 + len(names))
    for row, one in zip(grid, responses, strict=True):
        row[0].set_ylabel(one.name, fontsize=7)
        row[0].imshow(one.picture)
        for axes, name in zip(row[1:], names, strict=True):
            axes.imshow(heated(one.picture, one.maps[name]))
        height, width = one.picture.shape[:2]
        for axes, (person, boxes) in itertools.product(row, enumerate(one.boxes)):
            for x0, y0, x1, y1 in boxes:
                corner, size = (x0 * width, y0 * height), ((x1 - x0) * width, (y1 - y0) * height)
                axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=f"C{person}", linewidth=1.5))
    for axes, name in zip(grid[0], ["picture", *names], strict=True):
        axes.set_title(name, fontsize=7)
    _save(figure, path, overwrite)


def film_sheet(moments: Sequence[Moment], path: Path, overwrite: bool = True) -> None:
    """Fig. 13 to 15: a column for each moment: the picture, what was heard, each cue, and what the camera sees."""
    kinds = list(moments[0].maps)
    figure, grid = _grid(2 + len(kinds), len(moments), wide=2.0)
    for row, name in zip(grid, ["film", *kinds, "camera"], strict=True):
        row[0].set_ylabel(name, fontsize=7)
    for column, moment in zip(zip(*grid, strict=True), moments, strict=True):
        column[0].imshow(moment.picture)
        column[0].set_title(f"{moment.t:.1f} s {', '.join(moment.names)}", fontsize=7)
        for axes, heat in zip(column[1:-1], moment.maps.values(), strict=True):
            axes.imshow(heated(moment.picture, heat))
        column[-1].imshow(moment.view)
    _save(figure, path, overwrite)


def table_picture(table: Table, path: Path, overwrite: bool = True) -> None:
    """A table as a picture; our rows shaded."""
    cells = [[name, *row] for rows in (table.paper, table.ours) for name, row in rows.items()]
    head = [table.first, *table.columns]
    lengths = [max(len(row[i]) for row in [head, *cells]) + 2 for i in range(len(head))]
    lines = 1 + len(cells) + len(table.notes)
    figure = _figure(0.085 * sum(lengths), 0.24 * (lines + 1))
    axes = figure.subplots()
    axes.axis("off")
    axes.set_title(f"Table {table.number}. {table.title} (shaded: ours)", fontsize=9)
    share = len(table.notes) / lines
    widths = [length / sum(lengths) for length in lengths]
    drawn = axes.table(cells, colLabels=head, colWidths=widths, bbox=[0, share, 1, 1 - share])
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    for (row, column), cell in drawn.get_celld().items():
        cell.set_edgecolor("#cccccc")
        cell.set_text_props(ha="left" if column == 0 else "right")
        if row > len(table.paper):
            cell.set_facecolor("#e8f0fa")
    axes.text(0, 0, "\n".join(table.notes), fontsize=7, va="bottom", transform=axes.transAxes)
    _save(figure, path, overwrite)


def heated(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture with a map in [0, 1] drawn over it, RGB uint8."""
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return (0.4 * picture + 0.6 * colours).astype(np.uint8)


def _tile(axes: Any, example: Example, white: bool) -> None:
    picture = square(example.picture()).astype(np.float32)
    axes.imshow((0.3 * picture + 0.7 * 255 if white else picture).astype(np.uint8))
    axes.set_title(example.label, fontsize=7)


def _figure(width: float, height: float) -> Any:
    """A figure of that size in inches that no window shows."""
    available()
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DPI, layout="constrained")


def _grid(rows: int, columns: int, wide: float = 1.0) -> tuple[Any, list[list[Any]]]:
    """A figure with a grid of frames without ticks; `wide`: width of a frame over its height."""
    figure = _figure(1.4 * wide * columns, 1.55 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure, [list(row) for row in grid]


def _save(figure: Any, path: Path, overwrite: bool) -> None:
    with written_whole(path, overwrite=overwrite) as file:
        figure.savefig(file, format=path.suffix[1:].lower())
