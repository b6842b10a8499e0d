import struct

import av
import films
import numpy as np
import pytest
from test_writer import grey, names, rewrite, writer

from pano_sound.errors import OutputError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.spherical import tag_mp4

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"sv3d", b"proj"}


def walk(data, start, end, path=()):
    """(path, start, end) of all boxes, and a check that their sizes fill what holds them exactly."""
    at = start
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= end - at, (path, kind)
        here = (*path, kind)
        yield here, at, at + size
        if kind in CONTAINERS:
            yield from walk(data, at + 8, at + size, here)
        elif kind == b"stsd":
            yield from walk(data, at + 16, at + size, here)
        elif kind in (b"avc1", b"apcn", b"jpeg"):
            yield from walk(data, at + 8 + 78, at + size, here)
        at += size
    assert at == end, path


def boxes(path):
    data = path.read_bytes()
    return {"/".join(k.decode("latin-1") for k in p): data[a:b] for p, a, b in walk(data, 0, len(data))}


def packets(path):
    with av.open(str(path)) as film:
        return [(p.stream.type, p.pts, p.dts, bytes(p)) for p in film.demux() if p.size]


@pytest.fixture(params=["index in front", "index at the end"])
def film(request, tmp_path):
    options = {"movflags": "+faststart"} if request.param == "index in front" else {}
    return films.make_film(tmp_path / "a.mp4", films.steady(40), size=(128, 96), sound=films.tone(1.3), options=options)


def test_tagged_files_are_read_as_spheres_and_hold_the_same_film(film):
    assert "ordinary video" in probe(film).problem
    before, order = packets(film), list(boxes(film))
    tag_mp4(film)
    info = probe(film)
    assert (info.spherical.projection, info.spherical.stereo) == ("equirectangular", "mono")
    assert info.problem is None
    assert packets(film) == before
    assert sum(1 for _ in VideoReader(probe(film)).pictures()) == 40
    assert [b for b in boxes(film) if b in order] == order
    assert names(film.parent) == ["a.mp4"]


def test_boxes_follow_the_standard(film):
    tag_mp4(film)
    found = boxes(film)
    entry = "moov/trak/mdia/minf/stbl/stsd/avc1"
    assert found[f"{entry}/st3d"][8:] == b"\0" * 5
    assert found[f"{entry}/sv3d/svhd"][8:] == b"\0\0\0\0pano-sound\0"
    assert found[f"{entry}/sv3d/proj/prhd"][8:] == b"\0" * 16
    assert found[f"{entry}/sv3d/proj/equi"][8:] == b"\0" * 20
    inside = [b for b in found if b.startswith(entry + "/")]
    assert inside.index(f"{entry}/avcC") < inside.index(f"{entry}/st3d") < inside.index(f"{entry}/sv3d")
    uuid = found["moov/trak/uuid"]
    assert uuid[8:24].hex() == "ffcc8263f8554a938814587a02521fdd"
    assert b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>" in uuid


def test_tagging_twice_equals_tagging_once(film):
    tag_mp4(film)
    once = film.read_bytes()
    tag_mp4(film)
    assert film.read_bytes() == once


@pytest.mark.parametrize("codec", ["libx264", "mjpeg", "prores_ks"])
def test_quicktime_files_can_be_tagged(tmp_path, codec):
    pix_fmt = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}.get(codec, "yuv420p")
    path = films.make_film(tmp_path / "a.mov", size=(128, 96), codec=codec, pix_fmt=pix_fmt)
    before = packets(path)
    tag_mp4(path)
    assert probe(path).spherical.projection == "equirectangular"
    assert packets(path) == before


@pytest.mark.parametrize("content", [b"", b"no film at all", struct.pack(">I4s", 400, b"moov") + b"x" * 9])
def test_refuses_files_that_are_not_mp4_and_leaves_them_alone(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="cannot be tagged"):
        tag_mp4(path)
    assert path.read_bytes() == content
    assert names(tmp_path) == ["a.mp4"]


def test_sound_alone_cannot_be_tagged(tmp_path):
    path = tmp_path / "a.mp4"
    film = films.make_film(tmp_path / "b.mp4", sound=films.tone(0.3))
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    with pytest.raises(OutputError, match="no video track"):
        tag_mp4(path)


def test_truncated_files_raise_only_our_error(film):
    whole = film.read_bytes()
    start = whole.index(b"moov")
    for end in range(start, len(whole), 37):
        film.write_bytes(whole[:end])
        try:
            tag_mp4(film)
        except OutputError:
            assert film.read_bytes() == whole[:end]


def test_the_writer_tags_and_flat_output_is_not_tagged(tmp_path):
    source = films.make_film(tmp_path / "a.mp4", size=(128, 96), sound=films.tone(0.4))
    tag_mp4(source)
    for name in ("b.mp4", "b.mov"):
        made = rewrite(source, tmp_path / name, spherical=True)
        assert made.spherical.projection == "equirectangular"
        assert made.problem is None
    assert rewrite(source, tmp_path / "c.mp4").spherical.projection is None
    with pytest.raises(OutputError, match="mp4 and mov"):
        writer(tmp_path / "d.mkv", spherical=True)


@pytest.mark.parametrize("sound_codec", ["aac", "flac", "pcm_f32le"])
def test_ambisonics_stay_ambisonic_in_360_output(tmp_path, sound_codec):
    sound = np.stack([films.tone(1, channels=1, hz=200 * (n + 1), level=0.3)[0] for n in range(4)])
    source = films.make_film(tmp_path / "a.mkv", films.steady(30), sound=sound, layout="4.0", sound_codec=sound_codec)
    made = rewrite(source, tmp_path / "b.mp4", spherical=True, ambisonics="ambix")
    assert b"SA3D" in (tmp_path / "b.mp4").read_bytes()
    if sound_codec == "flac":
        assert made.audio.layout == "ambisonic 1"
    assert made.audio.channels == 4
    assert made.audio.ambisonic
    with av.open(str(tmp_path / "b.mp4")) as film:
        heard = np.concatenate([f.to_ndarray() for f in film.decode(audio=0)], axis=1)
    heard = heard[:, 1000:40000] if heard.shape[0] == 4 else heard.reshape(-1, 4).T[:, 1000:40000]
    pitches = np.argmax(np.abs(np.fft.rfft(heard, 48000)), axis=1)
    assert np.abs(pitches - [200, 400, 600, 800]).max() <= 1


def test_a_failure_while_tagging_leaves_no_output(tmp_path, monkeypatch):
    def fail(path, *tags):
        raise OutputError("cannot be tagged as 360°", path)

    monkeypatch.setattr("pano_sound.media.output_file.tag_mp4", fail)
    with pytest.raises(OutputError, match=r"/a.mp4: cannot be"), writer(tmp_path / "a.mp4", spherical=True) as out:
        out.write(grey(0))
    assert names(tmp_path) == []
