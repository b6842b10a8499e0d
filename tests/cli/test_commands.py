import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import av
import click
import films
import numpy as np
import pytest
from click.testing import CliRunner

from pano_sound.commands import COMMANDS as SUMMARIES
from pano_sound.commands import cli
from pano_sound.errors import EXIT_CODES
from pano_sound.options.base import described
from pano_sound.options.steps import PanOptions

CLI = Path(__file__).parents[2] / "cli.py"

COMMANDS = ("pan", "analyse", "plan", "render", "overlay", "probe", "models")


def stamps(path):
    with av.open(str(path)) as film:
        return [round(float(f.pts * f.time_base), 4) for f in film.decode(video=0)]


def test_pan_is_the_three_steps_in_a_row(run, film, tmp_path):
    done = run("pan", film, "-o", "out.mp4", "--json", "-q", model=True)
    assert (done.returncode, done.stderr) == (0, "")
    path = json.loads(done.stdout)["path"]
    assert path["format"] == "pano-sound.path/2"

    assert run("analyse", film, "-o", "a.soundmap.npz", model=True).returncode == 0
    assert run("plan", "a.soundmap.npz").returncode == 0
    assert json.loads((tmp_path / "a.path.json").read_text()) == path
    assert run("render", film, "a.path.json", "-o", "step.mp4").returncode == 0

    assert stamps(tmp_path / "out.mp4") == stamps(tmp_path / "step.mp4") == stamps(film)
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert (out.streams.video[0].width, out.streams.video[0].height) == (640, 360)
        assert len(out.streams.audio) == 1
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def test_render_takes_another_size_and_field_of_view(run, film, tmp_path):
    run("analyse", film, "-o", "a.soundmap.npz", model=True)
    run("plan", "a.soundmap.npz")
    assert run("render", film, "a.path.json", "-o", "b.mkv", "--size", "320x240", "--fov", "50").returncode == 0
    with av.open(str(tmp_path / "b.mkv")) as out:
        assert (out.streams.video[0].width, out.streams.video[0].height) == (320, 240)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("render {film} a.soundmap.npz -o b.mp4", 7, "not a camera path: it is not text (give the .path.json file"),
        ("path show a.soundmap.npz", 7, "not a camera path: it is not text"),
        ("plan a.path.json -o b.path.json", 7, "not a sound map, or damaged (give the .soundmap.npz file"),
        ("plan a.soundmap.npz -o b.path.json --keep pins -y", 7, "there is no camera path to keep pins from"),
        ("evaluate camera .", 7, "(give the folder that holds pano/directions.csv)"),
        ("evaluate direction .", 7, "(give the folder that holds pano/directions.csv)"),
        ("pan {film} -o https://example.org/b.mp4", 5, "https://example.org/b.mp4: is on another machine"),
        ("plan a.soundmap.npz -o s3://bucket/b.path.json", 5, "s3://bucket/b.path.json: is on another machine"),
        ("batch empty -o out", 3, "there are no films"),
        ("batch empty -o out --dry-run", 3, "there are no films"),
        ("batch '' -o out", 3, "the name of the folder is empty"),
        ("batch empty -o ''", 5, "the name of the folder of results is empty"),
        ("batch status ''", 5, "the name of the folder of results is empty"),
    ],
)
def test_wrong_files_end_in_one_line_that_says_what_to_do(run, film, tmp_path, words, code, says):
    run("analyse", film, "-o", "a.soundmap.npz", "-q", model=True)
    run("plan", "a.soundmap.npz", "-q")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.iterdir())
    done = run(*(film if word == "{film}" else word for word in shlex.split(words)))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert says in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("size", ["101x55", "foo", "2x2"])
@pytest.mark.parametrize("command", [["render", "film.mp4"], ["plan"], ["pan"]], ids=lambda words: words[0])
def test_a_size_that_cannot_be_is_a_wrong_command_line(run, command, size):
    done = run(*command, "x.path.json", "-o", "b.mp4", "--size", size)
    assert (done.returncode, "Error: --size" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pan", "a.mp4", "-o", "b.mp4", "--fov", "200"), "'--fov': must be a number from 20 to 150, not '200'."),
        (("pan", "a.mp4", "-o", "b.mp4", "--fov", "wide"), "'--fov': must be a number from 20 to 150, not 'wide'."),
        (("plan", "a.soundmap.npz", "--paths", "1.5"), "'--paths': must be a whole number from 1 to 20, not '1.5'."),
        (("evaluate", "speed", "--threads", "0"), "'--threads': must be a whole number of at least 1, not '0'."),
    ],
)
def test_a_wrong_number_is_refused_in_the_words_of_the_help(run, words, says):
    done = run(*words)
    assert (done.returncode, f"Invalid value for {says}" in done.stderr) == (2, True), done.stderr


def test_encoders_are_named_as_in_ffmpeg(run, film, tmp_path):
    run("analyse", film, "-o", "a.soundmap.npz", model=True)
    run("plan", "a.soundmap.npz")
    done = run(
        "render", film, "a.path.json", "-o", "b.mp4", "-c:v", "libx265", "--bitrate", "500k", "--size", "320x240"
    )
    assert (done.returncode, done.stderr) == (0, "")
    with av.open(str(tmp_path / "b.mp4")) as out:
        assert out.streams.video[0].codec_context.name == "hevc"
    done = run("pan", film, "-o", "c.mp4", "-c:v", "prores_ks", "--model", "there is no such model")
    assert (done.returncode, "use .mov or .mkv" in done.stderr) == (5, True)


def test_overlay_keeps_the_sphere_and_its_sound(run, film, tmp_path):
    done = run("overlay", film, "-o", "heard.mp4", "-q", model=True)
    assert (done.returncode, done.stderr) == (0, "")
    probed = json.loads(run("probe", "heard.mp4", "--json").stdout)
    assert probed["spherical"]["projection"] == "equirectangular"
    assert probed["audio"] is not None
    assert (probed["video"]["width"], probed["video"]["height"]) == (256, 128)
    assert stamps(tmp_path / "heard.mp4") == stamps(film)


@pytest.mark.parametrize(
    "words",
    [["overlay", "-o", "heard.mp4"], ["pan", "-o", "flat.mp4", "--report", "page.html"], ["probe", "--listen"]],
    ids=lambda words: words[0],
)
def test_a_command_says_once_what_it_finds_in_a_film(run, film, tmp_path, words):
    silent = films.make_film(tmp_path / "silent.mp4", films.steady(30, 15), size=(256, 128))
    done = run(words[0], film, "--concat", silent, *words[1:], model=words[0] != "probe")
    assert done.returncode == 0
    assert done.stderr.count("has no sound: it stays silent") == 1


def test_overlay_refuses_formats_without_360_tags_at_once(run, film):
    done = run("overlay", film, "-o", "heard.mkv", "--model", "there is no such model")
    assert done.returncode == 5
    assert "360° tags" in done.stderr


@pytest.mark.parametrize("listening", [("--window", "1.5"), ("--model", "other.safetensors"), ("--proxy", "none")])
def test_overlay_of_a_sound_map_refuses_options_of_listening(run, film, tmp_path, listening):
    (tmp_path / "a.soundmap.npz").write_bytes(b"not read")
    done = run("overlay", film, "--soundmap", "a.soundmap.npz", "-o", "heard.mp4", *listening)
    assert done.returncode == 2
    assert f"--soundmap and {listening[0]} cannot be used together" in done.stderr


def test_a_path_or_map_of_another_film_gives_a_warning(run, bad, film, tmp_path):
    run("analyse", film, "-o", "a.soundmap.npz", "-q", model=True)
    run("plan", "a.soundmap.npz")
    other = bad("mute")
    done = run("render", other, "a.path.json", "-o", "a.mp4")
    assert (done.returncode, "not this one" in done.stderr) == (0, True)
    done = run("overlay", other, "--soundmap", "a.soundmap.npz", "-o", "b.mp4")
    assert (done.returncode, "not this one" in done.stderr) == (0, True)
    done = run("report", other, "a.soundmap.npz", "a.path.json", "--result", film, "-o", "a.html")
    assert (done.returncode, done.stderr.count("not this one"), "not made of this film" in done.stderr) == (0, 2, True)
    pytest.importorskip("matplotlib")
    done = run("evaluate", "figures", other, "a.soundmap.npz", "a.path.json", "-o", "a.png")
    assert (done.returncode, done.stderr.count("not this one")) == (0, 2)


def test_a_path_or_map_of_a_picture_of_another_shape_gives_a_warning(run, film, tmp_path):
    """Of a copy of the film, of another name, size and encoding, it does not."""
    run("analyse", film, "-o", "a.soundmap.npz", "-q", model=True)
    run("plan", "a.soundmap.npz")
    films.make_film(tmp_path / "copy.mkv", films.steady(30, 15), size=(192, 96), codec="libx265")
    done = run("render", "copy.mkv", "a.path.json", "-o", "a.mp4")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("report", "copy.mkv", "a.soundmap.npz", "a.path.json", "--result", "a.mp4", "-o", "a.html")
    assert (done.returncode, done.stderr) == (0, "")
    films.make_film(tmp_path / "half.mp4", films.steady(30, 15), size=(128, 128))
    part = ("--projection", "half-equirectangular", "--stereo", "mono")
    done = run("report", "half.mp4", "a.soundmap.npz", "a.path.json", *part, "-o", "b.html")
    assert (done.returncode, done.stderr.count("of another shape (256x128)")) == (0, 2)


def test_a_report_needs_the_result_that_it_is_given(run, film, tmp_path):
    run("analyse", film, "-o", "a.soundmap.npz", "-q", model=True)
    run("plan", "a.soundmap.npz")
    films.make_film(tmp_path / "other.mp4", size=(256, 128))
    done = run("report", "other.mp4", "a.soundmap.npz", "a.path.json", "--result", "gone.mp4", "-o", "a.html")
    assert (done.returncode, "gone.mp4: no such file" in done.stderr, done.stderr.count("\n")) == (3, True, 1)
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    ("films", "output", "code", "says"),
    [
        (["gone.mp4"], "study", 3, "gone.mp4: no such file"),
        (["gone/a.mp4"], "study", 3, "a.mp4: no such file"),
        (["."], "study", 3, "folder"),
        ([], "no/such/study", 5, "the folder does not exist"),
    ],
)
def test_a_study_with_something_missing_is_refused_before_it_begins(run, film, tmp_path, films, output, code, says):
    done = run("study", "make", film, *films, "-o", output)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_verbose_says_what_is_done(run, film):
    assert "listening at" in run("pan", film, "-o", "out.mp4", "-v", model=True).stderr


def test_analyse_prints_what_it_found_as_json(run, film):
    done = json.loads(run("analyse", film, "--json", "--every", "0.5", model=True).stdout)
    assert [s["t"] for s in done["samples"]] == pytest.approx([0, 0.533, 1, 1.533], abs=0.01)
    assert done["output"] == f"{film.stem}.soundmap.npz"


def test_the_paper_preset_and_every_frame(run, film, tmp_path):
    done = run("pan", film, "-o", "out.mp4", "--preset", "paper", "--every", "0", "--window", "20", model=True)
    assert done.returncode == 0
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert (out.streams.video[0].width, out.streams.video[0].height) == (640, 480)


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        ("missing", 3, "no such file"),
        ("empty", 3, "empty"),
        ("noise", 3, ""),
        ("text", 3, ""),
        ("headless", 3, ""),
        ("folder", 3, "folder"),
        ("sound only", 4, "no picture"),
        ("flat", 4, "320x180"),
        ("tiny", 4, "32x16"),
    ],
)
@pytest.mark.parametrize("command", ["pan", "analyse", "overlay"])
def test_footage_that_cannot_be_panned_is_refused_in_one_line(run, bad, tmp_path, command, kind, code, says):
    source = bad(kind)
    before = source.read_bytes() if source.is_file() else None
    done = run(command, source, "-o", "out.npz" if command == "analyse" else "out.mp4", model=True)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("pano-sound: error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert source.name in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()
    assert before is None or source.read_bytes() == before


@pytest.mark.parametrize(("kind", "says"), [("mute", "has no sound"), ("silent", "is silent")])
def test_without_sound_the_view_holds_with_a_warning(run, bad, tmp_path, kind, says):
    source = bad(kind)
    done = run("pan", source, "-o", "out.mp4", "--json", model=True)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert f"warning: {source} {says}" in done.stderr
    looks = {(s["yaw"], s["pitch"]) for s in json.loads(done.stdout)["path"]["samples"]}
    assert looks == {(0.0, 0.0)}
    assert stamps(tmp_path / "out.mp4") == stamps(source)
    assert run("pan", source, "-o", "out.mp4", "-y", "-q", model=True).stderr == ""


@pytest.mark.parametrize("command", [["analyse"], ["overlay", "-o", "out.mp4"]], ids=lambda words: words[0])
def test_without_sound_commands_without_a_camera_do_not_tell_what_it_does(run, bad, command):
    done = run(*command, bad("mute"), model=True)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "mute.mp4 has no sound: a camera planned for it holds still" in done.stderr


def test_probe_does_not_listen_where_there_is_no_sound(run, bad):
    heard = {kind: run("probe", bad(kind), "--listen").stdout for kind in ("mute", "silent")}
    assert "heard          nothing: there is no sound\n" in heard["mute"]
    assert "heard          nothing that it is sure of\n" in heard["silent"]


def test_outputs_are_replaced_only_when_asked_and_inputs_never(run, film, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_text("mine")
    done = run("pan", film, "-o", out, model=True)
    assert (done.returncode, out.read_text()) == (5, "mine")
    assert "-y" in done.stderr
    assert run("pan", film, "-o", out, "-y", model=True).returncode == 0
    before = film.read_bytes()
    (tmp_path / "link.mp4").symlink_to(film)
    for same in (film, tmp_path / "link.mp4"):
        assert run("pan", film, "-o", same, "-y", model=True).returncode == 5
    assert film.read_bytes() == before
    assert run("pan", film, "-o", tmp_path / "no" / "out.mp4", model=True).returncode == 5
    assert run("analyse", film, "-o", film, "-y", model=True).returncode == 5
    assert film.read_bytes() == before
    assert run("analyse", film, "-o", "a.soundmap.npz", model=True).returncode == 0
    assert run("plan", "a.soundmap.npz", "-o", "a.soundmap.npz", "-y").returncode == 5
    assert run("plan", "a.soundmap.npz", "-o", "/dev/null", "-y").returncode == 5
    assert run("plan", "a.soundmap.npz", "-o", "x" * 300).returncode == 5
    assert run("pan", film, "-o", "out.xyz", model=True).returncode == 5


@pytest.mark.parametrize(
    "wrong",
    [
        ["--fov", "500"],
        ["--fov", "nan"],
        ["--fov", "130", "--max-fov", "110", "--preset", "lively"],
        ["--size", "641x360"],
        ["--size", "big"],
        ["--every", "-1"],
        ["--signal", "nose"],
        ["--crf", "60"],
        ["--crf", "20", "--bitrate", "5M"],
        ["--bitrate", "fast"],
        ["-c:v", "libsvtav1", "--encoder-preset", "medium"],
        ["-c:v", "nonsense"],
        ["--nonsense"],
    ],
)
def test_wrong_options_are_refused(run, film, wrong):
    done = run("pan", film, "-o", "out.mp4", *wrong, model=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_missing_and_damaged_weights_are_refused(run, film, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    for model in ("unknown", "w.safetensors", "gone.safetensors"):
        done = run("pan", film, "-o", "out.mp4", "--model", model)
        assert done.returncode == 6
        assert done.stderr.count("\n") == 1


def test_damaged_data_files_are_refused(run, film, tmp_path):
    (tmp_path / "a.path.json").write_text("{}")
    (tmp_path / "a.soundmap.npz").write_bytes(b"PK")
    assert run("render", film, "a.path.json", "-o", "out.mp4").returncode == 7
    assert run("plan", "a.soundmap.npz", "-o", "b.path.json").returncode == 7
    assert run("overlay", film, "--soundmap", "a.soundmap.npz", "-o", "out.mp4").returncode == 7


def test_no_pickle_is_ever_loaded(run, tmp_path):
    np.savez(tmp_path / "evil.npz", format=np.array([{"a": 1}], dtype=object))
    assert run("plan", "evil.npz", "-o", "b.path.json").returncode == 7


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_of_every_command(run, command):
    done = run(*([command] if command else []), "--help")
    assert done.returncode == 0
    if command is None:
        for code, meaning in EXIT_CODES.items():
            assert str(code) in done.stdout
            assert meaning.split(",")[0] in " ".join(done.stdout.split())


def groups(text):
    """Heading -> the long options listed below it, of a help text."""
    found, here = {}, None
    for line in text.splitlines():
        if re.fullmatch(r"\w+:", line):
            here = found.setdefault(line[:-1], [])
        elif here is not None and (match := re.match(r"  (?:-\S+, )?(--[\w-]+)", line)):
            here.append(match[1])
    return found


@pytest.mark.parametrize("words", [[], ["path"], ["study"], ["evaluate"]])
def test_commands_that_need_more_words_show_their_help(run, words):
    done = run(*words)
    shown = (done.stdout + done.stderr).strip()
    assert shown == run(*words, "--help").stdout.strip()


def test_help_lists_everyday_options_by_group_and_help_all_every_one():
    short, full = (groups(CliRunner().invoke(cli, ["pan", option]).output) for option in ("--help", "--help-all"))
    assert list(short) == list(full) == ["Options", "Input", "Listening", "View", "Camera", "Video", "General"]
    assert short["Options"] == ["--output", "--report", "--pins", "--overwrite"]
    assert short["Camera"] == ["--preset"]
    assert short["General"] == ["--json", "--quiet", "--verbose", "--help-all", "--help"]
    for about in described(PanOptions).values():
        assert about.flag in full[about.heading]
        assert (about.flag in short[about.heading]) is not about.advanced


def test_the_list_of_commands_shows_whole_summaries():
    # On a terminal of 80 columns.
    for group in ([], ["batch"], ["path"], ["models"], ["evaluate"]):
        listed = CliRunner().invoke(cli, [*group, "--help"], terminal_width=78).output.split("Commands:")[1]
        listed = listed.split("\n\n")[0]
        assert len(listed.split()) > 3
        assert "..." not in listed
        assert all(line.endswith((".", "?")) for line in listed.strip().splitlines())


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_summary_of_a_command_is_the_first_sentence_of_its_help(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.get_short_help_str(1000) == SUMMARIES[name]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pam"], "Did you mean 'pan'?"),
        (["analyze", "a.mp4"], "Did you mean 'analyse'?"),
        (["pan", "a.mp4", "--ouput", "b.mp4"], "--output"),
        (["FILM"], "pano-sound pan 'FILM' -o out.mp4"),
        (["nonsense"], "No such command 'nonsense'."),
    ],
)
def test_a_wrong_word_suggests_the_right_one(words, says, film):
    done = CliRunner().invoke(cli, [word.replace("FILM", str(film)) for word in words])
    assert done.exit_code == 2
    assert says.replace("FILM", str(film)) in done.output


def test_suggested_commands_can_be_copied(run, film, tmp_path):
    """Names with spaces are quoted, and names like options have their folder."""
    for name in ("my film.mp4", "-my film.mp4"):
        (tmp_path / name).symlink_to(film)
    assert "pano-sound pan 'my film.mp4' -o out.mp4" in run("my film.mp4").stderr
    assert "write './-my film.mp4'" in run("pan", "-my film.mp4", "-o", "out.mp4").stderr


def test_quiet_and_verbose_work_before_the_command_too(run, bad):
    assert run("-q", "pan", bad("mute"), "-o", "out.mp4", model=True).stderr == ""
    assert "listening at" in run("-v", "pan", bad("silent"), "-o", "out2.mp4", model=True).stderr


def test_help_imports_nothing_heavy():
    heavy = "{'torch', 'cv2', 'av', 'numpy', 'scipy', 'tqdm'}"
    code = (
        "import sys; from click.testing import CliRunner; from pano_sound.commands import cli; "
        "CliRunner().invoke(cli, ['pan', '--help'], catch_exceptions=False); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_list_of_commands_imports_no_command():
    code = (
        "import sys; from click.testing import CliRunner; from pano_sound.commands import cli; "
        "CliRunner().invoke(cli, ['--help'], catch_exceptions=False); "
        "names = ('pano_sound.commands.p', 'pano_sound.options.'); "
        "print(sorted(name for name in sys.modules if name.startswith(names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_renders_imports_neither_torch_nor_scipy():
    code = "import sys, pano_sound.pipeline; print(sorted({'torch', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pan_imports_neither_torch_nor_telemetry(film, tiny, tmp_path):
    words = ["pan", str(film), "-o", str(tmp_path / "out.mp4"), "--model", tiny, "-q"]
    code = (
        "import sys; from click.testing import CliRunner; from pano_sound.commands import cli; "
        f"CliRunner().invoke(cli, {words!r}, catch_exceptions=False); "
        "print(sorted({'torch', 'openvino_telemetry', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['openvino']"
    assert (tmp_path / "out.mp4").exists()


def test_a_closed_pipe_is_no_error(film):
    line = f'"{sys.executable}" "{CLI}" probe "{film}" --json | true'
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("pan a.mp4 -o b.mp4 --report b.pdf", "the report must be a .html file, not 'b.pdf'"),
        ("report a.mp4 a.npz a.json -o b", "the page must be a .html file, not 'b'"),
        ("analyse a.mp4 -o b.mp4", "the sound map must be a .npz file, not 'b.mp4'"),
        ("plan a.npz -o b.csv", "the path must be a .json file, not 'b.csv'"),
        ("path import a.csv --from csv -o b.csv", "the path must be a .json file, not 'b.csv'"),
        ("path show a.json -o b.jpg", "the picture must be a .png file, not 'b.jpg'"),
    ],
)
def test_another_ending_is_refused_before_any_work(run, words, what):
    done = run(*words.split())
    assert done.returncode == 2
    assert what in done.stderr
