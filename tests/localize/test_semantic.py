"""When a picture goes through the network again."""

import threading
from itertools import pairwise

import numpy as np
import pytest

from pano_sound.errors import ModelError
from pano_sound.localize import semantic
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.torch_network import TorchNetwork
from pano_sound.localize.rotation import Orientation
from pano_sound.localize.semantic import SemanticCue
from pano_sound.sphere.convention import directions, rotation
from pano_sound.sphere.geometry import angle_between, cell_directions

ROWS, COLUMNS = 480, 960


def looks(monkeypatch, pictures):
    """Which of the pictures, at 0, 2, 4 … seconds, go through the network."""
    counts = [0, *(count_looks(monkeypatch, pictures[: n + 1]) for n in range(len(pictures)))]
    return [after > before for before, after in pairwise(counts)]


def count_looks(monkeypatch, pictures):
    network, seen = TorchNetwork(Localizer(**TINY).eval()), []
    monkeypatch.setattr(network, "embed_picture", lambda picture: seen.append(None))
    cue = SemanticCue(network, 3.0, 0.5)
    for n, picture in enumerate(pictures):
        cue.add_picture(2.0 * n, picture)
    cue.end_pictures()
    return len(seen)


def scene(noise=0.0, seed=0, **patch):
    random = np.random.default_rng(7)
    picture = np.kron(random.integers(40, 200, (30, 60, 3)), np.ones((16, 16, 1)))
    for value in patch.values():
        picture[200:216, 400:416] = value
    picture = picture + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(picture.round(), 0, 255).astype(np.uint8)


def test_a_still_scene_goes_through_the_network_once_whatever_its_noise(monkeypatch):
    assert looks(monkeypatch, [scene(2.0, seed) for seed in range(5)]) == [True, False, False, False, False]


def test_a_still_scene_goes_through_the_network_again_every_ten_seconds(monkeypatch):
    assert looks(monkeypatch, [scene()] * 12) == [True, False, False, False, False] * 2 + [True, False]


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 0, 0), (0, 255, 0)])
def test_small_things_that_appear_or_vanish_are_noticed(monkeypatch, colour):
    bare, with_it = scene(2.0, 1), scene(2.0, 2, patch=colour)
    assert looks(monkeypatch, [bare, with_it, with_it, bare]) == [True, True, False, True]


def test_slow_changes_add_up(monkeypatch):
    base = np.full((ROWS, COLUMNS, 3), 100, np.uint8)
    assert looks(monkeypatch, [base + n for n in range(5)]) == [True, False, False, True, False]


def test_a_picture_waits_for_the_workers_and_no_worker_for_a_picture(monkeypatch):
    network, free = TorchNetwork(Localizer(**TINY).eval()), threading.Event()
    network.pictures_at_once = 2
    monkeypatch.setattr(network, "embed_picture", lambda picture: free.wait(10))
    cue, added = SemanticCue(network, 3.0, 0.0), []

    def add():
        for n in range(5):
            cue.add_picture(n, scene(patch=50 * n))
            added.append(n)

    adding = threading.Thread(target=add)
    adding.start()
    adding.join(1.0)
    assert added == [0, 1, 2]  # two are computed, one is ready
    free.set()
    adding.join(10)
    assert added == [0, 1, 2, 3, 4]
    cue.end_pictures()


def ask(monkeypatch, embed_picture, pictures, requests, cuts=()):
    """The brightness, 0..256, of the picture to which each request was answered. Cuts are (time, when reported)."""
    network = TorchNetwork(Localizer(**TINY).eval())
    network.pictures_at_once = 2
    monkeypatch.setattr(network, "embed_picture", embed_picture)
    monkeypatch.setattr(network, "respond", lambda picture, sound: picture)
    cue = SemanticCue(network, 3.0, 0.5)
    cue.add_sound(np.zeros(16_000 * 12, np.float32))
    cue.end_sound()
    events = [(t, 1, level) for t, level in pictures] + [(t, 2, None) for t in requests]
    for t, kind, what in sorted([*events, *((late, 0, cut) for cut, late in cuts)]):
        if kind == 0:
            cue.add_cut(what)
        elif kind == 1:
            cue.add_picture(t, np.full((ROWS, COLUMNS, 3), what, np.uint8))
        else:
            cue.request(t)
    cue.end_pictures()
    return [round(float(level) * 256) for level in cue.responses()[:, 0, 0]]


def brightness(picture):
    return np.full((30, 60), picture.mean() / 256, np.float32)


def test_responses_are_to_the_nearest_picture_though_pictures_are_computed_at_once(monkeypatch):
    """The first picture takes longest."""
    others = threading.Event()

    def embed_picture(picture):
        if picture.mean() == 64:
            assert others.wait(10)
        others.set()
        return brightness(picture)

    found = ask(
        monkeypatch, embed_picture, zip(range(0, 9, 2), (64, 128, 192, 64, 224), strict=True), np.arange(0, 10, 0.5)
    )
    assert found == [*[64] * 2, *[128] * 4, *[192] * 4, *[64] * 4, *[224] * 6]


@pytest.mark.parametrize(
    ("pictures", "cut"),
    [
        ([(0, 64), (3, 64), (4.5, 128), (6, 128)], (4.3, 4.5)),
        ([(0, 64), (3, 128), (3.3, 128), (6, 128)], (2.9, 3.3)),  # reported after the next picture
        ([(0, 64), (0.6, 128), (3, 128), (6, 128)], (0.5, 0.6)),
    ],
)
def test_responses_are_to_a_picture_of_their_shot(monkeypatch, pictures, cut):
    times = np.arange(0, 8, 0.25)
    found = ask(monkeypatch, brightness, pictures, times, [cut])
    assert found == [128 if t >= cut[0] else 64 for t in times]


def test_a_picture_that_is_analysed_itself_is_the_nearest(monkeypatch):
    times = np.arange(0, 2, 0.25)
    assert ask(monkeypatch, brightness, [(t, 20 + 80 * t) for t in times], times) == [20 + 80 * t for t in times]


def test_weights_that_compute_nan_are_refused(monkeypatch):
    def embed_picture(picture):
        return np.full((30, 60), np.nan, np.float32)

    with pytest.raises(ModelError, match="NaN or infinity"):
        ask(monkeypatch, embed_picture, [(0, 64), (2, 64)], [0.0, 0.5])


@pytest.mark.parametrize("shape", [(15, 30), (20, 40), (60, 120)])
def test_responses_in_other_cells_stay_where_they_are(monkeypatch, shape):
    """A smooth bump across the seam, asked for in cells of another size."""

    def bump(rows, columns):
        down, across = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
        return np.sin(np.pi * down[:, None]) ** 2 * (1 + np.cos(2 * np.pi * across)) / 2

    network = TorchNetwork(Localizer(**TINY).eval())
    monkeypatch.setattr(network, "embed_picture", lambda picture: bump(*shape).astype(np.float32))
    monkeypatch.setattr(network, "respond", lambda picture, sound: picture)
    cue = SemanticCue(network, 3.0, 0.0)
    cue.add_sound(np.zeros(16_000, np.float32))
    cue.end_sound()
    cue.add_picture(0.0, np.zeros((ROWS, COLUMNS, 3), np.uint8))
    cue.request(0.0)
    cue.end_pictures()
    (found,) = cue.responses()
    assert np.abs(found - bump(30, 60)).max() < 0.02
    assert found == pytest.approx(found[:, ::-1], abs=1e-3)


def every_picture(monkeypatch, orientation, seconds=4.0):
    """A cue that looked at 30 pictures a second of a bright thing that a turning camera saw, and the times."""
    cells, thing = cell_directions(30, 60), directions(70.0, 20.0)
    times = np.arange(0, seconds, 1 / 30)
    seen = [np.exp(8 * (cells @ (orientation.at(t) @ thing) - 1)).astype(np.float32) for t in times]
    network = TorchNetwork(Localizer(**TINY).eval())
    monkeypatch.setattr(network, "embed_picture", lambda picture: seen[int(picture[0, 0, 0])])
    monkeypatch.setattr(network, "respond", lambda picture, sound: picture)
    cue = SemanticCue(network, 3.0, 0.0, orientation)
    cue.add_sound(np.zeros(round(16_000 * seconds), np.float32))
    cue.end_sound()
    for k, t in enumerate(times):
        # Unlike the one before, so that it goes through the network.
        picture = np.full((ROWS, COLUMNS, 3), 250 * (k % 2), np.uint8)
        picture[0, 0, 0] = k
        cue.add_picture(float(t), picture)
        cue.request(float(t))
    cue.end_pictures()
    return cue, times.tolist()


@pytest.mark.parametrize("turn", [0.0, 40.0])
@pytest.mark.parametrize("cut", [[], [2.01]])
def test_the_mean_of_many_looks_is_that_of_each_turned_alone(monkeypatch, turn, cut):
    """A camera that turns, and tilts a little, by steps like those that are measured, 15 times a second."""
    orientation = Orientation()
    for t in np.arange(0, 4, 1 / 15) if turn else []:
        orientation.add(t, rotation(turn * t, 8 * np.sin(t)).T)
    cue, times = every_picture(monkeypatch, orientation)
    for t in cut:
        cue.add_cut(t)
    summed = cue.evidence(times)["semantic"].maps[:].astype(np.float32)
    monkeypatch.setattr(semantic, "_FEW", len(times))
    alone = cue.evidence(times)["semantic"].maps[:].astype(np.float32)
    assert np.abs(summed - alone).max() < (0.02 * np.ptp(alone) if turn else 0.005)
    cells = cell_directions(30, 60).reshape(-1, 3)
    peaks = (cells[maps.reshape(len(times), -1).argmax(axis=1)] for maps in (summed, alone))
    assert angle_between(*peaks).max() < 6.1  # A cell: the peak may lie between two.


def test_responses_are_to_the_sound_of_their_time_though_several_are_computed_at_once(monkeypatch):
    network = TorchNetwork(Localizer(**TINY).eval())
    monkeypatch.setattr(network, "embed_picture", lambda picture: np.zeros((30, 60), np.float32))
    monkeypatch.setattr(network, "embed_sound", lambda pooled: pooled)
    monkeypatch.setattr(network, "respond", lambda picture, sound: picture + sound[0])
    times = np.arange(0, 2, 0.1)
    cue = SemanticCue(network, 3.0, 0.0)
    cue.add_sound(np.zeros(16_000 * 2, np.float32))
    cue.end_sound()
    monkeypatch.setattr(cue._features, "pooled", lambda times, window: np.asarray(times, np.float32)[:, None])
    for t in times:
        cue.add_picture(float(t), np.zeros((ROWS, COLUMNS, 3), np.uint8))
        cue.request(float(t))
    cue.end_pictures()
    assert cue.responses()[:, 0, 0] == pytest.approx(times, abs=1e-3)


def test_names_of_some_times_at_once_are_those_of_all_at_once(monkeypatch):
    cue = SemanticCue(TorchNetwork(Localizer(**TINY, tags=["Dog", "Speech"]).eval()), 1.0, 0.5)
    cue.start_sound(0.2)
    cue.add_sound(np.random.default_rng(0).normal(0, np.linspace(0.01, 0.3, 80_000)).astype(np.float32))
    cue.end_sound()
    monkeypatch.setattr(semantic, "named", lambda tags, scores: scores)
    times = np.arange(0.2, 5.2, 0.5)
    whole = cue.named(times)
    monkeypatch.setattr(semantic, "CHUNK", 3)
    np.testing.assert_allclose(cue.named(times), whole, rtol=1e-5)
    assert whole.std(axis=0).min() > 0
