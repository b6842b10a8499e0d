import json

import click
import films
import numpy as np
import pytest
from click.testing import CliRunner

import pano_sound.pipeline
from pano_sound.commands import cli
from pano_sound.errors import DataFileError, OutputError
from pano_sound.research.study import SIMILAR, Studied, alone, camera_paths, read_votes, tally, write_page
from pano_sound.soundmap import SoundMap


@pytest.fixture
def soundmap():
    """10 s; what was heard is at yaw 93, the cue says -93, and the end is silent."""
    posterior, cue = np.zeros((20, 30, 60), np.float16), np.full((20, 30, 60), -5, np.float16)
    posterior[:, 15, 45], cue[:, 15, 14] = 0.9, 9
    level = np.full(20, -20, np.float32)
    level[-1] = -120
    return SoundMap(
        np.arange(20) / 2,
        posterior,
        np.full(20, 0.1, np.float32),
        level,
        {"width": 640, "end": 10.0},
        cues={"motion": cue},
    )


def test_each_method_has_its_own_path(soundmap):
    paths = camera_paths(soundmap)
    assert list(paths) == ["ours", "motion", "front"]
    assert {name: path.at(4.0)[0] for name, path in paths.items()} == {
        "ours": pytest.approx(93, abs=20),
        "motion": pytest.approx(-93, abs=20),
        "front": 0,
    }


def test_a_cue_alone_is_a_sound_map(soundmap, tmp_path):
    alone(soundmap, "motion").save(tmp_path / "a.npz")
    found = SoundMap.load(tmp_path / "a.npz")
    assert found.posterior[0].argmax() == 15 * 60 + 14
    assert found.elsewhere.tolist() == [0] * 19 + [1]


def test_the_page_pairs_all_methods_of_each_film(tmp_path):
    films_of = [
        Studied(f"{n} <b>", tmp_path / f"{n}.mp4", {m: tmp_path / f"{n}-{m}.mp4" for m in "cab"}) for n in (1, 2)
    ]
    write_page(tmp_path / "a.html", films_of, overwrite=False)
    text = (tmp_path / "a.html").read_text()
    trials = json.loads(text.split('id="about">')[1].split("</script>")[0])["trials"]
    assert [trial["methods"] for trial in trials] == [["a", "b"], ["a", "c"], ["b", "c"]] * 2
    assert trials[0]["pans"] == ["1-a.mp4", "1-b.mp4"]
    assert "<b>" not in text


def votes(file, *given, **more):
    rows = [{"film": "x", "methods": ["a", "b"], "criterion": 0, "vote": vote} for vote in given]
    file.write_text(json.dumps({"format": "pano-sound.votes/1", "votes": rows} | more))
    return file


def test_votes_are_counted(tmp_path):
    files = [votes(tmp_path / "1.json", "a", "a", SIMILAR), votes(tmp_path / "2.json", "a", "b")]
    (row,) = tally(read_votes(files))
    assert (row["criterion"], row["methods"]) == (0, ("a", "b"))
    assert [(share.right, share.of) for share in row["shares"]] == [(3, 5), (1, 5), (1, 5)]
    told = CliRunner().invoke(cli, ["study", "tally", *map(str, files)]).output
    assert "a  60.0 %  [14.7, 94.7]  of 5" in told
    assert "similar  20.0 %" in told


def test_names_of_methods_in_votes_cannot_steer_the_terminal(tmp_path):
    row = {"film": "x", "methods": ["a\x1b[31m", "b"], "criterion": 0, "vote": "b"}
    file = votes(tmp_path / "1.json", votes=[row])
    told = CliRunner().invoke(cli, ["study", "tally", str(file)]).output
    assert "a\\x1b[31m" in told


@pytest.mark.parametrize("wrong", [{"format": "x"}, {"votes": 3}, {"votes": [{}]}])
def test_a_file_without_votes_is_refused(tmp_path, wrong):
    with pytest.raises(DataFileError):
        read_votes([votes(tmp_path / "1.json", "a", **wrong)])


def test_a_vote_for_another_method_is_refused(tmp_path):
    with pytest.raises(DataFileError, match=r"votes\[0\]"):
        read_votes([votes(tmp_path / "1.json", "c")])


def test_two_films_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        films.make_film(tmp_path / folder / "x.mp4")
    words = [str(tmp_path / folder / "x.mp4") for folder in ("a", "b")]
    done = CliRunner().invoke(cli, ["study", "make", *words, "-o", str(tmp_path / "out")])
    assert (done.exit_code, (tmp_path / "out").exists()) == (2, False)


@pytest.mark.parametrize(
    ("words", "told"),
    [([], "exists already"), (["--method", "ours", "--method", "spatial"], "x.mp4 has no method 'spatial'")],
    ids=["a pan that exists", "a method that a film lacks"],
)
def test_a_study_is_refused_before_a_film_is_analysed(tmp_path, monkeypatch, words, told):
    monkeypatch.setattr(pano_sound.pipeline, "analyse", lambda *_, **__: pytest.fail("a film was analysed"))
    film = films.make_film(tmp_path / "x.mp4", sound=films.tone(0.4))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x-semantic.mp4").write_bytes(b"mine")
    with pytest.raises((OutputError, click.UsageError), match=told):
        cli(["study", "make", str(film), "-o", str(tmp_path / "out"), *words], standalone_mode=False)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["x-semantic.mp4"]


def test_the_rivals_follow_the_pictures_map(soundmap):
    pictures = alone(soundmap, "motion")
    paths = camera_paths(soundmap, pictures)
    assert list(paths) == ["ours", "motion", "picture", "picture-autocam", "front"]
    assert paths["picture"].at(4.0)[0] == pytest.approx(-93, abs=20)
    assert paths["picture-autocam"].settings["preset"] == "paper"
    assert paths["picture-autocam"].at(4.0)[0] == pytest.approx(-93, abs=25)
    assert len({(path.width, path.height) for path in paths.values()}) == 1


def test_a_study_of_one_method_is_refused(tmp_path):
    done = CliRunner().invoke(cli, ["study", "make", "x.mp4", "-o", str(tmp_path / "out"), "--method", "ours"])
    assert (done.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert "at least two methods" in done.output
