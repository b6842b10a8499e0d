"""The training log as JSON lines, and as curves for tensorboard where that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .log import Log


class Curves(Log):
    """Writes `folder/log.jsonl`, and `folder/tensorboard/` if the package `tensorboard` is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "log.jsonl")
        self.board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, **values: float | int | str) -> None:
        """Add one record; `step` is its position on the curves."""
        super().write(**values)
        if self.board is not None:
            for name, value in values.items():
                if name != "step" and not isinstance(value, str):
                    self.board.add_scalar(name, value, int(values["step"]))

    def close(self) -> None:
        """Flush."""
        if self.board is not None:
            self.board.close()
