"""Fields that lie wrongly on the picture: turned, or with channels that are inverted or swapped."""

import re

import numpy as np
import pytest

from pano_sound.localize import fusion
from pano_sound.localize.alignment import align
from pano_sound.localize.cue import GRID, Evidence, normalized
from pano_sound.localize.spatial import blur
from pano_sound.pipeline.analyse import compared
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import angles, directions, wrap_degrees
from pano_sound.sphere.geometry import cell_directions

CELLS = cell_directions(*GRID).reshape(-1, 3)
PLACES = directions([-100, -20, 35, 80, 150, -60], [5, -10, 20, 0, 10, 35])
"""Where something sounds, in turns of eight seconds."""


def heard_from(places, width=8.0):
    nearest = (places @ CELLS.T).argmax(axis=1)
    return normalized(np.log(0.05 + 0.95 * blur(width, width)[nearest]).reshape(-1, *GRID)).repeat(16, axis=0)


TIMES = np.arange(16 * len(PLACES)) * 0.5
SEEN = heard_from(PLACES, 15.0)
MATRICES = {
    "Y channel is inverted": np.diag([1, -1, 1]),
    "X channel is inverted": np.diag([-1, 1, 1]),
    "Z channel is inverted": np.diag([1, 1, -1]),
    "W channel is inverted": np.diag([-1, -1, -1]),
    "X and Y channels are swapped": np.eye(3)[[1, 0, 2]],
    "Y and Z channels are swapped": np.eye(3)[[0, 2, 1]],
    "X and Z channels are swapped": np.eye(3)[[2, 1, 0]],
    # What FuMa stores as X, Y, Z is read as Y, Z, X.
    "FuMa": np.eye(3)[[2, 0, 1]],
}


def far(maps):
    """Degrees between the peaks of maps and the true places, at most."""
    peaks = CELLS[maps.reshape(len(maps), -1).argmax(axis=1)]
    return np.degrees(np.arccos(np.clip((peaks * PLACES.repeat(16, axis=0)).sum(axis=1), -1, 1))).max()


def likeliest(alignment, heard):
    """The directions in the likeliest case."""
    return max(alignment.alternatives(heard), key=lambda case: case[0])[1]


def test_a_field_that_agrees_is_left_alone():
    alignment = align(heard_from(PLACES), SEEN, TIMES)
    assert alignment.agrees > 0.99
    assert not alignment.doubtful
    assert alignment.fault is None


@pytest.mark.parametrize("turn", [-150, -66, 48, 90, 180])
def test_a_rotated_field_is_rotated_back_and_reported(turn):
    yaw, pitch = angles(PLACES)
    heard = heard_from(directions(yaw + turn, pitch))
    alignment = align(heard, SEEN, TIMES)
    degrees, side = re.search(r"turned against the picture by (\d+)° to the (right|left)", alignment.fault).groups()
    assert abs(wrap_degrees(int(degrees) * (1 if side == "right" else -1) - turn)) <= 3
    assert far(likeliest(alignment, heard)) < 8


@pytest.mark.parametrize("fault", MATRICES)
def test_inverted_or_swapped_channels_are_corrected_and_reported(fault):
    heard = heard_from(PLACES @ MATRICES[fault].T)
    alignment = align(heard, SEEN, TIMES)
    assert fault in alignment.fault
    assert far(likeliest(alignment, heard)) < 9


@pytest.mark.parametrize(
    ("heard", "seen", "order"),
    [
        (PLACES, SEEN, "ambix"),
        (PLACES @ MATRICES["FuMa"].T, SEEN, "fuma"),
        (PLACES, np.zeros_like(SEEN), None),
    ],
)
def test_an_open_order_of_channels_is_decided_by_the_picture_if_that_tells(heard, seen, order):
    assert align(heard_from(heard), seen, TIMES, open_order=True).order == order


def test_one_place_is_enough_to_decide_an_open_order_but_not_to_doubt_a_known_one():
    one, heard = slice(16), heard_from(PLACES[:1] @ MATRICES["FuMa"].T)
    assert align(heard, SEEN[one], TIMES[one], open_order=True).order == "fuma"
    assert align(heard, SEEN[one], TIMES[one]).fault is None


def film(heard, seen=SEEN / 2, times=TIMES, **source):
    zero = np.zeros(len(times), np.float32)
    fused = fusion.learnt().posterior({"motion": Evidence(seen, zero), "spatial": Evidence(heard, zero)})
    cues = {"motion": seen.astype(np.float16), "spatial": heard.astype(np.float16)}
    source = {"path": "a.mp4", **source}
    return SoundMap(times, fused[0].astype(np.float16), fused[1], zero - 20, source, cues=cues)


@pytest.mark.parametrize(("matrix", "order"), [(np.eye(3), "ambix"), (MATRICES["FuMa"], "fuma")])
def test_the_order_that_was_found_is_kept_in_the_sound_map_and_said(matrix, order, caplog):
    found = compared(film(heard_from(PLACES @ matrix.T), channel_order=None))
    assert found.source["channel_order"] == order
    assert far(found.cues["spatial"].astype(np.float32)) < 9
    assert {"ambix": "AmbiX", "fuma": "FuMa"}[order] in caplog.text


def test_with_nothing_to_see_or_to_hear_nothing_is_changed():
    nothing = np.zeros_like(SEEN)
    for heard, seen in ((heard_from(PLACES), nothing), (nothing, SEEN), (nothing[:0], SEEN[:0])):
        assert not align(heard, seen, TIMES[: len(heard)]).doubtful


def test_a_field_that_has_nothing_to_do_with_the_picture_counts_less(caplog):
    rng = np.random.default_rng(3)
    elsewhere = heard_from(directions(rng.uniform(-180, 180, 6), rng.uniform(-30, 30, 6)))
    alignment = align(elsewhere, SEEN, TIMES)
    assert alignment.unrelated > 0.5
    assert alignment.fault is None
    cases = list(alignment.alternatives(elsewhere))
    assert sum(share for share, _ in cases) == pytest.approx(1)
    assert max(cases, key=lambda case: case[0])[1] == pytest.approx(0)
    found = compared(film(elsewhere))
    assert far(film(elsewhere).posterior) > 50
    assert far(found.posterior) < 9
    assert "directions count less" in caplog.text


def test_what_is_known_is_the_mixture_of_what_is_known_in_each_case():
    heard = heard_from(PLACES[:2] @ MATRICES["Y channel is inverted"].T)
    seen, times = SEEN[:32], TIMES[:32]
    alignment = align(heard, fusion.learnt().looks({"motion": seen / 2}), times)
    expected = 0
    for share, moved in alignment.alternatives(heard):
        zero = np.zeros(len(times), np.float32)
        evidence = {"motion": Evidence(seen / 2, zero), "spatial": Evidence(moved, zero)}
        expected = expected + share * fusion.learnt().posterior(evidence)[0]
    assert compared(film(heard, seen / 2, times)).posterior.astype(float) == pytest.approx(expected, abs=2e-4)


def test_one_wrong_place_in_the_picture_is_not_blamed_on_the_field():
    one = slice(16)
    assert align(heard_from(PLACES[1:2]), SEEN[one], TIMES[one]).fault is None


def test_the_evidence_of_a_cue_can_be_replaced_after_fusion():
    rng = np.random.default_rng(0)
    semantic, before, after = (normalized(rng.normal(size=(5, *GRID))) for _ in range(3))
    weights = fusion.Fusion({"semantic": 1.5}, {}, -1.0, 0.3, {"spatial": 1.2})
    zero = np.zeros(5, np.float32)

    def fused(spatial):
        return weights.posterior({"semantic": Evidence(semantic, zero), "spatial": Evidence(spatial, zero)})

    posterior, elsewhere = weights.repointed(*fused(before), before, after, "spatial")
    assert posterior == pytest.approx(fused(after)[0], rel=1e-3)
    assert elsewhere == pytest.approx(fused(after)[1], rel=1e-3)
    silent = weights.repointed(np.zeros_like(before), np.ones(5, np.float32), before, after, "spatial")
    assert not silent[0].any()
    assert (silent[1] == 1).all()
