"""Unstitched films of 360° cameras are told from spheres by their names, tracks and pictures."""

import av
import films
import lenses
import numpy as np
import pytest
import spheres

from pano_sound.media.cameras import looks_like_two_fisheyes, raw_tracks
from pano_sound.media.probe import probe
from pano_sound.options.input import InputOptions


def frame_of(rgb):
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="yuv420p")


def film_of(path, *tracks):
    """One picture in each video track."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=10) for _ in tracks]
        for stream, rgb in zip(streams, tracks, strict=True):
            stream.height, stream.width = rgb.shape[:2]
        for stream, rgb in zip(streams, tracks, strict=True):
            out.mux(stream.encode(frame_of(rgb)))
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GS010042.360", ["GoPro", "GoPro Player"]),
        ("VID_20240101_00_001.insv", ["Insta360", "Insta360 Studio"]),
        ("CAM_0001.OSV", ["DJI", "DJI Studio"]),
    ],
)
def test_raw_camera_files_are_recognised(tmp_path, name, words):
    film = films.make_film(tmp_path / "a.mp4").rename(tmp_path / name)
    assert all(word in probe(film).problem for word in words)
    assert probe(film, InputOptions(projection="equirectangular")).problem is None


@pytest.mark.parametrize("layout", lenses.LAYOUTS)
@pytest.mark.parametrize("kind", ["day", "night", "water"])
@pytest.mark.parametrize("turned", [0, 90])
def test_two_lens_pictures_are_recognised(layout, kind, turned):
    assert looks_like_two_fisheyes(frame_of(lenses.two_lenses(lenses.scene(kind), layout, turned=turned)))


@pytest.mark.parametrize("layout", ["2:1, as Gear 360", "16:9, above, as Theta S"])
def test_a_film_of_two_lens_pictures_is_refused_unless_it_is_said_to_be_a_sphere(tmp_path, layout):
    path = film_of(tmp_path / "a.mp4", lenses.two_lenses(lenses.scene("day"), layout))
    assert "two round lens images" in probe(path).problem
    assert probe(path, InputOptions(projection="equirectangular")).problem is None
    assert probe(path, InputOptions(projection="equirectangular", stereo="left-right")).problem is None


@pytest.mark.parametrize("kind", ["day", "night", "water", "black poles", "black seam"])
@pytest.mark.parametrize("size", [(512, 256), (512, 288)])
def test_spheres_are_not_taken_for_lens_pictures(kind, size):
    sphere = lenses.scene(kind, 256)[: size[1]]
    if size[1] > 256:
        sphere = np.repeat(sphere, 2, axis=0)[np.linspace(0, 511, size[1]).astype(int)]
    assert not looks_like_two_fisheyes(frame_of(sphere))


@pytest.mark.parametrize("rows", range(0, 128, 8))
def test_black_poles_of_any_size_are_not_taken_for_a_lens(rows):
    sphere = spheres.colours(spheres.sphere(512, 256))
    sphere[:rows] = sphere[256 - rows :] = 0
    assert not looks_like_two_fisheyes(frame_of(sphere))
    sphere[:rows] = sphere[256 - rows :] = 255
    assert not looks_like_two_fisheyes(frame_of(sphere))


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_a_picture_of_one_colour_is_not_taken_for_a_lens(level):
    assert not looks_like_two_fisheyes(frame_of(np.full((256, 512, 3), level, np.uint8)))


@pytest.mark.parametrize(
    ("sizes", "word"),
    [
        ([(4096, 1344), (4096, 1344)], "GoPro"),
        ([(2272, 736), (2272, 736)], "GoPro"),
        ([(4096, 1344)], "GoPro"),
        ([(5952, 1920), (5952, 1920)], "GoPro"),
        ([(3000, 1000)], None),
        ([(2880, 2880), (2880, 2880)], "each lens"),
        ([(3840, 1920), (1440, 720)], None),
        ([(1920, 1920)], None),
        ([(3840, 1920)], None),
        ([(3840, 2160), (3840, 2160)], None),
        ([], None),
    ],
)
def test_tracks_tell_raw_files_under_another_name(sizes, word):
    said = raw_tracks(sizes)
    assert said is None if word is None else word in said and "not stitched yet" in said


@pytest.mark.parametrize("tracks", [1, 2])
def test_gopros_360_as_mp4(tmp_path, tracks):
    half = np.full((84, 256, 3), 90, np.uint8)  # As 4096x1344.
    path = film_of(tmp_path / "a.mp4", *[half] * tracks)
    assert "halves of GoPro's own 360° format, not stitched yet" in probe(path).problem
    assert probe(path, InputOptions(projection="equirectangular")).problem is None


def test_one_lens_per_track_is_recognised(tmp_path):
    lens = lenses.two_lenses(lenses.scene("day"), "2:1, as Gear 360")[:, :256]
    path = film_of(tmp_path / "a.mp4", lens, lens)
    assert "each lens has a video track of its own, not stitched yet" in probe(path).problem
