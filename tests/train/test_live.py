"""What training sees and hears anew in each step: things stay where the targets say they are."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pano_sound.errors import PanoSoundError
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.research.datasets.labelled import Item
from pano_sound.research.train.distil import Piece, Sounds
from pano_sound.research.train.heads import Head
from pano_sound.research.train.live import LivePictures, LiveScenes, LiveSounds, turned_thing
from pano_sound.research.train.scenes import HEIGHT, WIDTH, Pasted, Scene, cells
from pano_sound.research.train.tagger import HOP, SAMPLES, STEPS


def averages(pictures: torch.Tensor) -> torch.Tensor:
    """Stands for the trunk: the mean colour of each cell of 32 x 32 pixels."""
    return torch.nn.functional.avg_pool2d(pictures, 32)


def test_a_part_of_a_picture_has_its_box_where_the_thing_is(tmp_path: Path) -> None:
    picture = np.zeros((320, 320, 3), np.uint8)
    picture[64:192, 32:128, 2] = 255  # OpenCV writes BGR: red
    cv2.imwrite(str(tmp_path / "red.png"), picture)
    item = Item(tmp_path / "red.png", "red", "train", (0.1, 0.2, 0.4, 0.6))
    pictures = LivePictures([item, Item(item.path, "red", "train")], averages)
    maps, targets = pictures.draw([0] * 60, np.random.default_rng(0))
    assert maps.shape == (60, 3, 10, 10)
    inside, outside = targets > 0.99, targets < 0.01
    red = maps[:, 0] - maps[:, 1]
    assert inside.any(dim=(1, 2)).all()
    assert red[inside].mean() > 10 * abs(red[outside].mean())
    assert torch.unique(targets, dim=0).shape[0] > 40  # other parts each time
    assert (pictures.draw([1], np.random.default_rng(0))[1] == 1).all()  # without a box all of it


@given(st.floats(0, WIDTH - 1), st.floats(33, 900), st.integers(0, WIDTH), st.booleans())
def test_a_thing_is_turned_as_its_scene_is(x0: float, wide: float, shift: int, mirrored: bool) -> None:
    thing = Pasted("dog", x0, 320.0, x0 + wide, 480.0)
    row = np.zeros(WIDTH)
    row[(int(x0) + np.arange(int(wide))) % WIDTH] = 1
    row = np.roll(row, shift)[:: -1 if mirrored else 1]
    turned = turned_thing(thing, shift, mirrored)
    assert 0 <= turned.x0 < WIDTH
    assert turned.x1 - turned.x0 == pytest.approx(wide)
    covered = cells(turned, HEIGHT // 32, WIDTH // 32, 32)[10]
    np.testing.assert_allclose(covered, row.reshape(-1, 32).mean(1), atol=0.07)


def scene(real: int, i: int) -> Scene:
    """A grey scene whose thing says its number."""
    return Scene(np.full((HEIGHT, WIDTH, 3), 10 * (i % 20), np.uint8), (Pasted(f"{i}", 0, 320, 96, 480),))


def late_scene(i: int) -> Scene:
    """As `scene`; the first one takes longer than the others."""
    time.sleep(0.5 if i == 0 else 0.0)
    return scene(2, i)


def no_scene(i: int) -> Scene:
    raise ValueError("the disk is full")


def test_the_oldest_made_scenes_are_replaced_and_real_ones_stay() -> None:
    with LiveScenes(late_scene, real=2, kept=6, lower=averages, processes=2) as scenes:
        while scenes.made < 12:
            scenes.wait_for(6)
        maps, objects = scenes.draw(1, lambda things: things[0].label in "01", np.random.default_rng(0))
        assert maps.shape == (1, 3, HEIGHT // 32, WIDTH // 32)
        assert objects[0][0].label in "01"
    labels = [int(things[0].label) for things in scenes.objects]
    assert labels[:2] == [0, 1]
    assert min(labels[2:]) >= 4  # of those made, the latest


def test_useful_scenes_are_waited_for() -> None:
    with LiveScenes(partial(scene, 1), real=1, kept=20, lower=averages, processes=1) as scenes:
        _, objects = scenes.draw(2, lambda things: int(things[0].label) >= 12, np.random.default_rng(0))
    assert len({things[0].label for things in objects}) == 2


def test_useful_scenes_are_not_waited_for_for_ever() -> None:
    told = "1 of 4 scenes show a thing that has a sound, 2 are needed"
    with (
        LiveScenes(partial(scene, 1), real=1, kept=4, lower=averages, processes=1) as scenes,
        pytest.raises(PanoSoundError, match=told),
    ):
        scenes.draw(2, lambda things: things[0].label == "0", np.random.default_rng(0))


def test_scenes_that_cannot_be_made_are_told_of() -> None:
    scenes = LiveScenes(no_scene, real=0, kept=4, lower=averages, processes=1)
    with scenes, pytest.raises(PanoSoundError, match="the disk is full"):
        scenes.wait_for(1)


class Waves:
    """Two sounds in one array, as `WaveCache` has them: silence, and a tone of 300 Hz."""

    samples = np.concatenate([np.zeros(HOP * 3), 9000 * np.sin(2 * np.pi * 300 / 16000 * np.arange(2 * SAMPLES))])
    samples = samples.astype(np.int16)
    edges = np.array([0, HOP * 3, HOP * 3 + 2 * SAMPLES])


def test_sounds_are_drawn_by_label_and_altered_each_time() -> None:
    model = Localizer(**TINY)
    sounds = Sounds(Waves(), ["quiet", "tone"])  # type: ignore[arg-type]
    pieces = [Piece(0, 0, "quiet"), Piece(1, 0, "tone"), Piece(1, SAMPLES, "tone")]
    live = LiveSounds(model.sound_encoder, sounds, pieces, {"~whistle": [2]})
    rng = np.random.default_rng(0)
    drawn = live.draw(["tone"] * 8 + ["~whistle"], rng)
    assert drawn.shape == (9, model.sound_encoder.features)
    assert torch.isfinite(drawn).all()
    assert len(torch.unique(drawn, dim=0)) == 9
    assert torch.isfinite(live.draw(["quiet"] * 4, rng)).all()
    again = live.draw(["tone"] * 8 + ["~whistle"], np.random.default_rng(0))
    torch.testing.assert_close(again, drawn)  # as in a training that was stopped and goes on


def test_a_short_sound_that_is_not_altered_is_heard_with_nothing_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(Waves):
        edges = np.array([HOP, HOP * 3 + 4000])  # Silence, then a quarter of a second of the tone.

    monkeypatch.setattr("pano_sound.research.train.live._CLEAN", 1.0)
    torch.manual_seed(0)
    parts = [TINY["sound_encoder"], {"name": "wave", "widths": [4, 4, 4, 8, 8]}]  # The second levels what it hears.
    parts[0] = {"name": "mel", **parts[0]}
    model = Localizer(**{**TINY, "sound_encoder": {"name": "joint", "parts": parts}}).eval()
    live = LiveSounds(model.sound_encoder, Sounds(Short(), ["bell"]), [Piece(0, 0, "bell")], {})  # type: ignore[arg-type]
    wave = torch.from_numpy(Short.samples[HOP : HOP * 3 + 4000]).float() / 32767
    monkeypatch.setattr("pano_sound.research.train.live.random_windows", whole_windows)
    with torch.no_grad():
        alone = model.sound_features(wave[: len(wave) // 1280 * 1280]).mean(dim=0)
    torch.testing.assert_close(live.draw(["bell"] * 2, np.random.default_rng(0)), alone.expand(2, -1))


def whole_windows(lengths: np.ndarray, count: int, rng: np.random.Generator) -> torch.Tensor:
    inside = np.arange(STEPS) < lengths[:, None]
    return torch.from_numpy((inside / lengths[:, None]).astype(np.float32))[:, None]


def test_the_sound_encoder_stays_as_it_is() -> None:
    model = Localizer(**TINY).eval()
    sounds = Sounds(Waves(), ["quiet", "tone"])  # type: ignore[arg-type]
    live = LiveSounds(model.sound_encoder, sounds, [Piece(0, 0, "quiet"), Piece(1, 0, "tone")], {})
    before = {name: value.clone() for name, value in model.sound_encoder.state_dict().items()}
    wanted = live.draw(["tone"] * 4, np.random.default_rng(0))
    Head(model).train()
    torch.testing.assert_close(live.draw(["tone"] * 4, np.random.default_rng(0)), wanted)
    for name, value in model.sound_encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
