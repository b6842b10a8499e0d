from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from pano_sound.camera.formats import ENDINGS, WRITERS, read, read_humanedit, sendcmd_line, to_humanedit, to_sendcmd
from pano_sound.camera_path import CameraPath
from pano_sound.errors import DataFileError
from pano_sound.sphere.convention import directions, rotation
from pano_sound.sphere.geometry import angle_between
from pano_sound.sphere.view import View, sample, sampling_maps

FPS = 10.0
SOURCE = {"path": "made film.mp4", "width": 512, "height": 256}
PATHS = {
    "holds and a move": [[0, 20, 5, 0, 90], [1, 20, 5, 0, 90], [2, 80, -10, 0, 90], [3, 80, -10, 0, 90]],
    "over the seam": [[0, 150, 0, 0, 90], [1.5, -150, 10, 0, 90], [3, 160, 0, 0, 90]],
    "roll and zoom": [[0, 0, 0, 0, 60], [1, 10, 0, 20, 100], [3, -30, 20, -10, 70]],
    "one sample": [[0, 33, -12, 4, 80]],
}


def path_of(name, cuts=()):
    return CameraPath(160, 90, np.array(PATHS[name], float), source=SOURCE, cuts=frozenset(cuts))


def apart(a, b, times):
    """The largest angle between the orientations of two paths, and between their fields of view."""
    ra, rb = ([rotation(*path.at(t)[:3]) for t in times] for path in (a, b))
    axes = max(angle_between(x.T, y.T).max() for x, y in zip(ra, rb, strict=True))
    return max(axes, np.abs(a.looks(times)[:, 3] - b.looks(times)[:, 3]).max())


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", PATHS)
def test_exports_can_be_imported_again(tmp_path, kind, name):
    path = path_of(name)
    if kind == "humanedit" and path.samples[:, 3].any():
        pytest.skip("HumanEdit has no roll")
    file = tmp_path / ("a" + ENDINGS[kind])
    file.write_bytes(WRITERS[kind](path, FPS).encode())
    back = read(file, kind, (160, 90), FPS)
    assert apart(path, back, np.arange(0, path.times[-1] + 0.01, 1 / FPS)) < 0.05


@pytest.mark.parametrize("kind", ["csv", "sendcmd"])
def test_cuts_survive_export_and_import(tmp_path, kind):
    path = path_of("holds and a move", cuts=[2])
    file = tmp_path / "a"
    file.write_text(WRITERS[kind](path, FPS))
    back = read(file, kind, (160, 90), FPS)
    assert [back.times[i] for i in back.cuts] == [2]
    assert apart(path, back, np.array([0, 1.5, 1.99, 2.0, 3.0])) < 0.01


def sphere(width=512, height=256):
    """A smooth picture whose every pixel encodes its position, (height, width, 3) uint8."""
    from pano_sound.sphere.geometry import cell_directions

    return np.round(127.5 + 120 * cell_directions(height, width)).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "cuts"),
    [*(pytest.param(name, [], marks=pytest.mark.slow) for name in PATHS), ("holds and a move", [2])],
)
def test_ffmpeg_follows_the_exported_commands_as_we_do(tmp_path, name, cuts):
    """The very filters of the printed command line, run through PyAV, against our own view."""
    path, picture = path_of(name, cuts), sphere()
    file = tmp_path / "it's a [path].cmd"
    file.write_text(to_sendcmd(path, FPS))
    filters = sendcmd_filters(path, file)
    graph = av.filter.Graph()
    chain = [
        graph.add_buffer(width=512, height=256, format="gbrp", time_base=Fraction(1, 30)),
        graph.add("sendcmd", f"f={escaped(file)}"),
        graph.add("v360", filters.partition("v360=")[2].replace("interp=cubic", "interp=linear")),
        graph.add("buffersink"),
    ]
    for a, b in pairwise(chain):
        a.link_to(b)
    graph.configure()
    for n in range(round(30 * path.times[-1]) + 5):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="gbrp")
        frame.pts, frame.time_base = n, Fraction(1, 30)
        chain[0].push(frame)
        theirs = chain[-1].pull().to_ndarray(format="rgb24").astype(int)
        yaw, pitch, roll, hfov = path.at(n / 30 + 1e-9)
        ours = sample(picture, *sampling_maps(View(160, 90, hfov), yaw, pitch, roll, 512, 256)[0], smooth=False)
        assert np.abs(theirs - ours).max() <= 4, n  # of 240 for 180°


def escaped(file):
    return str(file).replace("\\", "\\\\").replace("'", "\\'").replace(":", "\\:")


def sendcmd_filters(path, file):
    import shlex

    words = shlex.split(sendcmd_line(path, file, "in.mp4"))
    assert words[0] == "ffmpeg"
    return words[words.index("-vf") + 1]


def test_the_command_line_is_one_that_ffmpeg_can_parse(tmp_path):
    """Names with quotes, brackets, colons: FFmpeg's own parser of filter graphs must find the file."""
    path = path_of("holds and a move")
    file = tmp_path / "it's, [a]; b:c.cmd"
    file.write_text(to_sendcmd(path, FPS))
    filters = sendcmd_filters(path, file)
    # The two levels of quoting that FFmpeg takes off: those of the graph, then those of the options.
    graph_level = filters.partition(",v360=")[0].partition("sendcmd=f=")[2]
    option_level = unescaped(graph_level)
    assert unescaped(option_level) == str(file)
    assert "reset_rot=1" in filters


@pytest.mark.parametrize(("source", "kept"), [("a.mkv", True), ("a.ts", False), ("a.M2TS", False), (None, True)])
def test_times_are_kept_only_where_the_path_counts_in_the_films_own(source, kept):
    """The clock of a transport stream starts anywhere; its paths begin at 0."""
    path = replace(path_of("one sample"), source={"path": source} if source else {})
    assert ("-copyts" in to_sendcmd(path, FPS)) == kept
    assert ("-copyts" in sendcmd_line(path, "a.cmd")) == kept


@pytest.mark.parametrize("late", [0.5, 1.5, 2.5, 9])
def test_commands_do_not_begin_before_time_0(tmp_path, late):
    """FFmpeg refuses a file with times below 0."""
    path = path_of("holds and a move", cuts=[2])
    early = replace(path, samples=path.samples - [late, 0, 0, 0, 0])
    file = tmp_path / "a.cmd"
    file.write_text(to_sendcmd(early, FPS))
    assert "\n-" not in file.read_text()
    back = read(file, "sendcmd", None, FPS)
    assert apart(early, back, np.arange(0, 3, 0.1) + 1e-3) < 0.05


def test_a_move_exactly_behind_is_no_cut(tmp_path):
    """There the yaw is rounded now to 180°, now to -180°."""
    path = CameraPath(640, 360, np.array([[0, -179.99999, 0, 0, 90], [2, 179.99999, 40, 0, 90]]))
    file = tmp_path / "a.cmd"
    file.write_text(to_sendcmd(path, FPS))
    back = read(file, "sendcmd", None, FPS)
    assert not back.cuts
    assert apart(path, back, np.arange(0, 2, 0.03)) < 0.05


def unescaped(text):
    out, at = "", 0
    while at < len(text):
        at += text[at] == "\\"
        out += text[at]
        at += 1
    return out


def test_csv_is_plain():
    text = WRITERS["csv"](path_of("holds and a move"), FPS)
    assert text.splitlines()[:2] == ["t,yaw,pitch,roll,hfov,width,height", "0,20,5,0,90,160,90"]


SIZES = [(640, 360), (360, 640), (1000, 250), (3840, 2160)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cuts", [[], [2]])
@pytest.mark.parametrize("kind", WRITERS)
def test_the_size_travels_with_the_path(tmp_path, kind, cuts, size, caplog):
    path = replace(path_of("holds and a move", cuts), width=size[0], height=size[1])
    file = tmp_path / ("a" + ENDINGS[kind])
    file.write_bytes(WRITERS[kind](path, FPS).encode())
    back = read(file, kind, None, FPS)
    assert (back.width, back.height) == (size if kind != "humanedit" else (1280, 720))
    assert ("does not state the output size" in caplog.text) == (kind == "humanedit")
    other = read(file, kind, (320, 180), FPS)
    assert (other.width, other.height) == (320, 180)


@pytest.mark.parametrize("sides", ["", ",,", ",640,", ",0,0", ",641,360", ",a,b", ",99999999,2"])
def test_an_impossible_size_is_ignored(tmp_path, sides, caplog):
    file = tmp_path / "a.csv"
    file.write_text(f"{HEAD},width,height\n0,0,0,0,90{sides}\n")
    assert read(file, "csv", None, FPS).width == 1280
    assert "does not state the output size" in caplog.text


def test_after_effects_never_spins():
    text = WRITERS["ae"](path_of("over the seam"), FPS)
    assert text.startswith("Adobe After Effects 8.0 Keyframe Data\r\n")
    assert text.endswith("End of Keyframe Data\r\n")
    block = text.partition("Transform\tY Rotation\r\n")[2].partition("\r\n\r\n")[0]
    yaws = np.array([float(line.split("\t")[2]) for line in block.splitlines()[1:]])
    assert len(yaws) == 31
    assert np.abs(np.diff(yaws)).max() < 10


def test_humanedit_is_pano2vids():
    rows = read_humanedit(to_humanedit(path_of("over the seam"), FPS), "x")
    assert list(rows) == [("made film", "pano-sound", "0")]
    (found,) = rows.values()
    assert found.shape == (31, 3)
    assert angle_between(directions(*found[15, :2]), directions(-150, 10)) < 1e-3
    assert read_humanedit('{"v": {"e": {"0": [[1, 2]]}}}', "x")[("v", "e", "0")].tolist() == [[1, 2, 65.5]]


HEAD = "t,yaw,pitch,roll,hfov"
BAD = [
    *[("csv", text) for text in ("", "a,b\n1,2\n", f"{HEAD}\n", f"{HEAD}\n0,left,0,0,90\n", f"{HEAD}\n0,0\n")],
    *[("csv", text) for text in (f"{HEAD}\n0,0,0,0,90\n0,0,0,0,90\n", f"{HEAD}\n0,0,99,0,90\n")],
    ("csv", f"{HEAD},cut\n0,0,0,0,90,yes\n"),
    *[("sendcmd", text) for text in ("", "0 [enter] v360 yaw 3;\n", "# ffmpeg v360=yaw=0\n")],
    *[("ae", text) for text in ("", "Adobe After Effects 8.0 Keyframe Data\n")],
    *[("humanedit", text) for text in ("", "[]", "{}", '{"v": 3}', '{"v": {"e": {"0": []}}}')],
    *[("humanedit", f'{{"v": {{"e": {{"0": {rows}}}}}}}') for rows in ('[["a", 2]]', "[[0, 99]]", "[[1]]")],
    ("humanedit", '{"v": {"e": {"0": [[1, 2]], "1": [[1, 2]]}}}'),
]


@pytest.mark.parametrize(("kind", "text"), BAD)
def test_errors_say_what_is_wrong_with_a_file(tmp_path, kind, text):
    file = tmp_path / "a.file"
    file.write_text(text)
    with pytest.raises(DataFileError, match=r"a\.file"):
        read(file, kind, (160, 90), FPS)
    with pytest.raises(DataFileError, match="no such file"):
        read(tmp_path / "none", kind, (160, 90), FPS)
