"""Crowds of small pictures, and the trunk that learns to name them."""

import cv2
import numpy as np
import pytest
import torch

from pano_sound.datasets.labelled import Item
from pano_sound.localize.trunks import EfficientNetLite0
from pano_sound.train import adapt as adaptation
from pano_sound.train.adapt import FROZEN, adapt
from pano_sound.train.log import Log
from pano_sound.train.scenes import HEIGHT, IGNORED, WIDTH, Crowds, Pasted

LABELS = ("cat", "cup", "dog")


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Crowds:
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "still.png"), np.full((240, 480, 3), 40, np.uint8))
    items = []
    for k, label in enumerate(LABELS):
        cv2.imwrite(str(folder / f"{label}.png"), np.full((100, 120, 3), 120 + 50 * k, np.uint8))
        items.append(Item(folder / f"{label}.png", label, "train"))
    return Crowds([folder / "still.png"], items, seed=3)


def test_crowds_are_many_and_apart(crowds: Crowds) -> None:
    scene = crowds.make(0)
    assert len(scene.objects) > 12
    free = np.zeros((HEIGHT, WIDTH), int)
    for thing in scene.objects:
        columns = np.arange(int(thing.x0), int(thing.x1)) % WIDTH
        free[int(thing.y0) : int(thing.y1), columns] += 1
    assert free.max() == 1
    assert {thing.label for thing in scene.objects} == set(LABELS)


def test_targets_name_the_cells() -> None:
    crowds = Crowds.__new__(Crowds)
    crowds.sounding = list(LABELS)
    # Cell (row 3, column 5) at stride 32 is the square from (151.5, 87.5) to (183.5, 119.5).
    whole = Pasted("dog", 151.5, 87.5, 215.5, 119.5)  # two cells, exactly
    small = Pasted("cup", 410.0, 215.5, 440.0, 240.0)  # part of one cell, or two
    target = crowds.targets([whole, small], 32)
    assert target.shape == (15, 30)
    assert target[3, 5] == target[3, 6] == 2
    assert (target == 1).sum() == 1
    assert (target == IGNORED).sum() == 1
    assert (target == 3).sum() == 15 * 30 - 4  # nothing is there


def test_only_the_later_blocks_learn_and_only_after_the_names(crowds: Crowds, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(adaptation, "WARM", 1)
    torch.manual_seed(0)
    trunk = EfficientNetLite0(32)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    adapt(trunk, crowds, tmp_path, steps=1)
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
    adapt(trunk, crowds, tmp_path, steps=3, log=Log(tmp_path / "log.jsonl"))  # goes on at step 1
    learnt = torch.load(tmp_path / "trunk.pt", weights_only=True)["trunk"]["head.weight"]
    torch.testing.assert_close(trunk.head.weight, torch.lerp(before["head.weight"], learnt, adaptation.MOVED))
    changed = {name for name, value in trunk.state_dict().items() if not torch.equal(value, before[name])}
    frozen = {name for name in before if name.startswith(("stem", *(f"blocks.{i}." for i in range(FROZEN))))}
    assert changed
    assert not changed & frozen
    assert f"blocks.{FROZEN}.expand.weight" in changed
    assert "head.weight" in changed
    assert not any(p.requires_grad for p in trunk.parameters())
