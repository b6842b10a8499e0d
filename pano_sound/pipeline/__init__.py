"""The three steps (analyse, plan, render), all three in a row (pan), and overlay, which shows the result of analyse.

Each takes its options as one object of pano_sound.options: `pan("in.mp4", "out.mp4", PanOptions(fov=80, crf=20))`.
"""

from .analyse import analyse, analyse_film, names_heard
from .film import pannable
from .pan import pan, pan_with_map, plan
from .render import overlay, overlay_film, render, render_segment

__all__ = [
    "analyse",
    "analyse_film",
    "names_heard",
    "overlay",
    "overlay_film",
    "pan",
    "pan_with_map",
    "pannable",
    "plan",
    "render",
    "render_segment",
]
