"""Ensembles of sound heads."""

import pytest
import torch
from torch.nn.functional import normalize

from pano_sound.errors import ModelError
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.paper import PAPER_TINY, PaperLocalizer
from pano_sound.research.train.ensemble import ensemble


def with_another_head(seed: int) -> Localizer:
    torch.manual_seed(0)
    model = Localizer(**TINY).eval()
    torch.manual_seed(seed)
    for part in model.audio_head:
        for value in part.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
    model.set_presence(float(10 + seed), 0.3)
    return model


def test_the_head_gives_the_mean_of_what_theirs_give() -> None:
    networks = [with_another_head(seed) for seed in (1, 2, 3)]
    found = ensemble(networks)
    x = torch.randn(5, found.sound_encoder.features)
    torch.testing.assert_close(
        found.sound_embedding(x),
        normalize(torch.stack([network.audio_head(x) for network in networks]).mean(dim=0), dim=1),
        rtol=1e-3,
        atol=1e-4,
    )
    assert found.config["hidden"] == 3 * TINY["hidden"]
    assert found.presence == (12.0, pytest.approx(0.3))


def test_all_else_stays() -> None:
    network = with_another_head(1)
    picture, wave = torch.rand(1, 3, 64, 64) * 255, torch.randn(16000) / 10
    found = ensemble([network, with_another_head(2)])
    torch.testing.assert_close(found.visual(picture, False), network.visual(picture, False))
    torch.testing.assert_close(found.sound_features(wave), network.sound_features(wave))


def test_networks_that_differ_elsewhere_are_refused() -> None:
    other = with_another_head(1)
    with torch.no_grad():
        other.log_temperature.add_(1)
    with pytest.raises(ModelError, match="more than their sound heads"):
        ensemble([with_another_head(1), other])
    with pytest.raises(ModelError, match="more than their sound heads"):
        ensemble([with_another_head(1), Localizer(**{**TINY, "embedding": 8})])
    with pytest.raises(ModelError, match="kind of base"):
        ensemble([with_another_head(1), PaperLocalizer(**PAPER_TINY)])
