"""The joint sound net: mel and wave at one pace, whatever the level, and computed in blocks as in one go."""

import math

import numpy as np
import pytest
import torch

from pano_sound.localize.architecture import LOUDNESS
from pano_sound.localize.nets.joint_encoder import JointEncoder, levelled
from pano_sound.localize.nets.localizer import Localizer
from pano_sound.localize.nets.torch_network import TorchNetwork
from pano_sound.localize.windows import SoundFeatures
from pano_sound.research.train.pretrained import resampled

PARTS = [
    {"name": "mel", "widths": [4, 8, 8, 8, 16], "strides": [2, 2, 2, 2]},
    {"name": "wave", "widths": [4, 4, 8, 8, 16]},
    {"name": "wave", "widths": [4, 4, 8, 8, 16], "level": False},
]


@pytest.fixture
def sound_encoder() -> JointEncoder:
    torch.manual_seed(0)
    return JointEncoder(PARTS).eval()


@pytest.mark.parametrize("samples", [1, 400, 5119, 5120, 5121, 16_000, 100_000])
def test_there_is_one_vector_of_all_encoders_per_step(sound_encoder: JointEncoder, samples: int) -> None:
    with torch.inference_mode():
        features = sound_encoder(0.1 * torch.randn(samples))
    assert features.shape == (sound_encoder.count(samples), 48)
    assert torch.isfinite(features).all()


def test_all_encoders_hear_the_same_moment(sound_encoder: JointEncoder) -> None:
    """A click moves the vectors around it in all parts, the same ones."""
    silence = 0.05 * torch.randn(1, 30 * sound_encoder.hop)
    clicked = silence.clone()
    at = 15 * sound_encoder.hop + 200
    clicked[0, at - 100 : at + 100] += 0.5
    with torch.inference_mode():
        change = (sound_encoder.from_waves(clicked) - sound_encoder.from_waves(silence)).abs()[0]
    steps = torch.arange(30.0)
    for part in change.split(16, dim=1):
        weight = part.mean(1) * ((steps - 15).abs() <= 3)
        assert float((weight * steps).sum() / weight.sum()) == pytest.approx(15.0, abs=0.5)


def test_what_a_vector_depends_on(sound_encoder: JointEncoder) -> None:
    before, after = sound_encoder.field
    waves = 0.1 * torch.randn(1, 40 * sound_encoder.hop)
    at = 20 * sound_encoder.hop
    outside = waves.clone()
    outside[:, : at - before] = 0.1 * torch.randn(at - before)
    outside[:, at + after :] = 0.1 * torch.randn(waves.shape[1] - at - after)
    with torch.inference_mode():
        torch.testing.assert_close(sound_encoder.from_waves(waves)[0, 20], sound_encoder.from_waves(outside)[0, 20])


def test_blocks_give_the_same_vectors_as_the_whole(sound_encoder: JointEncoder) -> None:
    torch.manual_seed(0)
    model = Localizer({"name": "tiny"}, {"name": "joint", "parts": PARTS}, 8, 8).eval()
    wave = (0.1 * np.random.default_rng(0).standard_normal(80 * 16_000)).astype(np.float32)
    parts = SoundFeatures(TorchNetwork(model))
    for block in np.split(wave, [7_001, 500_000, 900_123]):
        parts.add(block)
    parts.finish()
    with torch.inference_mode():
        whole = model.sound_features(torch.from_numpy(wave)).numpy()
    np.testing.assert_allclose(parts.pooled(parts.times, 0.0), whole, atol=2e-3)


def test_far_sounds_are_brought_near_and_silence_is_not() -> None:
    waves = torch.randn(1, 64_000) * torch.tensor([[0.5], [0.005]])
    out = levelled(waves)
    assert (out.std(1) / LOUDNESS).tolist() == pytest.approx([1.0, 1.0], abs=0.05)
    assert levelled(torch.zeros(1, 64_000)).abs().max() == 0


def test_resampled_kernels_answer_as_before() -> None:
    """A band-pass kernel for 22,050 Hz, made for 16 kHz, passes the same tones."""
    taps = torch.arange(64) - 31.5
    kernel = (torch.hann_window(64) * torch.cos(2 * math.pi * 1500 * taps / 22_050))[None, None]
    new = resampled(kernel, 22_050, 16_000, 46)
    assert new.shape == (1, 1, 46)
    for hertz in (300, 1500, 3000, 6000):
        answers = []
        for rate, weights in ((22_050, kernel), (16_000, new)):
            tone = torch.sin(2 * math.pi * hertz * torch.arange(rate) / rate)[None, None]
            answers.append(torch.nn.functional.conv1d(tone, weights)[0, 0].square().mean().sqrt())
        assert float(answers[1]) == pytest.approx(float(answers[0]), abs=0.02 * float(kernel.abs().sum()))


@pytest.mark.parametrize("steps", range(-3, 9))
def test_sound_of_any_length_can_be_pooled_to_its_end(steps: int) -> None:
    """Features are computed in blocks of 30 s. The last block may be short, or longer by what a vector depends on."""
    torch.manual_seed(0)
    model = Localizer({"name": "tiny"}, {"name": "joint", "parts": PARTS}, 8, 8).eval()
    hop = model.sound_encoder.hop
    wave = (0.1 * np.random.default_rng(0).standard_normal((94 + steps) * hop - 100)).astype(np.float32)
    features = SoundFeatures(TorchNetwork(model))
    features.add(wave)
    features.finish()
    with torch.inference_mode():
        whole = model.sound_features(torch.from_numpy(wave)).numpy()
    np.testing.assert_allclose(features.pooled(features.times, 1e-6), whole, atol=2e-3)
    np.testing.assert_allclose(features.pooled([0.0], np.inf)[0], whole.mean(axis=0), atol=2e-3)
