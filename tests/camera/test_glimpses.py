import numpy as np
import pytest
from scenes import CELLS, soundmap

from pano_sound.camera.glimpses import (
    centroid_direction,
    glimpse_directions,
    glimpse_mass,
    glimpse_weights,
    mean_direction,
)
from pano_sound.sphere.convention import directions
from pano_sound.sphere.geometry import angle_between
from pano_sound.sphere.view import View

LOOKS = glimpse_directions(20.0)


def blob(yaw, pitch=0.0, width=10.0):
    return np.exp(-((angle_between(CELLS, directions(yaw, pitch)) / width) ** 2)).astype(np.float32)[None]


def test_autocam_has_198_directions():
    assert len(LOOKS) == 198
    assert len(np.unique(LOOKS, axis=0)) == 198
    assert LOOKS[0] == pytest.approx([0, 0])


@pytest.mark.parametrize("yaw", [0, 90, 170, 178, 180, -175])
def test_the_best_glimpse_shows_the_source_also_at_the_seam(yaw):
    weights = glimpse_weights(LOOKS, View(640, 480, 65.5), (30, 60), centring=0.5)
    best = LOOKS[glimpse_mass(blob(yaw), weights)[0].argmax()]
    assert angle_between(directions(*best), directions(yaw, 0)) <= 10.1


def test_two_sources_one_of_them_and_not_the_gap():
    weights = glimpse_weights(LOOKS, View(640, 480, 65.5), (30, 60), centring=0.5)
    best = LOOKS[glimpse_mass(blob(60) + blob(-60), weights)[0].argmax()]
    assert abs((best[0] + 180) % 360 - 180) == pytest.approx(60)


def test_all_mass_is_in_a_view_that_holds_it():
    weights = glimpse_weights(LOOKS, View(640, 480, 90), (30, 60), centring=0.0)
    one_cell = np.zeros((1, 30, 60), np.float32)
    one_cell[0, 14, 30] = 1
    assert glimpse_mass(one_cell, weights)[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("yaw", [0, 90, 170, 178, 180, -175])
def test_the_spherical_mean_survives_seam_and_floor(yaw):
    look, length = mean_direction(blob(yaw, 20) + 0.02)
    assert angle_between(directions(*look[0]), directions(yaw, 20)) < 2
    assert 0.8 < length[0] <= 1


def test_the_papers_centroid_breaks_where_it_is_known_to():
    assert centroid_direction(blob(90))[0] == pytest.approx([90, 0], abs=1)
    assert abs(centroid_direction(blob(180))[0][0]) < 5  # at the seam: the middle of the picture
    assert centroid_direction(blob(90) + 0.02)[0][0] < 60  # under a floor: drawn to the middle


def test_saliency_is_a_distribution_and_confidence_knows_silence():
    silent = soundmap(2, lambda t: [])
    assert silent.saliency().sum(axis=(1, 2)) == pytest.approx(1, abs=1e-4)
    assert silent.confidence().max() == 0
    assert soundmap(2, lambda t: [(40, 0)]).confidence().min() > 0.8
