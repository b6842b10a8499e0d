"""Analysis sees the same colour however it was stored, and rendering passes colours on unchanged."""

from fractions import Fraction

import av
import numpy as np
import pytest
from test_writer import rewrite

from pano_sound.errors import UnsupportedInputError
from pano_sound.media.colour import Colour, matrix_of, to_sdr
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.video import VideoOptions

PATCHES = [(200, 40, 40), (40, 180, 60), (50, 60, 210), (128, 128, 128), (235, 235, 235), (10, 10, 10)]
UNSTATED = Colour()
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}  # of red and blue: BT.709, BT.601, BT.2020


def yuv(rgb, space, full, bits):
    """One colour's Y, U, V by the standards' formulas."""
    r, g, b = (x / 255 for x in rgb)
    kr, kb = WEIGHTS[space]
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    top = 2**bits
    if full:
        return y * (top - 1), u * (top - 1) + top / 2, v * (top - 1) + top / 2
    scale = top / 256
    return (16 + 219 * y) * scale, (128 + 224 * u) * scale, (128 + 224 * v) * scale


def patches(path, values, bits=8, colour=UNSTATED, codec="libx264"):
    """A film of 6 patches side by side, 384x192, of these (Y, U, V)."""
    pix_fmt = "yuv420p10le" if bits == 10 else "yuv420p"
    with av.open(str(path), "w") as out:
        # x265 invents decoding times if there are fewer frames than its delay.
        options = {"libx264": {"qp": "1"}, "libx265": {"x265-params": "bframes=0:log-level=error"}}[codec]
        stream = out.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 384, 192, pix_fmt
        context = stream.codec_context
        context.color_range, context.colorspace = colour.range, colour.space
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        for n in range(2):
            frame = av.VideoFrame(384, 192, pix_fmt)
            for channel, plane in enumerate(frame.planes):
                kind = np.uint16 if bits == 10 else np.uint8
                rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
                for i, value in enumerate(values):
                    part = plane.width // 6
                    rows[:, i * part : (i + 1) * part] = round(value[channel])
            frame.pts, frame.time_base = n, Fraction(1, 10)
            frame.color_range, frame.colorspace = colour.range, colour.space
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def seen(path):
    with VideoReader(probe(path)) as reader:
        rgb = next(reader.stored()).rgb(384, 192)
    return rgb[96, 32::64].astype(int)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("space", [1, 5, 9], ids=["BT.709", "BT.601", "BT.2020"])
def test_every_matrix_range_and_depth_shows_the_same_colours(tmp_path, space, full, bits):
    colour = Colour(2 if full else 1, space, 2, 2)
    path = patches(tmp_path / "a.mkv", [yuv(p, space, full, bits) for p in PATCHES], bits, colour)
    assert np.abs(seen(path) - PATCHES).max() <= 6


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
def test_rendering_gets_the_numbers_as_they_are(tmp_path, bits, full):
    colour = Colour(2 if full else 1, 9, 9, 16)
    values = [yuv(p, 9, full, bits) for p in PATCHES]
    picture = next(VideoReader(probe(patches(tmp_path / "a.mkv", values, bits, colour))).pictures())
    assert picture.colour == colour
    assert picture.bit_depth == bits
    assert np.abs(picture.planes[0][96, 32::64] - [v[0] for v in values]).max() <= 2 * bits / 8


def pq(nits):
    """SMPTE ST 2084: light to a value 0..1."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (nits / 10_000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def hlg(scene):
    """BT.2100: the scene's light 0..1 to a value 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.sqrt(3 * scene) if scene <= 1 / 12 else a * np.log(12 * scene - b) + c


@pytest.mark.parametrize(("transfer", "name"), [(16, "HDR10 (PQ)"), (18, "HDR (HLG)")])
def test_hdr_looks_as_sdr_would_to_analysis(tmp_path, transfer, name):
    """Greys that shine with 203 nits (white), 18 % and 2 % of it, and 1000 nits."""
    shares = np.array([1.0, 0.18, 0.02, 0.0, 1000 / 203, 0.5])
    # A screen of 1000 nits shows HLG's scene light E as 1000 E^1.2.
    values = [pq(203 * s) if transfer == 16 else hlg((203 * s / 1000) ** (1 / 1.2)) for s in shares]
    limited = [(64 + 876 * v, 512, 512) for v in values]
    path = patches(tmp_path / "a.mkv", limited, 10, Colour(1, 9, 9, transfer), codec="libx265")
    assert probe(path).video.colour.hdr == name
    expected = 255 * np.minimum(shares, 1) ** (1 / 2.4)
    found = seen(path)
    assert np.abs(found.max(axis=1) - found.min(axis=1)).max() <= 3
    # In the dark one step of 8 bits is much.
    assert np.abs(found[:, 1] - expected)[[0, 1, 4, 5]].max() <= 10
    assert np.abs(found[:, 1] - expected)[[2, 3]].max() <= 12


def test_films_of_another_dynamic_range_are_not_joined(tmp_path):
    """A file has one transfer for all its pictures, and nothing is tone-mapped."""
    sdr, hlg = (
        patches(tmp_path / f"{transfer}.mkv", [(512, 512, 512)] * 6, 10, Colour(1, 9, 9, transfer), codec="libx265")
        for transfer in (14, 18)
    )
    with pytest.raises(UnsupportedInputError, match=r"18.mkv: is of another dynamic range \(HDR \(HLG\)\) .* \(SDR\)"):
        probe([sdr, hlg])
    with pytest.raises(UnsupportedInputError, match=r"14.mkv: is of another dynamic range \(SDR\) .* \(HDR \(HLG\)\)"):
        probe([hlg, sdr])
    assert probe([hlg, hlg]).problem is None


def test_hdr_colours_become_bt709s():
    """BT.709's red as BT.2020 has it (BT.2087), in PQ at 203 nits of full red."""
    red = np.array([0.6274, 0.0691, 0.0164])
    picture = np.round([[[pq(203 * x) * 255 for x in red]]]).astype(np.uint8)
    shown = to_sdr(picture, Colour(1, 9, 9, 16))[0, 0].astype(int)
    assert shown[0] > 245
    assert shown[1:].max() < 60


def test_sdr_is_left_alone():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert to_sdr(picture, Colour(1, 1, 1, 1)) is picture


def test_hd_without_a_stated_matrix_is_bt709_and_less_is_bt601():
    assert matrix_of(Colour(), 1080) == 1
    assert matrix_of(Colour(), 576) == 5
    assert matrix_of(Colour(space=9), 576) == 9


DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329)


def mastered(path, words, transfer=16):
    """A 10-bit film with these words of x265's about what it was mastered for."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=10, options={"x265-params": ":".join(["log-level=error", *words])})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 9, 9, transfer
        for n in range(3):
            frame = av.VideoFrame(128, 64, "yuv420p10le")
            for plane in frame.planes:
                np.frombuffer(memoryview(plane), np.uint16)[:] = 512
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "name"),
    [(None, "b.mp4"), (None, "b.mkv"), ("libx265", "b.mov"), ("libx264", "b.mp4"), ("libsvtav1", "b.mp4")],
)
@pytest.mark.parametrize("words", [(f"master-display={DISPLAY}", "max-cll=1000,400"), ("max-cll=900,300",)])
def test_what_hdr10_was_mastered_for_is_kept(tmp_path, codec, name, words):
    source = mastered(tmp_path / "a.mkv", words)
    light = probe(source).video.colour.light
    rewrite(
        source, tmp_path / name, encoding=VideoOptions(codec=codec), bit_depth=10, colour=probe(source).video.colour
    )
    made = probe(tmp_path / name).video
    assert made.colour.light.content == light.content == ((1000, 400) if len(words) > 1 else (900, 300))
    if len(words) > 1:
        assert light.primaries == pytest.approx(P3)
        assert made.colour.light.primaries == pytest.approx(P3, abs=1e-4)
        assert made.colour.light.luminance == pytest.approx((0.005, 1000), rel=0.01)
        assert "mastered for 1000 cd/m²" in str(made.colour)
    else:
        assert made.colour.light.luminance is None
    assert made.codec == {None: "hevc", "libx265": "hevc", "libx264": "h264", "libsvtav1": "av1"}[codec]


def test_a_warning_says_if_an_encoder_does_not_keep_mastering_data(tmp_path, caplog):
    source = mastered(tmp_path / "a.mkv", [f"master-display={DISPLAY}"])
    encoding = VideoOptions(codec="prores_ks")
    rewrite(source, tmp_path / "b.mov", encoding=encoding, bit_depth=10, colour=probe(source).video.colour)
    assert "prores_ks does not keep HDR10's mastering data" in caplog.text


@pytest.mark.parametrize("words", [["master-display=G(0,0)B(0,0)R(0,0)WP(0,0)L(0,0)", "max-cll=0,0"], []])
def test_empty_mastering_data_are_ignored(tmp_path, words):
    assert probe(mastered(tmp_path / "a.mkv", words)).video.colour.light is None


def test_sdr_and_hlg_have_no_mastering_data(tmp_path):
    assert probe(mastered(tmp_path / "a.mkv", ["max-cll=1000,400"], transfer=18)).video.colour.light is None
