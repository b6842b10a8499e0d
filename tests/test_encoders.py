import pytest

from pano_sound.encoders import ENCODERS, bits_per_second
from pano_sound.options.video import VideoOptions


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_says_quality_and_effort_in_its_own_words(name):
    encoder = ENCODERS[name]
    for preset in encoder.presets:
        VideoOptions(codec=name, encoder_preset=preset)
        assert preset in encoder.options(None, None, preset).values()
    refused = "must be one of [a-z0-9]+, " if encoder.presets else f"^{name} has no `encoder_preset`$"
    with pytest.raises(ValueError, match=refused):
        VideoOptions(codec=name, encoder_preset="quickly")
    if encoder.default is None:
        with pytest.raises(ValueError, match="neither `crf` nor `bitrate`"):
            VideoOptions(codec=name, crf=20)
        return
    VideoOptions(codec=name, crf=encoder.best)
    VideoOptions(codec=name, crf=encoder.worst)
    worse = encoder.options(encoder.worst, None, None)
    assert worse != encoder.options(encoder.best, None, None)
    assert any(f"{encoder.worst:g}" in value or f"{encoder.worst * 118:g}" in value for value in worse.values())
    with pytest.raises(ValueError, match="`crf`"):
        VideoOptions(codec=name, crf=max(encoder.best, encoder.worst) + 1)
    assert encoder.options(None, 5_000_000, None)["b"] == "5000000"
    assert encoder.instead is None or ENCODERS[encoder.instead].instead is None


def test_quality_and_bits_exclude_each_other():
    with pytest.raises(ValueError, match="cannot be used together"):
        VideoOptions(crf=20, bitrate="10M")


@pytest.mark.parametrize(("text", "bits"), [("20M", 20_000_000), ("1.5m", 1_500_000), ("800k", 800_000)])
def test_bit_rates_are_read(text, bits):
    assert bits_per_second(text) == bits


@pytest.mark.parametrize("text", ["", "20", "M", "-5M", "0.1k", "2000M", "1.2.3M", "²M", "infM", None])
def test_malformed_bit_rates_are_refused(text):
    with pytest.raises(ValueError, match="`bitrate` must look like"):
        bits_per_second(text)
