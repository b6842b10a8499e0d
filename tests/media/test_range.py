"""Colours stay what they are through every encoder: each source range, matrix and format, panned and with an overlay.

One half of the picture is grey 20, the other orange. What is written is read once by the standards' formulas, from its
numbers and tags, and once by FFmpeg. One of each kind runs always; with `-m slow` any three of range, matrix, format,
encoder, container and command meet.
"""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from combinations import covering

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.encoders import ENCODERS
from pano_sound.errors import UnsupportedInputError
from pano_sound.media.colour import Colour, stated
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.input import InputOptions
from pano_sound.options.steps import RenderOptions
from pano_sound.soundmap import SoundMap

GREY, ORANGE = (20, 20, 20), (200, 110, 40)
PATH = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
# Of red and blue: BT.709, FCC, BT.601, SMPTE 240M, BT.2020.
WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
WEIGHTS[9] = (0.2627, 0.0593)
UNSTATED, LIMITED, FULL = 0, 1, 2
RANGES = {"unstated": UNSTATED, "limited": LIMITED, "full": FULL}
FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "gbrp10le", "gray")
SOFTWARE = {"libx264": (".mp4", ".mov", ".mkv"), "libx265": (".mp4", ".mov", ".mkv")}
SOFTWARE |= {"libsvtav1": (".mp4", ".mkv"), "prores_ks": (".mov", ".mkv")}


def to_yuv(rgb, space, full):
    """R, G, B of 0..255 as Y, U, V of 0..1 in the range."""
    r, g, b = (x / 255 for x in rgb)
    red, blue = WEIGHTS[space]
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    if full:
        return y, u + 128 / 255, v + 128 / 255
    return (16 + 219 * y) / 255, (128 + 224 * u) / 255, (128 + 224 * v) / 255


def to_rgb(yuv, space, full):
    y, u, v = (x * 255 for x in yuv)
    y, u, v = (
        (y / 255, (u - 128) / 255, (v - 128) / 255) if full else ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224)
    )
    red, blue = WEIGHTS[space]
    r, b = y + (2 - 2 * red) * v, y + (2 - 2 * blue) * u
    return [255 * x for x in (r, (y - red * r - blue * b) / (1 - red - blue), b)]


def film(path, light=LIMITED, space=1, pix_fmt="yuv420p"):
    """Three pictures, 128x64, stored without loss: a grey left half, an orange right one."""
    full = light == FULL or pix_fmt == "yuvj420p"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1" if pix_fmt != "yuvj420p" else "mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 64, pix_fmt
        if stream.codec.name == "mjpeg":
            stream.options = {"qmin": "1", "q": "1"}
        context = stream.codec_context
        context.color_range, context.colorspace = light, space
        for n in range(3):
            frame = av.VideoFrame(128, 64, pix_fmt)
            bits = frame.format.components[0].bits
            colours = [to_yuv(rgb, 5 if space == 2 else space, full) for rgb in (GREY, ORANGE)]
            if pix_fmt == "gray":
                colours = [[x / 255 for x in rgb] for rgb in (GREY, GREY)]
            if pix_fmt == "gbrp10le":
                colours = [[rgb[i] / 255 for i in (1, 2, 0)] for rgb in (GREY, ORANGE)]
            for channel, plane in enumerate(frame.planes):
                kind = np.uint16 if bits > 8 else np.uint8
                rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
                scale = 255 * 2 ** (bits - 8)
                rows[:, : plane.width // 2] = round(colours[0][channel] * scale)
                rows[:, plane.width // 2 :] = round(colours[1][channel] * scale)
            frame.pts, frame.time_base = n, Fraction(1, 10)
            frame.color_range, frame.colorspace = light, space
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def shown(path):
    """The colours of the two halves: by the formulas, and as FFmpeg shows them; (2, 2, 3)."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.color_range != UNSTATED or "yuvj" not in frame.format.name
        full, space = frame.color_range == FULL, frame.colorspace
        bits = frame.format.components[0].bits
        found = []
        for share in (0.25, 0.75):
            yuv = []
            for plane in frame.planes:
                rows = np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8).reshape(plane.height, -1)
                yuv.append(rows[plane.height // 2, round(plane.width * share)] / (255 * 2 ** (bits - 8)))
            found.append(to_rgb(yuv, space, full))
        rgb = frame.reformat(format="rgb24", dst_color_range=FULL).to_ndarray()
        height, width = rgb.shape[:2]
        return np.array([found, [rgb[height // 2, width // 4], rgb[height // 2, width * 3 // 4]]])


def check(folder, light, space, pix_fmt, codec, ending, verb):
    path, out = film(folder / "a.mkv", light, space, pix_fmt), folder / f"b{ending}"
    if verb == "pan":
        pano_sound.render(path, PATH, out, RenderOptions(codec=codec))
    else:
        silence = np.full(2, -120.0, np.float32)
        nothing = SoundMap(np.array([0.0, 1]), np.zeros((2, 30, 60), np.float16), np.ones(2, np.float32), silence)
        pano_sound.overlay(path, nothing, out, RenderOptions(codec=codec))
    expected = np.array([GREY, GREY if pix_fmt == "gray" else ORANGE])
    found = shown(out)
    assert np.abs(found[:, 0] - expected[0]).max() <= 3, found
    assert np.abs(found[:, 1] - expected[1]).max() <= 8, found


CASES = [
    (light, space, pix_fmt, codec, ending, verb)
    for (codec, endings), light, space, pix_fmt, verb in itertools.product(
        SOFTWARE.items(), RANGES.values(), (2, *WEIGHTS), FORMATS, ("pan", "overlay")
    )
    for ending in endings
    # What is yuvj is full range, and what is RGB or grey has no matrix; overlays are mp4 and mov.
    if (pix_fmt == "yuvj420p") <= (light == FULL and space in (2, 5))
    and (pix_fmt in ("gbrp10le", "gray")) <= (light == UNSTATED and space == 2)
    and (verb == "overlay") <= (ending != ".mkv")
]
PLAIN = (FULL, 1, "yuv420p", "libx264", ".mp4", "pan")
ALWAYS = [
    case
    for case in CASES
    if sum(a != b for a, b in zip(case, PLAIN, strict=True)) <= 1
    or (case[3] == "prores_ks" and case[1:3] == (1, "yuv420p") and case[4:] == (".mov", "pan"))
    or case in [(FULL, 5, "yuv420p10le", c, e[0], "overlay") for c, e in SOFTWARE.items()]
    or case in [(UNSTATED, 2, f, "libx264", ".mp4", "pan") for f in FORMATS]
]


REST = covering(CASES, CASES, ALWAYS, together=3)


def named(case):
    return "-".join(map(str, case))


@pytest.mark.parametrize("case", ALWAYS, ids=named)
def test_colours_are_kept(tmp_path, case):
    check(tmp_path, *case)


@pytest.mark.slow
@pytest.mark.parametrize("case", REST, ids=named)
def test_colours_are_kept_in_every_combination(tmp_path, case):
    check(tmp_path, *case)


@pytest.mark.parametrize("light", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("pix_fmt", ["nv12", "yuv422p", "yuv444p"])
def test_colours_are_kept_in_every_format_that_encoders_take(tmp_path, monkeypatch, light, pix_fmt):
    """GPU encoders take nv12; libx264 stands in for them."""
    monkeypatch.setitem(ENCODERS, "libx264", dataclasses.replace(ENCODERS["libx264"], pix_fmts=(pix_fmt, None)))
    check(tmp_path, light, 1, "yuv420p", "libx264", ".mp4", "pan")


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("light", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("space", [2, *WEIGHTS])
def test_an_encoder_is_given_what_its_files_can_state(name, light, space):
    encoder = ENCODERS[name]
    colour = Colour(range=light, space=space)
    given = stated(colour, encoder.full_range, encoder.matrices)
    assert given.range == (light if encoder.full_range else LIMITED)
    assert encoder.matrices is None or given.space in (2, *encoder.matrices)
    same = WEIGHTS.get(given.space) == WEIGHTS.get(space)
    assert same or (space not in (encoder.matrices or WEIGHTS) and given.space == 1)


def test_pictures_of_another_range_inside_a_film_are_brought_to_the_first_ones(tmp_path):
    paths = [film(tmp_path / f"{n}.mkv", light, space) for n, (light, space) in enumerate([(1, 1), (2, 9)])]
    pano_sound.render(paths, PATH, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 6
    for frame in frames:
        rgb = frame.reformat(format="rgb24", dst_color_range=FULL).to_ndarray()
        assert np.abs(rgb[32, 16] - np.array(GREY)).max() <= 3
        assert np.abs(rgb[32, 48] - np.array(ORANGE)).max() <= 8


@pytest.mark.parametrize("first", WEIGHTS)
@pytest.mark.parametrize("second", [1, 6])
def test_pictures_of_another_matrix_are_brought_to_the_first_ones(tmp_path, first, second):
    paths = [film(tmp_path / f"{space}.mkv", LIMITED, space) for space in dict.fromkeys((first, second))]
    pano_sound.render(paths, PATH, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = list(container.decode(video=0))[-1]
    assert WEIGHTS[frame.colorspace] == WEIGHTS[first]
    yuv = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1) for plane in frame.planes]
    at = [rows[rows.shape[0] // 2, plane.width * 3 // 4] for rows, plane in zip(yuv, frame.planes, strict=True)]
    expected = np.array(to_yuv(ORANGE, first, False)) * 255
    assert np.abs(at - expected).max() <= 1.1, (at, expected)  # of which the encoder's quality takes a part


def test_hd_films_that_state_no_matrix_get_the_one_that_players_take(tmp_path):
    """What is cut out of them is small, and players would read it as BT.601."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1440, 720, "yuv420p"
        frame = av.VideoFrame(1440, 720, "yuv420p")
        for plane, value in zip(frame.planes, to_yuv(ORANGE, 1, False), strict=True):
            np.frombuffer(memoryview(plane), np.uint8)[:] = round(value * 255)
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert probe(path).video.colour.space == 2
    pano_sound.render(path, PATH, tmp_path / "b.mp4")
    assert np.abs(shown(tmp_path / "b.mp4") - np.array(ORANGE)).max() <= 5


@pytest.mark.parametrize("light", [LIMITED, FULL])
def test_the_part_of_a_sphere_that_is_not_there_is_black(tmp_path, light):
    path = film(tmp_path / "a.mkv", light)
    with VideoReader(probe(path, InputOptions(projection="half-equirectangular"))) as reader:
        picture = next(reader.pictures())
    assert picture.planes[0][32, 4] == (0 if light == FULL else 16)
    assert picture.planes[1][16, 2] == 128


ODD = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE ST 2085",
    12: "a matrix derived from its primaries",
    13: "with constant luminance",
    14: "ICtCp",
}


@pytest.mark.parametrize(("space", "name"), ODD.items(), ids=map(str, ODD))
def test_matrices_that_cannot_be_converted_are_refused_by_name(tmp_path, space, name):
    path = film(tmp_path / "a.mkv", LIMITED, 1)
    content = path.read_bytes()
    at = content.index(b"\x55\xb1\x81\x01")  # Matroska's MatrixCoefficients
    path.write_bytes(content[: at + 3] + bytes([space]) + content[at + 4 :])
    info = probe(path)
    assert name in info.problem
    with pytest.raises(UnsupportedInputError, match="cannot be converted"):
        pano_sound.render(path, PATH, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
