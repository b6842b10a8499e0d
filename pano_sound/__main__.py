"""python -m pano_sound, and the command pano-sound: what can be interrupted while the rest is still being imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point."""
    try:
        from .commands import main as run

        run()
    except KeyboardInterrupt:
        print("pano-sound: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
