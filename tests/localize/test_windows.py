"""Sound features of a track: streaming equals the whole, sliding pooling equals brute force, silence is silent."""

import numpy as np
import pytest
import torch

from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.paper import PAPER_TINY, PaperLocalizer
from pano_sound.localize.nets.torch_network import TorchNetwork
from pano_sound.localize.windows import SoundFeatures


@pytest.fixture(scope="module", params=["mel", "soundnet"])
def model(request: pytest.FixtureRequest) -> Localizer:
    torch.manual_seed(0)
    model = Localizer(**TINY) if request.param == "mel" else PaperLocalizer(**PAPER_TINY)
    for norm in model.eval().sound_encoder.modules():  # statistics as after training, so that features are of size one
        if isinstance(norm, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            norm.train()
            norm.momentum = None
    with torch.no_grad():
        model.sound_features(torch.randn(model.sound_rate * 20) * 0.1)
    return model.eval()


def heard(model: Localizer, wave: np.ndarray, *cuts: int) -> SoundFeatures:
    features = SoundFeatures(TorchNetwork(model))
    for part in np.split(wave, cuts):
        features.add(part)
    features.finish()
    return features


def noise(model: Localizer, seconds: float, seed: int = 0) -> np.ndarray:
    """Noise that gets louder and softer, so that places differ."""
    rng = np.random.default_rng(seed)
    n = round(seconds * model.sound_rate)
    return (rng.normal(0, 0.1, n) * (1.2 + np.sin(np.arange(n) / 9000))).astype(np.float32)


def test_streaming_equals_the_whole_track(model: Localizer) -> None:
    wave = noise(model, 75.3)
    with torch.inference_mode():
        whole = model.sound_features(torch.from_numpy(wave)).numpy()
    cuts = np.sort(np.random.default_rng(1).integers(0, len(wave), 40))
    for features in (heard(model, wave), heard(model, wave, *cuts)):
        assert features.features.dtype == np.float16
        assert features.features.shape == whole.shape == (len(features.times), model.sound_encoder.features)
        np.testing.assert_allclose(features.features, whole, rtol=2e-3, atol=2e-3)
    assert whole.std() > 0.05


@pytest.mark.parametrize("window", [0.1, 1.0, 5.0, 20.0, 1000.0])
def test_pooling_equals_brute_force(model: Localizer, window: float) -> None:
    wave = noise(model, 40.0)
    features = heard(model, wave)
    times = np.array([-3.0, 0.0, 0.4, 7.77, 22.0, 39.9, 51.0])
    pooled, level = features.pooled(times, window), features.level(times, window)
    assert pooled.dtype == np.float32
    between = (features.times[1:] + features.times[:-1]) / 2 * model.sound_rate
    edges = np.rint([0, *between, len(wave)]).astype(int)
    for t, got, decibels in zip(times, pooled, level, strict=True):
        inside = np.abs(features.times - t) <= window / 2 - model.sound_encoder.margin
        if not inside.any():
            inside[np.abs(features.times - t).argmin()] = True
        np.testing.assert_allclose(got, features.features[inside].astype(np.float64).mean(0), atol=1e-6)
        first, last = np.flatnonzero(inside)[[0, -1]]
        power = np.mean(wave[edges[first] : edges[last + 1]].astype(np.float64) ** 2)
        assert decibels == pytest.approx(10 * np.log10(power), abs=0.01)


def test_twenty_seconds_hold_about_the_papers_four_vectors() -> None:
    """SoundNet makes 4 vectors of 20 s when it is given nothing else, the outer ones with padding at the ends."""
    model = PaperLocalizer(**PAPER_TINY).eval()
    features = heard(model, noise(model, 120.0))
    middles = np.linspace(20, 100, 50)
    held = [(np.abs(features.times - t) <= 10 - model.sound_encoder.margin).sum() for t in middles]
    assert set(held) == {3, 4}
    for t, count in zip(middles, held, strict=True):
        first = np.searchsorted(features.times, t - 10 + model.sound_encoder.margin)
        expected = features.features[first : first + count].astype(np.float64).mean(0)
        np.testing.assert_allclose(features.pooled([t], 20.0)[0], expected, atol=1e-6)


def test_level_of_a_known_tone(model: Localizer) -> None:
    t = np.arange(model.sound_rate * 40) / model.sound_rate
    wave = np.where(t < 20, 0.1 * np.sin(2 * np.pi * 440 * t), 0.0).astype(np.float32)
    level = heard(model, wave, 1, 3000, 90000).level([10.0, 30.0], 12.0)
    assert level[0] == pytest.approx(-23.0, abs=0.05)  # a sine of amplitude 0.1: -20 dB - 3 dB
    assert level[1] == -120.0


def test_silence_carries_no_weight_beside_sound(model: Localizer) -> None:
    wave = np.concatenate([noise(model, 16.0), np.zeros(24 * model.sound_rate, np.float32)])
    features = heard(model, wave)
    sounding = features.levels > -70
    assert 0 < sounding.sum() < len(sounding)
    expected = features.features[sounding].astype(np.float64).mean(0)
    np.testing.assert_allclose(features.pooled([20.0], 100.0)[0], expected, atol=1e-3)
    silent = np.abs(features.times - 31.0) <= 7.0 - model.sound_encoder.margin
    expected = features.features[silent].astype(np.float64).mean(0)
    np.testing.assert_allclose(features.pooled([31.0], 14.0)[0], expected, atol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 5119, 5120, 5121, 242_141, 242_142, 310_000])
def test_a_track_shorter_than_a_window_has_features_and_a_level(model: Localizer, samples: int) -> None:
    features = heard(model, np.full(samples, 0.1, np.float32))
    assert len(features.features) == len(features.levels) == len(features.times) >= 1
    assert np.isfinite(features.pooled([0.0, 9.0], 1.0)).all()
    assert features.level([0.0], 1.0)[0] == pytest.approx(-20.0 if samples else -120.0, abs=0.01)


def test_pooling_before_the_sound_is_finished_raises(model: Localizer) -> None:
    with pytest.raises(RuntimeError, match="finish"):
        SoundFeatures(TorchNetwork(model)).pooled([0.0], 1.0)


@pytest.mark.slow
def test_an_hour_of_silence_is_computed_once(model: Localizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a recorder stalled: neither its time nor its memory grows with the hours."""
    computed: list[int] = []
    features = SoundFeatures(TorchNetwork(model))
    compute = model.sound_features
    monkeypatch.setattr(model, "sound_features", lambda wave: computed.append(len(wave)) or compute(wave))
    before, after = noise(model, 40.0), noise(model, 40.0, seed=1)
    features.add(before)
    for _ in range(180):
        features.add(np.zeros(20 * model.sound_rate, np.float32))
    features.add(after)
    features.finish()
    assert len(computed) < 15
    less = round(3400 / model.sound_step) * model.sound_encoder.hop
    short = heard(model, np.concatenate([before, np.zeros(3600 * model.sound_rate - less, np.float32), after]))
    for at, same in ((20.0, 20.0), (100.0, 1800.0), (3660.0 - less / model.sound_rate, 3660.0)):
        np.testing.assert_allclose(features.pooled([same], 20), short.pooled([at], 20), rtol=2e-2, atol=1e-2)
        np.testing.assert_allclose(features.level([same], 20), short.level([at], 20), atol=0.5)
    assert features.pooled([], 20).shape == (0, model.sound_encoder.features)
