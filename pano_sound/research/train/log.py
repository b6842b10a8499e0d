"""The training log: JSON lines, one per record, written as it happens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ...atomic_file import written_whole


class Log:
    """Appends records to a JSON lines file; `seconds` since the log was opened is added to each."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.begin = time.monotonic()

    def rewind(self, step: int, **which: str) -> None:
        """Forget what is said of `step` and later ones, in records that have the values `which`: a training that was
        stopped after its last checkpoint comes to these steps again. Forget also what was not written to its end."""
        if not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines()
        records = [(line, r) for line in lines if (r := _record(line)) is not None]
        kept = [line for line, r in records if r.get("step", -1) < step or any(r.get(k) != v for k, v in which.items())]
        if len(kept) < len(lines):
            with written_whole(self.path, "w") as file:
                file.writelines(f"{line}\n" for line in kept)

    def write(self, **values: float | int | str) -> None:
        """Add one record."""
        record = {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**record, "seconds": round(time.monotonic() - self.begin, 1)}) + "\n")


def _record(line: str) -> dict[str, Any] | None:
    """The record of a line; None if it was not written to its end."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
