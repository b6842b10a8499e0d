"""What the commands print about films, and parts, chapters and layouts through whole commands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import films
import numpy as np
import pytest

from pano_sound.media.probe import probe
from pano_sound.media.reader import VideoReader
from pano_sound.options.flags import with_flags

sys.path.insert(0, str(Path(__file__).parents[1] / "media"))
import spheres

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")


def rows(done):
    assert done.returncode == 0, done.stderr
    return {line[:14].strip(): line[15:] for line in done.stdout.splitlines()}


def test_probe_prints_plain_words(run, film):
    said = rows(run("probe", film))
    assert said["picture"] == "256x128, 15 fps, h264, 8 bit"
    assert said["360°"] == "taken for a full sphere, because it is 2:1; not tagged; read as 256x128"
    assert said["sound"] == "aac, 48000 Hz, 2 channels (stereo)"
    assert said["can be panned"] == "yes"


def test_probe_prints_layout_eyes_and_part(run, tmp_path):
    whole = spheres.sphere(256, 128)
    spheres.film(tmp_path / "a.mp4", np.hstack([whole[:, 64:192]] * 2))
    said = rows(run("probe", "a.mp4", "--projection", "half-equirectangular", "--stereo", "left-right"))
    assert said["360°"] == (
        "the front half of a sphere (VR180, equirectangular); as you say; two eyes, left-right: the left one is used; "
        "180° wide and 180° high; read as 256x128"
    )
    assert "colours" in said


def test_probe_prints_the_offset_of_sound_to_picture(run, tmp_path):
    films.make_film(tmp_path / "a.mp4", films.steady(60), sound=films.tone(0.8), sound_start=1)
    assert rows(run("probe", "a.mp4"))["sound"].endswith(
        "begins 1.0 s after the picture, ends 0.2 s before the picture"
    )
    films.make_film(tmp_path / "b.mp4", [films.Fraction(n * n, 1000) for n in range(1, 40)])
    assert "on average, variable" in rows(run("probe", "b.mp4"))["picture"]


@pytest.mark.parametrize(("turn", "how"), [(90, "counter-clockwise"), (270, "clockwise")])
def test_probe_says_which_way_a_film_is_turned(run, tmp_path, turn, how):
    spheres.film(tmp_path / "a.mp4", np.zeros((256, 128, 3), np.uint8), turn=turn)
    assert rows(run("probe", "a.mp4"))["picture"].endswith(f", to be turned by 90° {how}")


def test_damage_is_told_once_however_often_a_film_is_read(run, tmp_path):
    path = films.make_film(
        tmp_path / "a.mp4", films.steady(30, 15), sound=films.tone(2.0), options={"movflags": "faststart"}
    )
    films.damage(path, [20], "audio")
    path.write_bytes(path.read_bytes()[:-100])
    done = run("pan", "a.mp4", "-o", "b.mp4", model=True)
    assert done.returncode == 0
    for words in ("of the file is missing", "damaged packet"):
        assert done.stderr.count(words) == 1, done.stderr


def test_probe_names_the_next_chapters(run, tmp_path):
    for name in ("GS010042.mp4", "GS020042.mp4"):
        films.make_film(tmp_path / name)
    assert rows(run("probe", "GS010042.mp4"))["goes on"] == "in 1 more chapter: --concat GS020042.mp4"
    both = rows(run("probe", "GS010042.mp4", "--concat", "GS020042.mp4"))
    assert both["duration"] == "0.80 s"
    assert "goes on" not in both
    (tmp_path / "my films").mkdir()
    for name in ("GS010042.mp4", "GS020042.mp4"):
        (tmp_path / name).rename(tmp_path / "my films" / name)
    said = rows(run("probe", "my films/GS010042.mp4"))["goes on"]
    assert said.endswith(": --concat 'my films/GS020042.mp4'")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--start", "soon"), "--start must look like 90, 1:30 or 1:02:03.5, not 'soon'"),
        (("--duration", "0"), "--duration must be more than 0"),
        (("--start", "2", "--end", "1"), "nothing is left between --start and --end"),
        (("--end", "2", "--duration", "1"), "--end and --duration cannot be used together"),
        (("--max-damage", "2"), "must be a number from 0 to 1, not '2'"),
        (("--projection", "mercator"), "mercator"),
    ],
)
def test_malformed_options_are_usage_errors(run, film, options, word):
    done = run("probe", film, *options)
    assert done.returncode == 2
    assert word in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--start", "100"), 3, "--start 100 is after the film's end, 2.00 s"),
        (("--concat", "none.mp4"), 3, "none.mp4: no such file"),
        (("--max-megapixels", "0.02"), 3, "larger than 0.02 megapixels"),
        (("--max-hours", "0.01", "--concat", "long.mkv"), 3, "the film says that it is"),
    ],
)
def test_limits_end_in_one_line(run, film, tmp_path, options, code, word):
    films.make_film(tmp_path / "long.mkv", films.steady(45, 1), size=(256, 128), sound=films.tone(0.1))
    done = run("pan", film, "-o", "out.mp4", *options, model=True)
    assert done.returncode == code
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("command", ["pan", "overlay"])
def test_a_part_of_two_files_through_a_whole_command(run, tmp_path, command):
    sound = films.clicks(2.0, [0.5, 1.5])
    for name in ("a.mp4", "b.mp4"):
        levels = [230 if n in (15, 45) else 60 for n in range(60)]
        films.make_film(tmp_path / name, films.steady(60), levels=levels, size=(256, 128), sound=sound)
    fast = ("--encoder-preset", "ultrafast", *(("--size", "128x64") if command == "pan" else ()))
    done = run(command, "a.mp4", "--concat", "b.mp4", "--start", "1", "--end", "3", "-o", "c.mp4", *fast, model=True)
    assert done.returncode == 0, done.stderr
    made = probe(tmp_path / "c.mp4")
    assert made.start == pytest.approx(0, abs=2e-3)
    assert made.duration == pytest.approx(2, abs=0.05)
    bright = [p.t for p in VideoReader(probe(tmp_path / "c.mp4")).pictures() if p.planes[0].mean() > 120]
    assert bright == pytest.approx([0.5, 1.5], abs=2e-3)
    # The second file is an input as well.
    refused = run(command, "a.mp4", "--concat", "b.mp4", "-o", "b.mp4", "-y", *fast, model=True)
    assert refused.returncode == 5
    assert "is an input" in refused.stderr


def test_times_in_sound_maps_and_paths_are_the_whole_films(run, tmp_path):
    """What is planned for a film renders a part of it, looking where it would in the whole."""
    sphere = spheres.film(tmp_path / "a.mp4", spheres.sphere(512, 256))
    assert sphere.exists()
    done = run("analyse", "a.mp4", "--start", "0.1", "-o", "a.soundmap.npz", "--json", "--every", "0", model=True)
    assert [sample["t"] for sample in json.loads(done.stdout)["samples"]] == pytest.approx([0.1, 0.2], abs=1e-3)
    path = {
        "format": "pano-sound.path/1",
        "source": {"path": "a.mp4", "end": 0.3},
        "view": {"width": 128, "height": 64},
        "samples": [
            {"t": 0.0, "yaw": 0.0, "pitch": 0.0, "roll": 0.0, "hfov": 60.0},
            {"t": 0.2, "yaw": 120.0, "pitch": 0.0, "roll": 0.0, "hfov": 60.0},
        ],
    }
    (tmp_path / "a.path.json").write_text(json.dumps(path))
    assert run("render", "a.mp4", "a.path.json", "-o", "whole.mp4").returncode == 0
    assert run("render", "a.mp4", "a.path.json", "-o", "part.mp4", "--start", "0.1").returncode == 0
    whole = [p.planes[0].astype(int) for p in VideoReader(probe(tmp_path / "whole.mp4")).pictures()]
    part = [p.planes[0].astype(int) for p in VideoReader(probe(tmp_path / "part.mp4")).pictures()]
    assert len(part) == 2
    for n in (0, 1):
        assert np.abs(part[n] - whole[n + 1]).mean() < 1
    assert np.abs(part[0] - whole[0]).mean() > 10


def test_no_source_is_found_beside_a_half_sphere(run, tmp_path):
    films.make_film(tmp_path / "a.mp4", films.steady(15), size=(128, 128), sound=films.tone(0.5))
    options = ("--projection", "half-equirectangular")
    done = run("analyse", "a.mp4", "-o", "a.soundmap.npz", *options, model=True)
    assert done.returncode == 0, done.stderr
    from pano_sound.soundmap import SoundMap

    heard = SoundMap.load(tmp_path / "a.soundmap.npz")
    _, columns = heard.grid
    assert (heard.posterior[:, :, : columns // 4] == 0).all()
    assert (heard.posterior[:, :, -(columns // 4) :] == 0).all()
    assert (heard.posterior[:, :, columns // 4 : -(columns // 4)] > 0).all()
    assert heard.source["covers"] == [-90.0, 90.0, -90.0, 90.0]


def test_every_refusal_of_the_docs_is_one_of_the_program():
    """Word for word, except for names and numbers."""
    code = " ".join(with_flags(p.read_text(encoding="utf-8")) for p in (ROOT / "pano_sound" / "media").glob("*.py"))
    table = DOCS.split("## What is refused", 1)[1].split("\n## ", 1)[0]
    lines = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)[1:]
    assert len(lines) > 15
    for line in lines:
        # Sizes, names, properties and numbers are filled in.
        pieces = [
            p.strip(" ,:;()")
            for p in re.split(r"film\.mp4|length|\d[\w.x%°]*|GoPro\b[^:]*|top-bottom|rotation|ICtCp|: ", line)
        ]
        assert any(pieces), line
        for piece in pieces:
            assert len(piece) < 6 or piece in code, (line, piece)


def test_hdr_comes_out_as_hdr(run, tmp_path):
    """10-bit HDR10 comes out with the same numbers and the same meaning."""
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx265", rate=10, options={"x265-params": "log-level=error"})
        stream.width, stream.height, stream.pix_fmt = 256, 128, "yuv420p10le"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 9, 9, 16
        for n in range(4):
            frame = av.VideoFrame(256, 128, "yuv420p10le")
            for plane, value in zip(frame.planes, (593, 512, 512), strict=True):  # 203 nits
                np.frombuffer(memoryview(plane), np.uint16)[:] = value
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert rows(run("probe", "a.mkv"))["colours"] == "HDR10 (PQ), BT.2020, limited range"
    done = run("pan", "a.mkv", "-o", "b.mp4", "--size", "128x64", model=True)
    assert done.returncode == 0, done.stderr
    made = probe(tmp_path / "b.mp4")
    assert made.video.colour == probe(tmp_path / "a.mkv").video.colour
    assert made.video.bit_depth == 10
    picture = next(VideoReader(probe(tmp_path / "b.mp4")).pictures())
    assert picture.planes[0].mean() == pytest.approx(593, abs=3)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return films.make_film(tmp_path_factory.mktemp("short") / "a.mp4", size=(128, 64), sound=films.tone(0.4))


STRANGE = [
    "a b.mp4",
    'it\'s "quoted".mp4',
    "🎥 film.mp4",
    "-dash.mp4",
    "--help.mp4",
    "new\nline\x1b[31m.mp4",
    "%d %s {x}.mp4",
    "a:b|c*?#t=5.mp4",
    "[1]$HOME`ls`;rm.mp4",
    "concat:a.mp4",
    "C:\\x.mp4",
    "ünï\u202eabc.mp4",
    ".hidden.mp4",
    "trailing .mp4 ",
    "bytes\udcff.mp4",
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not take all of these names")
@pytest.mark.parametrize("name", STRANGE, ids=ascii)
def test_names_are_never_interpreted(run, short, tiny, tmp_path, name):
    (tmp_path / name).write_bytes(short.read_bytes())
    out = f"{name.strip()[:-4]} out.mp4"
    words = ("--encoder-preset", "ultrafast", "--size", "64x64", "--every", "1", "--model", tiny)
    done = run("pan", *words, "-o", out, "--", name)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, out])
    for line in (done.stderr, run("pan", *words, "-o", out, "--", name).stderr):
        assert line.count("\n") <= 1
        assert not set(line) & {"\x1b", "\u202e"}
    said = run("probe", "--", name)
    assert said.returncode == 0
    assert said.stdout.count("\n") == 7


def test_a_name_that_looks_like_an_option(run, film, tmp_path):
    (tmp_path / "-x.mp4").write_bytes(film.read_bytes())
    done = run("probe", "-x.mp4")
    assert done.returncode == 2
    assert "write ./-x.mp4" in done.stderr
    assert run("probe", "./-x.mp4").returncode == 0
    assert "write ./" not in run("probe", "-z.mp4").stderr


def test_names_in_a_wrong_command_line_cannot_steer_the_terminal(run, film):
    done = run("probe", film, "b\x1b[31m\u202e.mp4")
    assert done.returncode == 2
    assert "(b\\x1b[31m\\u202e.mp4)" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("", "-o", "a.mp4"), 3, "the name of the input is empty"),
        (("a\nb.mp4", "-o", "a.mp4"), 3, "a\\nb.mp4: no such file"),
        (("film", "-o", "x" * 300 + ".mp4"), 5, "the name is too long (give a shorter one)"),
        (("film", "-o", "-"), 5, "-: has no extension"),
        (("film", "-o", "/dev/null"), 5, "/dev/null: is not a regular file"),
    ],
)
def test_unusable_names_are_refused_before_any_work(run, film, words, code, line):
    done = run("pan", *(film if word == "film" else word for word in words), model=True)
    assert done.returncode == code
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii:strict", "cp1252:strict", "utf-8:strict"])
def test_names_are_printed_on_terminals_that_lack_characters(film, tmp_path, encoding):
    name = "🎥\udcff.mp4"
    (tmp_path / name).write_bytes(film.read_bytes())
    words = [sys.executable, str(ROOT / "cli.py"), "probe", name]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"256x128, 15 fps" in done.stdout
