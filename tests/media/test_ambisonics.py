import struct
import wave
from dataclasses import replace

import av
import films
import numpy as np
import pytest
from test_sound import whole
from test_writer import rewrite

from pano_sound.camera_path import CameraPath
from pano_sound.errors import InputError, UnsupportedInputError
from pano_sound.media.ambisonics import Ambisonics
from pano_sound.media.info import require_pannable
from pano_sound.media.probe import probe
from pano_sound.media.sound import SoundReader
from pano_sound.media.spherical import tag_mp4
from pano_sound.options.input import InputOptions
from pano_sound.options.steps import RenderOptions
from pano_sound.pipeline import render

PITCHES = {"W": 200, "Y": 400, "Z": 600, "X": 800, "L": 1000, "R": 1200}


def field(order="WYZX", level=0.2):
    """One pitch for each channel, named in the order in which they are stored."""
    return np.stack([films.tone(1, channels=1, hz=PITCHES[name], level=level)[0] for name in order])


def film_with(path, order="WYZX", layout="4.0", sound_codec="pcm_s16le", **more):
    return films.make_film(path, sound=field(order), layout=layout, sound_codec=sound_codec, **more)


def loudness(path, ambisonics=None):
    """RMS (dB) of each pitch in the mono mix."""
    info = probe(path, InputOptions(ambisonics=ambisonics))
    heard = np.concatenate(list(SoundReader(info, 16000).blocks(1)))[:16000]
    spectrum = np.abs(np.fft.rfft(heard)) / len(heard) * 2
    return {name: 20 * np.log10(spectrum[hz] + 1e-9) for name, hz in PITCHES.items()}


def read_field(path, ambisonics=None):
    """RMS (dB) of each pitch (W, Y, Z, X) in each channel of the field, (4, 4)."""
    reader = SoundReader(probe(path, InputOptions(ambisonics=ambisonics)), 16000, "field")
    heard = np.concatenate(list(reader.blocks(0.7)), axis=1)[:, :16000]
    spectrum = np.abs(np.fft.rfft(heard)) / heard.shape[1] * 2
    return 20 * np.log10(spectrum[:, [PITCHES[name] for name in "WYZX"]] + 1e-9)


def stereo(path):
    """The spectra of left and right."""
    with av.open(str(path)) as film:
        heard = np.concatenate([f.to_ndarray() for f in film.decode(audio=0)], axis=1)[:, 2000:26000]
    spectrum = np.abs(np.fft.rfft(heard)) / heard.shape[1] * 2
    return {name: tuple(spectrum[:, hz // 2]) for name, hz in PITCHES.items()}


@pytest.mark.parametrize("first", ["field", "stereo"])
def test_a_sound_field_is_not_joined_with_other_channels(tmp_path, first):
    paths = {
        "field": film_with(tmp_path / "field.mp4", times=films.steady(4), sound_codec="aac"),
        "stereo": films.make_film(tmp_path / "stereo.mp4", films.steady(4), sound=films.tone(0.2)),
    }
    tag_mp4(paths["field"], sa3d())
    tag_mp4(paths["stereo"])
    second = next(name for name in paths if name != first)
    with pytest.raises(UnsupportedInputError, match=rf"{second}.mp4: has another number of sound channels"):
        probe([paths[first], paths[second]])
    alike = probe([paths["field"]] * 2)
    assert alike.audio.ambisonic == Ambisonics(1, (0, 1, 2, 3))


def test_sound_fields_in_other_channels_are_not_joined(tmp_path):
    tags = {"usual": sa3d(), "other": sa3d(channels=(0, 2, 3, 1)), "untagged": None}
    for name, tag in tags.items():
        film_with(tmp_path / f"{name}.mp4", times=films.steady(4), sound_codec="aac")
        if tag is not None:
            tag_mp4(tmp_path / f"{name}.mp4", tag, spherical=False)
    usual, other, untagged = (tmp_path / f"{name}.mp4" for name in tags)
    for pair in ([usual, other], [other, usual]):
        with pytest.raises(UnsupportedInputError, match=rf"{pair[1].name}: has other sound channels, by their tags"):
            probe(pair)
    assert probe([other, untagged]).audio.ambisonic == probe(other).audio.ambisonic
    locked = films.make_film(tmp_path / "locked.mp4", films.steady(4), sound=films.tone(0.2, channels=6), layout="5.1")
    plain = tmp_path / "plain.mp4"
    plain.write_bytes(locked.read_bytes())
    tag_mp4(locked, sa3d(kind=0x80, channels=(4, 5, 0, 1, 2, 3)), spherical=False)
    for pair in ([locked, plain], [plain, locked]):
        with pytest.raises(UnsupportedInputError, match="has other sound channels"):
            probe(pair)


@pytest.mark.parametrize("layout", ["mono", "4.0", "4.0+2"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_packets_with_too_few_channels_for_their_sound_field_are_damaged(layout, count):
    with pytest.raises(ValueError, match=f"not in {count} channels"):
        Ambisonics(1, (0, 1, 2, 3)).matrix(layout, count)


@pytest.mark.parametrize("channels", ["mono", "field"])
def test_sound_that_changes_to_fewer_channels_than_its_field_is_silent_there(tmp_path, channels):
    field_film = film_with(tmp_path / "field.mp4", times=films.steady(30), sound_codec="aac")
    tag_mp4(field_film, sa3d())
    stereo_film = films.make_film(tmp_path / "stereo.mp4", films.steady(30), sound=films.tone(1))
    alike = probe([field_film] * 2)
    changing = replace(alike, footage=replace(alike.footage, paths=(str(field_film), str(stereo_film))))
    reader = SoundReader(changing, 16000, channels)
    heard = np.concatenate(list(reader.blocks(0.5)), axis=-1)
    assert np.abs(heard[..., 4000:14000]).max() > 0.1
    assert not heard[..., 17000:].any()
    assert reader.damaged_packets > 10


def sa3d(order=1, kind=0, ordering=0, norm=0, channels=(0, 1, 2, 3), count=None):
    count = len(channels) if count is None else count
    return struct.pack(f">BBIBBI{len(channels)}I", 0, kind, order, ordering, norm, count, *channels)


@pytest.mark.parametrize("size", [(128, 64), (160, 120)])
@pytest.mark.parametrize("layout", ["4.0", "quad"])
def test_four_channels_are_plain_sound_unless_tagged_or_told(tmp_path, size, layout):
    path = film_with(tmp_path / "a.mkv", layout=layout, size=size)
    info = probe(path)
    assert info.audio.ambisonic is None
    assert "their sound does not tell" in info.audio.assumed
    assert probe(path, InputOptions(ambisonics="none")).audio.ambisonic is None
    assert probe(path, InputOptions(ambisonics="ambix")).audio.ambisonic == Ambisonics(1, (0, 1, 2, 3))


@pytest.mark.parametrize("sound_codec", ["aac", "alac", "flac"])
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_sa3d_tells_ambisonics_from_plain_channels(tmp_path, container, sound_codec):
    if (container, sound_codec) == ("mov", "flac"):
        pytest.skip("FFmpeg does not put flac into mov")
    path = film_with(tmp_path / f"a.{container}", sound_codec="aac" if sound_codec == "alac" else sound_codec)
    assert probe(path).audio.ambisonic is None
    tag_mp4(path, sa3d())
    assert probe(path).audio.ambisonic == Ambisonics(1, (0, 1, 2, 3))
    assert probe(path, InputOptions(ambisonics="none")).audio.ambisonic is None


def test_w_alone_is_listened_to(tmp_path):
    heard = loudness(film_with(tmp_path / "a.mkv"), "ambix")
    assert heard["W"] == pytest.approx(-14, abs=0.2)
    assert max(heard[name] for name in "YZX") < -70


@pytest.mark.parametrize(("order", "channels"), [("WXYZ", (0, 2, 3, 1)), ("XYZW", (3, 1, 2, 0))])
def test_the_channel_map_is_followed(tmp_path, order, channels):
    """As in the standard's own example: W, X, Y, Z in this order is the map 0, 2, 3, 1."""
    path = film_with(tmp_path / "a.mp4", order, sound_codec="aac")
    tag_mp4(path, sa3d(channels=channels))
    assert probe(path).audio.ambisonic.channels == channels
    heard = loudness(path)
    assert heard["W"] == pytest.approx(-14, abs=0.3)
    assert max(heard[name] for name in "YZX") < -60
    rewrite(path, tmp_path / "b.mp4")
    sides = stereo(tmp_path / "b.mp4")
    assert sides["Y"] == pytest.approx((0.1, 0.1), abs=0.01)
    assert max(sides["X"] + sides["Z"]) < 1e-3
    copied = rewrite(path, tmp_path / "c.mp4", spherical=True)
    assert copied.audio.ambisonic.channels == channels


def test_head_locked_sound_is_kept_in_stereo(tmp_path):
    """L, R, W, Y, Z, X is the map 4, 5, 0, 1, 2, 3, says the standard."""
    path = film_with(tmp_path / "a.mp4", "LRWYZX", "5.1", "flac")
    tag_mp4(path, sa3d(kind=0x80, channels=(4, 5, 0, 1, 2, 3)))
    assert probe(path).audio.ambisonic == Ambisonics(1, (2, 3, 4, 5), (0, 1))
    rewrite(path, tmp_path / "b.mp4")
    sides = stereo(tmp_path / "b.mp4")
    assert sides["L"] == pytest.approx((0.2, 0), abs=0.01)
    assert sides["R"] == pytest.approx((0, 0.2), abs=0.01)
    assert sides["W"] == pytest.approx((0.1, 0.1), abs=0.01)
    copied = rewrite(path, tmp_path / "c.mp4", spherical=True)
    assert copied.audio.ambisonic == probe(path).audio.ambisonic


@pytest.mark.parametrize(("yaw", "heard"), [(0, "Y"), (90, "X"), (180, "Y")])
def test_the_flat_film_hears_what_its_camera_does(tmp_path, yaw, heard):
    """Left is to the camera's left; W is heard on both sides."""
    path = film_with(tmp_path / "a.mkv")
    look = CameraPath(64, 64, np.array([[0.0, yaw, 0, 0, 90]]))
    render(path, look, tmp_path / "b.mp4", RenderOptions(ambisonics="ambix"))
    sides = stereo(tmp_path / "b.mp4")
    assert sides["W"] == pytest.approx((0.1, 0.1), abs=0.01)
    assert sides[heard] == pytest.approx((0.1, 0.1), abs=0.01)
    assert max(sides["Z"] + sides["YX".replace(heard, "")]) < 1e-3


def test_fuma_has_another_order_and_a_softer_w(tmp_path):
    path = film_with(tmp_path / "a.mkv", "WXYZ")
    heard = loudness(path, "fuma")
    assert heard["W"] == pytest.approx(-11, abs=0.2)
    assert max(heard[name] for name in "YZX") < -70
    made = rewrite(path, tmp_path / "b.mp4", ambisonics="fuma", spherical=True)
    assert made.audio.ambisonic == Ambisonics(1, (0, 1, 2, 3))
    assert loudness(tmp_path / "b.mp4")["W"] == pytest.approx(-11, abs=0.3)


@pytest.mark.parametrize("layout", ["4.0", "quad"])
@pytest.mark.parametrize(
    ("said", "order", "gains"),
    [
        ("ambix", "WYZX", (0, 0, 0, 0)),
        ("n3d", "WYZX", (0, -4.77, -4.77, -4.77)),
        ("fuma", "WXYZ", (3.01, 0, 0, 0)),
    ],
)
def test_every_field_is_read_as_wyzx_in_sn3d(tmp_path, layout, said, order, gains):
    """Whatever channel layout FFmpeg assumes."""
    found = read_field(film_with(tmp_path / "a.mkv", order, layout), said)
    assert np.diag(found) == pytest.approx(-13.98 + np.array(gains), abs=0.2)
    assert found[~np.eye(4, dtype=bool)].max() < -70


@pytest.mark.parametrize(
    "box",
    [
        sa3d()[:-1],
        sa3d(order=0),
        sa3d(order=2),
        sa3d(kind=1),
        sa3d(kind=0x80),
        sa3d(ordering=1),
        sa3d(norm=1),
        sa3d(channels=(0, 1, 2)),
        sa3d(channels=(0, 1, 2, 2)),
        sa3d(channels=(0, 1, 2, 4)),
        sa3d(count=1 << 31),
        sa3d(count=5),
    ],
)
def test_contradictory_boxes_are_ignored_with_a_warning(tmp_path, box, caplog):
    path = film_with(tmp_path / "a.mp4", sound_codec="aac")
    tag_mp4(path, box)
    info = probe(path)
    assert info.audio.ambisonic is None
    require_pannable(info)
    assert "are taken for plain ones" in caplog.text
    assert probe(path, InputOptions(ambisonics="none")).audio.assumed is None


@pytest.mark.parametrize(
    ("order", "layout", "channels"),
    [
        ("WYZXLR", "5.1", (0, 1, 2, 3)),
        ("WXYZLR", "5.1", (0, 2, 3, 1)),
        ("LRWYZX", "5.1", (2, 3, 4, 5)),
        ("LWYZX", "5.0", (1, 2, 3, 4)),
        ("WYZXLRLR", "7.1", (0, 1, 2, 3)),
    ],
)
def test_a_map_of_four_in_a_wider_track_names_the_sound_field(tmp_path, order, layout, channels, caplog):
    """The tag, not the layout, decides: the sound field is heard, and the other channels are left out."""
    path = film_with(tmp_path / "a.mp4", order, layout, "flac")
    tag_mp4(path, sa3d(channels=channels))
    info = probe(path)
    assert info.audio.ambisonic == Ambisonics(1, channels)
    require_pannable(info)
    assert f"{len(order)} channels, 4 of them ambisonics by its tag" in caplog.text
    heard = loudness(path)
    assert heard["W"] == pytest.approx(-14, abs=0.2)
    assert max(heard[name] for name in "YZXLR") < -70
    rewrite(path, tmp_path / "b.mp4")
    sides = stereo(tmp_path / "b.mp4")
    assert sides["W"] == pytest.approx((0.1, 0.1), abs=0.01)
    assert sides["Y"] == pytest.approx((0.1, 0.1), abs=0.01)
    assert max(sides["X"] + sides["Z"] + sides["L"] + sides["R"]) < 1e-3
    whole_sphere = rewrite(path, tmp_path / "c.mp4", spherical=True)
    assert (whole_sphere.audio.channels, whole_sphere.audio.ambisonic) == (4, Ambisonics(1, (0, 1, 2, 3)))


@pytest.mark.parametrize(("channels", "order"), [(9, 2), (16, 3)])
def test_only_the_first_order_of_higher_orders_is_used(tmp_path, channels, order):
    """As tagged by Opus's mapping family 2; PyAV cannot read frames of more than eight planes."""
    path = wav(tmp_path / "a.wav", films.tone(1, channels=channels) * np.eye(channels)[:, :1].astype(np.float32))
    info = probe(path, InputOptions(ambisonics="ambix"))
    assert info.audio.ambisonic.order == order
    heard = np.concatenate(list(SoundReader(info, 16000).blocks(1)))
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.01)
    heard = np.concatenate(list(SoundReader(info, 16000, "field").blocks(1)), axis=1)
    assert np.abs(heard).max(axis=1) == pytest.approx([0.5, 0, 0, 0], abs=0.01)


def wav(path, sound, rate=48000):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(len(sound))
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.ascontiguousarray((sound.T * 32767).astype(np.int16)).tobytes())
    return path


@pytest.mark.parametrize(
    ("rate", "channels"),
    [
        *((44100, channels) for channels in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 32, 64)),
        *((rate, channels) for rate in (8000, 192000) for channels in (1, 7)),
    ],
)
def test_any_number_of_channels_is_heard(tmp_path, channels, rate):
    """Each channel has its own sound; in an unnamed layout all of them are mixed equally."""
    sound = np.stack([films.tone(0.5, rate, 1, hz=100 + 50 * n, level=0.9)[0] for n in range(channels)])
    heard = whole(wav(tmp_path / "a.wav", sound, rate), 16000)
    spectrum = np.abs(np.fft.rfft(heard[:8000])) / 4000
    levels = [spectrum[50 + 25 * n] for n in range(channels)]
    assert np.abs(heard).max() <= 1
    if channels not in (1, 2, 6, 8):
        assert levels == pytest.approx([0.9 / channels] * channels, rel=0.05)
    else:
        assert sum(level > 0.05 for level in levels) >= channels - 1  # Not the LFE of 5.1 and 7.1.


@pytest.mark.parametrize("codec", ["libopus", "pcm_s16le"])
def test_sixteen_channels_in_a_film(tmp_path, codec):
    options = {"mapping_family": "255"} if codec == "libopus" else {}
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height = 128, 64
        track = out.add_stream(codec, rate=48000, layout="16 channels", options=options)
        for n in range(15):
            frame = av.VideoFrame(128, 64, "yuv420p")
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        kind = "flt" if codec == "libopus" else "s16"
        sound = films.tone(0.5, channels=16)
        packed = np.ascontiguousarray(sound.T.reshape(1, -1) * (1 if kind == "flt" else 32767))
        frame = av.AudioFrame.from_ndarray(
            packed.astype(np.float32 if kind == "flt" else np.int16), kind, "16 channels"
        )
        frame.sample_rate = 48000
        for packet in track.encode(frame) + track.encode(None):
            out.mux(packet)
    assert np.abs(whole(path)).max() == pytest.approx(0.5, abs=0.05)
    made = rewrite(path, tmp_path / "b.mp4")
    assert (made.audio.codec, made.audio.channels) == ("aac", 2)
    assert np.abs(whole(tmp_path / "b.mp4")).max() == pytest.approx(0.5, abs=0.1)


def test_ambisonics_need_four_channels(tmp_path):
    path = films.make_film(tmp_path / "a.mp4", sound=films.tone(0.3))
    with pytest.raises(UnsupportedInputError, match="2 channels"):
        probe(path, InputOptions(ambisonics="ambix"))


def test_tracks_are_chosen_by_number(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height = 128, 64
        tracks = [out.add_stream("aac", rate=rate, layout=kind) for rate, kind in ((48000, "stereo"), (44100, "mono"))]
        for n in range(30):
            frame = av.VideoFrame(128, 64, "yuv420p")
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for track, hz in zip(tracks, (300, 700), strict=True):
            sound = films.tone(1, track.rate, track.channels, hz)
            frame = av.AudioFrame.from_ndarray(sound, "fltp", track.layout.name)
            frame.sample_rate = track.rate
            for packet in track.encode(frame) + track.encode(None):
                out.mux(packet)
    for number, layout, hz in ((None, "stereo", 300), (1, "stereo", 300), (2, "mono", 700)):
        info = probe(path, InputOptions(audio_track=number))
        assert (info.audio.track, info.audio.tracks, info.audio.layout) == (number or 1, 2, layout)
        heard = np.concatenate(list(SoundReader(info, 16000).blocks(1)))[:16000]
        assert np.argmax(np.abs(np.fft.rfft(heard))) == pytest.approx(hz, abs=1)
    with pytest.raises(InputError, match="sound track 3 is not there"):
        probe(path, InputOptions(audio_track=3))
