"""Every option once: its name, type, default, range and help. The command line, the docs and the Python API's checks
come from these classes: one per heading of `--help` (input, listening, view, camera, video, batch), and one per step
that combines them (steps)."""
