"""`plan --keep`, `--paths`, and `path show`, `export`, `import` as a user runs them."""

import html
import json
import re
import shlex

import cv2
import films
import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.media.probe import probe
from pano_sound.research.evaluate.camera_scenes import MadeScene


@pytest.fixture
def soundmap(tmp_path):
    scene = MadeScene("made", 20.0, lambda t: [(100.0, 0.0), (-40.0, 0.0)], lambda t: (0, 1))
    scene.soundmap().save(tmp_path / "made.soundmap.npz")
    return "made.soundmap.npz"


def test_pins_and_masks_written_by_hand_are_kept(run, soundmap, tmp_path):
    assert run("plan", soundmap).returncode == 0
    file = tmp_path / "made.path.json"
    data = json.loads(file.read_text())
    assert data["pins"] == data["masks"] == []
    data["pins"] = [{"from": 8, "to": 10, "yaw": 170, "pitch": 20}]
    data["masks"] = [{"yaw": [60, 140], "pitch": [-90, 90]}]
    file.write_text(json.dumps(data))
    done = run("plan", soundmap, "--keep", "pins", "-y", "--preset", "lively")
    assert (done.returncode, done.stderr) == (0, "")
    path = CameraPath.load(file)
    assert path.at(9)[:2] == pytest.approx((170, 20), abs=1e-4)
    assert path.at(1)[0] == pytest.approx(-40, abs=15)
    assert path.settings["preset"] == "lively"
    again = json.loads(file.read_text())
    assert again["masks"] == data["masks"]
    assert again["pins"] == data["pins"]


@pytest.mark.parametrize("chapters", [1, 2])
def test_the_commands_of_a_report_make_the_corrected_video(run, film, tmp_path, chapters):
    """A page of `pan --report` begins with `analyse`; the page that its last command makes does not."""
    joined = ["--concat", film] * (chapters - 1)
    assert run("pan", film, *joined, "-o", "a b.mp4", "--report", "page.html", model=True).returncode == 0
    before = (tmp_path / "a b.mp4").read_bytes()
    pins = tmp_path / f"{film.stem}.pins.json"
    pins.write_text(json.dumps({"pins": [{"from": 0, "to": 1, "yaw": 170, "pitch": 20}]}))
    lines = commands_of(tmp_path / "page.html")
    assert [words[0] for words in lines] == ["analyse", "plan", "render", "report"]
    for words in lines:
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert "not this one" not in done.stderr
    assert probe(tmp_path / "a b.mp4").duration == pytest.approx(2 * chapters, abs=0.05)
    assert CameraPath.load(tmp_path / f"{film.stem}.path.json").at(0.5)[:2] == pytest.approx((170, 20), abs=1e-4)
    assert (tmp_path / "a b.mp4").read_bytes() != before
    assert lines[2].pop(lines[2].index("--encoder-preset") + 1) == "ultrafast"
    lines[2].remove("--encoder-preset")  # `report` does not know it, and its page says so.
    assert commands_of(tmp_path / "page.html") == lines[1:]


def test_the_commands_of_a_report_have_the_options_that_were_given(run, film, tmp_path, monkeypatch):
    """With no pins, they make the same video of the same part of the film."""
    options = ["--start", "0.5", "--end", "1.5", "--fov", "80", "--crf", "30", "--every", "0.25", "--yaw", "-20"]
    (tmp_path / "out").mkdir()
    proxy = films.make_film(tmp_path / "small.mp4", films.steady(30, 15), size=(128, 64), halves=True)
    files = ["-o", "flat.mp4", "--report", "out/page.html", "--proxy", proxy.name]
    done = run("pan", film, *files, *options, model=True)
    assert done.returncode == 0, done.stderr
    before = (tmp_path / "flat.mp4").read_bytes()
    lines = commands_of(tmp_path / "out" / "page.html")
    assert lines[0][lines[0].index("--proxy") :][:2] == ["--proxy", "../small.mp4"]
    (tmp_path / "out" / f"{film.stem}.pins.json").write_text('{"pins": [], "masks": []}')
    monkeypatch.chdir(tmp_path / "out")
    for words in lines:
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert "not this one" not in done.stderr
    made = probe(tmp_path / "flat.mp4")
    assert made.duration == pytest.approx(1, abs=0.05)
    assert (tmp_path / "flat.mp4").read_bytes() == before
    again = commands_of(tmp_path / "out" / "page.html")
    assert [again[0], again[2]] == [lines[1], lines[3]]


def commands_of(page):
    (block,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page.read_text(), re.DOTALL)
    return [shlex.split(line)[1:] for line in html.unescape(block).strip().splitlines()]


@pytest.mark.parametrize(
    ("pins", "says"),
    [
        ([{"from": 3, "to": 2, "yaw": 0, "pitch": 0}], "pins[0]: 'to' is before 'from'"),
        (
            [{"from": 1, "to": 2, "yaw": 0, "pitch": 0, "fov": 60}],
            "pins[0]: 'fov' is unknown (known are from, to, ",
        ),
        ([{"from": 0, "to": 2, "yaw": "left", "pitch": 0}], 'pins[0]: yaw is "left"'),
        ([{"from": 0, "to": 2, "yaw": 0, "pitch": 0}, {"from": 1, "to": 3, "yaw": 0, "pitch": 0}], "must begin after"),
        (3, "pins: not a list"),
    ],
)
def test_a_wrong_pin_is_named_and_the_file_left(run, soundmap, tmp_path, pins, says):
    run("plan", soundmap)
    file = tmp_path / "made.path.json"
    data = json.loads(file.read_text()) | {"pins": pins}
    file.write_text(json.dumps(data))
    done = run("plan", soundmap, "--keep", "pins", "-y")
    assert done.returncode == 7
    assert says in done.stderr
    assert json.loads(file.read_text()) == data


def test_keep_needs_a_path_and_autocam_takes_no_pins(run, soundmap, tmp_path):
    assert run("plan", soundmap, "--keep", "pins", "-y").returncode == 7
    run("plan", soundmap)
    file = tmp_path / "made.path.json"
    data = json.loads(file.read_text()) | {"pins": [{"from": 0, "to": 2, "yaw": 0, "pitch": 0}]}
    file.write_text(json.dumps(data))
    done = run("plan", soundmap, "--keep", "pins", "-y", "--preset", "paper")
    assert done.returncode == 2
    assert "pins cannot be used with --preset paper" in done.stderr


def test_several_paths_are_several_files(run, soundmap, tmp_path):
    done = run("plan", soundmap, "--paths", 2, "--json")
    assert done.returncode == 0
    yaws = [CameraPath.load(tmp_path / name).at(10)[0] for name in ("made.path.json", "made-2.path.json")]
    assert sorted(yaws) == pytest.approx([-40, 100], abs=15)
    assert [p["output"] for p in json.loads(done.stdout)["paths"]] == ["made.path.json", "made-2.path.json"]
    assert run("plan", soundmap, "--paths", 3, "-o", "other.path.json").returncode == 0
    (tmp_path / "new.path.json").unlink(missing_ok=True)
    (tmp_path / "new-2.path.json").write_text("mine")
    assert run("plan", soundmap, "--paths", 2, "-o", "new.path.json").returncode == 5
    assert not (tmp_path / "new.path.json").exists()


def test_show_prints_and_draws(run, soundmap, tmp_path):
    run("plan", soundmap)
    done = run("path", "show", "made.path.json")
    assert done.returncode == 0
    assert "hold" in done.stdout
    (row,) = json.loads(run("path", "show", "made.path.json", "--json").stdout)["stretches"]
    assert row["what"] == "hold"
    assert run("path", "show", "made.path.json", "--soundmap", soundmap, "-o", "made.png").returncode == 0
    picture = cv2.imread(str(tmp_path / "made.png"))
    assert picture.shape[1] > 1000
    assert np.ptp(picture) > 200
    assert run("path", "show", "made.path.json", "-o", "made.png").returncode == 5
    assert run("path", "show", "made.path.json", "-o", "made.jpg").returncode == 2
    assert run("path", "show", "made.path.json", "--soundmap", soundmap).returncode == 2


def test_show_names_holds_moves_and_cuts(run, tmp_path):
    rows = [[0, 0, 0, 0, 90], [2, 0, 0, 0, 90], [3, 20, 0, 0, 90], [5, 90, 0, 0, 90], [6, 90, 0, 0, 90]]
    CameraPath(640, 360, np.array(rows, float), cuts=frozenset([3])).save(tmp_path / "a.path.json")
    done = run("path", "show", "a.path.json", "--json")
    found = [(s["what"], s["from"], s["to"]) for s in json.loads(done.stdout)["stretches"]]
    assert found == [("hold", 0, 2), ("move", 2, 3), ("hold", 3, 5), ("cut", 5, 5), ("hold", 5, 6)]


@pytest.mark.parametrize(("kind", "ending"), [("csv", "csv"), ("sendcmd", "cmd"), ("ae", "txt"), ("humanedit", "json")])
def test_export_and_import_round_trip(run, soundmap, tmp_path, kind, ending):
    run("plan", soundmap)
    done = run("path", "export", "made.path.json", "--to", kind)
    assert done.returncode == 0
    assert done.stdout.startswith("ffmpeg -copyts") == (kind == "sendcmd")
    assert run("path", "export", "made.path.json", "--to", kind).returncode == 5
    done = run("path", "import", f"made.{ending}", "--from", kind, "-o", "back.path.json")
    assert done.returncode == 0
    back, made = (CameraPath.load(tmp_path / f"{name}.path.json") for name in ("back", "made"))
    assert (back.width, back.height) == ((1280, 720) if kind == "humanedit" else (made.width, made.height))
    done = run("path", "import", f"made.{ending}", "--from", kind, "-o", "back.path.json", "-y", "--size", "640x640")
    assert (done.returncode, done.stderr) == (0, "")
    back = CameraPath.load(tmp_path / "back.path.json")
    assert (back.width, back.height) == (640, 640)
    assert back.at(10) == pytest.approx(CameraPath.load(tmp_path / "made.path.json").at(10), abs=0.01)
    assert run("path", "import", "gone.npz", "--from", kind).returncode == 7
    assert run("path", "import", f"made.{ending}", "--from", kind, "--size", "7").returncode == 2


@pytest.mark.parametrize("fps", ["nan", "0", "inf"])
def test_a_frame_rate_that_is_none_is_refused(run, tmp_path, fps):
    CameraPath(640, 360, np.array([[0.0, 0, 0, 0, 90]])).save(tmp_path / "a.path.json")
    done = run("path", "export", "a.path.json", "--to", "ae", "--fps", fps)
    assert done.returncode == 2
    assert "'--fps'" in done.stderr


def test_the_command_line_of_an_export_is_one_line_of_printable_text(run, tmp_path):
    source = {"path": "a\nb\x1b[31m\u202e.mp4"}
    CameraPath(640, 360, np.array([[0.0, 0, 0, 0, 90]]), source).save(tmp_path / "a.path.json")
    done = run("path", "export", "a.path.json", "--to", "sendcmd")
    assert done.returncode == 0
    assert "-i 'a\\nb\\x1b[31m\\u202e.mp4' " in done.stdout
    assert done.stdout.count("\n") == 1


def test_pan_looks_at_pins(run, film, tmp_path):
    (tmp_path / "pins.json").write_text(json.dumps({"pins": [{"from": 0.5, "to": 1.5, "yaw": 170, "pitch": 20}]}))
    done = run("pan", film, "-o", "out.mp4", "--pins", "pins.json", "--json", model=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "a.path.json").write_text(json.dumps(json.loads(done.stdout)["path"]))
    path = CameraPath.load(tmp_path / "a.path.json")
    assert path.at(1)[:2] == pytest.approx((170, 20), abs=1e-4)
    assert len(path.pins) == 1


def test_pan_reports_wrong_pins_before_it_analyses(run, film, tmp_path):
    (tmp_path / "pins.json").write_text('{"pins": 3}')
    done = run("pan", film, "-o", "out.mp4", "--pins", "pins.json", model=True)
    assert (done.returncode, done.stderr) == (7, "pano-sound: error: pins.json: pins: not a list\n")
    (tmp_path / "pins.json").write_text('{"pins": [{"from": 0, "to": 2, "yaw": 0, "pitch": 0}]}')
    done = run("pan", film, "-o", "out.mp4", "--pins", "pins.json", "--preset", "paper", model=True)
    assert done.returncode == 2
    assert "--pins cannot be used with --preset paper" in done.stderr
    assert not (tmp_path / "out.mp4").exists()
