import films
import numpy as np
import pytest
from click.testing import CliRunner

from pano_sound.camera_path import CameraPath
from pano_sound.commands import cli
from pano_sound.options.input import InputOptions
from pano_sound.pipeline import pannable
from pano_sound.research.evaluate.film_sheet import moments
from pano_sound.soundmap import Named, SoundMap


@pytest.fixture
def folder(tmp_path):
    """4 s that grow brighter, with something at yaw 93; the camera looks there."""
    films.make_film(tmp_path / "a.mp4", films.steady(8, 2), size=(256, 128), levels=range(40, 200, 20))
    posterior = np.zeros((8, 30, 60), np.float16)
    posterior[:, 15, 45] = 0.9
    elsewhere, level = np.full(8, 0.1, np.float32), np.full(8, -20, np.float32)
    named = Named(("guitar",), np.linspace(0, 0.9, 8).astype(np.float16)[:, None])
    source, cues = {"path": "a.mp4", "width": 256, "end": 4.0}, {"motion": posterior}
    SoundMap(np.arange(8) / 2, posterior, elsewhere, level, source, cues=cues, named=named).save(tmp_path / "a.npz")
    CameraPath(640, 360, np.array([[0, 93, 0, 0, 90.0], [4, 93, 0, 0, 90]])).save(tmp_path / "a.json")
    return tmp_path


def test_moments_of_a_film(folder):
    film = pannable(folder / "a.mp4", InputOptions())
    found = moments(film, SoundMap.load(folder / "a.npz"), CameraPath.load(folder / "a.json"), 2)
    assert [one.t for one in found] == [1.0, 3.0]
    assert [one.names for one in found] == [["guitar"], ["guitar"]]
    for one in found:
        assert list(one.maps) == ["what was heard", "motion"]
        assert all(
            np.unravel_index(each.argmax(), each.shape)[1] == pytest.approx(728, abs=10) for each in one.maps.values()
        )
        assert one.view.shape == (180, 320, 3)
        assert one.view.std() < 5  # Nothing of the outline is in it.
    assert found[1].view.mean() > found[0].view.mean() + 20


@pytest.mark.parametrize(("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_command_draws_a_film_sheet(folder, ending, begin):
    pytest.importorskip("matplotlib")
    files = [str(folder / name) for name in ("a.mp4", "a.npz", "a.json")]

    def run(*more):
        return CliRunner().invoke(cli, ["evaluate", "figures", *files, *more]).exit_code

    assert run("--moments", "2", "-o", str(folder / f"f.{ending}")) == 0
    assert (folder / f"f.{ending}").read_bytes().startswith(begin)
    assert run("-o", str(folder / "f.txt")) == 2
