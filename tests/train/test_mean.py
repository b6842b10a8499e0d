"""The mean of networks."""

import pytest
import torch

from pano_sound.errors import ModelError
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.research.train.mean import mean

SURROUNDINGS = {"channels": 4, "widths": [3]}


def network(seed: int, **options: object) -> Localizer:
    torch.manual_seed(seed)
    model = Localizer(**TINY, **options).eval()  # type: ignore[arg-type]
    if model.surroundings is not None:
        torch.nn.init.normal_(model.surroundings.expand.weight)
    return model


def test_every_number_is_the_mean() -> None:
    first, second = network(0), network(1)
    second.set_presence(20.0, 0.5)
    wanted = {key: (value.clone() + second.state_dict()[key]) / 2 for key, value in first.state_dict().items()}
    steepness = (first.presence[0] + 20.0) / 2
    found = mean([first, second])
    for key, value in found.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, wanted[key])
    assert found.presence[0] == steepness


def test_who_lacks_surroundings_adds_nothing_from_them() -> None:
    plain, full = network(0), network(1, surroundings=SURROUNDINGS)
    same = network(1, surroundings=SURROUNDINGS)
    found = mean([plain, full])
    x = torch.rand(1, found.trunk.channels, 6, 8)
    assert found.surroundings is not None
    assert same.surroundings is not None
    torch.testing.assert_close(found.surroundings(x, True), same.surroundings(x, True) / 2)


def test_other_architectures_are_refused() -> None:
    with pytest.raises(ModelError):
        mean([network(0), Localizer(**{**TINY, "embedding": 8})])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tags": ["bell", "dog"]}, {"tags": ["dog", "bell"]}),
        ({"mechanism": 1}, {"mechanism": 2}),
        ({"panorama": [480, 960]}, {"panorama": [960, 1920]}),
        ({"surroundings": SURROUNDINGS}, {"surroundings": {**SURROUNDINGS, "widths": [5]}}),
    ],
)
def test_networks_whose_numbers_mean_something_else_are_refused(one: dict, other: dict) -> None:
    with pytest.raises(ModelError, match=next(iter(one))):
        mean([network(0, **one), network(1, **other)])
