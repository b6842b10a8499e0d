"""Title, date, place, colours and 360° tags of what is written, as programs other than ours see them."""

import struct

import av
import films
import pytest
from av.sidedata.sidedata import Type
from test_spherical import boxes
from test_writer import rewrite

from pano_sound.media.ambisonics import FIRST_ORDER
from pano_sound.media.colour import Colour
from pano_sound.media.metadata import kept
from pano_sound.media.probe import probe
from pano_sound.media.spherical import tag_mp4
from pano_sound.options.video import VideoOptions

WHEN, WHERE = "2024-05-06T07:08:09.000000Z", "+48.1371+011.5754+519.000/"
PLAIN = {"title": "Été", "artist": "A", "copyright": "C", "comment": "K", "creation_time": WHEN, "location": WHERE}
APPLE = {
    "com.apple.quicktime.title": "Été",
    "com.apple.quicktime.creationdate": "2024-05-06T09:08:09+0200",
    "com.apple.quicktime.location.ISO6709": WHERE,
}
SOURCES = {
    "a.mp4": (PLAIN, {}),
    "a.mov": (PLAIN, {}),
    "a.mkv": (PLAIN, {}),
    "apple.mov": (APPLE, {"movflags": "use_metadata_tags"}),
}
TAGS = (b"sv3d", b"st3d", b"GSpherical", b"SA3D")


def place(text):
    """A location as numbers, which containers write with different digits."""
    return [float(x) for x in (text[:8], text[8:17], text[17:-1])]


@pytest.mark.parametrize(
    ("output", "spherical"),
    [("b.mp4", False), ("b.m4v", False), ("b.mov", False), ("b.mkv", False), ("b.mp4", True), ("b.mov", True)],
)
@pytest.mark.parametrize("name", SOURCES)
def test_title_date_and_place_are_kept(tmp_path, name, output, spherical):
    metadata, options = SOURCES[name]
    source = films.make_film(tmp_path / name, sound=films.tone(0.4), metadata=metadata, options=options)
    rewrite(source, tmp_path / output, spherical=spherical)
    with av.open(str(tmp_path / output)) as film:
        made = {key.lower(): text for key, text in film.metadata.items()}
    assert made["title"] == "Été"
    assert made["creation_time"] == WHEN
    assert place(made["location"]) == pytest.approx([48.1371, 11.5754, 519], abs=1e-4)
    assert [made.get(k) for k in ("artist", "copyright", "comment")] == [
        metadata.get(k) for k in ["artist", "copyright", "comment"]
    ]
    if output != "b.mkv":
        # Where phones put it and most programs look for it.
        xyz = boxes(tmp_path / output)["moov/udta/©xyz"][8:]
        assert struct.unpack_from(">H", xyz)[0] == len(xyz) - 4
        assert xyz[4:].decode().startswith("+48.1371+011.5754+519.0")


def test_a_film_without_a_description_gets_none(tmp_path):
    source = films.make_film(tmp_path / "a.mp4", sound=films.tone(0.4))
    rewrite(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as film:
        assert set(film.metadata) == {"major_brand", "minor_version", "compatible_brands", "encoder"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"creation_time": "2024-05-06T07:08:09.250000Z"}, {"creation_time": "2024-05-06T07:08:09.250000Z"}),
        ({"CREATION_TIME": "2024-05-06T07:08:09Z"}, {"creation_time": WHEN}),
        ({"com.apple.quicktime.creationdate": "2024-05-06T01:08:09-06:00"}, {"creation_time": WHEN}),
        ({"creation_time": "yesterday"}, {}),
        ({"creation_time": "0001-01-01T00:00:00+1400"}, {}),
        ({"location": "-33.8600+151.2111/"}, {"location": "-33.8600+151.2111/"}),
        ({"LOCATION": "Munich"}, {}),
        ({"location": "+48.1371+011.5754\n/"}, {}),
        ({"LOCATION": "+٤٨.١+٠١١.٥/"}, {}),
        ({"location": "+48.1371+011.5754CRSé/"}, {}),
        ({"encoder": "X", "com.apple.quicktime.make": "Apple", "title": ""}, {}),
    ],
)
def test_only_what_players_understand_is_kept(given, expected):
    assert kept(given) == expected


@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.mkv"])
def test_flat_output_has_no_360_tags(tmp_path, name):
    """Of a source that is tagged in every way there is: V1, V2, ambisonics and H.264's frame packing."""
    source = films.make_film(
        tmp_path / "a.mp4", size=(128, 128), stereo="top-bottom", sound=films.tone(0.4, channels=4), layout="4.0"
    )
    tag_mp4(source, FIRST_ORDER.box)
    assert all(tag in source.read_bytes() for tag in TAGS)
    assert probe(source).spherical.tag == "v2"
    assert probe(source).audio.ambisonic
    rewrite(source, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert not any(tag in content for tag in TAGS)
    made = probe(tmp_path / name)
    assert made.spherical.tag == ""
    assert made.audio.ambisonic is None
    with av.open(str(tmp_path / name)) as film:
        frame = next(film.decode(video=0))
        assert frame.side_data.get(Type.SPHERICAL) is None
        assert frame.side_data.get(Type.STEREO3D) is None


@pytest.mark.parametrize("name", ["b.mp4", "b.mov"])
@pytest.mark.parametrize("known", ["v1 and v2", "v1", "v2"])
def test_ffmpeg_knows_360_output_for_a_sphere_by_each_of_its_tags(tmp_path, name, known):
    source = films.make_film(tmp_path / "a.mp4", sound=films.tone(0.4))
    rewrite(source, tmp_path / name, spherical=True)
    content = (tmp_path / name).read_bytes()
    if known == "v1":
        content = content.replace(b"sv3d", b"skip").replace(b"st3d", b"skip")
    elif known == "v2":
        content = content.replace(b"<GSpherical:Spherical>true<", b"<GSpherical:Spherical>none<")
    (tmp_path / name).write_bytes(content)
    with av.open(str(tmp_path / name)) as film:
        mapping = bytes(next(film.decode(video=0)).side_data.get(Type.SPHERICAL))
    assert struct.unpack_from("=i", mapping) == (0,)  # AV_SPHERICAL_EQUIRECTANGULAR
    assert probe(tmp_path / name).spherical.projection == "equirectangular"


@pytest.mark.parametrize("name", ["b.mp4", "b.m4v", "b.mov"])
@pytest.mark.parametrize("spherical", [False, True], ids=["flat", "360"])
@pytest.mark.parametrize("metadata", [{}, PLAIN], ids=["plain", "with a place"])
def test_the_index_comes_first(tmp_path, name, spherical, metadata):
    source = films.make_film(tmp_path / "a.mkv", films.steady(40), sound=films.tone(1.3), metadata=metadata)
    rewrite(source, tmp_path / name, spherical=spherical)
    top = [kind for kind in boxes(tmp_path / name) if "/" not in kind]
    assert top[:2] == ["ftyp", "moov"]
    assert top[-1] == "mdat"


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.mkv"])
@pytest.mark.parametrize("colour", [Colour(1, 1, 1, 1), Colour(2, 6, 6, 6), Colour(1, 9, 9, 16), Colour(1, 9, 9, 18)])
def test_colour_tags_are_in_the_container_too(tmp_path, codec, name, colour):
    """As read by FFmpeg before anything is decoded: players that leave decoding to hardware look there."""
    source = films.make_film(tmp_path / "a.mp4")
    rewrite(source, tmp_path / name, colour=colour, encoding=VideoOptions(codec=codec))
    with av.open(str(tmp_path / name)) as film:
        context = film.streams.video[0].codec_context
        found = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
    assert found == (colour.range, colour.space, colour.primaries, colour.transfer)
