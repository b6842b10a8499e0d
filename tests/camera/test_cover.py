import numpy as np
import pytest
from scenes import CELLS, soundmap

from pano_sound.camera.coverage import kept_inside
from pano_sound.camera.planner import plan
from pano_sound.constraints import Pin
from pano_sound.options.camera import PlanOptions
from pano_sound.sphere.convention import angles

FRONT = [-90.0, 90.0, -90.0, 90.0]


@pytest.mark.parametrize("preset", ["default", "calm", "lively", "paper"])
def test_a_source_at_the_edge_of_a_half_sphere_is_shown_without_the_black(preset):
    heard = soundmap(20.0, lambda t: [(80.0, 0.0)])
    yaw, _ = angles(CELLS)
    heard.posterior[:, np.abs(yaw) > 90] = 0
    heard.source["covers"] = FRONT
    path = plan(heard, PlanOptions(preset=preset))
    ends = np.array([[s[1] - s[4] / 2, s[1] + s[4] / 2] for s in path.samples])
    assert ends.max() <= 90.001
    assert ends.min() >= -90.001
    assert ends[-1, 1] > 80


def test_whole_or_invalid_coverage_changes_nothing():
    samples = np.array([[0.0, 170.0, 80.0, 3.0, 90.0]])
    for covers in (None, [], ["a", 1, 2, 3], [np.nan, 1e308, 0, 0], [-180.0, 180.0, -90.0, 90.0]):
        kept, jumps = kept_inside(samples, covers, 16 / 9)
        assert (kept == samples).all()
        assert not jumps


@pytest.mark.parametrize(
    ("covers", "look", "kept"),
    [
        (FRONT, (60, 80), (45, 80)),
        (FRONT, (-170, 0), (-45, 0)),
        ([-180, 180, -30, 60], (100, -40), (100, 15)),  # 90° high, in a picture of 90°: its middle
        ([-30, 50, -90, 90], (-20, 10), (10, 10)),
    ],
)
def test_the_view_is_moved_no_more_than_needed(covers, look, kept):
    ((t, yaw, pitch, roll, hfov),), _ = kept_inside(np.array([[0.0, *look, 0.0, 90.0]]), covers, 1.0)
    assert (t, roll, hfov) == (0, 0, 90)
    assert (yaw, pitch) == pytest.approx(kept)


@pytest.mark.parametrize("preset", ["default", "calm", "lively"])
def test_from_one_edge_to_the_other_the_camera_cuts_instead_of_racing(preset):
    heard = soundmap(20.0, lambda t: [(-125.0 if t < 10 else 125.0, 0.0)])
    heard.source["covers"] = [-140.0, 140.0, -90.0, 90.0]
    path = plan(heard, PlanOptions(preset=preset))
    assert -125 < path.at(5.0)[0] < -94
    assert 94 < path.at(18.0)[0] < 125
    assert len(path.cuts) == 1
    assert path.speed().max() <= path.settings["max_speed"]


@pytest.mark.parametrize("end", [2.0, 9.0])
def test_a_pin_whose_view_reaches_beyond_the_picture_is_named(end, caplog):
    heard = soundmap(10.0, lambda t: [(20.0, 0.0)])
    heard.source["covers"] = FRONT
    plan(heard, PlanOptions(fov=90), pins=[Pin(2.0, end, 40.0, 0.0)])
    assert not caplog.records
    path = plan(heard, PlanOptions(fov=90), pins=[Pin(2.0, end, 150.0, 0.0)])
    assert path.at(2.0)[:2] == pytest.approx((45.0, 0.0))
    assert [record.message for record in caplog.records] == [
        f"the view at the pin from 2 s to {end:g} s would reach beyond the picture: it is at yaw 45, pitch 0"
    ]


def test_a_pin_that_leaves_the_picture_as_the_view_widens_for_the_next_one_is_named(caplog):
    heard = soundmap(14.0, lambda t: [(20.0, 0.0)])
    heard.source["covers"] = FRONT
    pins = [Pin(2.0, 10.0, 45.0, 0.0), Pin(10.5, 12.0, 0.0, 0.0, 150.0)]
    path = plan(heard, PlanOptions(fov=90), pins=pins)
    assert path.at(6.0)[0] == pytest.approx(45.0)
    assert path.at(9.7)[0] < 40
    assert [record.message[:76] for record in caplog.records if "reach beyond" in record.message] == [
        "the view at the pin from 2 s to 10 s would reach beyond the picture: it is a"
    ]
