import numpy as np
import pytest
from scenes import soundmap

from pano_sound.camera.plan import detail_size, plan
from pano_sound.settings import PRESETS, PlanSettings
from pano_sound.sphere.convention import directions
from pano_sound.sphere.view import View


def in_view(path, sources, start, end):
    """Share of the time in which the view holds one of the sources."""
    seen = []
    for t in np.arange(start, end, 0.1):
        yaw, pitch, roll, hfov = path.at(t)
        view = View(path.width, path.height, hfov)
        seen.append(any(view.contains(directions(*s), yaw, pitch, roll) for s in sources(t)))
    return np.mean(seen)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("yaw", [0, 120, 179, -90])
def test_a_source_that_stays_is_in_view_and_the_camera_rests(preset, yaw):
    def source(t):
        return [(yaw, 5)]

    path = plan(soundmap(30, source), PlanSettings(preset=preset))
    assert in_view(path, source, 0, 30) == 1
    if preset != "paper":  # AUTOCAM may drift among views that show the same
        assert path.speed().max() < 1e-6


def test_a_source_that_crosses_the_seam_is_followed_without_a_jump():
    def source(t):
        return [(120 + 10 * t, 0)]

    path = plan(soundmap(12, source))
    assert in_view(path, source, 0, 12) > 0.95
    assert path.speed().max() < 60.01


def test_the_camera_turns_to_a_new_source_in_time():
    def source(t):
        return [(-60, 0)] if t < 10 else [(80, 0)]

    path = plan(soundmap(20, source))
    assert in_view(path, source, 0, 8) == 1
    assert in_view(path, source, 11.5, 20) == 1
    assert path.speed().max() < 60.01


def test_two_sources_at_once_one_is_in_view():
    def source(t):
        return [(-60, 0), (60, 0)]

    assert in_view(plan(soundmap(20, source)), source, 0, 20) == 1


def test_silence_does_not_move_the_camera():
    path = plan(soundmap(20, lambda t: []))
    assert len(path.samples) == 2
    assert path.speed().max() == 0


def test_no_confidence_holds_the_view():
    path = plan(soundmap(20, lambda t: [(90 * np.sin(t), 0)], peak=0.05))
    assert path.speed().max() < 1e-6


@pytest.mark.parametrize("signal", ["mean", "centroid"])
def test_the_other_signals_follow_one_source_away_from_the_seam(signal):
    path = plan(soundmap(10, lambda t: [(50, 0)], noise=0.0), PlanSettings(signal=signal))
    assert abs(path.at(5)[0] - 50) < (12 if signal == "mean" else 40)


def test_the_path_shows_every_number_it_was_made_with():
    path = plan(soundmap(5, lambda t: [(0, 0)]), PlanSettings(fov=70.0))
    assert path.settings == {**PRESETS["default"], "preset": "default", "mechanism": 2, "fov": 70.0, "size": None}


def test_sizes_follow_the_sources_detail():
    assert detail_size(1920, 90) == (640, 360)
    assert detail_size(3840, 90) == (1280, 720)
    assert detail_size(7680, 90) == (2560, 1440)
    assert detail_size(100_000, 90) == (3840, 2160)


def test_sparse_analysis_is_enough_for_a_source_that_moves_once():
    def source(t):
        return [(-60, 0)] if t < 10 else [(80, 0)]

    path = plan(soundmap(20, source, every=4.0))
    assert in_view(path, source, 0, 7) == 1
    assert in_view(path, source, 14, 20) == 1


def test_any_speed_and_ease_move_smoothly():
    path = plan(soundmap(20, lambda t: [(60 * t, 0)]), PlanSettings(max_speed=180.0, ease=5.0, move_cost=0.0))
    assert path.speed().max() < 1.3 * 180


def test_a_speed_that_reaches_no_other_direction_holds_and_says_so(caplog):
    path = plan(soundmap(10, lambda t: [(60, 0)] if t < 5 else [(-60, 0)]), PlanSettings(max_speed=5.0))
    assert path.speed().max() < 1e-6
    assert "reaches no other direction" in caplog.text


def test_a_film_of_one_picture_can_be_planned():
    assert len(plan(soundmap(0.1, lambda t: [(0, 0)])).samples) >= 1
