"""pano-sound evaluate retrieval"""

from __future__ import annotations

from pathlib import Path

import click

from ..progress import wrote
from .common import (
    common,
    data_argument,
    figure_option,
    labels_option,
    model_option,
    seed_option,
    show,
    split_option,
)


@click.command("retrieval")
@data_argument
@model_option
@split_option
@labels_option
@seed_option
@figure_option("queries and their neighbours, Fig. 11 and 12 of the paper")
@common
def retrieval(
    data: Path,
    model: str,
    split: str | None,
    labels: Path | None,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Do pictures retrieve matching sounds, and vice versa?

    Measures the share of nearest neighbours that have a label of the query.
    """
    import numpy as np

    from ...localize.nets.weights import load
    from ...research.evaluate import retrieval, sets

    network, held_out = load(model), sets.read(data, split)
    known = None if labels is None else retrieval.read_labels(labels, held_out.examples)
    codes = retrieval.encode(network, held_out.examples)
    result = retrieval.evaluate(codes, held_out.examples, known, seed)
    if output is not None:
        from ...research.evaluate import plots

        count = min(3, len(held_out.examples))
        queries = np.random.default_rng(seed).choice(len(held_out.examples), count, replace=False).tolist()
        associations = retrieval.associate(network, codes, held_out.examples, queries)
        plots.neighbour_sheet(codes, associations, held_out.examples, output, overwrite)
        wrote(output, quiet)
    show(result, as_json)
