"""The training log: JSON lines, one per record, written as it happens."""

from __future__ import annotations

import json
import time
from pathlib import Path


class Log:
    """Appends records to a JSON lines file; `seconds` since the log was opened is added to each."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.begin = time.monotonic()

    def write(self, **values: float | int | str) -> None:
        """Add one record."""
        record = {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**record, "seconds": round(time.monotonic() - self.begin, 1)}) + "\n")
