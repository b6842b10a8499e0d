"""The numbers of the paper's Tables I to VI, as printed there.

A cell is the text of the paper's cell, percent without the sign; "" where it has none. Table III is turned, so that
every table has its methods as rows. Where Tables I and II give one pair of numbers, it is that of softmax.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One table: its title, what its rows are, its columns, and its rows by name."""

    title: str
    first: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]


_BY_MECHANISM = ("softmax cIoU", "softmax AUC", "ReLU+softmax cIoU", "ReLU+softmax AUC")

TABLES: dict[str, Published] = {
    "I": Published(
        "Performance with different learning schemes",
        "Method",
        _BY_MECHANISM,
        {
            "Unsup. 10k": ("43.6 ± 6.2", "44.9", "", ""),
            "Unsup. 144k": ("66.0 ± 5.7", "55.8", "52.4", "51.2"),
            "Sup. 2.5k": ("80.4 ± 4.8", "60.3", "82.0", "60.7"),
            "Sup. 2.5k + Unsup. 10k": ("82.8 ± 4.2", "62.0", "84.0", "61.9"),
            "Random pattern": ("0.12 ± 0.2", "32.3 ± 0.1", "", ""),
            "Random (Center attention - Half of the image size)": ("23.2", "40.7", "", ""),
        },
    ),
    "II": Published(
        "Learning methods with different amounts of data",
        "Method",
        _BY_MECHANISM,
        {
            "Unsup. 10k": ("43.6", "44.9", "", ""),
            "Unsup. 144k": ("66.0", "55.8", "52.4", "51.2"),
            "Sup. 0.10k + Unsup. 10k": ("77.2", "59.4", "", ""),
            "Sup. 0.25k + Unsup. 10k": ("79.2", "59.8", "", ""),
            "Sup. 0.50k + Unsup. 10k": ("78.0", "60.5", "79.2", "60.3"),
            "Sup. 0.75k + Unsup. 10k": ("80.4", "60.5", "", ""),
            "Sup. 1.00k + Unsup. 10k": ("82.4", "61.1", "82.4", "61.1"),
            "Sup. 1.50k + Unsup. 10k": ("82.0", "61.3", "82.8", "61.8"),
            "Sup. 2.00k + Unsup. 10k": ("82.0", "61.5", "82.4", "61.4"),
            "Sup. 2.50k + Unsup. 10k": ("82.8", "62.0", "84.0", "61.9"),
            "Sup. 2.50k + Unsup. 144k": ("84.4", "62.41", "", ""),
        },
    ),
    "III": Published(
        "Performance against individual subjects",
        "Method",
        (
            "Subj. 1 IoU",
            "Subj. 1 AUC",
            "Subj. 2 IoU",
            "Subj. 2 AUC",
            "Subj. 3 IoU",
            "Subj. 3 AUC",
            "Avg. IoU",
            "Avg. AUC",
        ),
        {
            "Unsup. 144k": ("58.4", "52.2", "58.4", "52.4", "63.6", "52.6", "60.1", "52.4"),
            "Sup.": ("70.8", "55.6", "72.0", "55.6", "74.8", "55.6", "72.5", "55.6"),
            "Semi-sup.": ("74.8", "57.1", "73.6", "57.2", "77.2", "57.3", "75.2", "57.2"),
        },
    ),
    "IV": Published(
        "Performance on different test sets",
        "Method",
        ("Set1 cIoU", "Set1 AUC", "Set2 cIoU", "Set2 AUC", "Set3 cIoU", "Set3 AUC"),
        {
            "Sup. 0.5k + Unsup. 10k": ("78.0", "60.5", "73.6", "60.0", "76.4", "61.7"),
            "Sup. 1.0k + Unsup. 10k": ("82.4", "61.1", "77.2", "60.8", "77.9", "62.1"),
            "Sup. 1.5k + Unsup. 10k": ("82.0", "61.3", "79.7", "62.2", "76.8", "62.3"),
            "Sup. 2.0k + Unsup. 10k": ("82.0", "61.5", "78.3", "61.9", "78.6", "62.5"),
            "Sup. 2.5k + Unsup. 10k": ("82.8", "62.0", "80.8", "62.2", "79.0", "62.5"),
        },
    ),
    "V": Published(
        "Performance against different loss balance weights (Unsup. 144k + Sup. 0.5k)",
        "Loss weights",
        ("cIoU", "AUC"),
        {
            "Unsup.=0.1, Sup.=0.9": ("82.8", "62.1"),
            "Unsup.=0.25, Sup.=0.75": ("84.0", "62.0"),
            "Unsup.=0.5, Sup.=0.5": ("85.2", "62.36"),
            "Unsup.=0.75, Sup.=0.25": ("85.2", "62.64"),
            "Unsup.=0.9, Sup.=0.1": ("83.2", "62.3"),
        },
    ),
    "VI": Published(
        "Cross-modal k-nearest neighbour search",
        "Top-k",
        ("Image → Audio", "Audio → Image"),
        {
            "Top-20": ("77.8", "66.6"),
            "Top-15": ("79.1", "67.7"),
            "Top-10": ("80.8", "69.9"),
            "Random-10": ("38.2", "38.1"),
        },
    ),
}
"""The paper's tables by number."""
