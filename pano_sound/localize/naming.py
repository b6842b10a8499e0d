"""What is heard, by name: the kinds of sound that a network is sure of, in everyday words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..soundmap import Named

_SURROUNDINGS = frozenset(
    [
        "Silence",
        "Inside, small room",
        "Inside, large room or hall",
        "Inside, public space",
        "Outside, urban or manmade",
        "Outside, rural or natural",
        "Reverberation",
        "Echo",
        "Noise",
        "Environmental noise",
        "Static",
        "Distortion",
        "Sidetone",
        "Sound effect",
        "Field recording",
    ]
)
"""AudioSet's tags for places and kinds of recording, which do not name a source."""
_BROAD = frozenset(
    [
        "Animal",
        "Domestic animals, pets",
        "Livestock, farm animals, working animals",
        "Wild animals",
        "Canidae, dogs, wolves",
        "Roaring cats (lions, tigers)",
        "Rodents, rats, mice",
        "Fowl",
        "Musical instrument",
        "Plucked string instrument",
        "Keyboard (musical)",
        "Bowed string instrument",
        "Wind instrument, woodwind instrument",
        "Brass instrument",
        "Vehicle",
        "Motor vehicle (road)",
        "Rail transport",
        "Water",
        "Liquid",
        "Mechanisms",
        "Tools",
    ]
)
"""Tags that are redundant beside a narrower one."""

_MAKER = {
    **dict.fromkeys(("Bark", "Bow-wow", "Yip", "Howl", "Whimper (dog)"), "dog"),
    **dict.fromkeys(("Meow", "Purr", "Caterwaul"), "cat"),
    **dict.fromkeys(("Cluck", "Crowing, cock-a-doodle-doo"), "chicken"),
    **dict.fromkeys(("Bird vocalization, bird call, bird song", "Chirp, tweet", "Squawk"), "bird"),
    **dict.fromkeys(("Neigh, whinny", "Clip-clop"), "horse"),
    **dict.fromkeys(("Rain on surface", "Raindrop"), "rain"),
    **{"Moo": "cattle", "Oink": "pig", "Quack": "duck", "Croak": "frog", "Caw": "crow", "Hoot": "owl", "Coo": "pigeon"},
}
"""The sources of tags that name only a sound."""


LEAST_SCORE = 0.35
"""From which score on a name is shown: the lowest at which nine of ten names are right on films of the train split
(`benchmarks/tags.py --thresholds`)."""


def named(tags: Sequence[str], scores: NDArray[np.float32], least: float = LEAST_SCORE) -> Named:
    """The names with a score of at least `least` among a network's scores (n, len(tags)), 0..1, of AudioSet's tags."""
    sure = np.where(scores >= least, scores, 0.0)
    sure[:, [tag in _SURROUNDINGS for tag in tags]] = 0.0
    broad = np.array([tag in _BROAD for tag in tags], bool)
    sure[np.ix_(sure[:, ~broad].any(axis=1), broad)] = 0.0
    kept: dict[str, NDArray[np.float32]] = {}
    for k in np.flatnonzero(sure.any(axis=0)).tolist():
        name = plain(tags[k])
        kept[name] = np.maximum(kept.get(name, 0.0), sure[:, k])
    names = tuple(sorted(kept))
    columns = [kept[name] for name in names]
    return Named(names, np.array(columns, np.float16).reshape(len(names), len(scores)).T)


def plain(tag: str) -> str:
    """A tag in everyday words: 'Chicken, rooster' is 'chicken', 'Bark' 'dog', 'Keyboard (musical)' 'keyboard'."""
    return _MAKER.get(tag) or tag.split(",")[0].split(" (")[0].lower()
