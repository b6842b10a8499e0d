import films
import numpy as np
import pytest
import torch

from pano_sound.localize.cue import GRID
from pano_sound.localize.nets.trunks import Conv, EfficientNetLite0
from pano_sound.options.input import InputOptions
from pano_sound.pipeline import pannable
from pano_sound.research.evaluate import cube_saliency
from pano_sound.research.evaluate.cube_saliency import (
    CubeSaliency,
    on_sphere,
    padded,
    picture_only,
    positions,
    to_faces,
)
from pano_sound.research.evaluate.scenes_report import RIVALS
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import angles, directions
from pano_sound.sphere.geometry import cell_directions

SIZE = 64


@pytest.fixture(scope="module")
def saliency():
    torch.manual_seed(0)
    trunk = EfficientNetLite0().eval()
    for parameter in trunk.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)  # Else nothing of the picture reaches the last layer.
    return CubeSaliency(trunk, torch.randn(3, 1280), SIZE)


@pytest.mark.parametrize(
    ("yaw", "pitch", "face"), [(0, 0, 0), (90, 0, 1), (180, 0, 2), (-90, 0, 3), (0, 90, 4), (0, -90, 5)]
)
def test_faces_look_to_six_sides(yaw, pitch, face):
    found, place = positions(directions(yaw, pitch), 11)
    assert found == face
    assert place == pytest.approx([5, 5])


@pytest.mark.parametrize(("yaw", "pitch", "row", "column"), [(40, 0, "same", "more"), (0, 40, "less", "same")])
def test_right_is_right_and_up_is_up(yaw, pitch, row, column):
    _, place = positions(directions(yaw, pitch), 11)
    sign = {"same": 0, "more": 1, "less": -1}
    assert np.sign((place - 5).round(6)).tolist() == [sign[row], sign[column]]


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (0, 1), (1, 2)])
def test_beyond_the_edge_lies_the_neighbour(before, after):
    """Pixels that hold their own direction: those beyond the edge look on, where the neighbour's are."""
    size = 32
    own = np.moveaxis(cube_saliency.cube_surface(size), -1, 1)
    around = padded(torch.from_numpy(own), before, after).numpy()
    assert around.shape == (6, 3, size + before + after, size + before + after)
    inside = around[:, :, before : before + size, before : before + size]
    assert (inside == own).all()
    unit = around / np.linalg.norm(around, axis=1, keepdims=True)
    step = [np.degrees(np.arccos((a * b).sum(axis=1).clip(-1, 1))) for a, b in _neighbours(unit, before, size)]
    assert max(float(each.max()) for each in step) < 1.5 * 90 / size * 1.3


def _neighbours(unit, before, size):
    """Pairs of pixels side by side: along rows, and along columns; without the corners, which have no neighbour."""
    middle = slice(before, before + size)
    yield unit[:, :, middle, 1:], unit[:, :, middle, :-1]
    yield unit[:, :, 1:, middle], unit[:, :, :-1, middle]


def test_a_picture_goes_to_faces_and_back():
    """Of a picture that holds yaw and pitch as colours, smooth across the seam."""
    yaw, pitch = np.radians(angles(cell_directions(256, 512)))
    picture = np.stack([128 + 100 * np.cos(yaw) * np.cos(pitch), 128 + 100 * np.sin(pitch), 0 * yaw], axis=-1)
    faces = to_faces(picture.astype(np.uint8), SIZE)
    ahead = cell_directions(*GRID)
    for channel, wanted in ((0, ahead[..., 0]), (1, ahead[..., 2])):
        found = on_sphere(faces[..., channel].astype(np.float32))
        assert found == pytest.approx(128 + 100 * wanted, abs=2.5)


def test_what_is_convolved_turns_with_the_picture():
    """A quarter turn of the sphere moves the four faces around by one, with all that lies beyond their edges."""
    torch.manual_seed(0)
    layer = Conv(3, 4, 5)
    picture = np.random.default_rng(0).integers(0, 256, (2 * SIZE, 4 * SIZE, 3), np.uint8)
    here, turned = (
        cube_saliency.convolve_faces(layer, torch.from_numpy(to_faces(one, SIZE)).permute(0, 3, 1, 2).float())
        for one in (picture, np.roll(picture, SIZE, axis=1))
    )
    assert turned[1:4].detach().numpy() == pytest.approx(here[:3].detach().numpy(), abs=0.6)
    assert here.std() > 1


def test_saliency_is_relative_to_the_sphere(saliency):
    picture = np.random.default_rng(0).integers(0, 256, (2 * SIZE, 4 * SIZE, 3), np.uint8)
    found = saliency.saliency(picture)
    assert (found.shape, found.min(), found.max()) == (GRID, 0, 1)


@pytest.fixture
def film(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", films.steady(8, 2), size=(256, 128), sound=films.tone(4.0))
    return pannable(path, InputOptions())


def test_its_sound_map_has_nothing_elsewhere(film, saliency, tmp_path):
    n = 8
    level = np.full(n, -20, np.float32)
    heard = SoundMap(
        np.arange(n) / 2,
        np.zeros((n, *GRID), np.float16),
        np.ones(n, np.float32),
        level,
        {"width": 256, "end": 4.0},
        {"every": 0.5},
    )
    found = picture_only(film, heard, saliency, lambda *_: None)
    found.save(tmp_path / "a.npz")
    assert SoundMap.load(tmp_path / "a.npz").elsewhere.tolist() == [0] * n
    assert found.posterior.sum(axis=(1, 2), dtype=np.float64) == pytest.approx(np.ones(n), abs=0.01)
    assert found.times.tolist() == heard.times.tolist()


@pytest.mark.slow
def test_scenes_judge_it_with_both_cameras(evaluate, saliency, monkeypatch, tmp_path):
    monkeypatch.setattr(cube_saliency, "pretrained", lambda: saliency)
    done = evaluate("scenes", "DATA", "--work", tmp_path / "work", "--kind", "real", "--picture-only")
    assert done.code == 0, done.err
    for name in RIVALS:
        assert f"{name:24}A" in done.out
