from pathlib import Path

import numpy as np

from pano_sound.localize.cue import GRID, Evidence, normalized
from pano_sound.research.evaluate.scenes import Heard, LabelledScene, judge
from pano_sound.research.train.fusing import PRIOR, learn, leave_one_out
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between, cell_directions

TIMES = np.arange(0, 5, 0.5)


def towards(yaw, strength):
    off = angle_between(cell_directions(*GRID), directions(yaw, 0))
    one = normalized((strength * np.exp(-((off / 15) ** 2)))[None].astype(np.float32))
    return Evidence(np.repeat(one, len(TIMES), axis=0), np.zeros(len(TIMES), np.float32))


def scene(place, yaw):
    return LabelledScene(Path(f"{place}.mp4"), "A", place, [(float(t), float(yaw), 0.0) for t in TIMES])


def heard(place, yaw, seen, moves, sound_of=None):
    evidence = {"semantic": towards(seen, 3), "motion": towards(moves, 2), "synchrony": towards(moves, 0.1)}
    still = np.zeros(len(TIMES), np.float32)
    return Heard(scene(place, yaw), TIMES, still - 20, np.empty(0), still, evidence, sound_of)


OWN = [heard(f"own{yaw}", yaw, yaw, yaw) for yaw in (-120, 0, 120)]
FOREIGN = [heard(f"own{yaw}", yaw, yaw + 90, yaw, scene("other", yaw + 90)) for yaw in (-120, 0, 120)]


def test_scenes_with_the_sound_of_others_teach_that_it_comes_from_elsewhere():
    without, with_them = learn(OWN), learn([*OWN, *FOREIGN])
    assert with_them.bias > without.bias
    right, wrong = judge(OWN[0], with_them), judge(FOREIGN[0], with_them)
    assert right.elsewhere < wrong.elsewhere / 2
    assert right.stated > 2 * wrong.stated


def test_no_picture_and_no_sound_of_a_place_teaches_about_it(monkeypatch):
    taught = {}

    def remember(scenes, prior):
        taught[len(taught)] = scenes
        return prior

    monkeypatch.setattr("pano_sound.research.train.fusing.learn", remember)
    mixed = heard("own0", 0, 90, 0, OWN[2].scene)
    pairs = leave_one_out([*OWN, mixed])
    assert [one for one, _ in pairs] == [OWN[0], OWN[1], mixed, OWN[2]]
    assert [[each.scene.place for each in scenes] for scenes in taught.values()] == [
        ["own0", "own120", "own0"],
        ["own-120", "own120"],
        ["own-120", "own0"],
    ]


def test_a_cue_that_points_the_wrong_way_loses_weight_and_the_right_one_gains():
    learnt = learn([heard(f"own{yaw}", yaw, yaw, yaw + 180) for yaw in (-120, 0, 120)])
    assert learnt.weights["motion"] < PRIOR.weights["motion"]
    assert learnt.weights["semantic"] > PRIOR.weights["semantic"]
