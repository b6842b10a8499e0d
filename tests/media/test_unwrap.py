"""Every layout is read as a sphere on which each direction has the colour it was given."""

import struct
from dataclasses import replace

import av
import films
import numpy as np
import pytest
import spheres

from pano_sound.errors import UnsupportedInputError
from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.media.tags import Spherical
from pano_sound.options.input import InputOptions
from pano_sound.sphere.convention import rotation
from pano_sound.sphere.view import View, render_planes

WHOLE = spheres.sphere(256, 128)
LEVELS_A_DEGREE = 100 * np.pi / 180


def off(path, covered=None, **options):
    """How far, in degrees, directions are from where they belong: (worst, mean) over a film's first picture.

    `covered`: (rows, columns) slices of the only part of the sphere that has a picture; all else must be black.
    """
    info = probe(path, InputOptions(**options))
    assert info.problem is None
    width, height = info.eye
    with VideoReader(info) as reader:
        rgb = next(reader.stored()).rgb(width, height)
    levels = np.abs(rgb.astype(float) - spheres.colours(spheres.sphere(width, height))).max(axis=2)
    if covered is not None:
        black = np.ones((height, width), bool)
        # At the border chroma is shared, two pixels each way.
        black[covered[0].start - 2 : covered[0].stop + 2, covered[1].start - 2 : covered[1].stop + 2] = False
        assert black.any()
        assert rgb[black].max() < 3
        levels = levels[covered[0].start + 2 : covered[0].stop - 2, covered[1].start + 2 : covered[1].stop - 2]
    return levels.max() / LEVELS_A_DEGREE, levels.mean() / LEVELS_A_DEGREE


def within(found, worst=5.5, mean=2.5):
    """What 8 bits and v360's half pixel (0.7° here) take; a face turned or in another place is far beyond."""
    assert found[0] < worst
    assert found[1] < mean


@pytest.mark.parametrize(
    ("projection", "vectors"),
    [
        ("equirectangular", spheres.sphere(256, 144)),  # a full sphere squeezed into 16:9
        ("cubemap", spheres.cubemap(64)),
        ("eac", spheres.eac(64)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_user_can_state_an_untagged_layout(tmp_path, projection, vectors):
    path = spheres.film(tmp_path / "a.mkv", vectors)
    assert "`projection=" in probe(path).problem
    within(off(path, projection=projection))


def test_a_half_sphere_is_the_front_of_a_whole_one(tmp_path):
    path = spheres.film(tmp_path / "a.mp4", WHOLE[:, 64:192])
    within(off(path, np.s_[2:126, 64:192], projection="half-equirectangular"))
    info = probe(path, InputOptions(projection="half-equirectangular"))
    assert info.eye == (256, 128)
    covered = VideoReader(info).coverage(4, 8)
    assert covered.tolist() == [[False, False, True, True, True, True, False, False]] * 4


def test_coverage_is_none_for_whole_spheres(tmp_path):
    assert VideoReader(probe(spheres.film(tmp_path / "a.mp4", WHOLE))).coverage(4, 8) is None


@pytest.mark.parametrize("tag", ["v1", "v2"])
def test_cropped_spheres_are_placed_by_their_tags(tmp_path, tag):
    """Columns 40 to 200 and rows 24 to 100 of 256 x 128."""
    path = spheres.film(tmp_path / "a.mp4", WHOLE[24:100, 40:200])
    if tag == "v1":
        # Of the sphere as it was stitched, four times as large.
        area = {"CroppedAreaLeftPixels": 160, "CroppedAreaImageWidthPixels": 640, "FullPanoWidthPixels": 1024}
        area |= {"CroppedAreaTopPixels": 96, "CroppedAreaImageHeightPixels": 304, "FullPanoHeightPixels": 512}
        spheres.tag_v1(path, **area)
    else:
        # top, bottom, left, right: what is missing, as shares of 2**32.
        shares = [24 / 128, 28 / 128, 40 / 256, 56 / 256]
        spheres.tag_v2(path, b"equi", struct.pack(">4I", *(round(s * 2**32) for s in shares)))
    info = probe(path)
    assert info.spherical.tag.startswith(tag)
    assert info.eye == (256, 128)
    within(off(path, np.s_[24:100, 40:200]))


@pytest.mark.parametrize("padding", [0, 4])
def test_tagged_cubemaps_are_unwrapped(tmp_path, padding):
    path = spheres.film(tmp_path / "a.mp4", spheres.cubemap(64, padding))
    spheres.tag_v2(path, b"cbmp", struct.pack(">2I", 0, padding))
    assert probe(path).eye == (256, 128)
    within(off(path))


@pytest.mark.parametrize("pose", [(30, 0, 0), (0, 20, 0), (0, 0, 40), (-150, -60, 170)])
def test_leaning_spheres_are_set_upright(tmp_path, pose):
    """V2's pose turns the picture in the world: yaw counter-clockwise, pitch upwards, roll clockwise."""
    yaw, pitch, roll = pose
    path = spheres.film(tmp_path / "a.mp4", WHOLE @ rotation(-yaw, pitch, roll).T)
    spheres.tag_v2(path, b"equi", bytes(16), pose=pose)
    within(off(path))


def test_spheres_that_lie_otherwise_are_not_joined(tmp_path):
    """The second one would be unwrapped like the first."""
    front, left = (struct.pack(">4I", 0, 0, *missing) for missing in ((1 << 30, 1 << 30), (0, 1 << 31)))
    paths = [spheres.film(tmp_path / f"{name}.mp4", WHOLE) for name in "abcd"]
    for path, bounds, pose in zip(
        paths, (bytes(16), bytes(16), front, left), ((0, 0, 0), (0, 20, 0), (0, 0, 0), (0, 0, 0)), strict=True
    ):
        spheres.tag_v2(path, b"equi", bounds, pose=pose)
    upright, tilted, one, other = paths
    with pytest.raises(UnsupportedInputError, match=r"b.mp4: is of another camera pose \(yaw 0°, pitch 20°, roll 0°\)"):
        probe([upright, tilted])
    with pytest.raises(UnsupportedInputError, match=r"d.mp4: is of another part of the sphere \(0 to 50% of its width"):
        probe([one, other])
    assert probe([tilted, tilted]).spherical == probe(tilted).spherical


def test_v1s_initial_view_does_not_rotate_the_picture(tmp_path):
    path = spheres.film(tmp_path / "a.mp4", WHOLE)
    spheres.tag_v1(path, StitchingSoftware="x", InitialViewHeadingDegrees=90, InitialViewPitchDegrees=20)
    assert probe(path).spherical.projection == "equirectangular"
    within(off(path))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_display_rotation_is_applied(tmp_path, turn):
    stored = np.rot90(WHOLE, -turn // 90)
    path = spheres.film(tmp_path / "a.mp4", np.ascontiguousarray(stored), turn=turn)
    assert probe(path).video.rotation % 360 == turn
    within(off(path))


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_mirrored_pictures_are_mirrored_back(tmp_path, turn):
    """A picture mirrored left to right is one that is turned by 180° after it was flipped upside down."""
    stored = np.rot90(WHOLE, -turn // 90)[::-1]
    path = spheres.film(tmp_path / "a.mp4", np.ascontiguousarray(stored), turn=turn, mirrored=True)
    within(off(path))
    with VideoReader(probe(path)) as reader:
        assert next(reader.pictures()).planes[0].shape == (128, 256)


def test_mirrored_pictures_are_not_joined_to_others(tmp_path):
    paths = [spheres.film(tmp_path / f"{name}.mp4", WHOLE, turn=180, mirrored=name == "b") for name in "ab"]
    says = r"b.mp4: is of another orientation \(mirrored\) than the first file \(not mirrored\)"
    with pytest.raises(UnsupportedInputError, match=says):
        probe(paths)


@pytest.mark.parametrize("how", ["option", "v1", "v2"])
@pytest.mark.parametrize("stereo", ["top-bottom", "left-right", "right-left"])
def test_the_upper_or_left_eye_is_read(tmp_path, stereo, how):
    if stereo == "right-left" and how == "option":
        pytest.skip("either eye will do, so the option has no name for it")
    eyes = (WHOLE, -WHOLE)
    path = spheres.film(tmp_path / "a.mp4", np.vstack(eyes) if stereo == "top-bottom" else np.hstack(eyes))
    if how == "v1":
        spheres.tag_v1(path, StitchingSoftware="x", StereoMode=stereo)
    elif how == "v2":
        spheres.tag_v2(path, b"equi", bytes(16), stereo={"top-bottom": 1, "left-right": 2, "right-left": 4}[stereo])
    else:
        assert f"`stereo={stereo!r}`" in probe(path).problem
    within(off(path, **({"stereo": stereo} if how == "option" else {})))


def test_one_eye_of_stereo_vr180_is_unwrapped(tmp_path):
    """Two half spheres side by side, as VR180 cameras' software exports them."""
    eye = WHOLE[:, 64:192]
    path = spheres.film(tmp_path / "a.mp4", np.hstack([eye, -eye]))
    spheres.tag_v2(path, b"equi", struct.pack(">4I", 0, 0, 1 << 30, 1 << 30), stereo=2)
    within(off(path, np.s_[2:126, 64:192]))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize("projection", ["cubemap", "half-equirectangular"])
def test_depth_survives(tmp_path, projection, pix_fmt):
    vectors = spheres.cubemap(64) if projection == "cubemap" else WHOLE[:, 64:192]
    path = spheres.film(tmp_path / "a.mp4", vectors, pix_fmt)
    picture = next(VideoReader(probe(path, InputOptions(projection=projection))).pictures())
    deep = "10" in pix_fmt
    assert picture.bit_depth == (10 if deep else 8)
    assert [p.shape for p in picture.planes] == [(128, 256), (64, 128), (64, 128)]
    luma = picture.planes[0] / (4 if deep else 1)
    rgb = spheres.colours(WHOLE).astype(float)
    true = 16 + (rgb @ [0.299, 0.587, 0.114]) * 219 / 255
    assert np.abs(luma - true)[2:126, 66:190].max() < 5.5


@pytest.mark.parametrize("projection", ["cubemap", "eac"])
def test_the_rendered_view_shows_the_right_direction(tmp_path, projection):
    """From the file to the flat picture: its middle shows where it looks, to three degrees."""
    vectors = spheres.cubemap(128) if projection == "cubemap" else spheres.eac(128)
    path = spheres.film(tmp_path / "a.mkv", vectors)
    picture = next(VideoReader(probe(path, InputOptions(projection=projection))).pictures())
    for yaw, pitch in [(0, 0), (90, 10), (180, -30), (-135, 40), (30, 85)]:
        planes = render_planes(picture.planes, View(64, 36, 30), yaw, pitch)
        frame = av.VideoFrame(64, 36, "yuv420p")
        for target, plane in zip(frame.planes, planes, strict=True):
            rows = np.frombuffer(memoryview(target), np.uint8).reshape(target.height, -1)
            rows[:, : target.width] = plane
        rgb = frame.to_ndarray(format="rgb24", src_colorspace="ITU601", src_color_range=1, dst_color_range=2)
        middle = rgb[16:20, 30:34].reshape(-1, 3).mean(axis=0)
        true = 127.5 + 100 * rotation(yaw, pitch)[:, 0]
        assert np.abs(middle - true).max() < 5.5


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"equi", struct.pack(">4I", 0, 0, (1 << 32) - 9, 0)),  # a sphere of millions of pixels
        (b"cbmp", struct.pack(">2I", 0, 60)),  # nothing but padding
    ],
)
def test_tags_that_contradict_the_picture_are_refused(tmp_path, kind, content):
    path = spheres.film(tmp_path / "a.mp4", WHOLE)
    spheres.tag_v2(path, kind, content)
    assert "its tags would make a sphere of" in probe(path).problem


@pytest.mark.parametrize("size", [(161, 77), (160, 76), (162, 79)])
def test_crops_of_odd_size_are_placed_to_a_pixel(tmp_path, size):
    """As editors crop: the sphere has even sides, and the picture is in it to a pixel."""
    width, height = size
    path = spheres.film(tmp_path / "a.mkv", WHOLE[:height, :width])
    info = replace(probe(path), spherical=Spherical("equirectangular-tile", missing=(0, 0, 0.375, 0.4)))
    picture = next(VideoReader(info).pictures())
    assert picture.planes[0].shape == info.eye[::-1]
    assert all(side % 2 == 0 for side in info.eye)
    assert next(VideoReader(info).stored()).rgb(*info.eye).shape == (info.eye[1], info.eye[0], 3)


def test_pictures_that_change_size_are_unwrapped_like_the_first(tmp_path):
    one = films.make_film(tmp_path / "1.ts", films.steady(10), size=(192, 128))
    two = films.make_film(tmp_path / "2.ts", films.steady(10, start=1), size=(96, 64))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    info = probe(both, InputOptions(projection="cubemap"))
    assert {p.planes[0].shape for p in VideoReader(info).pictures()} == {(128, 256)}
    assert len([p.rgb(64, 32) for p in VideoReader(info).stored()]) == 20
