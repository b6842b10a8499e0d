"""Where to look: from a sound map to a smooth camera path, and paths in other programs' formats."""
