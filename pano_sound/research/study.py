"""The paper's user study (section 6, Table VII): pans of a film by several methods, a page to vote on, and the tally.

Each trial shows the 360° film and the pans of two methods, in random order and without names. People say which one is
better by each criterion, or that they are alike.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ..atomic_file import written_whole
from ..camera.planner import plan
from ..camera_path import CameraPath
from ..constraints import read_json
from ..errors import DataFileError
from ..options.camera import PlanOptions
from ..soundmap import SILENCE_DB, SoundMap
from ..sphere.geometry import cell_areas
from .evaluate.cube_saliency import PICTURE
from .evaluate.metrics import Proportion

FORMAT = "pano-sound.votes/1"
CRITERIA = (
    "Which one shows more of what makes the dominant sound?",
    "Which one shows what makes the dominant sound more exactly?",
    "Which one does so for longer, and is the better one in all?",
)
"""The paper's three; its fourth is the answer SIMILAR."""
SIMILAR = "similar"
OURS, FRONT, AUTOCAM = "ours", "front", "picture-autocam"


@dataclass(frozen=True)
class Studied:
    """A film of a study: its name, its file, and the pan of each method."""

    name: str
    film: Path
    pans: dict[str, Path]


def camera_paths(soundmap: SoundMap, pictures: SoundMap | None = None) -> dict[str, CameraPath]:
    """The path of each method on a film: ours, each cue alone, and a camera that always looks ahead.

    Args:
        pictures: the film's map by pictures alone, if our camera and AUTOCAM are to follow that, too.
    """
    options = PlanOptions()
    paths = {OURS: plan(soundmap, options)}
    paths |= {name: plan(alone(soundmap, name), options) for name in soundmap.cues}
    first = paths[OURS]
    if pictures is not None:
        size = f"{first.width}x{first.height}"
        paths |= {PICTURE: plan(pictures, options), AUTOCAM: plan(pictures, PlanOptions(preset="paper", size=size))}
    ahead = np.array([[first.samples[0, 0], 0.0, 0.0, 0.0, first.samples[0, 4]]])
    return paths | {FRONT: CameraPath(first.width, first.height, ahead, dict(soundmap.source))}


def alone(soundmap: SoundMap, cue: str) -> SoundMap:
    """A sound map by one cue alone: its likelihood over the sphere, wherever something sounds."""
    heard = np.where(soundmap.level_db > SILENCE_DB, 1.0, 0.0)
    maps = soundmap.cues[cue].astype(np.float32)
    mass = np.exp(maps - maps.max(axis=(1, 2), keepdims=True)) * cell_areas(*soundmap.grid).astype(np.float32)
    mass *= (heard / mass.sum(axis=(1, 2)))[:, None, None]
    return replace(soundmap, posterior=mass.astype(np.float16), elsewhere=(1 - heard).astype(np.float32), cues={})


def write_page(file: Path, films: Sequence[Studied], overwrite: bool) -> None:
    """Write the page on which people vote. It opens from disk; votes stay in the browser until they are saved.

    Raises OutputError.
    """
    import jinja2

    trials = [
        {
            "film": each.name,
            "methods": pair,
            "source": _url(each.film, file),
            "pans": [_url(each.pans[m], file) for m in pair],
        }
        for each in films
        for pair in itertools.combinations(sorted(each.pans), 2)
    ]
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("pano_sound.visualize"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    about = {"format": FORMAT, "trials": trials, "criteria": CRITERIA, "similar": SIMILAR}
    with written_whole(file, overwrite=overwrite) as out:
        out.write(templates.get_template("study.html").render(about=about).encode("utf-8", "replace"))


def _url(file: Path, page: Path) -> str:
    return quote(os.fsencode(Path(os.path.relpath(file, page.parent)).as_posix()))


def read_votes(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The votes of all files. Raises DataFileError."""
    votes = []
    for file in files:
        data = read_json(file, "file of votes")
        if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("votes"), list):
            raise DataFileError("not a file of votes, as a study's page saves them", file)
        for i, vote in enumerate(data["votes"]):
            if not _is_vote(vote):
                raise DataFileError(
                    f"votes[{i}]: must have a film, two methods, a criterion, and one of them or {SIMILAR!r}", file
                )
            votes.append(vote)
    return votes


def _is_vote(vote: Any) -> bool:
    if not isinstance(vote, dict):
        return False
    methods, criterion = vote.get("methods"), vote.get("criterion")
    return (
        isinstance(vote.get("film"), str)
        and isinstance(methods, list)
        and len(methods) == 2
        and all(isinstance(method, str) for method in methods)
        and isinstance(criterion, int)
        and 0 <= criterion < len(CRITERIA)
        and vote.get("vote") in (*methods, SIMILAR)
    )


def tally(votes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each criterion and pair of methods, how often each of them, or neither, was chosen.

    Returns rows of criterion (0..2), methods (two) and shares: three, of the first, of the second, and of SIMILAR.
    """
    pairs = sorted({tuple(sorted(vote["methods"])) for vote in votes})
    rows = []
    for criterion, pair in itertools.product(range(len(CRITERIA)), pairs):
        given = [v["vote"] for v in votes if v["criterion"] == criterion and tuple(sorted(v["methods"])) == pair]
        if given:
            shares = [Proportion(sum(vote == answer for vote in given), len(given)) for answer in (*pair, SIMILAR)]
            rows.append({"criterion": criterion, "methods": pair, "shares": shares})
    return rows
