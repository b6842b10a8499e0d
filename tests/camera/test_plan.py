import logging
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scenes import soundmap

import pano_sound
from pano_sound.camera import moves, shots
from pano_sound.camera.planner import detail_size, plan, plan_paths
from pano_sound.camera.timeline import resample
from pano_sound.camera_path import CameraPath
from pano_sound.constraints import Mask, Pin
from pano_sound.options.camera import ASPECTS, PlanOptions
from pano_sound.options.presets import PRESETS
from pano_sound.research.evaluate.camera import in_view, motion, sampled
from pano_sound.sphere.convention import directions, rotation
from pano_sound.sphere.geometry import angle_between
from pano_sound.sphere.view import View, render_planes


def still(*sources):
    return lambda t: list(sources)


def looks(path, t):
    return sampled(path, np.array([t], dtype=float))[0]


@pytest.mark.parametrize(
    ("preset", "yaw"), [*((preset, 179) for preset in PRESETS), *(("default", yaw) for yaw in (0, 120, -90))]
)
def test_a_source_that_stays_is_in_view_and_the_camera_rests(preset, yaw):
    source = still((yaw, 5))
    path = plan(soundmap(30, source), PlanOptions(preset=preset))
    assert in_view(path, source, 0, 30) == 1
    if preset != "paper":  # AUTOCAM may drift among views that show the same
        assert path.speed().max() < 1e-6
        assert angle_between(looks(path, 15), directions(yaw, 5)) < 6


def test_with_no_confidence_the_view_holds():
    path = plan(soundmap(20, lambda t: [(90 * np.sin(t), 0)], peak=0.05))
    assert path.speed().max() < 1e-6


@pytest.mark.parametrize("signal", ["mean", "centroid"])
def test_the_other_signals_follow_one_source_away_from_the_seam(signal):
    path = plan(soundmap(10, still((50, 0)), noise=0.0), PlanOptions(signal=signal))
    assert abs(path.at(5)[0] - 50) < (6 if signal == "mean" else 40)


def test_only_the_centroid_loses_a_source_at_the_seam():
    source = still((180, 0))
    for signal, share in {"glimpse": 1, "mean": 1, "centroid": 0}.items():
        path = plan(soundmap(10, source, noise=0.0), PlanOptions(signal=signal))
        assert in_view(path, source, 0, 10) == share


def test_with_two_sources_the_glimpses_choose_one_and_the_mean_is_unsure():
    sources = still((60, 0), (-60, 0))
    film = soundmap(20, sources, noise=0.0)
    assert in_view(plan(film), sources, 0, 20) == 1
    wide = soundmap(20, still((85, 0), (-85, 0)), noise=0.0)
    assert plan(wide, PlanOptions(signal="mean")).speed().max() == 0


def test_the_path_records_every_setting():
    path = plan(soundmap(5, still((0, 0))), PlanOptions(fov=70.0))
    assert path.settings == {**PRESETS["default"].to_json(), "fov": 70.0}


def test_sizes_follow_the_detail_of_the_source():
    assert detail_size(1920, 90) == (640, 360)
    assert detail_size(3840, 90) == (1280, 720)
    assert detail_size(4096, 90) == (1280, 720)
    assert detail_size(5760, 90) == (1920, 1080)
    assert detail_size(7680, 90) == detail_size(8192, 90) == (2560, 1440)
    assert detail_size(100_000, 90) == (3840, 2160)
    assert detail_size(3840, 58.7, "9:16") == (720, 1280)


@pytest.mark.parametrize(
    ("width", "aspect", "size"),
    [
        (1280, "9:16", (360, 640)),  # The source is 640 tall.
        (1920, "9:16", (360, 640)),
        (2160, "9:16", (720, 1280)),
        (2880, "9:16", (720, 1280)),
        (3840, "9:16", (720, 1280)),
        (5760, "9:16", (1080, 1920)),
        (2160, "3:4", (1080, 1440)),
        (3840, "3:4", (1080, 1440)),
        (2880, "1:1", (1080, 1080)),  # No portrait: as its detail.
        (2880, "4:3", (960, 720)),
        (2880, "16:9", (960, 540)),
    ],
)
def test_portraits_are_1080_pixels_tall_where_the_source_is(width, aspect, size):
    made = soundmap(5, still((0, 0)))
    path = plan(replace(made, source={**made.source, "width": width}), PlanOptions(aspect=aspect))
    assert (path.width, path.height) == size


@pytest.mark.parametrize(
    ("fov", "shape"),
    [
        *((fov, {"size": "640x1000"}) for fov in (30.0, 65.5, 150.0)),
        *((90.0, {"aspect": aspect}) for aspect in ASPECTS),
        (65.5, {"size": "1000x250"}),
    ],
)
def test_fov_is_measured_along_the_longer_side(fov, shape):
    path = plan(soundmap(5, still((0, 0))), PlanOptions(fov=fov, **shape))
    view = View(path.width, path.height, path.at(2)[3])
    assert max(view.hfov, view.vfov) == pytest.approx(fov, abs=0.01)
    assert path.settings["fov"] == fov


@pytest.mark.parametrize(
    ("size", "fov", "longer"),
    [(None, None, 80), ((640, 360), None, 80), ((360, 640), None, 80), ((360, 640), 50, 50), (None, 100, 100)],
)
def test_another_view_of_the_same_path_keeps_or_sets_the_longer_sides_field_of_view(size, fov, longer):
    path = plan(soundmap(5, still((0, 0))), PlanOptions(fov=80.0, size="1280x720")).with_view(size, fov)
    assert (path.width, path.height) == (size or (1280, 720))
    view = View(path.width, path.height, path.at(2)[3])
    assert max(view.hfov, view.vfov) == pytest.approx(longer, abs=0.01)


@pytest.mark.parametrize("hfov", [70, 90, 110])
def test_sizes_neither_lose_nor_invent_detail(hfov):
    """In the middle: pixels of the source for each of the output."""
    for width in range(1920, 12000, 128):
        size = detail_size(width, hfov)
        ratio = width / 360 / (size[0] / np.degrees(2 * np.tan(np.radians(hfov) / 2)))
        assert ratio <= 1 / 0.95 or size == (3840, 2160), width
        assert ratio >= 0.62 or size == (640, 360), width


@pytest.mark.parametrize("width", [1920, 3840, 4096, 5760])
@pytest.mark.parametrize("vertical", [False, True])
def test_the_default_size_keeps_stripes_three_pixels_apart(width, vertical):
    height = width // 2
    wave = 128 + 100 * np.cos(2 * np.pi * np.arange(height if vertical else width) / 3)
    luma = np.ascontiguousarray(np.broadcast_to(wave[:, None] if vertical else wave, (height, width))).astype(np.uint8)
    grey = np.full((height // 2, height), 128, np.uint8)
    across, down = detail_size(width, 90)
    view = View(across, down, 90)
    picture = render_planes((luma, grey, grey), view, 0, 0)[0].astype(float)
    middle = picture[down // 2 - 20 : down // 2 + 20, across // 2 - 20 : across // 2 + 20]
    line = middle.mean(axis=1 if vertical else 0)
    period = 3 * view.focal * 2 * np.pi / width
    assert period > 2.5
    strength = abs((line - line.mean()) @ np.exp(2j * np.pi * np.arange(40) / period)) / 20 / 100
    assert 0.6 < strength < 1.1


@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_shape_shows_the_source_and_ninety_degrees_on_its_longer_side(aspect):
    source = still((170, 10))
    path = plan(soundmap(10, source), PlanOptions(aspect=aspect))
    across, down = map(int, aspect.split(":"))
    assert path.width * down == path.height * across
    view = View(path.width, path.height, path.at(5)[3])
    assert max(view.hfov, view.vfov) == pytest.approx(90, abs=0.01)
    assert in_view(path, source, 0, 10) == 1


def test_any_size_can_be_planned():
    path = plan(soundmap(5, still((0, 0))), PlanOptions(size="1000x250"))
    assert (path.width, path.height) == (1000, 250)


def test_sparse_analysis_is_enough_for_a_source_that_moves_once():
    def source(t):
        return [(-60, 0)] if t < 10 else [(80, 0)]

    path = plan(soundmap(20, source, every=4.0))
    assert in_view(path, source, 0, 7) == 1
    assert in_view(path, source, 14, 20) == 1


@pytest.mark.parametrize("speed", [25, 60, 200])
@pytest.mark.parametrize("preset", ["calm", "default", "lively"])
def test_a_source_too_fast_to_follow_does_not_break_the_speed_limit(speed, preset):
    path = plan(soundmap(30, lambda t: [(speed * t, 20 * np.sin(t))]), PlanOptions(preset=preset))
    assert motion(path, 0, 30).speed[-1] <= PRESETS[preset].max_speed * 1.05


def test_autocam_too_slow_to_reach_another_direction_holds_with_a_warning(caplog):
    film = soundmap(20, lambda t: [(60, 0)] if t < 10 else [(-60, 0)])
    path = plan(film, PlanOptions(preset="paper", max_speed=1.0))
    assert path.speed().max() < 1e-6
    assert "reaches no other direction" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        plan(film, PlanOptions(preset="paper"))
    assert not caplog.text


def test_autocam_moves_in_straight_lines_between_the_middles_of_clips():
    path = plan(soundmap(40, lambda t: [(0, 0)] if t < 20 else [(90, 0)], noise=0), PlanOptions(preset="paper"))
    assert (path.width, path.height, path.at(0)[3]) == (640, 480, 65.5)
    keys = np.array([path.at(t)[:2] for t in np.arange(2.5, 40, 5.0)])
    assert np.abs((keys[:, 0] + 10) % 20 - 10).max() < 1e-6  # of its 198 directions
    assert np.abs(np.diff(keys[:, 0])).max() <= 30
    between = np.array([path.at(t)[0] for t in np.arange(2.5, 37.6, 0.5)]).reshape(-1)
    assert np.abs(np.diff(between, 2)).max() <= 4.1  # one bend at each key point
    assert between == pytest.approx(np.interp(np.arange(2.5, 37.6, 0.5), np.arange(2.5, 40, 5.0), keys[:, 0]), abs=1e-3)


def test_a_film_of_one_picture_can_be_planned():
    for preset in PRESETS:
        assert len(plan(soundmap(0.1, still((0, 0))), PlanOptions(preset=preset)).samples) >= 1


def test_after_long_silence_it_returns_home_and_stays():
    path = plan(soundmap(60, lambda t: [(120, 0)] if t < 10 else []), PlanOptions(home_after=10.0))
    assert angle_between(looks(path, 19), directions(120, 0)) < 6
    assert angle_between(looks(path, 30), directions(0, 0)) < 1
    assert motion(path, 30, 60).speed[-1] == 0
    stays = plan(soundmap(60, lambda t: [(120, 0)] if t < 10 else []), PlanOptions(home_after=0.0))
    assert angle_between(looks(stays, 59), directions(120, 0)) < 6


def test_home_is_straight_ahead_and_only_reached_in_silence():
    away = plan(soundmap(60, lambda t: [(40, 0)] if t < 10 else []), PlanOptions(home_after=10.0))
    assert away.at(40)[:2] == pytest.approx((0, 0), abs=1e-6)
    unsure = soundmap(60, lambda t: [(120, 0)] if t < 10 else [])
    unsure.level_db[:] = -20.0
    path = plan(unsure, PlanOptions(home_after=10.0))
    assert path.speed().max() == 0


def test_it_has_left_home_when_the_next_source_starts():
    film = soundmap(60, lambda t: [(120, 0)] if t < 10 else [] if t < 45 else [(-90, 0)])
    path = plan(film, PlanOptions(home_after=10.0))
    assert path.at(35)[:2] == pytest.approx((0, 0), abs=1e-6)
    assert angle_between(looks(path, 45), directions(-90, 0)) < 6
    assert angle_between(looks(path, 42), directions(0, 0)) < 6


@pytest.mark.parametrize("pitch", [-50, -20, -8, 8, 20, 50])
def test_the_camera_tilts_no_more_than_it_takes_to_show_the_source_well(pitch):
    source = still((30, pitch))
    path = plan(soundmap(20, source))
    assert in_view(path, source, 0, 20) == 1
    assert path.speed().max() == 0
    assert abs(path.at(10)[1]) == pytest.approx(max(abs(pitch) - 10, 0), abs=3)


def test_the_camera_cuts_where_the_picture_cuts():
    def source(t):
        return [(-60, 0)] if t < 10.3 else [(80, 0)]

    path = plan(soundmap(20, source, cuts=[10.3]))
    assert [path.times[i] for i in path.cuts] == pytest.approx([10.3])
    assert in_view(path, source, 0, 20) == 1
    assert path.speed().max() == 0
    assert angle_between(looks(path, 10.29), directions(-60, 0)) < 6
    assert angle_between(looks(path, 10.31), directions(80, 0)) < 6


@pytest.mark.parametrize(
    ("cuts", "kept"),
    [([10.3, 10.3000004], [10.3]), ([1.5e-6, 2.5e-6, 10.3], [2e-6, 10.3]), ([10.3, 19.9999996], [10.3]), ([4e-7], [])],
)
def test_shots_too_short_for_a_path_are_left_out(cuts, kept):
    path = plan(soundmap(20, still((60, 0)), cuts=cuts))
    assert [path.times[i] for i in sorted(path.cuts)] == kept


@pytest.mark.parametrize(
    ("options", "cuts"),
    [(PlanOptions(), [10]), (PlanOptions(cut_over=90.0), [10, 20]), (PlanOptions(cut_over=180.0), [])],
    ids=["by default over 120 degrees", "over 90 degrees", "never"],
)
def test_long_turns_become_cuts(options, cuts):
    """130° to the right, 100° to the left, then 50° to the left."""

    def source(t):
        return [[(-60, 0)], [(70, 0)], [(-30, 0)], [(-80, 0)]][int(t / 10)]

    path = plan(soundmap(40, source), options)
    assert [path.times[i] for i in path.cuts] == pytest.approx(cuts, abs=0.5)
    assert 0 < path.speed().max() <= 60.01
    for start, end in ((0, 8), (12, 18), (22, 28), (32, 40)):
        assert in_view(path, source, start, end) == 1
    for cut in cuts:
        assert in_view(path, source, cut + 0.6, cut + 5) == 1


def test_the_camera_turns_home_without_a_cut():
    """In silence nothing calls for one."""
    film = soundmap(60, lambda t: [(170, 0)] if t < 10 else [])
    path = plan(film, PlanOptions(home_after=5.0))
    assert len(path.cuts) == 0
    assert angle_between(looks(path, 5), directions(170, 0)) < 6
    assert angle_between(looks(path, 50), directions(0, 0)) < 6


def test_the_view_is_as_wide_as_the_source_needs():
    def wide(t):
        return [(x, y) for x in (-24, -8, 8, 24) for y in (-8, 8)] if t < 15 else [(0, 0)]

    film = soundmap(30, wide, noise=0.0)
    path = plan(film, PlanOptions(zoom_speed=10.0))
    assert path.at(5)[3] > path.at(28)[3] + 15
    assert 46.4 <= path.samples[:, 4].min() <= path.samples[:, 4].max() <= 104.3
    hfov = path.looks(np.arange(0, 30, 0.1))[:, 3]
    assert np.abs(np.diff(hfov)).max() <= 1.0 + 1e-6
    assert np.ptp(plan(film).samples[:, 4]) == 0


@pytest.mark.parametrize(
    ("asked", "narrowest", "widest"),
    [
        ({"fov": 30.0}, 30, 30),
        ({"fov": 130.0}, 46.4, 130),
        ({"max_fov": 80.0}, 46.4, 80),
        ({"fov": 65.0, "aspect": "9:16"}, 39.43, 39.43),
    ],
)
def test_a_zoom_and_the_field_of_view_that_was_asked_for_agree(asked, narrowest, widest):
    """A small source is heard from 10 s to 20 s: the view zooms to it, and has the usual width without it."""
    film = soundmap(60, lambda t: [(0, 0)] if 10 < t < 20 else [], noise=0.0)
    shown = plan(film, PlanOptions(preset="lively", **asked)).samples[:, 4]
    assert (shown.min(), shown.max()) == pytest.approx((narrowest, widest), abs=0.01)


def test_the_view_does_not_zoom_with_a_source_that_moves_to_and_fro():
    def source(t):
        return [(abs(15.0 * t % 240.0 - 120.0) - 60.0, 0.0)]

    path = plan(soundmap(60, source), PlanOptions(preset="lively"))
    hfov = path.looks(np.arange(0, 60, 0.1))[:, 3]
    assert np.abs(np.diff(hfov)).sum() < 60
    assert in_view(path, source, 0, 60) == 1


def test_the_memory_for_cuts_does_not_grow_with_the_square_of_the_length():
    """Two who take turns on opposite sides, for half an hour: 360 cuts in 18,000 samples."""
    film = soundmap(1800, lambda t: [(0, 0)] if int(t / 5) % 2 else [(180, 0)], every=0.5)
    timeline = resample(film, PlanOptions().resolved(), np.arange(0, 1800.5, 0.5), ())
    context = shots.PlanContext.of(timeline, View(640, 360, 90), PlanOptions().resolved(), ())
    parts = shots.holds(context, timeline, *shots.scores(context, timeline, ()))
    tracemalloc.start()
    try:
        *_, cuts = moves.compose(context, timeline, parts)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert cuts.sum() > 300


@pytest.mark.parametrize("preset", ["default", "lively"])
@pytest.mark.parametrize("fov", [20.0, 25.0])
def test_a_narrow_view_shows_sources_between_the_candidate_looks(fov, preset):
    def source(t):
        return [(30.0, 10.0) if int(t / 6) % 2 else (-70.0, 10.0)]

    path = plan(soundmap(36, source, noise=0.0), PlanOptions(preset=preset, fov=fov))
    assert in_view(path, source, 0, 36) > 0.6


def test_several_paths_show_several_sources():
    sources = [(-100, 0), (20, 0), (140, 0)]
    paths = plan_paths(soundmap(20, lambda t: sources), count=3)
    shown = [[in_view(path, still(source), 0, 20) > 0.95 for source in sources] for path in paths]
    assert sorted(map(tuple, shown)) == [(False, False, True), (False, True, False), (True, False, False)]


@pytest.mark.parametrize("offset", [(0, 0, 20), (90, 0, 0), (30, -15, 10)])
def test_a_tilted_film_is_levelled(offset):
    """A source on the true horizon, seen by a camera that leans: the view looks there with the horizon level."""
    level = rotation(*offset)
    truth = directions(70, 0)
    in_picture = level @ truth
    yaw, pitch = (float(a) for a in angles_of(in_picture))
    settings = PlanOptions(yaw=offset[0], pitch=offset[1], roll=offset[2])
    path = plan(soundmap(10, still((yaw, pitch)), noise=0.0), settings)
    found = rotation(*path.at(5)[:3])
    assert angle_between(found[:, 0], in_picture) < 5
    in_level = level.T @ found
    assert abs(in_level[2, 1]) < 1e-6  # the camera's left is level
    assert in_level[2, 2] > 0


def angles_of(vector):
    from pano_sound.sphere.convention import angles

    return angles(vector)


def test_pins_are_kept_and_the_rest_is_planned_around_them():
    source = still((100, 0))
    pin = Pin(12.0, 15.0, -60.0, 40.0, hfov=60.0)
    path = plan(soundmap(30, source), pins=[pin])
    for t in np.arange(12, 15.01, 0.1):
        assert angle_between(looks(path, t), directions(-60, 40)) < 1e-6
    assert path.at(13.5)[3] == pytest.approx(60, abs=2)
    assert in_view(path, source, 0, 8) == 1
    assert in_view(path, source, 19, 30) == 1
    assert motion(path, 0, 30).speed[-1] <= 61
    assert path.pins == (pin,)


@pytest.mark.parametrize("preset", ["calm", "default", "lively"])
@pytest.mark.parametrize(
    "pins",
    [
        [Pin(5.0, 8.0, -60.0, 20.0, hfov=100.0)],
        [Pin(5.03, 5.03, -60.0, 20.0, hfov=30.0)],
        [Pin(1.0, 2.0, 100.0, 0.0, hfov=120.0), Pin(12.0, 15.0, -60.0, 20.0, hfov=50.0)],
    ],
)
def test_the_field_of_view_of_pins_holds_in_all_their_time(preset, pins):
    path = plan(soundmap(30, still((100, 0))), PlanOptions(preset=preset), pins=pins)
    for pin in pins:
        assert path.looks(np.linspace(pin.start, pin.end, 50))[:, 3] == pytest.approx(pin.hfov)
    fastest = np.abs(np.diff(path.looks(np.arange(0, 30, 0.1))[:, 3])).max()
    assert fastest <= (1 if preset == "lively" else 6) + 1e-6
    after = 46.4 if preset == "lively" else 90
    assert path.at(29)[3] == pytest.approx(after)


def test_the_view_zooms_faster_between_pins_that_leave_no_time_for_it(caplog):
    pins = [Pin(5.0, 8.0, -60.0, 20.0, hfov=100.0), Pin(9.0, 10.0, -60.0, 20.0, hfov=40.0)]
    path = plan(soundmap(30, still((100, 0))), PlanOptions(preset="lively"), pins=pins)
    for pin in pins:
        assert path.looks(np.linspace(pin.start, pin.end, 50))[:, 3] == pytest.approx(pin.hfov)
    assert 65 < path.at(8.5)[3] < 75
    assert np.abs(np.diff(path.looks(np.arange(0, 8, 0.1))[:, 3])).max() <= 1.0 + 1e-6
    assert "too little time to zoom to the pin at 9 s" in caplog.text


@pytest.mark.parametrize(("begin", "hurried"), [(9.0, True), (11.0, False)])
def test_a_warning_tells_of_a_pin_that_is_turned_to_faster_than_the_limits_allow(begin, hurried, caplog):
    pins = [Pin(5.0, 8.0, -60.0, 20.0), Pin(begin, 14.0, 0.0, 0.0)]
    path = plan(soundmap(20, still((-60, 0))), pins=pins)
    assert (path.speed().max() > 61) == hurried
    assert ("too little time to turn to the pin at 9 s" in caplog.text) == hurried


def test_a_camera_that_keeps_to_its_limits_brings_no_warning(caplog):
    """It turns to a pin at once after it has followed, in as much time as is left."""
    pins = [Pin(5.3, 6.3, 120.0, 10.0), Pin(17.2, 24.0, 60.0, 0.0)]
    source = [(80.0 * np.sin(t * 38.6 / 60.0), 10.0) for t in np.arange(0, 30, 0.25)]
    path = plan(soundmap(25, lambda t: [source[round(t / 0.25)]]), PlanOptions(preset="lively"), pins=pins)
    assert path.speed().max() < 61
    assert not caplog.records


@pytest.mark.parametrize("speed", [16.9, 17.9])
def test_turning_from_a_pin_to_what_moves_away_keeps_the_limit(speed, caplog):
    circling = [((speed * t + 60.0) % 360.0 - 180.0, 0.0) for t in np.arange(0, 25, 0.25)]
    for yaw in range(-180, 180, 40):
        pin = Pin(4.0, 4.2, yaw, 0.0)
        path = plan(soundmap(25, lambda t: [circling[round(t / 0.25)]]), PlanOptions(preset="calm"), pins=[pin])
        assert path.speed().max() <= 1.02 * path.settings["max_speed"], yaw
    assert not caplog.records


@pytest.mark.parametrize(("speed", "hurried"), [(45.0, True), (10.0, False)])
def test_turning_from_a_pin_faster_than_the_limits_allow_is_told(speed, hurried, caplog):
    pins = [Pin(4.3, 5.3, 173.0, -11.0), Pin(16.1, 24.0, -99.0, 0.0)]
    path = plan(soundmap(25, lambda t: [(80.0 * np.sin(t * speed / 60.0), 10.0)]), pins=pins)
    assert (path.speed().max() > 61) == hurried
    assert [record.message[:60] for record in caplog.records] == (
        ["there is too little time to turn to the pin at 16.1 s: the c"] if hurried else []
    )


@pytest.mark.parametrize("speed", [-50.0, 53.0])
def test_pins_hold_between_which_a_fast_source_is_followed(speed):
    """Following takes up most of the speed, so that turning to the source in time for the next pin needs more."""
    pins = [Pin(4.3, 5.3, 173.0, -11.0), Pin(16.1, 24.0, -99.0, 0.0)]
    path = plan(soundmap(25, lambda t: [(80.0 * np.sin(t * speed / 60.0), 10.0)]), pins=pins)
    for pin in pins:
        for t in np.linspace(pin.start, pin.end, 30):
            assert angle_between(looks(path, t), directions(pin.yaw, pin.pitch)) < 0.1
    assert path.speed().max() < 120
    assert in_view(path, lambda t: [(80.0 * np.sin(t * speed / 60.0), 10.0)], 11, 12) > 0.9


def test_pins_that_follow_each_other_and_one_at_the_start():
    pins = [Pin(0.0, 4.0, 10.0, 0.0), Pin(5.0, 5.0, 30.0, 0.0), Pin(9.0, 12.0, -120.0, 10.0)]
    path = plan(soundmap(14, still((100, 0))), pins=pins)
    for pin in pins:
        for t in (pin.start, pin.end):
            assert angle_between(looks(path, t), directions(pin.yaw, pin.pitch)) < 1e-6


def test_pins_and_masks_from_python():
    source, pin, mask = still((100, 0)), pano_sound.Pin(5, 8, -60, 20), pano_sound.Mask((80, 120), (-90, 90))
    path = pano_sound.plan(soundmap(12, source), PlanOptions(fov=70), pins=[pin], masks=[mask])
    assert (path.pins, path.masks, path.at(6)[:2]) == ((pin,), (mask,), pytest.approx((-60, 20)))
    with pytest.raises(ValueError, match="must begin after"):
        pano_sound.plan(soundmap(12, source), pins=[pin, pano_sound.Pin(7, 9, 0, 0)])


@pytest.mark.parametrize("outside", [Pin(-5, -1, 0, 0), Pin(100, 120, 0, 0), Mask((0, 10), (0, 10), start=100)])
def test_pins_and_masks_outside_the_film_are_named(outside, caplog):
    kind = "masks" if isinstance(outside, Mask) else "pins"
    path = plan(soundmap(12, still((100, 0))), **{kind: [outside]})
    assert getattr(path, kind) == (outside,)
    assert f"{outside.start:g} s" in caplog.text
    assert "has no effect" in caplog.text


def test_pins_hold_in_a_tilted_film():
    pin = Pin(5.0, 8.0, -60.0, 20.0)
    path = plan(soundmap(12, still((100, 0))), PlanOptions(roll=15.0, yaw=40.0), pins=[pin])
    assert angle_between(looks(path, 6), directions(-60, 20)) < 1e-6


def test_autocam_takes_no_pins():
    with pytest.raises(ValueError, match="pins"):
        plan(soundmap(30, still((0, 0))), PlanOptions(preset="paper"), pins=[Pin(0, 1, 0, 0)])


@pytest.mark.parametrize("preset", PRESETS)
def test_the_camera_does_not_look_at_masked_regions(preset):
    loud, other = (170, -20), (40, 0)
    mask = Mask((140.0, -150.0), (-90.0, 10.0))
    film = soundmap(30, lambda t: [loud, other, loud], noise=0.0)
    assert in_view(plan(film, PlanOptions(preset=preset)), still(loud), 0, 30) > 0.9
    path = plan(film, PlanOptions(preset=preset), masks=[mask])
    assert in_view(path, still(other), 6, 30) == 1
    assert not any(mask.covers(looks(path, t)) for t in range(30))


def test_a_film_whose_sources_are_all_masked_holds():
    path = plan(soundmap(20, still((170, -20))), masks=[Mask((140.0, -150.0), (-90.0, 10.0))])
    assert path.speed().max() == 0


def test_masks_apply_only_in_their_time():
    mask = Mask((-30.0, 30.0), (-90.0, 90.0), start=10.0, end=20.0)
    path = plan(soundmap(30, lambda t: [(0, 0)] + ([(120, 0)] if 10 <= t <= 20 else [])), masks=[mask])
    assert angle_between(looks(path, 15), directions(120, 0)) < 6
    assert angle_between(looks(path, 5), directions(0, 0)) < 6


@pytest.mark.parametrize(("preset", "begin", "end"), [("default", 10.6, 10.9), ("paper", 8.0, 12.0)])
def test_a_mask_that_is_shorter_than_a_step_holds(preset, begin, end):
    """No middle of a step is in its time."""
    options = PlanOptions(preset=preset, step=5.0 if preset == "paper" else 1.0)
    mask = Mask((-40.0, 40.0), (-90.0, 90.0), begin, end)
    edges = np.arange(0.0, 20.1, options.step)
    film = soundmap(20, still((0, 0)))
    with_mask, without = (resample(film, options.resolved(), edges, masks).maps for masks in ([mask], []))
    masked = (with_mask < without).any(axis=(1, 2))
    assert edges[:-1][masked].tolist() == ([5, 10] if preset == "paper" else [10])


def test_masks_from_a_generator_count():
    footage = soundmap(20, still((170, -20)))
    masks = [Mask((140.0, -150.0), (-90.0, 10.0))]
    assert plan(footage, masks=(mask for mask in masks)).samples == pytest.approx(plan(footage, masks=masks).samples)


@pytest.mark.parametrize(
    "wrong", [{"pins": [{"from": 1}]}, {"pins": Pin(1, 2, 0, 0)}, {"pins": None}, {"masks": [Pin(1, 2, 0, 0)]}]
)
def test_what_is_no_pin_or_mask_is_named(wrong):
    with pytest.raises(TypeError, match="needed here, not"):
        plan(soundmap(4, still((0, 0))), **wrong)


@pytest.mark.parametrize("options", [PlanOptions(size="64x8192", fov=20), PlanOptions(size="64x8192", preset="paper")])
def test_a_path_of_the_narrowest_picture_can_be_read_again(tmp_path, options):
    path = plan(soundmap(4.0, lambda t: [(30.0, 0.0)]), options)
    path.save(tmp_path / "a.path.json")
    assert CameraPath.load(tmp_path / "a.path.json").samples == pytest.approx(path.samples, abs=1e-6)
