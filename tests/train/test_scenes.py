"""Made scenes: the same for a seed, wrapped at the seam, and labelled at the true places."""

import cv2
import numpy as np
import pytest

from pano_sound.research.datasets.labelled import Item, Photograph
from pano_sound.research.train.scenes import HEIGHT, SMALLEST_BOXED, WIDTH, Crowds, Pasted, SceneMaker, as_scene, cells


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> SceneMaker:
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "still.png"), np.full((240, 480, 3), 40, np.uint8))
    items = []
    for label in ("dog", "cat", "cup"):
        path = folder / f"{label}.png"
        cv2.imwrite(str(path), np.full((100, 120, 3), 220, np.uint8))
        items.append(Item(path, label, "train", (0.1, 0.1, 0.9, 0.9)))
    return SceneMaker([folder / "still.png"], items, ["dog", "cat"], seed=3)


def test_the_same_scene_twice(maker: SceneMaker) -> None:
    first, again = maker.make(5), maker.make(5)
    assert np.array_equal(first.picture, again.picture)
    assert first.objects == again.objects
    assert not np.array_equal(first.picture, maker.make(6).picture)


def test_things_are_where_the_labels_say(maker: SceneMaker) -> None:
    crossing = 0
    for i in range(12):
        scene = maker.make(i)
        assert scene.picture.shape == (HEIGHT, WIDTH, 3)
        labels = [thing.label for thing in scene.objects]
        assert labels
        assert len(set(labels)) == len(labels)
        grey = scene.picture.mean(axis=2)
        for thing in scene.objects:
            x, y = int((thing.x0 + thing.x1) / 2) % WIDTH, int((thing.y0 + thing.y1) / 2)
            assert grey[y, x] > 120  # things are bright, the still is dark
            crossing += thing.x1 > WIDTH
        inside = np.zeros((HEIGHT, WIDTH), bool)
        for thing in scene.objects:
            columns = np.arange(int(thing.x0) - 4, int(thing.x1) + 5) % WIDTH
            inside[max(0, int(thing.y0) - 4) : int(thing.y1) + 5, columns] = True
        assert grey[~inside].max() < 80
    assert crossing > 0


def test_photographs_and_films_are_pasted_whole(maker: SceneMaker) -> None:
    item = next(iter(maker.by_label.values()))[0]
    photograph = Photograph(item.path, (("dog", (0.5, 0.5, 1.0, 1.0)), ("cup", (0.0, 0.0, 0.01, 0.01))))
    frame = Item(item.path, "clip:park", "train")
    both = SceneMaker([], [item], [item.label], seed=5, photographs=[photograph], frames=[frame])
    both.stills = maker.stills
    found = set()
    for i in range(6):
        for thing in both.make(i).objects:
            found.add(thing.label)
            assert thing.x1 - thing.x0 >= SMALLEST_BOXED  # so the cup is not asked for
    assert found == {"dog", item.label, "clip:park"}


def test_a_boxed_panorama_is_a_scene(maker: SceneMaker) -> None:
    item = next(iter(maker.by_label.values()))[0]
    scene = as_scene(Photograph(item.path, (("person", (0.25, 0.5, 0.5, 0.75)),)))
    assert scene.picture.shape == (HEIGHT, WIDTH, 3)
    assert scene.objects == (Pasted("person", 480.0, 480.0, 960.0, 720.0),)


def test_cells_of_a_thing_across_the_seam() -> None:
    covered = cells(Pasted("", WIDTH - 1.5, 64.0, WIDTH + 32.0, 96.0), 30, 60, 32)
    assert covered[2].sum() == pytest.approx(33.5 / 32, abs=1e-5)
    assert covered[2, 0] == pytest.approx(1.0)
    assert covered[2, 59] == pytest.approx(1.5 / 32)
    assert covered[[0, 1, 3, 4]].sum() == 0


def test_crowds_are_many_and_apart(maker: SceneMaker) -> None:
    items = [item for group in maker.by_label.values() for item in group]
    crowds = Crowds([], items, seed=3)
    crowds.stills = maker.stills
    counts = []
    for i in range(5):
        scene = crowds.make(i)
        counts.append(len(scene.objects))
        covered = np.zeros((HEIGHT, WIDTH), int)
        for thing in scene.objects:
            covered[int(thing.y0) : int(thing.y1), np.arange(int(thing.x0), int(thing.x1)) % WIDTH] += 1
        assert covered.max() == 1
    assert min(counts) > 8
