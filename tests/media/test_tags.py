"""Every value of every tag for stereo and projection: how it is read, and the error for what is not."""

import io
import re

import av
import films
import pytest
import spheres

from pano_sound.media.matroska import video_tracks
from pano_sound.media.probe import probe
from pano_sound.options.input import InputOptions

UNKNOWN, INTERLEAVED, ANAGLYPH = "stereo layout that is unknown", "are interleaved", "(anaglyph)"
EYES = {"mono": (256, 128), "top-bottom": (256, 64), "left-right": (128, 128)}
"""Which part of a picture of 256x128 is read."""


def sphere(path, **how):
    return films.make_film(path, films.steady(2), size=(256, 128), **how)


def matroska(path, stereo_mode=1, projection=None, xml=None, where="track"):
    """A film with any value of StereoMode and ProjectionType, written over those that FFmpeg writes."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height = 256, 128
        stream.metadata["stereo_mode"] = "left_right"
        if xml is not None:
            (stream if where == "track" else out).metadata["SPHERICAL-VIDEO"] = xml
        frame = av.VideoFrame(256, 128, "yuv420p")
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    content = path.read_bytes().replace(b"\x53\xb8\x81\x01", b"\x53\xb8\x81" + bytes([stereo_mode]), 1)
    if projection is not None:
        shown_size = rb"\x54\xb0\x81.\x54\xba\x81."  # As long as what takes its place.
        kind = b"\x76\x70\x85\x76\x71\x82\0" + bytes([projection])
        content, count = re.subn(shown_size, lambda _: kind, content, count=1, flags=re.DOTALL)
        assert count == 1
    path.write_bytes(content)
    return path


def told(path, expected, **options):
    """Check that a film is read as `expected`: a layout of the eyes, or words of the error."""
    info = probe(path, InputOptions(**options))
    if expected in EYES:
        assert (info.problem, info.spherical.stereo, info.eye) == (None, expected, EYES[expected])
    else:
        assert expected in info.problem


def overridden(path):
    """Check that the user's options take precedence over all tags."""
    for stereo, eye in EYES.items():
        info = probe(path, InputOptions(projection="equirectangular", stereo=stereo))
        assert (info.problem, info.eye) == (None, eye)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "mono"), (1, "top-bottom"), (2, "left-right"), (3, UNKNOWN), (4, "left-right"), (5, UNKNOWN), (255, UNKNOWN)],
)
def test_stereo_of_mp4s_st3d_box(tmp_path, value, expected):
    path = sphere(tmp_path / "a.mp4")
    spheres.tag_v2(path, b"equi", bytes(16), stereo=value)
    told(path, expected)
    overridden(path)


STEREO_MODES = {0: "mono", 1: "left-right", 2: "top-bottom", 3: "top-bottom", 11: "left-right"}
STEREO_MODES |= dict.fromkeys((4, 5, 6, 7, 8, 9, 13, 14), INTERLEAVED) | dict.fromkeys((10, 12), ANAGLYPH)
STEREO_MODES |= dict.fromkeys((15, 16, 255), UNKNOWN)


@pytest.mark.parametrize(("value", "expected"), sorted(STEREO_MODES.items()))
@pytest.mark.parametrize("container", ["mkv", "webm"])
def test_stereo_of_matroskas_stereo_mode(tmp_path, value, expected, container):
    path = matroska(tmp_path / "a.mkv", value, projection=1).rename(tmp_path / f"a.{container}")
    told(path, expected)
    overridden(path)


V1_MODES = {None: "mono", "mono": "mono", "left-right": "left-right", "top-bottom": "top-bottom"}
V1_MODES |= {"right-left": "left-right", "Top-Bottom": "top-bottom", "spiral": UNKNOWN}


@pytest.mark.parametrize(("value", "expected"), V1_MODES.items())
@pytest.mark.parametrize("where", ["mp4", "mov", "mkv track", "mkv file"])
def test_stereo_of_v1s_xml(tmp_path, value, expected, where):
    given = {} if value is None else {"StereoMode": value}
    if where.startswith("mkv"):
        path = matroska(tmp_path / "a.mkv", stereo_mode=0, xml=spheres.v1_xml(**given), where=where.split()[1])
    else:
        path = sphere(tmp_path / f"a.{where}")
        spheres.tag_v1(path, **given)
    info = probe(path)
    assert info.spherical.projection == "equirectangular"
    assert info.spherical.tag.startswith("v1")
    told(path, expected)
    overridden(path)


@pytest.mark.parametrize("attributes", [False, True])
def test_matroskas_stereo_mode_takes_precedence_over_xml(tmp_path, attributes):
    xml = spheres.v1_xml(StereoMode="mono")
    if attributes:
        xml = '<x GSpherical:Spherical="true" GSpherical:StereoMode="mono" />'
    told(matroska(tmp_path / "a.mkv", 3, xml=xml), "top-bottom")


FRAME_PACKING = {3: "left-right", 4: "top-bottom", 6: "mono"} | dict.fromkeys((0, 1, 2, 5), INTERLEAVED)


@pytest.mark.parametrize(("value", "expected"), sorted(FRAME_PACKING.items()))
def test_stereo_of_the_streams_own_frame_packing(tmp_path, value, expected):
    path = sphere(tmp_path / "a.mkv", encoder={"x264-params": f"frame-packing={value}"})
    told(path, expected, projection="equirectangular")
    overridden(path)


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        (b"equi", bytes(16), "equirectangular"),
        (b"cbmp", bytes(8), "cubemap"),
        (b"cbmp", b"\0\0\0\7" + bytes(4), "unknown"),
        (b"mshp", bytes(16), "mesh"),
        (b"abcd", bytes(16), "unknown"),
    ],
)
def test_projections_of_v2(tmp_path, kind, content, expected):
    path = sphere(tmp_path / "a.mp4")
    spheres.tag_v2(path, kind, content)
    info = probe(path)
    assert info.spherical.projection == expected
    words = {"unknown": "a projection that is unknown", "mesh": "a mesh"}
    assert words[expected] in info.problem if expected in words else info.problem is None
    overridden(path)


@pytest.mark.parametrize(
    ("value", "expected", "word"),
    [
        (0, "rectilinear", "ordinary flat video"),
        (1, "equirectangular", None),
        (3, "mesh", "a mesh"),
        (4, "unknown", "a projection that is unknown"),
        (200, "unknown", "a projection that is unknown"),
    ],
)
def test_projections_of_matroska(tmp_path, value, expected, word):
    path = matroska(tmp_path / "a.mkv", projection=value)
    info = probe(path)
    assert info.spherical.projection == expected
    assert info.problem is None if word is None else word in info.problem
    overridden(path)


@pytest.mark.parametrize(("value", "word"), [("equirectangular", None), ("mercator", "a projection that is unknown")])
def test_projections_of_v1s_xml(tmp_path, value, word):
    path = sphere(tmp_path / "a.mp4")
    spheres.tag_v1(path, ProjectionType=value)
    assert probe(path).problem is None if word is None else word in probe(path).problem
    overridden(path)


def test_v1_footage_tagged_as_not_stitched(tmp_path):
    path = sphere(tmp_path / "a.mp4")
    spheres.tag_v1(path, Stitched="false")
    assert "not stitched yet" in probe(path).problem
    overridden(path)


def test_a_damaged_list_of_tracks_is_skipped(tmp_path):
    whole = matroska(tmp_path / "a.mkv", 11).read_bytes()
    assert [track.stereo_mode for track in video_tracks(io.BytesIO(whole))] == [11]
    for at in range(700):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            assert len(video_tracks(io.BytesIO(damaged))) <= 1
