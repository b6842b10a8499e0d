"""Augmentation of sounds keeps what it promises to keep."""

import math

import pytest
import torch

from pano_sound.research.train import augment

RATE = augment.RATE


def noise(n: int = 16) -> torch.Tensor:
    return 0.1 * torch.randn(n, RATE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_mixtures_have_the_stated_power(generator: torch.Generator) -> None:
    waves = torch.zeros(16, RATE)
    times = torch.arange(RATE) / RATE
    for i in range(16):  # tones at frequencies of their own: powers add
        waves[i] = 0.1 * torch.sin(2 * math.pi * 100 * (i + 1) * times)
    mixed, share = augment.mix(waves, generator, quietest=-20.0)
    power = augment.rms(mixed)[:, 0].square() / augment.rms(waves)[:, 0].square()
    torch.testing.assert_close(1 - 1 / power, share, atol=1e-3, rtol=0)
    assert 0 < int((share > 0).sum()) < 16
    assert float(share.max()) <= 0.5
    assert float(share[share > 0].min()) >= 0.0099


def test_silence_stays_silent(generator: torch.Generator) -> None:
    silence = torch.zeros(8, RATE)
    for function in (augment.colour, augment.reverberate, augment.far):
        assert function(silence, generator).abs().max() < 1e-4
    assert augment.level(silence, -20.0).abs().max() == 0


def test_levels(generator: torch.Generator) -> None:
    at_20 = augment.level(noise(), -20.0)
    torch.testing.assert_close(augment.rms(at_20), torch.full((16, 1), 0.1), atol=1e-3, rtol=0)
    decibels = 20 * torch.log10(augment.rms(augment.far(noise(), generator)))
    assert float(decibels.min()) > -50.5
    assert float(decibels.max()) < -9.5


def test_rooms_ring_on(generator: torch.Generator) -> None:
    clicks = torch.zeros(32, RATE)
    clicks[:, 100] = 1.0
    out = augment.reverberate(clicks, generator)
    ringing = out[:, 200:].abs().max(dim=1).values > 1e-4
    assert 0 < int(ringing.sum()) < 32
    assert (out[:, :100].abs().max() < 1e-3).item()  # nothing before the click
    torch.testing.assert_close(out[~ringing], clicks[~ringing])
