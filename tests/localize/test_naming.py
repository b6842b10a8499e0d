import numpy as np
import pytest

from pano_sound.localize.naming import named, plain

TAGS = ["Speech", "Animal", "Dog", "Bark", "Music", "Guitar", "Inside, small room"]


@pytest.mark.parametrize(
    ("scores", "names"),
    [
        ({"Music": 0.9, "Guitar": 0.6}, ["music", "guitar"]),
        ({"Music": 0.36}, ["music"]),
        ({"Music": 0.34}, []),
        ({"Animal": 0.9}, ["animal"]),
        ({"Animal": 0.9, "Dog": 0.7, "Bark": 0.8}, ["dog"]),
        ({"Inside, small room": 0.99}, []),
        ({"Music": 0.6, "Speech": 0.7, "Guitar": 0.65, "Bark": 0.55}, ["speech", "guitar", "music"]),
    ],
)
def test_only_sure_sounds_are_named_in_plain_words(scores, names):
    row = np.array([[scores.get(tag, 0.0) for tag in TAGS]], np.float32)
    assert named(TAGS, row).at(0) == names


@pytest.mark.parametrize(("least", "names"), [(0.6, ["guitar"]), (0.3, ["guitar", "music"]), (0.8, [])])
def test_the_threshold_can_be_changed(least, names):
    row = np.array([[0, 0, 0, 0, 0.4, 0.7, 0]], np.float32)
    assert named(TAGS, row, least).at(0) == names


@pytest.mark.parametrize(
    ("tag", "name"),
    [("Chicken, rooster", "chicken"), ("Keyboard (musical)", "keyboard"), ("Moo", "cattle"), ("Train", "train")],
)
def test_tags_become_everyday_words(tag, name):
    assert plain(tag) == name


def test_a_network_without_tags_names_nothing():
    none = named([], np.zeros((3, 0), np.float32))
    assert (none.names, none.scores.shape) == ((), (3, 0))
