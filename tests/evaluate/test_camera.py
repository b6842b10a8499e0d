"""The camera's measures, on paths for which they can be worked out by hand."""

import json
import sys

import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.commands import main
from pano_sound.research.evaluate import camera, camera_report
from pano_sound.research.evaluate.camera_scenes import MadeScene, made_scenes, taking_turns
from pano_sound.sphere.convention import directions


def path_of(*rows, cuts=()):
    return CameraPath(
        640, 360, np.array([[t, yaw, pitch, 0, 90] for t, yaw, pitch in rows], float), cuts=frozenset(cuts)
    )


def test_in_view_counts_the_time_in_which_something_sounds():
    path = path_of((0, 0, 0))
    assert camera.in_view(path, lambda t: [(40, 0)] if t < 3 else [(50, 0)], 0, 10) == pytest.approx(0.3)
    assert camera.in_view(path, lambda t: [(50, 0)] if t < 3 else [], 0, 10) == 0
    assert camera.in_view(path, lambda t: [(0, 28), (180, 0)], 0, 10) == 1
    assert np.isnan(camera.in_view(path, lambda t: [], 0, 10))


def test_delay_is_from_the_switch_until_the_source_is_in_view():
    path = path_of((0, 0, 0), (7, 0, 0), (8, 120, 0), (30, 120, 0))

    def truth(t):
        return [(0, 0)] if t < 5 else [(120, 0)] if t < 12 else [] if t < 15 else [(0, 0)]

    assert camera.switches(truth, 0, 20) == pytest.approx([5, 15])
    # In view when 75° of 120° are made; and the last is never shown.
    assert camera.delays(path, truth, 0, 20) == [pytest.approx(2.7, abs=0.05), np.inf]
    assert camera.switches(lambda t: [(20 * t, 0)], 0, 60) == []


def test_motion_of_a_pan_to_and_fro():
    path = path_of((0, 0, 0), (10, 0, 0), (12, 40, 0), (20, 40, 0), (22, 0, 0), (60, 0, 0))
    moved = camera.motion(path, 0, 60)
    assert moved.share_moving == pytest.approx(4 / 60, abs=0.003)
    assert moved.moves_per_minute == 2
    assert moved.reversals_per_minute == 1
    assert camera.turnings(path, np.arange(0, 60, 0.1)) == [pytest.approx(20, abs=0.11)]
    assert moved.speed[-1] == pytest.approx(20)
    assert moved.acceleration[-1] == pytest.approx(200)  # 20°/s within 0.1 s
    assert moved.jerk[-1] == pytest.approx(2000)


def test_going_on_after_a_rest_is_no_reversal_and_the_seam_no_jump():
    path = path_of((0, 150, 0), (2, -170, 0), (10, -170, 0), (12, -130, 0), (20, -130, 0))
    moved = camera.motion(path, 0, 20)
    assert moved.reversals_per_minute == 0
    assert moved.speed[-1] == pytest.approx(20)


def test_cuts_are_counted_and_not_measured():
    moved = camera.motion(path_of((0, 0, 0), (5, 90, 0), (10, 90, 0), cuts=[1]), 0, 10)
    assert moved.cuts == 1
    assert (moved.share_moving, moved.speed[-1], moved.acceleration[-1]) == (0, 0, 0)


def test_agreement_is_pano2vids():
    path = np.tile(directions(0, 0), (4, 1))
    a = directions([0, 0, 90, 90], [0, 0, 0, 0])
    b = directions([90, 90, 0, 0], [0, 0, 0, 0])
    people = np.stack([a, b])
    assert camera.agreement(path, people, "cosine", "trajectory") == pytest.approx(0.5)
    assert camera.agreement(path, people, "cosine", "frame") == pytest.approx(1)
    c = np.tile(directions(65.5 / 2, 0), (4, 1))[None]
    assert camera.agreement(path, c, "overlap", "trajectory") == pytest.approx(0.5)
    assert camera.agreement(path, -path[None], "overlap", "frame") == 0


def test_the_made_scenes_are_those_the_docs_promise():
    scenes = {scene.name: scene for scene in made_scenes()}
    assert len(scenes) == 15
    assert scenes["silence"].soundmap().present().max() == 0
    offscreen = scenes["off-screen"].soundmap()
    assert offscreen.level_db.min() == -20
    assert offscreen.present().max() < 0.3
    for name in ("single", "moving, 20°/s", "two at once"):
        assert scenes[name].soundmap().present().min() > 0.6
    assert len(camera.switches(scenes["alternating, 1 s"].sources, 0, 60)) == 59


def test_a_wide_window_hears_both_of_two_that_take_turns():
    scene = MadeScene("turns", 12.0, lambda t: [(-60.0, 0.0), (60.0, 0.0)], taking_turns(6.0, [0], [1]))
    sharp, wide = (scene.soundmap(window=w).posterior[12].astype(float) for w in (0.0, 3.0))  # at 6 s
    left, right = np.s_[14:16, 19:21], np.s_[14:16, 39:41]
    assert sharp[left].sum() < 0.01 < 0.2 < sharp[right].sum()
    assert 0.25 < wide[left].sum() / (wide[left].sum() + wide[right].sum()) < 0.75


def test_the_report_has_a_row_for_each_scene_and_preset():
    scene = MadeScene("one", 10.0, lambda t: [(30.0, 0.0)])
    report = camera_report.made(["default", "paper"], 0.0, [scene])
    assert [(row.preset, row.in_view) for row in report.rows] == [("ahead", 1), ("default", 1), ("paper", 1)]
    assert [row.cosine[0] > 0.99 for row in report.rows[:2]] == [False, True]
    assert len(str(report).splitlines()) == 4


@pytest.fixture
def scenes(tmp_path):
    """A folder of two real scenes' truths, with the sound maps that analysing them would give."""
    rows = ["file,tier,t_s,yaw_deg,pitch_deg,directness,level_db"]
    for name, tier, yaw in (("a.mp4", "A", 90), ("c.mp4", "C", 0)):
        MadeScene(name, 10.0, lambda t, yaw=yaw: [(yaw, 0.0)]).soundmap().save(tmp_path / f"{name[0]}.soundmap.npz")
        rows += [f"{name},{tier},{t},{yaw},0,0.9,-20" for t in np.arange(0.25, 10, 0.5)]
    (tmp_path / "pano").mkdir()
    (tmp_path / "pano" / "directions.csv").write_text("\n".join(rows))
    return tmp_path


def test_the_command_measures_real_scenes(scenes, monkeypatch, capsys):
    words = ["pano-sound", "evaluate", "camera", str(scenes), "--soundmaps", str(scenes), "--preset", "calm", "--json"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 0
    ahead, clear, _, diffuse = json.loads(capsys.readouterr().out)["rows"]
    assert (ahead["preset"], ahead["in_view"]) == ("ahead", 0)
    assert (clear["film"], clear["preset"], clear["in_view"]) == ("A a.mp4", "calm", 1)
    assert clear["cosine"][0] > 0.99
    assert diffuse["in_view"] is None
    assert diffuse["motion"]["moves_per_minute"] == 0


def test_paths_by_people_are_the_reference(scenes, monkeypatch, capsys):
    edits = {"a": {"ann": {"0": [[90, 0]] * 3, "1": [[0, 0]] * 4}}, "c": {"bob": {"0": [[30, 0], [30, 0], [60, 0]]}}}
    (scenes / "people.json").write_text(json.dumps(edits))
    words = [
        "pano-sound",
        "evaluate",
        "camera",
        str(scenes),
        "--soundmaps",
        str(scenes),
        "--preset",
        "default",
        "--json",
    ]
    monkeypatch.setattr(sys, "argv", [*words, "--people", str(scenes / "people.json")])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 0
    _, a, _, c = json.loads(capsys.readouterr().out)["rows"]
    assert a["cosine"][0] > 0.99  # the better of Ann's two
    assert c["cosine"][0] == pytest.approx((2 * np.cos(np.radians(30)) + np.cos(np.radians(60))) / 3, abs=0.05)
    monkeypatch.setattr(sys, "argv", [*words, "--people", str(scenes / "gone.json")])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 7
