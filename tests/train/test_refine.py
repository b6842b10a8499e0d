"""The second teacher: what is kept is what the encoder computes, and the layers above it learn."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pano_sound.localize.nets.joint_encoder import JointEncoder
from pano_sound.localize.nets.network import TINY, Localizer
from pano_sound.research.train.caches import WaveCache
from pano_sound.research.train.refine import SAMPLES, STEPS, Lower, Piece, Upper, cut, doubled, lower, refine

MEL = {"name": "mel", "widths": [4, 4, 4, 4, 8, 8], "strides": [2, 2, 2, 2, 1]}
PARTS = [MEL, {"name": "wave", "widths": [4, 4, 4, 8, 8]}]


class Names:
    """A teacher of three tags that hears how loud it is."""

    names = ("quiet", "middling", "loud")

    def columns(self, waves: torch.Tensor) -> torch.Tensor:
        return waves.unflatten(1, (STEPS, -1)).abs().mean(dim=2, keepdim=True) * torch.tensor([-1.0, 0.5, 1.0])

    def scores(self, pooled: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(20 * pooled)


@pytest.fixture
def model() -> Localizer:
    torch.manual_seed(0)
    return Localizer(**{**TINY, "sound_encoder": {"name": "joint", "parts": PARTS}, "tags": Names.names}).eval()


@pytest.fixture
def waves(tmp_path: Path) -> WaveCache:
    cache = WaveCache.__new__(WaveCache)
    sounds = [np.full(SAMPLES + 900, 1000 * k, np.int16) for k in range(1, 5)] + [np.full(9000, 9000, np.int16)]
    cache.edges = np.concatenate([[0], np.cumsum([len(sound) for sound in sounds])])
    cache.samples = np.concatenate(sounds)
    return cache


def test_the_upper_layers_go_on_where_the_lower_ones_end(model: Localizer, waves: WaveCache, tmp_path: Path) -> None:
    pieces = [Piece(0, 300, "hum"), Piece(4, 0, "click")]
    assert isinstance(model.sound_encoder, JointEncoder)
    known = lower(model.sound_encoder, Names(), waves, pieces, tmp_path, 1, 0)  # type: ignore[arg-type]
    assert known.lengths.tolist() == [[STEPS, 2], [STEPS, STEPS]]
    with torch.inference_mode():
        upper = Upper(model, 2, 3, 2).eval()
        features = upper.features(*(torch.from_numpy(a[0]).float() for a in (known.low, known.rest)))
        for k, piece in enumerate(pieces):
            wave = torch.from_numpy(cut(waves[piece.sound], piece, looped=False))[None]
            whole = model.sound_encoder.from_waves(wave)[0]
            torch.testing.assert_close(features[k], whole, atol=2e-2, rtol=2e-2)


def test_refining_teaches_the_tags_and_goes_on(model: Localizer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    loud = rng.uniform(-0.2, 0.2, 12)
    taught = (loud[None, :, None, None] * np.ones((1, 12, STEPS, 3))).astype(np.float16)
    low = np.repeat(rng.normal(0, 0.1, (1, 12, STEPS, 1)) + 5 * loud[None, :, None, None], 8 * 2, 3)
    rest = np.zeros((1, 12, STEPS, 8), np.float16)
    known = Lower(low.astype(np.float16), rest, taught, np.full((1, 12), STEPS))
    pieces = [Piece(i, 0, "hum" if i % 2 else "click") for i in range(12)]

    def wrong(features: torch.Tensor) -> float:
        with torch.inference_mode():
            answers = model.tag_scores(features[0].float().mean(dim=1))
        return float((answers - Names().scores(torch.from_numpy(taught[0, :, 0]).float())).abs().mean())

    first = refine(model, Names(), known, pieces, tmp_path, 2, head_rate=2e-2, batch=6)  # type: ignore[arg-type]
    before = wrong(first)
    assert first.shape == (1, 12, STEPS, 16)
    features = refine(model, Names(), known, pieces, tmp_path, 60, rate=1e-2, head_rate=2e-2, batch=6)  # type: ignore[arg-type]
    assert wrong(features) < 0.8 * before
    again = refine(model, Names(), known, pieces, tmp_path, 60, rate=1e-2, head_rate=2e-2, batch=6)  # type: ignore[arg-type]
    torch.testing.assert_close(again, features)


def test_doubled_keeps_a_tone() -> None:
    t = torch.arange(4000) / 16_000
    tone = torch.sin(2 * torch.pi * 1000 * t)[None]
    t = torch.arange(8000) / 32_000
    wanted = torch.sin(2 * torch.pi * 1000 * t)[None]
    torch.testing.assert_close(doubled(tone)[:, 100:-100], wanted[:, 100:-100], atol=0.01, rtol=0)


def test_short_pieces_end_in_silence_or_begin_again() -> None:
    wave = np.arange(1, 5001, dtype=np.float32)
    alone, looped = (cut(wave, Piece(0, 1000, ""), looped) for looped in (False, True))
    assert len(alone) == len(looped) == SAMPLES
    assert alone[3999] == 5000
    assert not alone[4000:].any()
    assert looped[4000] == 1001
