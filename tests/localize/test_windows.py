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


def each(features: SoundFeatures) -> np.ndarray:
    """All features, (k, F)."""
    return features.pooled(features.times, 0.0)


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
        assert each(features).shape == whole.shape == (len(features.times), model.sound_encoder.features)
        np.testing.assert_allclose(each(features), whole, rtol=2e-3, atol=2e-3)
    assert whole.std() > 0.05


@pytest.mark.parametrize("window", [0.1, 1.0, 5.0, 20.0, 1000.0])
def test_pooling_equals_brute_force(model: Localizer, window: float) -> None:
    features = heard(model, noise(model, 40.0))
    times = np.array([-3.0, 0.0, 0.4, 7.77, 22.0, 39.9, 51.0])
    pooled = features.pooled(times, window)
    assert pooled.dtype == np.float32
    for t, got in zip(times, pooled, strict=True):
        inside = np.abs(features.times - t) <= window / 2 - model.sound_encoder.margin
        if not inside.any():
            inside[np.abs(features.times - t).argmin()] = True
        np.testing.assert_allclose(got, each(features)[inside].mean(0, np.float64), atol=1e-6)


def test_twenty_seconds_hold_about_the_papers_four_vectors() -> None:
    """SoundNet makes 4 vectors of 20 s when it is given nothing else, the outer ones with padding at the ends."""
    model = PaperLocalizer(**PAPER_TINY).eval()
    features = heard(model, noise(model, 120.0))
    middles = np.linspace(20, 100, 50)
    held = [(np.abs(features.times - t) <= 10 - model.sound_encoder.margin).sum() for t in middles]
    assert set(held) == {3, 4}
    for t, count in zip(middles, held, strict=True):
        first = np.searchsorted(features.times, t - 10 + model.sound_encoder.margin)
        expected = each(features)[first : first + count].mean(0, np.float64)
        np.testing.assert_allclose(features.pooled([t], 20.0)[0], expected, atol=1e-6)


def test_silence_carries_no_weight_beside_sound(model: Localizer) -> None:
    wave = np.concatenate([noise(model, 16.0), np.zeros(24 * model.sound_rate, np.float32)])
    features = heard(model, wave)
    sounding = features.times - features.step / 2 < 16.0
    assert 0 < sounding.sum() < len(sounding)
    expected = each(features)[sounding].mean(0, np.float64)
    np.testing.assert_allclose(features.pooled([20.0], 100.0)[0], expected, atol=1e-3)
    silent = np.abs(features.times - 31.0) <= 7.0 - model.sound_encoder.margin
    expected = each(features)[silent].mean(0, np.float64)
    np.testing.assert_allclose(features.pooled([31.0], 14.0)[0], expected, atol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 5119, 5120, 5121, 242_141, 242_142, 310_000])
def test_a_track_shorter_than_a_window_has_features(model: Localizer, samples: int) -> None:
    features = heard(model, np.full(samples, 0.1, np.float32))
    assert len(each(features)) == len(features.times) >= 1
    assert np.isfinite(features.pooled([0.0, 9.0], 1.0)).all()


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
    less = round(3400 / model.sound_encoder.step) * model.sound_encoder.hop
    short = heard(model, np.concatenate([before, np.zeros(3600 * model.sound_rate - less, np.float32), after]))
    for at, same in ((20.0, 20.0), (100.0, 1800.0), (3660.0 - less / model.sound_rate, 3660.0)):
        np.testing.assert_allclose(features.pooled([same], 20), short.pooled([at], 20), rtol=2e-2, atol=1e-2)
    assert features.pooled([], 20).shape == (0, model.sound_encoder.features)
