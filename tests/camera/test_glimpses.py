import numpy as np
import pytest
from scenes import CELLS, soundmap

from pano_sound.camera.glimpses import (
    as_points,
    autocam_directions,
    centroid_direction,
    even_directions,
    glimpse_weights,
    mean_direction,
    pool,
    refine,
)
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between, cell_directions
from pano_sound.sphere.view import View

LOOKS = autocam_directions()
FINE = cell_directions(90, 180)


def blob(yaw, pitch=0.0, width=10.0):
    return np.exp(-((angle_between(CELLS, directions(yaw, pitch)) / width) ** 2)).astype(np.float32)[None]


def test_autocam_has_198_directions():
    assert len(LOOKS) == 198
    assert len(np.unique(LOOKS, axis=0)) == 198
    assert LOOKS[0] == pytest.approx([0, 0])


@pytest.mark.parametrize("yaw", [0, 90, 170, 178, 180, -175])
def test_the_best_glimpse_shows_the_source_also_at_the_seam(yaw):
    weights = glimpse_weights(LOOKS, View(640, 480, 65.5), FINE, centring=0.5)
    best = LOOKS[(weights @ blob(yaw).ravel()).argmax()]
    assert angle_between(directions(*best), directions(yaw, 0)) <= 10.1


def test_with_two_sources_a_glimpse_shows_one_and_not_the_gap():
    weights = glimpse_weights(LOOKS, View(640, 480, 65.5), FINE, centring=0.5)
    best = LOOKS[(weights @ (blob(60) + blob(-60)).ravel()).argmax()]
    assert abs((best[0] + 180) % 360 - 180) == pytest.approx(60)


def test_all_mass_is_in_a_view_that_holds_it():
    weights = glimpse_weights(LOOKS, View(640, 480, 90), FINE, centring=0.0)
    one_cell = np.zeros((1, 30, 60), np.float32)
    one_cell[0, 14, 30] = 1
    assert weights[0] @ one_cell.ravel() == pytest.approx(1)


@pytest.mark.parametrize("yaw", [0, 90, 170, 178, 180, -175])
def test_the_spherical_mean_survives_seam_and_floor(yaw):
    look, length = mean_direction(blob(yaw, 20) + 0.02)
    assert angle_between(directions(*look[0]), directions(yaw, 20)) < 2
    assert 0.8 < length[0] <= 1


def test_the_papers_centroid_breaks_at_the_seam_and_with_a_floor():
    assert centroid_direction(blob(90))[0] == pytest.approx([90, 0], abs=1)
    assert abs(centroid_direction(blob(180))[0][0]) < 5  # at the seam: the middle of the picture
    assert centroid_direction(blob(90) + 0.02)[0][0] < 60  # under a floor: drawn to the middle


@pytest.mark.parametrize(("every", "steepest"), [(18.0, 60.0), (10.0, 90.0), (18.0, 0.0)])
def test_a_grid_is_even_and_begins_ahead(every, steepest):
    looks = even_directions(every, steepest)
    assert looks[0].tolist() == [0, 0]
    assert np.abs(looks[:, 1]).max() <= steepest
    apart = angle_between(directions(*looks.T)[:, None], directions(*looks.T)[None])
    np.fill_diagonal(apart, 180)
    assert apart.min() > 0.6 * every
    assert apart.min(axis=1).max() < 1.1 * every


def test_a_point_of_saliency_stays_in_place():
    rng = np.random.default_rng(0)
    looks = np.stack([rng.uniform(-180, 180, 200), rng.uniform(-90, 90, 200)], axis=1)
    maps = as_points(looks, (30, 60))
    found = CELLS.reshape(-1, 3)[maps.reshape(200, -1).argmax(axis=1)]
    assert angle_between(found, directions(*looks.T)).max() < 4.3  # half a cell's diagonal
    assert maps.sum(axis=(1, 2)) == pytest.approx(1)


def test_finer_maps_are_pooled_by_sums_of_blocks():
    fine = np.arange(2 * 60 * 120, dtype=np.float32).reshape(2, 60, 120)
    assert pool(fine).shape == (2, 30, 60)
    assert pool(fine)[1, 3, 5] == pytest.approx(fine[1, 6:8, 10:12].sum())
    assert pool(fine[:, :50, :100]).shape == (2, 50, 100)


@pytest.mark.parametrize(("yaw", "pitch"), [(7, 3), (-11, -8), (0, 0)])
def test_the_source_is_found_within_its_glimpse_despite_a_floor(yaw, pitch):
    look = np.array([[175.0, 0.0]])
    weights = glimpse_weights(look, View(640, 360, 90), FINE, centring=0.5)
    found, width = refine(blob(175 + yaw, pitch) + 0.05, weights, CELLS.reshape(-1, 3))
    assert angle_between(found[0], directions(175 + yaw, pitch)) < 2
    assert 4 < width[0] < 12


def test_with_two_similar_sources_in_a_glimpse_it_centres_between_them():
    weights = glimpse_weights(np.array([[0.0, 0.0]]), View(640, 360, 90), FINE, centring=0.5)
    for strength in (0.8, 1.0, 1.2):
        found, _ = refine(strength * blob(-25) + blob(25), weights, CELLS.reshape(-1, 3))
        assert angle_between(found[0], directions(0, 0)) < 6


def test_silence_and_sources_of_a_made_map():
    assert soundmap(2, lambda t: []).present().max() == 0
    assert soundmap(2, lambda t: [(40, 0)]).present().min() > 0.8
