"""Where to look: from a sound map to a smooth camera path, and the path's file format."""
