"""The tagger's pupil: its sounds are what they are said to be, and it learns what the tagger says of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pano_sound.errors import DataFileError
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.research.train.caches import WaveCache
from pano_sound.research.train.distil import (
    FASTEST,
    Features,
    Lesson,
    Piece,
    Pupil,
    Sounds,
    distil,
    features_of,
    joint_encoder,
    random_windows,
)
from pano_sound.research.train.tagger import SAMPLES, STEPS, doubled

MEL = {"name": "mel", "widths": [4, 4, 4, 4, 8, 8], "strides": [2, 2, 2, 2, 1]}
PARTS = [MEL, {"name": "wave", "widths": [4, 4, 4, 8, 8]}]


class Brightness:
    """A teacher of three tags that hears how high a sound is, however loud it is."""

    names = ("low", "middling", "high")

    def columns(self, waves: torch.Tensor) -> torch.Tensor:
        x = waves.unflatten(1, (STEPS, -1))
        height = x.diff(dim=2).abs().mean(dim=2, keepdim=True) / x.abs().mean(dim=2, keepdim=True).clamp(min=1e-6)
        return (height - 0.7) * torch.tensor([-1.0, 0.5, 1.0])

    def scores(self, pooled: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(5 * pooled)


@pytest.fixture
def model() -> Localizer:
    torch.manual_seed(0)
    return Localizer(**{**TINY, "sound_encoder": {"name": "joint", "parts": PARTS}, "tags": Brightness.names}).eval()


def sounds_of(waves: list[np.ndarray], labels: list[str | None]) -> Sounds:
    cache = WaveCache.__new__(WaveCache)
    cache.edges = np.concatenate([[0], np.cumsum([len(wave) for wave in waves])])
    cache.samples = np.rint(32767 * np.concatenate(waves)).astype(np.int16)
    return Sounds(cache, labels)


def test_pieces_hold_the_sounds_and_their_labels() -> None:
    waves = [np.full(SAMPLES * 2, 0.5), np.full(9000, 0.25), np.full(SAMPLES, 0.1), np.zeros(0)]
    sounds = sounds_of(waves, ["dog", "bell", None, "cat"])
    drawn, labels, held = sounds.draw(60, np.random.default_rng(0))
    assert drawn.shape == (60, SAMPLES)
    assert set(labels.tolist()) == {-1, 0, 2}  # an empty sound is never drawn
    for wave, label in zip(drawn, labels.tolist(), strict=True):
        assert float(wave.max()) == pytest.approx({-1: 0.1, 0: 0.25, 2: 0.5}[label], abs=1e-4)
        assert (wave > 0).all()  # short ones over and over again
    bells = held[(labels == 0).numpy()]
    once = bells[bells < SAMPLES]
    assert 0 < len(once) < len(bells)
    assert ((once >= 9000 / FASTEST - 1) & (once <= 9000 * FASTEST + 1)).all()
    assert (held[(labels == 2).numpy()] == SAMPLES).all()


def test_the_tagger_teaches_what_it_hears_without_silence(model: Localizer, tmp_path: Path) -> None:
    class Listener(Brightness):
        def columns(self, waves: torch.Tensor) -> torch.Tensor:
            assert (waves.unflatten(1, (-1, 512)).abs().amax(dim=2) > 0).all()
            return super().columns(waves)

    sounds = sounds_of([0.1 * np.random.default_rng(0).standard_normal(9000)], ["bell"])
    distil(model, Listener(), sounds, tmp_path, 2, batch=16)  # type: ignore[arg-type]


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.5])
def test_another_speed_is_another_pitch(speed: float) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * SAMPLES) / 16_000)
    found, _ = sounds_of([tone], ["tone"]).pieces(
        np.array([0]), np.array([100.5]), np.array([speed]), np.array([False])
    )
    peak = int(torch.fft.rfft(found[0]).abs().argmax())
    assert peak * 16_000 / SAMPLES == pytest.approx(1000 * speed, abs=1)


def test_the_end_of_a_sound_is_silent_or_its_beginning_again() -> None:
    wave = np.arange(1, 5001) / 5001
    sounds = sounds_of([wave], ["ramp"])
    one = np.array([0]), np.array([1000.0]), np.array([1.0])
    (alone, steps), (looped, all_steps) = (sounds.pieces(*one, np.array([again])) for again in (False, True))
    assert float(alone[0, 3999]) == pytest.approx(wave[-1], abs=1e-4)
    assert not alone[0, 4000:].any()
    assert float(looped[0, 4000]) == pytest.approx(wave[1000], abs=1e-4)
    assert steps.tolist() == [1]
    assert all_steps.tolist() == [STEPS]


@pytest.mark.slow
def test_distillation_teaches_the_tags_and_goes_on_where_it_was(model: Localizer, tmp_path: Path) -> None:
    tones = [0.1 * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / 16_000) for hertz in (300, 500, 4000, 6000)]
    sounds, teacher = sounds_of(tones, ["low", "low", "high", "high"]), Brightness()

    def wrong() -> float:
        pieces = [Piece(i, 0, "") for i in range(4)]
        found = features_of(model, teacher, sounds, pieces, 0)  # type: ignore[arg-type]
        assert found.encoded.shape == (1, 4, STEPS, 16)
        with torch.inference_mode():
            answers = model.tag_scores(found.encoded[0].float().mean(dim=1)).numpy()
        return float(np.abs(answers - found.tags).mean())

    before = wrong()
    distil(model, teacher, sounds, tmp_path, 40, batch=4, rate=5e-2)  # type: ignore[arg-type]
    after = wrong()
    assert after < 0.8 * before
    distil(model, teacher, sounds, tmp_path, 40, batch=4, rate=5e-2)  # type: ignore[arg-type]
    assert wrong() == pytest.approx(after)


def test_known_tags_are_taken_over(model: Localizer, tmp_path: Path) -> None:
    waves = [0.1 * np.random.default_rng(i).standard_normal(SAMPLES) for i in range(20)]
    head = model.tag_head
    assert head is not None
    before = head.weight.clone(), head.bias.clone()
    pupil = Pupil(joint_encoder(model), len(Brightness.names), 3, 1).eval()
    pupil.take_tags(head, torch.from_numpy(np.stack(waves)).float(), torch.full((20, 1, STEPS), 1 / STEPS))
    features = torch.randn(5, model.sound_encoder.features)
    torch.testing.assert_close(pupil.tags(pupil.norm(features)), head(features), rtol=1e-3, atol=1e-3)
    pupil.give_tags(head)
    torch.testing.assert_close((head.weight, head.bias), before, rtol=1e-3, atol=1e-3)
    for known in (True, False):
        folder = tmp_path / str(known)
        folder.mkdir()
        sounds, teacher = sounds_of(waves, ["hiss"] * len(waves)), Brightness()
        distil(model, teacher, sounds, folder, 2, batch=16, rate=1e-9, known_tags=known)  # type: ignore[arg-type]
        assert (head.weight.abs().max() > 0.01) == known


@pytest.mark.parametrize("known", [True, False])
def test_a_lesson_is_made_for_known_tags_alone_before_the_steps(
    model: Localizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    made = []

    class Counted(Lesson):
        def __init__(self, sounds: Sounds, n: int, *more: Any) -> None:
            made.append(n)
            super().__init__(sounds, n, *more)

    monkeypatch.setattr("pano_sound.research.train.distil.Lesson", Counted)
    sounds = sounds_of([0.1 * np.random.default_rng(0).standard_normal(SAMPLES)], ["hiss"])
    distil(model, Brightness(), sounds, tmp_path, 2, batch=16, known_tags=known)  # type: ignore[arg-type]
    assert made == [256] * known + [16, 16]


def test_a_short_sound_is_heard_as_when_nothing_follows_it(model: Localizer) -> None:
    waves = [0.1 * np.random.default_rng(i).standard_normal(n) for i, n in enumerate((9000, 2 * SAMPLES, 500))]
    pieces = [Piece(0, 0, "short"), Piece(1, 700, "long"), Piece(2, 0, "click"), Piece(0, 0, "short")]
    found = features_of(model, Brightness(), sounds_of(waves, ["short", "long", "click"]), pieces, 1)  # type: ignore[arg-type]
    assert found.encoded.shape == (2, 4, STEPS, 16)
    assert found.lengths[0].tolist() == [2, STEPS, 1, 2]
    with torch.inference_mode():
        alone = model.sound_encoder(torch.from_numpy(waves[0][: 7 * 1280]).float())
        followed = model.sound_encoder(torch.from_numpy(np.append(waves[0], np.zeros(SAMPLES))).float())[:2]
    assert not torch.allclose(followed, alone, rtol=0.05)
    for i in (0, 3):
        torch.testing.assert_close(found.encoded[0, i, :2].float(), alone, atol=2e-3, rtol=2e-3)
        assert not found.encoded[0, i, 2:].any()


def test_the_tagger_hears_a_short_sound_with_the_silence_after_it(model: Localizer) -> None:
    class Loudness(Brightness):
        def columns(self, waves: torch.Tensor) -> torch.Tensor:
            return waves.unflatten(1, (STEPS, -1)).abs().mean(dim=2, keepdim=True).expand(-1, -1, 3)

        def scores(self, pooled: torch.Tensor) -> torch.Tensor:
            return pooled

    sounds, pieces = (
        sounds_of([np.full(5120, 0.4), np.full(SAMPLES, 0.4)], ["a", "b"]),
        [Piece(0, 0, "a"), Piece(1, 0, "b")],
    )
    tags = features_of(model, Loudness(), sounds, pieces, 0).tags  # type: ignore[arg-type]
    np.testing.assert_allclose(tags[:, 0], [0.4 / STEPS, 0.4], atol=1e-3)


def test_windows_lie_where_there_is_sound() -> None:
    lengths = np.array([1, 2, 7, STEPS])
    windows = random_windows(lengths, 50, np.random.default_rng(0))
    torch.testing.assert_close(windows.sum(dim=2), torch.ones(4, 50))
    for window, length in zip(windows, lengths, strict=True):
        assert not window[:, length:].any()
        assert ((window > 0).sum(dim=1) >= min(3, length)).all()


def test_doubled_keeps_a_tone() -> None:
    t = torch.arange(4000) / 16_000
    tone = torch.sin(2 * torch.pi * 1000 * t)[None]
    t = torch.arange(8000) / 32_000
    wanted = torch.sin(2 * torch.pi * 1000 * t)[None]
    torch.testing.assert_close(doubled(tone)[:, 100:-100], wanted[:, 100:-100], atol=0.01, rtol=0)


def test_damaged_features_are_one_line(tmp_path: Path) -> None:
    kept = tmp_path / "sounds-features.npz"
    Features(torch.zeros(1, 2, STEPS, 3).half(), np.full((1, 2), STEPS), np.zeros((2, 1), np.float32)).save(kept)
    assert Features.load(kept).encoded.shape == (1, 2, STEPS, 3)
    whole = kept.read_bytes()
    for size in (0, 100, len(whole) - 10):
        kept.write_bytes(whole[:size])
        with pytest.raises(DataFileError, match="damaged"):
            Features.load(kept)
