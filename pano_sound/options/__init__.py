"""Every option once: its name, type, default, range and help. The command line, the docs and the checks of the Python
API all come from these classes. A class per heading of `--help` (input, listening, view, camera, video, batch), and one
per step that joins them (steps)."""
