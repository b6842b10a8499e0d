"""The paper's attention, against numbers worked out by hand."""

import math

import torch

from pano_sound.localize.nets.attention import attended, mechanism1, mechanism2, response
from pano_sound.localize.nets.localizer import TINY, Localizer

# Four cells in a plane at 0°, 90°, 180° and 60° to the sound: cosines 1, 0, -1 and 1/2.
ANGLES = torch.tensor([0.0, 90.0, 180.0, 60.0]).deg2rad()
V = torch.stack([ANGLES.cos(), ANGLES.sin()]).reshape(1, 2, 2, 2)
H = torch.tensor([[1.0, 0.0]])


def test_response_is_the_cosine() -> None:
    torch.testing.assert_close(response(V, H), torch.tensor([[[1.0, 0.0], [-1.0, 0.5]]]))


def test_mechanism_1_is_a_softmax() -> None:
    e = [math.e, 1.0, 1 / math.e, math.sqrt(math.e)]
    expected = torch.tensor(e) / sum(e)
    torch.testing.assert_close(mechanism1(response(V, H)).flatten(), expected)


def test_mechanism_2_clips_negative_cosines() -> None:
    e = [math.e, 1.0, 1.0, math.sqrt(math.e)]
    attention = mechanism2(response(V, H)).flatten()
    torch.testing.assert_close(attention, torch.tensor(e) / sum(e))
    assert attention[1] == attention[2]


def test_temperature_sharpens() -> None:
    attention = mechanism1(response(V, H), temperature=0.5).flatten()
    assert math.isclose(attention[0] / attention[1], math.e**2, rel_tol=1e-5)


def test_attended_is_the_weighted_sum() -> None:
    attention = torch.tensor([[[0.5, 0.25], [0.25, 0.0]]])
    torch.testing.assert_close(attended(V, attention), torch.tensor([[0.25, 0.25]]))


def test_network_returns_unit_vectors_and_cosines() -> None:
    model = Localizer(**TINY).eval()
    v = model.visual(torch.randint(0, 256, (2, 3, 64, 128), dtype=torch.uint8), wrap=True)
    h = model.sound_embedding(torch.randn(2, 16))
    assert v.shape == (2, 16, 4, 8)
    torch.testing.assert_close(v.norm(dim=1), torch.ones(2, 4, 8))
    torch.testing.assert_close(h.norm(dim=1), torch.ones(2))
    raw = model.respond(v, h)
    assert raw.shape == (2, 4, 8)
    assert raw.abs().max() <= 1.0 + 1e-6
    whole = model(torch.zeros(2, 3, 64, 128), torch.rand(2, 16_000), wrap=True)
    assert whole.shape == (2, 4, 8)


def test_the_network_for_tests_has_few_parameters() -> None:
    assert sum(p.numel() for p in Localizer(**TINY).parameters()) < 10_000
