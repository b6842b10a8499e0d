"""Binaural sound, by an artificial head whose responses are known, and by the measured one if it is installed."""

import importlib.util

import av
import films
import numpy as np
import pytest
from soundfields import RATE, diffuse, noise, plane_wave

from pano_sound.camera_path import CameraPath
from pano_sound.errors import PanoSoundError
from pano_sound.media import binaural
from pano_sound.media.ambisonics import FIRST_ORDER
from pano_sound.media.listener import cardioids, turned
from pano_sound.media.output_format import check_output
from pano_sound.media.spherical import tag_mp4
from pano_sound.options.steps import RenderOptions
from pano_sound.pipeline import render
from pano_sound.sphere.convention import directions, rotation

needs_kemar = pytest.mark.skipif(importlib.util.find_spec("slab") is None, reason="slab is not installed")


def response(hz, aside):
    """Of an ear of the artificial head to a source this far on its side (-1..1): all that four channels can hold."""
    return 1 + aside * (0.5 + 9j * np.sin(2 * np.pi * hz / 48000))


@pytest.fixture(scope="module")
def head():
    n = np.arange(500) + 0.5
    z, around = 1 - n / 250, n * np.pi * (1 + 5**0.5)
    points = np.stack([np.sqrt(1 - z**2) * np.cos(around), np.sqrt(1 - z**2) * np.sin(around), z], axis=1)
    hz = np.fft.rfftfreq(256, 1 / 48000)
    spectra = response(hz, np.stack([points[:, 1], -points[:, 1]], axis=1)[..., None])
    return binaural.Head(points, np.fft.irfft(spectra * np.exp(-2j * np.pi * hz * 1e-3)), 48000)


@pytest.fixture(scope="module")
def ears(head):
    return binaural.filters(head, RATE)


def heard(ears, field, camera=lambda t: (0, 0, 0), locked=None, block=1024):
    """Of a camera that looks at camera(t) = (yaw, pitch, roll) degrees: (2, samples)."""
    whole = np.concatenate([field, np.zeros_like(field[:2]) if locked is None else locked])
    blocks = (whole[:, n : n + block] for n in range(0, whole.shape[1], block))
    blocks = turned(blocks, lambda t: rotation(*camera(t)), 0, RATE)
    return np.concatenate(list(binaural.heard(blocks, ears, binaural.before(RATE))), axis=1)


def between(ears, band, yaw, pitch=0.0, camera=(0, 0, 0)):
    """Seconds by which the left ear is earlier, and dB by which it is louder, in a band."""
    sound = noise(2)
    spectra = np.fft.rfft(heard(ears, plane_wave(sound, yaw, pitch), lambda t: camera))
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    left, right = spectra[:, (hz > band[0]) & (hz < band[1])]
    hz = hz[(hz > band[0]) & (hz < band[1])]
    power = np.abs(left * right)
    late = np.angle(left * right.conj()) / (2 * np.pi * hz)
    return float(np.average(late, weights=power)), 20 * np.log10(np.linalg.norm(left) / np.linalg.norm(right))


def check_sides(found, aside):
    """Times within 5 µs, which is a degree, and levels within 0.3 dB."""
    ratio = response(300, aside) / response(300, -aside)
    assert found[0] == pytest.approx(np.angle(ratio) / (2 * np.pi * 300), abs=5e-6)
    assert found[1] == pytest.approx(20 * np.log10(np.abs(ratio)), abs=0.3)


@pytest.mark.parametrize("yaw", [0, 30, -60, -90, 135, 180])
def test_ears_hear_the_times_and_levels_of_the_head(ears, yaw):
    check_sides(between(ears, (290, 310), yaw), -np.sin(np.radians(yaw)))


@pytest.mark.parametrize(
    ("source", "camera", "aside"),
    [((40, 0), (40, 0, 0), 0), ((40, 0), (130, 0, 0), 1), ((40, 0), (-50, 0, 0), -1), ((0, 90), (0, 0, 90), 1)],
)
def test_the_ears_turn_with_the_camera(ears, source, camera, aside):
    check_sides(between(ears, (290, 310), *source, camera=camera), aside)


def test_diffuse_sound_is_as_loud_as_in_stereo(ears):
    field = diffuse(4)
    stereo = next(cardioids([np.concatenate([field, 0 * field[:2]])]))
    assert 20 * np.log10(heard(ears, field).std(axis=1) / stereo.std(axis=1)) == pytest.approx(0, abs=0.3)


def test_sound_is_in_time_and_does_not_depend_on_the_blocks(ears):
    field = np.zeros((4, RATE), np.float32)
    field[0, 5000] = 0.5
    whole = heard(ears, field, block=RATE)
    assert whole.shape == (2, RATE)
    assert (np.abs(whole).argmax(axis=1) == 5000).all()
    for block in (160, 1024, 3000):
        assert heard(ears, field, block=block) == pytest.approx(whole, abs=1e-6)


def test_nothing_clicks_where_the_camera_jumps(ears):
    field = plane_wave(0.3 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE), 20)
    jumping = heard(ears, field, lambda t: (-70, 0, 0) if t < 0.5 else (110, 0, 0))[:, 1000:-1000]
    still = heard(ears, field, lambda t: (110, 0, 0))[:, 1000:-1000]
    assert np.abs(np.diff(jumping)).max() < 1.2 * np.abs(np.diff(still)).max()
    assert [np.abs(jumping[:, :6000]).max(axis=1).argmax(), np.abs(jumping[:, 9000:]).max(axis=1).argmax()] == [1, 0]


def test_sound_locked_to_the_head_stays_as_it_is(ears):
    locked = np.stack([noise(0.5, 1), noise(0.5, 2)]).astype(np.float32)
    found = heard(ears, np.zeros((4, RATE // 2), np.float32), lambda t: (300 * t, 0, 0), locked)
    assert found == pytest.approx(locked, abs=1e-6)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PanoSoundError, match=r"measured head.*pip install 'pano-sound\[binaural\]'"):
        check_output(tmp_path / "a.mp4", sound="binaural")
    check_output(tmp_path / "a.mp4")


def test_a_film_is_heard_with_two_ears(ears, tmp_path, monkeypatch):
    """As loud as in stereo, within 1 dB, and with the times between the ears; the camera looks 40 degrees past it."""
    monkeypatch.setattr(binaural, "check_installed", lambda: None)
    monkeypatch.setattr("pano_sound.media.output_format.check_installed", lambda: None)
    monkeypatch.setattr(binaural, "ears", lambda rate: ears)
    sound = films.tone(1, RATE, 1, hz=300, level=0.3)[0]
    source = tmp_path / "a.mp4"
    films.make_film(
        source, films.steady(5, 5), sound=plane_wave(sound, 30), rate=RATE, layout="4.0", sound_codec="flac"
    )
    tag_mp4(source, FIRST_ORDER.box)
    look = CameraPath(64, 64, np.array([[0.0, 70, 0, 0, 90]]))
    found = {}
    for wanted in ("stereo", "binaural"):
        render(source, look, tmp_path / "b.mp4", RenderOptions(output_sound=wanted), overwrite=True)
        with av.open(str(tmp_path / "b.mp4")) as film:
            found[wanted] = np.concatenate([f.to_ndarray() for f in film.decode(audio=0)], axis=1)[:, 4000:12000]
    left, right = np.fft.rfft(found["binaural"])[:, 150]
    ratio = response(300, np.sin(np.radians(40))) / response(300, -np.sin(np.radians(40)))
    assert np.angle(left / right) == pytest.approx(np.angle(ratio), abs=0.03)
    assert 20 * np.log10(found["binaural"].std() / found["stereo"].std()) == pytest.approx(0, abs=1)


@needs_kemar
@pytest.mark.parametrize("yaw", [0, -30, 60, 90, -150])
def test_the_measured_head_is_heard(yaw):
    """Against its own response from there: times below 600 Hz within 0.1 ms, and the side above 2 kHz."""
    kemar = binaural.kemar()
    from_there = kemar.responses[(kemar.directions @ directions(yaw, 0)).argmax()]
    spectra = np.fft.rfft(from_there, 4096)
    hz = np.fft.rfftfreq(4096, 1 / kemar.rate)
    low, high = (hz > 150) & (hz < 600), (hz > 2000) & (hz < 6000)
    time = float(np.mean((np.angle(spectra[0] * spectra[1].conj()) / np.maximum(2 * np.pi * hz, 1))[low]))
    level = 20 * np.log10(np.linalg.norm(spectra[0, high]) / np.linalg.norm(spectra[1, high]))
    ears = binaural.ears(RATE)
    assert between(ears, (150, 600), yaw)[0] == pytest.approx(time, abs=1e-4)
    assert between(ears, (2000, 6000), yaw)[1] == pytest.approx(level, abs=8.5)
    assert np.sign(round(level)) == np.sign(round(between(ears, (2000, 6000), yaw)[1]))
