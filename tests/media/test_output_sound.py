"""What becomes of a film's sound in a flat video: stereo, mono, or all channels, measured again."""

from dataclasses import replace
from fractions import Fraction

import av
import films
import numpy as np
import pytest
from soundfields import diffuse, plane_wave, talker
from test_ambisonics import PITCHES, film_with, sa3d, wav
from test_writer import rewrite

from pano_sound.camera_path import CameraPath
from pano_sound.media.ambisonics import FIRST_ORDER, FUMA, Ambisonics
from pano_sound.media.footage import Recording
from pano_sound.media.joining import join
from pano_sound.media.output_file import VideoFormat
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.soundtrack import SoundPlan
from pano_sound.media.spherical import tag_mp4
from pano_sound.media.writer import VideoWriter
from pano_sound.options.steps import RenderOptions
from pano_sound.options.video import FlatVideoOptions
from pano_sound.pipeline import overlay, render
from pano_sound.pipeline.film import no_progress
from pano_sound.pipeline.render import pose_of, render_path
from pano_sound.soundmap import SoundMap
from pano_sound.sphere.convention import directions, rotation

RATE = 48000
TURNING = CameraPath(64, 64, np.array([[0, 20, 0, 0, 90], [0.4, 60, 10, 0, 90], [0.42, -70, 0, 15, 90]]))
"""A camera that turns, and jumps after 0.4 s."""
STILL = CameraPath(128, 64, np.array([[0.0, 0, 0, 0, 90]]))
KEPT = Ambisonics(1, (0, 1, 2, 3))
KEEP_FIELD = {"output_sound": "keep", "ambisonics": "ambix"}


def at_48k(sound):
    return np.repeat(sound, 3, axis=-1).astype(np.float32)


def film_of(path, sound, layout="4.0", sound_codec="flac", tag=FIRST_ORDER.box):
    seconds = sound.shape[1] / RATE
    films.make_film(path, films.steady(round(5 * seconds), 5), sound=sound, layout=layout, sound_codec=sound_codec)
    if tag is not None:
        tag_mp4(path, tag)
    return path


def heard(path):
    """The channels of a film's sound, (channels, samples)."""
    pieces, packed = [], av.AudioResampler(format="flt")
    with av.open(str(path)) as film:
        for frame in film.decode(audio=0):
            pieces += [one.to_ndarray().reshape(-1, one.layout.nb_channels).T for one in packed.resample(frame)]
    return np.concatenate(pieces, axis=1)


def direction(sound):
    """Unit vector to the one source of a field."""
    w, y, z, x = sound
    found = np.array([w @ x, w @ y, w @ z])
    return found / np.linalg.norm(found)


def between(one, other):
    """Degrees."""
    return np.degrees(np.arccos(np.clip(one @ other, -1, 1)))


def level(sound):
    """RMS of the channels together, dB."""
    return 10 * np.log10(np.square(sound).mean())


def spectrum(sound):
    """Each channel's amplitude of each pitch of `film_with`."""
    amplitudes = np.abs(np.fft.rfft(sound[:, 4000:28000])) / 12000
    return {name: amplitudes[:, hz // 2] for name, hz in PITCHES.items()}


@pytest.mark.parametrize(
    ("wanted", "container", "codec", "layout", "tag"),
    [
        (None, "mp4", "aac", "stereo", None),
        ("stereo", "mkv", "aac", "stereo", None),
        ("mono", "mp4", "aac", "mono", None),
        ("keep", "mp4", "aac", "4.0", KEPT),
        ("keep", "mov", "aac", "4.0", KEPT),
        ("keep", "mkv", "opus", "ambisonic 1", KEPT),
    ],
)
def test_a_sound_field(tmp_path, wanted, container, codec, layout, tag):
    """Kept, its direction is that of the source seen from the camera, within 3 degrees; stereo and mono agree in level
    within 1 dB."""
    source = film_of(tmp_path / "a.mp4", at_48k(plane_wave(talker(1, 3), 40, 10)))
    out = tmp_path / f"b.{container}"
    render(source, TURNING, out, RenderOptions(output_sound=wanted))
    made, sound = probe(out), heard(out)
    assert (made.audio.codec, made.audio.layout, made.audio.ambisonic) == (codec, layout, tag)
    assert (made.spherical.projection, made.spherical.tag) == (None, "")
    assert sound.shape[1] == pytest.approx(RATE, abs=1024)
    for begin, end in ((0.05, 0.15), (0.25, 0.35), (0.5, 0.9)):
        yaw, pitch, roll, _ = TURNING.at((begin + end) / 2)
        x, y, z = rotation(yaw, pitch, roll).T @ directions(40, 10)
        part = sound[:, round(begin * RATE) : round(end * RATE)]
        whole = plane_wave(talker(1, 3), 40, 10)[0, round(begin * 16000) : round(end * 16000)]
        if wanted == "keep":
            assert between(direction(part), [x, y, z]) < 3
            assert level(part[0]) == pytest.approx(level(whole), abs=0.5)
        elif begin < 0.4:  # The source is in view.
            assert level(part) == pytest.approx(level(whole) + 10 * np.log10((1 + y**2) / 4), abs=1)


@pytest.mark.parametrize(
    ("wanted", "container", "layout"),
    [
        (None, "mp4", "stereo"),
        ("mono", "mkv", "mono"),
        ("keep", "mp4", "4.0"),
        ("keep", "mkv", "ambisonic 1"),
        ("360°", "mp4", "4.0"),
    ],
)
def test_a_field_lasts_as_long_as_the_film_whose_last_chapter_is_silent(tmp_path, wanted, container, layout):
    source = film_of(tmp_path / "a.mp4", at_48k(plane_wave(talker(1, 3), 40, 10)))
    silent = films.make_film(tmp_path / "b.mp4", films.steady(5, 5))
    tag_mp4(silent, None)
    out = tmp_path / f"c.{container}"
    if wanted == "360°":
        rewrite(probe([source, silent]), out, spherical=True)
    else:
        render([source, silent], STILL, out, RenderOptions(output_sound=wanted))
    sound = heard(out)
    assert probe(out).audio.layout == layout
    assert sound.shape[1] == pytest.approx(2 * RATE, abs=2048)
    assert np.abs(sound[:, : RATE // 2]).max() > 0.1 > 1e-3 > np.abs(sound[:, RATE + 4096 :]).max()


@pytest.mark.parametrize(
    ("sound", "louder"),
    [
        (plane_wave(talker(1, 3), 0), 1.0),
        (plane_wave(talker(1, 3), 45), -0.8),
        (diffuse(1), -0.3),
    ],
    ids=["in front", "at the edge of the view", "diffuse"],
)
def test_mono_is_as_loud_as_stereo(tmp_path, sound, louder):
    source = film_of(tmp_path / "a.mp4", at_48k(sound))
    for wanted in ("stereo", "mono"):
        render(source, STILL, tmp_path / f"{wanted}.mp4", RenderOptions(output_sound=wanted))
    stereo, mono = heard(tmp_path / "stereo.mp4"), heard(tmp_path / "mono.mp4")
    assert level(mono) - level(stereo) == pytest.approx(louder, abs=0.3)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("yaw", [-120, 30])
def test_noise_keeps_its_direction_in_the_highest_bands(tmp_path, container, yaw):
    """Also in 360° films whose sound is encoded again."""
    rng = np.random.default_rng(1)
    source = film_of(tmp_path / "a.mkv", plane_wave(rng.normal(size=RATE) * 0.08, yaw), tag=None)
    out = tmp_path / f"b.{container}"
    options = RenderOptions(**KEEP_FIELD)
    if container == "mkv":
        render(source, STILL, out, options)
    else:
        soundmap = SoundMap(np.zeros(1), np.full((1, 16, 32), 1 / 512), np.zeros(1), np.zeros(1))
        overlay(source, soundmap, out, RenderOptions(ambisonics="ambix"))
    bands = np.fft.rfft(heard(out)[:, :RATE])
    for low, high in ((200, 4000), (4000, 10000), (10000, 14000)):
        found = direction(np.fft.irfft(np.pad(bands[:, low:high], ((0, 0), (low, 0))), RATE))
        assert between(found, directions(yaw, 0)) < 1


@pytest.mark.parametrize(
    ("wanted", "container", "loudness"),
    [
        ("mono", "mp4", {"L": (0.1,), "R": (0.1,), "W": (0.112,)}),
        ("keep", "mp4", {"W": (0.2, 0, 0, 0, 0, 0), "X": (0, 0.2, 0, 0, 0, 0), "L": (0, 0, 0, 0, 0.2, 0)}),
        ("keep", "mkv", {"W": (0.2, 0, 0, 0, 0, 0), "X": (0, 0.2, 0, 0, 0, 0), "R": (0, 0, 0, 0, 0, 0.2)}),
    ],
)
def test_head_locked_sound_is_beside_the_field_and_does_not_turn(tmp_path, wanted, container, loudness):
    source = film_with(tmp_path / "a.mp4", "LRWYZX", "5.1", "flac")
    tag_mp4(source, sa3d(kind=0x80, channels=(4, 5, 0, 1, 2, 3)))
    out = tmp_path / f"b.{container}"
    render(source, CameraPath(64, 64, np.array([[0.0, 90, 0, 0, 90]])), out, RenderOptions(output_sound=wanted))
    found = spectrum(heard(out))
    for name, amplitudes in loudness.items():
        assert found[name] == pytest.approx(amplitudes, abs=0.01)
    assert probe(out).audio.ambisonic == (None if wanted == "mono" else Ambisonics(1, (0, 1, 2, 3), (4, 5)))


@pytest.mark.parametrize(
    ("said", "order", "amplitudes", "tag"),
    [
        ("ambix", "WYZX", (0.2, 0.2, 0.2, 0.2), KEPT),
        ("n3d", "WYZX", (0.2, 0.115, 0.115, 0.115), KEPT),
        ("fuma", "WXYZ", (0.283, 0.2, 0.2, 0.2), KEPT),
        ("none", "WYZX", (0.2, 0.2, 0.2, 0.2), None),
    ],
)
def test_the_users_word_on_the_channels_is_kept(tmp_path, said, order, amplitudes, tag):
    """Whatever their order was, a field is W, Y, Z, X in SN3D, and its tag says so."""
    out = tmp_path / "b.mp4"
    render(film_with(tmp_path / "a.mkv", order), STILL, out, RenderOptions(output_sound="keep", ambisonics=said))
    found = spectrum(heard(out))
    assert np.stack([found[name] for name in "WYZX"]) == pytest.approx(np.diag(amplitudes), abs=0.01)
    assert probe(out, RenderOptions(ambisonics=None)).audio.ambisonic == tag


@pytest.mark.parametrize(
    ("decided", "tag", "turns"), [(None, None, False), ("ambix", KEPT, True), ("fuma", KEPT, True)]
)
def test_a_field_of_open_order_turns_only_once_it_is_decided(tmp_path, caplog, decided, tag, turns):
    """Until then nobody knows which channel is which: they are copied, without a tag."""
    source = film_with(tmp_path / "a.mkv", "WYZX")
    info = probe(source)
    info = replace(info, audio=replace(info.audio, ambisonic=replace(FIRST_ORDER, certain=False))).pannable
    look = CameraPath(64, 64, np.array([[0.0, 90, 0, 0, 90]]), source={"channel_order": decided})
    out = tmp_path / "b.mp4"
    render_path(info, look, out, FlatVideoOptions(output_sound="keep"), False, no_progress)
    assert probe(out).audio.ambisonic == tag
    assert ("does not turn" in caplog.text) is not turns
    amount = spectrum(heard(out))
    where = {None: "WYZX", "ambix": "WXZY", "fuma": "WYXZ"}[decided]
    assert [int(amount[name].argmax()) for name in where] == [0, 1, 2, 3]


def test_of_higher_orders_the_first_is_kept_with_a_warning(tmp_path, caplog):
    sound = films.tone(1, channels=16, level=0.3) * np.r_[1, 0.5, 0, 0.8, np.full(12, 0.9)][:, None].astype(np.float32)
    info = probe(film_of(tmp_path / "a.mp4", films.tone(1), "stereo", "aac", tag=None))
    recording = Recording(str(wav(tmp_path / "a.wav", sound)), Fraction(0), 0.0, Fraction(1))
    recorded = probe(recording.path, RenderOptions(ambisonics="ambix")).audio
    info = replace(info, audio=recorded, footage=replace(info.footage, recording=recording)).pannable
    render_path(info, STILL, tmp_path / "b.mp4", FlatVideoOptions(output_sound="keep"), False, no_progress)
    assert "orders above the first are left out" in caplog.text
    assert probe(tmp_path / "b.mp4").audio.ambisonic == KEPT
    peaks = np.abs(heard(tmp_path / "b.mp4")[:, 4000:40000]).max(axis=1)
    assert peaks == pytest.approx([0.3, 0.15, 0, 0.24], abs=0.01)


PLAIN = [
    # (layout, codec; container, wanted; codec, layout, whether it is copied)
    ("mono", "aac", "mp4", "stereo", "aac", "stereo", False),
    ("mono", "aac", "mp4", "mono", "aac", "mono", True),
    ("mono", "aac", "mp4", "keep", "aac", "mono", True),
    ("stereo", "aac", "mp4", "binaural", "aac", "stereo", True),
    ("stereo", "aac", "mp4", "stereo", "aac", "stereo", True),
    ("stereo", "aac", "mp4", "mono", "aac", "mono", False),
    ("stereo", "flac", "mp4", "keep", "flac", "stereo", True),
    ("stereo", "flac", "mov", "keep", "aac", "stereo", False),
    ("5.1", "aac", "mp4", "stereo", "aac", "stereo", False),
    ("5.1", "aac", "mp4", "mono", "aac", "mono", False),
    ("5.1", "aac", "mp4", "keep", "aac", "5.1", True),
    ("quad", "aac", "mp4", None, "aac", "stereo", False),
    ("quad", "aac", "mp4", "keep", "aac", "quad", True),
    ("quad", "flac", "mov", "keep", "aac", "quad", False),
    ("5.0", "flac", "mov", "keep", "aac", "5.0", False),
    ("6.1", "flac", "mov", "keep", "aac", "7 channels", False),
]


@pytest.mark.parametrize(("layout", "codec", "container", "wanted", "becomes", "channels", "copied"), PLAIN)
def test_plain_sound(tmp_path, monkeypatch, layout, codec, container, wanted, becomes, channels, copied):
    """Copied where its channels stay; else all of it is there, as loud as it was."""
    monkeypatch.setattr("pano_sound.media.output_format.check_installed", lambda: None)
    count = av.AudioLayout(layout).nb_channels
    sound = np.stack([films.tone(1, channels=1, hz=50 * (n + 1), level=0.2)[0] for n in range(count)])
    source = film_of(tmp_path / "a.mp4", sound, layout, codec, tag=None)
    out = tmp_path / f"b.{container}"
    render(source, STILL, out, RenderOptions(output_sound=wanted, ambisonics="none" if count > 3 else None))
    audio = probe(out, RenderOptions(ambisonics="none")).audio
    assert (audio.codec, audio.layout) == (becomes, channels)
    assert (packets(source) == packets(out)) is copied
    amplitudes = np.abs(np.fft.rfft(heard(out)[:, 4000:28000])[:, 25 : 25 * count + 1 : 25]) / 12000
    if copied or wanted == "keep":
        assert amplitudes == pytest.approx(0.2 * np.eye(count), abs=0.02)
    elif count <= 2:
        expected = (
            0.2 * np.eye(2) if (count, audio.channels) == (2, 2) else np.full((audio.channels, count), 0.2 / count)
        )
        assert amplitudes == pytest.approx(expected, abs=0.01)
    else:  # All but the bass channel is mixed.
        assert (amplitudes.max(axis=0) > 0.02).sum() >= count - 1


def packets(path):
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("container", "channels", "codec", "says"),
    [("mkv", 16, "pcm_s16le", ""), ("mov", 16, "pcm_s16le", ""), ("mp4", 2, "aac", "16 channels of sound cannot")],
)
def test_more_channels_than_can_be_encoded_are_kept_where_they_can_be_copied(
    tmp_path, caplog, container, channels, codec, says
):
    source = tmp_path / "a.mov"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libx264", rate=5)
        stream.width, stream.height = 128, 64
        track = out.add_stream("pcm_s16le", rate=RATE, layout="16 channels")
        for n in range(5):
            frame = av.VideoFrame(128, 64, "yuv420p")
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        packed = (films.tone(1, channels=16).T.reshape(1, -1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "s16", "16 channels")
        frame.sample_rate = RATE
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    made = tmp_path / f"b.{container}"
    render(source, STILL, made, RenderOptions(output_sound="keep", ambisonics="none"))
    audio = probe(made, RenderOptions(ambisonics="none")).audio
    assert (audio.codec, audio.channels) == (codec, channels)
    assert says in caplog.text
    assert ("cannot be encoded" in caplog.text) is bool(says)


@pytest.mark.parametrize(
    ("layout", "count", "said", "wanted", "layout_made", "tag"),
    [
        ("stereo", 2, None, "mono", "mono", None),
        ("stereo", 2, None, "keep", "stereo", None),
        ("mono", 1, None, "stereo", "stereo", None),
        ("4.0", 4, "none", "keep", "4.0", None),
        ("4.0", 4, "ambix", "mono", "mono", None),
        ("4.0", 4, "ambix", "keep", "4.0", KEPT),
        ("5.0", 5, None, "keep", "5.0", None),
    ],
)
def test_a_separate_recording(tmp_path, layout, count, said, wanted, layout_made, tag):
    """It stands for the film's sound, whose own channels do not matter."""
    info = probe(film_of(tmp_path / "a.mp4", films.tone(1), "stereo", "aac", tag=None))
    other = films.make_sound(tmp_path / "a.wav", films.tone(1.5, channels=count, level=0.2), layout=layout)
    recorded = probe(other, RenderOptions(ambisonics=said)).audio
    recording = Recording(str(other), Fraction(-1, 4), 1e-5, Fraction(1))
    info = replace(info, audio=recorded, footage=replace(info.footage, recording=recording)).pannable
    out = tmp_path / "b.mp4"
    render_path(info, STILL, out, FlatVideoOptions(output_sound=wanted), False, no_progress)
    audio = probe(out, RenderOptions(ambisonics="none" if tag is None and count == 4 else None)).audio
    assert (audio.layout, audio.ambisonic) == (layout_made, tag)
    assert audio.end == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("wanted", "channels"), [(None, 2), ("mono", 1), ("keep", 4)])
def test_channels_whose_tag_is_wrong_are_plain(tmp_path, wanted, channels):
    """Opus' own tag of ambisonics goes, too."""
    tagged = tmp_path / "a.mkv"
    render(film_with(tmp_path / "a.mp4", sound_codec="flac"), STILL, tagged, RenderOptions(**KEEP_FIELD))
    info = replace(probe(tagged), spherical=probe(tmp_path / "a.mp4").spherical)
    assert (info.audio.layout, info.audio.ambisonic) == ("ambisonic 1", KEPT)
    plain = replace(info, audio=probe(tagged, RenderOptions(ambisonics="none")).audio)
    out = tmp_path / "b.mkv"
    sound = SoundPlan.of(plain, None, wanted)
    with VideoWriter(out, VideoFormat(128, 64, Fraction(1, 5), Fraction(5)), sound=sound) as writer:
        writer.write(next(VideoReader(plain.pannable).pictures()))
    assert probe(out, RenderOptions(ambisonics="none")).audio.channels == channels
    assert probe(out).audio.layout != "ambisonic 1"
    found = spectrum(heard(out))
    for channel, name in enumerate("WYZX"):
        expected = 0.2 * np.eye(4)[channel] if wanted == "keep" else [0.05] * channels
        assert found[name] == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("wanted", ["mono", "keep"])
def test_joined_segments_have_the_same_sound(tmp_path, wanted):
    source = film_of(tmp_path / "a.mp4", at_48k(plane_wave(talker(1, 3), 40, 10)))
    whole, out = tmp_path / "b.mp4", tmp_path / "c.mp4"
    render(source, TURNING, whole, RenderOptions(output_sound=wanted))
    info = probe(source).pannable
    join([(0, whole)], out, info, None, pose_of(TURNING, info), wanted)
    assert probe(out).audio == probe(whole).audio
    assert packets(out) == packets(whole)


@pytest.mark.parametrize(("wanted", "container"), [("mono", "mp4"), ("keep", "mp4"), ("keep", "mkv")])
@pytest.mark.parametrize("part", [{}, {"start": 0.4, "end": 0.8}])
def test_sound_stays_in_time(tmp_path, wanted, container, part):
    """In the whole film, in a part of it, and in two films as one, within 5 ms."""
    sound = np.zeros((4, RATE), np.float32)
    sound[0] = films.clicks(1, [0.5], channels=1)
    source = film_of(tmp_path / "a.mp4", sound)
    out = tmp_path / f"b.{container}"
    for films_read in (source, [source, source]):
        render(films_read, STILL, out, RenderOptions(output_sound=wanted, **part), overwrite=True)
        loud = np.flatnonzero(np.abs(heard(out)[0]) > 0.1)
        begins = loud[np.diff(loud, prepend=-RATE) > RATE // 2] / RATE
        expected = [0.5 - part.get("start", 0), *([1.5] if films_read != source and not part else [])]
        assert begins == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(("wanted", "container"), [("mono", "mp4"), ("keep", "mp4"), ("keep", "mkv")])
def test_nothing_clicks_where_the_camera_jumps(tmp_path, wanted, container):
    tone = films.tone(1, channels=1, hz=100, level=0.5)[0]
    source = film_of(tmp_path / "a.mp4", plane_wave(tone, 20))
    render(source, TURNING, tmp_path / f"b.{container}", RenderOptions(output_sound=wanted))
    found = heard(tmp_path / f"b.{container}")[:, 2000:46000]
    assert np.abs(np.diff(found)).max() < 1.2 * np.abs(np.diff(tone)).max()
    assert np.abs(found).max() < 0.52


@pytest.mark.parametrize("layout", ["4.0", "quad"])
def test_a_360_film_keeps_channels_of_open_order(tmp_path, layout):
    source = film_with(tmp_path / "a.mkv", "WYZX", layout, sound_codec="aac")
    info = probe(source)
    info = replace(info, audio=replace(info.audio, ambisonic=replace(FUMA, certain=False)))

    made = rewrite(info, tmp_path / "b.mp4", spherical=True)
    assert (made.audio.channels, made.audio.ambisonic) == (4, None)
    assert packets(source) == packets(tmp_path / "b.mp4")


@pytest.mark.parametrize("output", ["b.mp4", "b.mov"])
def test_a_field_is_tagged_at_any_rate(tmp_path, output):
    """QuickTime describes sound above 65,535 Hz in another way."""
    sound = films.tone(1.0, 96000, channels=4)
    film = films.make_film(
        tmp_path / "a.mkv", films.steady(5, 5), sound=sound, rate=96000, layout="4.0", sound_codec="flac"
    )
    render(film, STILL, tmp_path / output, RenderOptions(**KEEP_FIELD))
    made = probe(tmp_path / output).audio
    assert (made.rate, made.ambisonic, made.assumed) == (96000, KEPT, None)
