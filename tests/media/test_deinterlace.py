"""Interlaced sources are deinterlaced before anything else."""

from fractions import Fraction

import av
import numpy as np
import pytest
from test_writer import rewrite

from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader

KINDS = {
    "H.264, upper field first": ("a.mp4", "libx264", "yuv420p", "tff"),
    "H.264, lower field first": ("a.mkv", "libx264", "yuv420p", "bff"),
    "H.264, 10 bits": ("a.mkv", "libx264", "yuv420p10le", "tff"),
    "MPEG-2": ("a.ts", "mpeg2video", "yuv420p", "tff"),
    "progressive": ("a.mp4", "libx264", "yuv420p", "prog"),
}
COUNT = 6


def moving(path, codec, pix_fmt, order, count=COUNT):
    """A bright bar that moves by 16 pixels a field. `order`: which field is first, "tff" or "bff"; or "prog"."""
    deep = "10" in pix_fmt
    graph = av.filter.Graph()
    source = graph.add_buffer(width=256, height=128, format=av.VideoFormat(pix_fmt), time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("setfield", order), graph.add("buffersink")).configure()
    options = {} if order == "prog" else {"flags": "+ildct+ilme"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 128, pix_fmt
        for n in range(count):
            luma = np.full((128, 256), 30, np.uint16)
            for field in (0, 1):
                x = 20 + 16 * (2 * n + {"tff": field, "bff": 1 - field, "prog": 0}[order])
                luma[field::2, x : x + 40] = 220
            frame = av.VideoFrame(256, 128, pix_fmt)
            for plane, values in zip(
                frame.planes, (luma, np.full((64, 128), 128), np.full((64, 128), 128)), strict=True
            ):
                rows = np.frombuffer(memoryview(plane), np.uint16 if deep else np.uint8).reshape(plane.height, -1)
                rows[:, : plane.width] = values << 2 if deep else values
            frame.pts, frame.time_base = n, Fraction(1, 25)
            graph.push(frame)
            out.mux(stream.encode(graph.pull()))
        out.mux(stream.encode(None))
    return path


def combing(luma):
    """Mean difference of each line to its neighbours' mean."""
    luma = luma.astype(float)
    return np.abs(luma[1:-1:2] - (luma[:-2:2] + luma[2::2]) / 2).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_no_picture_is_combed(tmp_path, kind):
    name, *how = KINDS[kind]
    path = moving(tmp_path / name, *how)
    with VideoReader(probe(path)) as reader:
        pictures = list(reader.pictures())
        scale = 2 ** (pictures[0].bit_depth - 8)
        assert reader.corrupt_frames == 0
    assert len(pictures) == COUNT
    assert np.diff([p.t for p in pictures]) == pytest.approx(1 / 25)
    for number, picture in enumerate(pictures):
        luma = picture.planes[0] / scale
        assert combing(luma) < 1.5
        # The bar is where it was at the first of the two moments.
        bar = np.flatnonzero(luma[64] > 125)
        assert bar.mean() == pytest.approx(20 + 32 * number + 19.5, abs=3)
        assert len(bar) == pytest.approx(40, abs=6)
    with VideoReader(probe(path)) as reader:
        small = [picture.rgb(256, 128) for picture in reader.stored()]
    assert len(small) == COUNT
    assert max(combing(rgb[..., 0]) for rgb in small) < 1.5


def test_written_pictures_are_progressive(tmp_path):
    name, *how = KINDS["H.264, upper field first"]
    source = moving(tmp_path / name, *how)
    rewrite(source, tmp_path / "b.mp4", with_sound=False)
    with av.open(str(tmp_path / "b.mp4")) as film:
        frames = list(film.decode(video=0))
    assert [frame.interlaced_frame for frame in frames] == [False] * COUNT
    assert max(combing(frame.to_ndarray()[:128]) for frame in frames) < 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_last_pictures_are_there(tmp_path, count):
    name, *how = KINDS["H.264, upper field first"]
    path = moving(tmp_path / name, *how, count=count)
    assert len(list(VideoReader(probe(path)).pictures())) == count


def test_a_film_may_turn_interlaced_and_back(tmp_path):
    paths = [
        moving(tmp_path / f"{n}.mp4", "libx264", "yuv420p", order) for n, order in enumerate(["prog", "tff", "prog"])
    ]
    info = probe(paths)
    pictures = list(VideoReader(info).pictures())
    assert np.diff([p.t for p in pictures]) == pytest.approx(1 / 25)
    assert len(pictures) == 3 * COUNT
    assert max(combing(p.planes[0]) for p in pictures) < 2
