"""Files with several pictures: which of them is the film."""

import av
import numpy as np
import pytest
import spheres

from pano_sound.errors import InputError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.input import InputOptions


def film(path, *sizes):
    """A video track of each size, the first dark, each next one brighter."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=10) for _ in sizes]
        for stream, size in zip(streams, sizes, strict=True):
            stream.width, stream.height = size
        for n in range(3):
            for k, stream in enumerate(streams):
                grey = np.full((stream.height, stream.width, 3), 40 + 60 * k, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
                frame.pts = n
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def brightness(path, **options):
    picture = next(VideoReader(probe(path, InputOptions(**options))).pictures())
    return round((float(picture.planes[0].mean()) - 16) * 255 / 219)


FLAT, PREVIEW, SPHERE, LARGE = (320, 180), (96, 54), (128, 64), (256, 128)


@pytest.mark.parametrize(
    ("sizes", "track"),
    [
        ([FLAT, SPHERE], 2),
        ([SPHERE, FLAT], 1),
        ([FLAT, PREVIEW, SPHERE], 3),
        ([SPHERE, LARGE], 2),
        ([LARGE, SPHERE], 1),
        ([PREVIEW, LARGE, FLAT, SPHERE], 2),
        ([SPHERE, SPHERE], 1),
    ],
)
@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "ts"])
def test_the_360_film_is_found_among_other_pictures(tmp_path, container, sizes, track):
    path = film(tmp_path / f"a.{container}", *sizes)
    info = probe(path)
    assert info.problem is None
    assert (info.video.track, info.video.tracks, info.eye) == (track, len(sizes), sizes[track - 1])
    assert brightness(path) == pytest.approx(40 + 60 * (track - 1), abs=2)


@pytest.mark.parametrize("tag", ["v1", "v2"])
def test_tags_take_precedence_over_shapes(tmp_path, tag):
    """A sphere squeezed into 16:9, tagged, beside a picture that only looks like one."""
    path = film(tmp_path / "a.mp4", (160, 90), LARGE)
    if tag == "v1":
        spheres.tag_v1(path)  # Of the first track.
    else:
        spheres.tag_v2(path, b"equi", bytes(16))
    info = probe(path)
    assert (info.problem, info.video.track, info.spherical.projection) == (None, 1, "equirectangular")
    assert brightness(path) == pytest.approx(40, abs=2)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_tracks_are_chosen_by_number(tmp_path, container):
    path = film(tmp_path / f"a.{container}", SPHERE, LARGE, FLAT)
    for number in (1, 2):
        assert brightness(path, video_track=number) == pytest.approx(40 + 60 * (number - 1), abs=2)
    assert "ordinary video" in probe(path, InputOptions(video_track=3)).problem
    with pytest.raises(InputError, match="video track 4 is not there"):
        probe(path, InputOptions(video_track=4))


def test_without_a_sphere_the_main_picture_is_reported(tmp_path):
    assert "320x180" in probe(film(tmp_path / "a.mp4", FLAT, PREVIEW)).problem
