"""Directions that are read out of responses, and the table of their errors, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.research.evaluate.direction import READ_OUTS, Reading, SampledScene, evaluate, read_out, table
from pano_sound.sphere.convention import angles, directions
from pano_sound.sphere.geometry import angle_between, cell_directions

ROWS, COLUMNS = 30, 60


def scene(seconds: int) -> SampledScene:
    times = np.arange(float(seconds))
    ahead = np.tile(directions(0.0, 0.0), (seconds, 1))
    return SampledScene("a.mp4", "A", times, torch.zeros(seconds, 3, 1, 1, dtype=torch.uint8), ahead, None, "a")


def lobe(yaw: float, pitch: float) -> np.ndarray:
    """A response (1, rows, columns) that falls off around a direction."""
    return (cell_directions(ROWS, COLUMNS) @ directions(yaw, pitch)).astype(np.float32)[None]


@pytest.mark.parametrize("yaw", [-177.0, -87.0, 3.0, 123.0])
@pytest.mark.parametrize("pitch", [-27.0, 3.0])
def test_one_source_is_found_by_each_read_out(yaw: float, pitch: float) -> None:
    found = read_out(lobe(yaw, pitch), scene(1), Reading(), temperature=0.02)
    for name in READ_OUTS:
        assert angle_between(found[name], directions(yaw, pitch)[None])[0] < 10, name


def test_with_two_sources_only_the_mean_looks_between_them() -> None:
    both = np.maximum(1.05 * lobe(-57.0, 3.0), lobe(63.0, 3.0))
    found = read_out(both, scene(1), Reading(), temperature=0.02)
    assert abs(angles(found["peak"])[0][0] + 57) < 7
    assert abs(angles(found["glimpse"])[0][0] + 57) < 7
    even = read_out(np.maximum(lobe(-57.0, 3.0), lobe(63.0, 3.0)), scene(1), Reading(), temperature=0.02)
    assert abs(angles(even["mean"])[0][0] - 3) < 5


def test_maps_are_averaged_over_time() -> None:
    raw = np.concatenate([lobe(63.0, 3.0), lobe(-57.0, 3.0), 1.5 * lobe(63.0, 3.0)])
    alone = read_out(raw, scene(3), Reading(smooth=0.0), temperature=0.1)["peak"]
    together = read_out(raw, scene(3), Reading(smooth=2.0), temperature=0.1)["peak"]
    assert np.round(angles(alone)[0]).tolist() == [63, -57, 63]
    assert angles(together)[0][1] > 30


class Sound:
    """The features of a sound, which notes how many pictures ask for them."""

    def __init__(self, features: int) -> None:
        self.features, self.asked = features, []

    def pooled(self, times: np.ndarray, window: float) -> np.ndarray:
        self.asked.append(len(times))
        return np.zeros((len(times), self.features), np.float32)


def test_the_other_sound_is_of_another_place() -> None:
    model = Localizer(**TINY, panorama=[32, 64]).eval()
    scenes = []
    for count, place in ((1, "park"), (2, "park"), (3, "street")):
        pictures = torch.zeros(count, 3, 32, 64, dtype=torch.uint8)
        ahead, sound = np.tile(directions(0.0, 0.0), (count, 1)), Sound(model.sound_encoder.features)
        scenes.append(SampledScene(f"{count}.mp4", "A", np.arange(float(count)), pictures, ahead, sound, place))
    for seed in range(4):
        evaluate(model, scenes, torch.zeros(1, 16), Reading(), turns=1, seed=seed)
    first, second, street = (set(one.sound.asked) for one in scenes)
    assert (first | second, street) == ({1, 2, 3}, {1, 2, 3})
    assert 2 not in first
    assert 1 not in second


def test_the_table_counts_what_is_near() -> None:
    def record(hearing: str, error: float, yaw_error: float) -> dict[str, float | str]:
        return {
            "file": "a.mp4",
            "tier": "A",
            "hearing": hearing,
            "read_out": "peak",
            "error": error,
            "yaw_error": yaw_error,
            "response": 0.5,
        }

    records = [record("own", e, y) for e, y in ((10, 5), (25, 25), (30, 20), (90, 90))]
    records += [record(h, 90, 80) for h in ("another", "none")]
    for name in ("mean", "glimpse"):
        records += [{**r, "read_out": name} for r in records if r["read_out"] == "peak"]
    line = next(line for line in table(records).splitlines() if "peak" in line)
    assert line.split() == ["A", "peak", "50", "%", "28°", "75", "%", *["0", "%", "90°", "0", "%"] * 2]
