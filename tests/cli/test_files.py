"""Nothing is lost: no command replaces what it reads, nor, unasked, anything else."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys

import click
import numpy as np
import pytest

import pano_sound
from pano_sound import atomic_file
from pano_sound.atomic_file import new_partial, put_in_place, written_whole
from pano_sound.commands import cli
from pano_sound.commands.files import ReadFile, WrittenFile
from pano_sound.errors import OutputError
from pano_sound.library.storage import store

# Every command that writes: its words, in which each parameter that names a file has a file of its own, and the ending
# of its output. `{name}` is the file of the parameter of that name.
WRITERS = {
    "pan": (
        "{source} --concat {more} --sound {sound} --pins {pins_file} --model {model} --proxy {proxy} -o {output}",
        ".mp4",
    ),
    "analyse": (
        "{source} --concat {more} --sound {sound} --model {model} --proxy {proxy} -o {output}",
        ".soundmap.npz",
    ),
    "plan": ("{soundmap} --pins {pins_file} -o {output}", ".path.json"),
    "render": ("{source} {path} --concat {more} --sound {sound} -o {output}", ".mp4"),
    "overlay": (
        "{source} --concat {more} --sound {sound} --soundmap {soundmap_file} --path {path_file} --model {model} "
        "--proxy {proxy} -o {output}",
        ".mp4",
    ),
    "report": ("{source} {soundmap} {path} --concat {more} --sound {sound} --result {result} -o {output}", ".html"),
    "path show": ("{path} --soundmap {soundmap} -o {output}", ".png"),
    "path export": ("{path} --to csv -o {output}", ".csv"),
    "path import": ("{file} --from csv -o {output}", ".path.json"),
    "train": ("{data} --set start={start} --work {work} -o {output}", ".safetensors"),
    "evaluate boxes": ("{data} --model {model} -o {output}", ".png"),
    "evaluate ambient": ("{data} --model {model} -o {output}", ".png"),
    "evaluate retrieval": ("{data} --model {model} --labels {labels} -o {output}", ".png"),
    "evaluate interactive": ("{data} --model {model} -o {output}", ".png"),
    "evaluate responses": ("{data} --model {models} -o {output}", ".png"),
    "evaluate figures": ("{source} {soundmap} {path} -o {output}", ".png"),
    "evaluate scenes": ("{data} --model {model} --work {work} -o {output}", ""),
    "evaluate tables": ("{data} --model {models} --labels {labels} -o {output}", ""),
    "study make": ("{sources} -o {output}", ""),
}
TAKES_A_FOLDER = {"evaluate tables": "tables.txt", "evaluate scenes": "scenes.csv", "study make": "study.html"}
NO_FILES_WRITTEN = {
    *("probe", "models", "models import", "batch status", "batch retry", "batch run", "study tally"),
    *(f"evaluate {name}" for name in ("pictures", "pasted", "direction", "camera", "speed")),
}
"""Commands that write no file the user names; batches write many, see tests/library/test_lost.py."""


def commands(group, name=""):
    for word in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), word)
        if isinstance(command, click.Group):
            yield from commands(command, f"{name}{word} ")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f"{name}{word}", command


COMMANDS = dict(commands(cli))


def readers(name):
    words = WRITERS[name][0]
    named = [p.name for p in COMMANDS[name].params if isinstance(p.type, ReadFile) and f"{{{p.name}}}" in words]
    return [*named, *(["start"] if name == "train" else [])]


def test_all_commands_are_known():
    assert set(COMMANDS) == set(WRITERS) | NO_FILES_WRITTEN


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_parameter_that_names_a_file_says_whether_it_is_read_or_written(name):
    for parameter in COMMANDS[name].params:
        words = f"{parameter.metavar or ''} {getattr(parameter, 'help', None) or ''}"
        names_files = isinstance(parameter.type, click.Path) or any(w in words for w in ("FILE", "FOLDER"))
        if names_files and parameter.name not in BATCH:
            assert isinstance(parameter.type, (ReadFile, WrittenFile)), parameter.name
        if isinstance(parameter.type, ReadFile) and name in WRITERS:
            assert f"{{{parameter.name}}}" in WRITERS[name][0], parameter.name


BATCH = {"out", "manifest", "soundmaps", "name"}
"""What a batch writes and manages by itself."""


@pytest.mark.parametrize("how", ["the same name", "symbolic link", "hard link", "another spelling"])
@pytest.mark.parametrize(("name", "reader"), [(n, r) for n in WRITERS for r in readers(n)])
def test_inputs_are_never_replaced_not_even_with_y(run, tmp_path, name, reader, how):
    words, ending = WRITERS[name]
    files = {p: tmp_path / f"{p}.file" for p in (*readers(name), "work")}
    output = tmp_path / f"output{ending}"
    if name in TAKES_A_FOLDER:
        output.mkdir()
        written = output / TAKES_A_FOLDER[name]
    else:
        written = output
    if how == "the same name":
        files[reader] = written
    for parameter, file in files.items():
        if parameter != "work":
            file.write_bytes(f"content of {parameter}".encode())
    if how == "symbolic link":
        written.symlink_to(files[reader])
    elif how == "hard link":
        os.link(files[reader], written)
    elif how == "another spelling":
        (tmp_path / "there").symlink_to(tmp_path, target_is_directory=True)
        shutil.move(files[reader], written)
        files[reader] = tmp_path / "there" / written.relative_to(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    done = run(*name.split(), *(word.format(**files, output=output) for word in words.split()), "-y")
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("\n") == 1
    assert "is an input, which is never replaced" in done.stderr
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", WRITERS)
def test_other_files_are_not_replaced_unasked(run, tmp_path, name):
    words, ending = WRITERS[name]
    files = {p: tmp_path / f"{p}.file" for p in (*readers(name), "work")}
    for parameter, file in files.items():
        if parameter != "work":
            file.write_bytes(b"content")
    output = tmp_path / f"output{ending}"
    if name in TAKES_A_FOLDER:
        output.mkdir()
        (output / TAKES_A_FOLDER[name]).write_bytes(b"mine")
    else:
        output.write_bytes(b"mine")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    done = run(*name.split(), *(word.format(**files, output=output) for word in words.split()))
    assert (done.returncode, "-y replaces it" in done.stderr) == (5, True), done.stderr
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("command", ["pan", "overlay"])
def test_a_proxy_beside_the_film_is_an_input(run, tmp_path, command):
    for name in ("holiday.mp4", "holiday_proxy.mp4"):
        (tmp_path / name).write_bytes(b"a film")
    done = run(command, "holiday.mp4", "-o", "holiday_proxy.mp4", "-y")
    assert (done.returncode, "is an input, which is never replaced" in done.stderr) == (5, True), done.stderr


def test_files_within_an_input_folder_are_inputs(run, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"a picture")
    done = run("evaluate", "boxes", "set", "-o", "set/a.png", "-y")
    assert (done.returncode, "is a file of the input folder" in done.stderr) == (5, True)
    assert (tmp_path / "set" / "a.png").read_bytes() == b"a picture"


def _shards(folder, media):
    os.link(media, folder / "set-0.tar")
    return folder / "set-{0..1}.tar"


def _table(name, text):
    def make(folder, media):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.format(os.path.relpath(media, (folder / name).parent), media))
        return folder if "/" in name or "labelled" in text else folder / name

    return make


def _list(folder, media):
    (media.parent / "list.json").write_text(json.dumps([{"file": media.stem, "bbox": []}]))
    return media.parent / "list.json"


def _linked(how):
    def make(folder, media):
        how(media, folder / "film.mp4")
        return folder

    return make


def _linked_folder(folder, media):
    (folder / "media").symlink_to(media.parent, target_is_directory=True)
    (media.parent / "set").symlink_to(folder, target_is_directory=True)
    return folder


SETS = {
    "a table of pictures": _table("set.csv", "picture,sound\n{0},b.wav\n"),
    "a table of sounds": _table("set.CSV", "picture,sound\nb.png,{0}\n"),
    "a table of clips": _table("set.csv", "clip,time\n{0},1\n"),
    "a table with whole paths": _table("set.csv", "clip\n{1}\n"),
    "labelled pictures": _table("pictures.csv", "file,label,split\n{0},labelled,val\n"),
    "labelled sounds": _table("sounds.csv", "file,label,split\n{0},labelled,val\n"),
    "clips": _table("clips/clips.csv", "file,split\n{0},val\n"),
    "directions": _table("pano/directions.csv", "file,t_s,yaw_deg,pitch_deg\n{0},0,0,0\n"),
    "a list beside what it names": _list,
    "shards": _shards,
    "a folder with a link": _linked(lambda media, name: name.symlink_to(media)),
    "a folder with a hard link": _linked(os.link),
    "a folder with circular links": _linked_folder,
}
"""How a set can name or hold a file elsewhere."""
SET_READERS = [name for name, (words, _) in WRITERS.items() if "{data}" in words]


@pytest.mark.parametrize("name", SET_READERS)
@pytest.mark.parametrize("kind", SETS)
def test_files_named_by_a_set_are_never_replaced_not_even_with_y(run, tmp_path, name, kind):
    words, ending = WRITERS[name]
    for folder in ("set", "elsewhere", "work", "output"):
        (tmp_path / folder).mkdir()
    files = {p: tmp_path / f"{p}.file" for p in readers(name)}
    if name in TAKES_A_FOLDER:
        output = tmp_path / "output"
        media = output / TAKES_A_FOLDER[name]
    else:
        output = media = tmp_path / "elsewhere" / f"a{ending}"
    media.write_bytes(b"a picture, sound or film")
    files |= {"data": SETS[kind](tmp_path / "set", media), "work": tmp_path / "work"}
    done = run(*name.split(), *(word.format(**files, output=output) for word in words.split()), "-y")
    assert done.returncode == 5, done.stderr
    assert re.search(r"is an input, which is never replaced|is a file of the input folder", done.stderr)
    assert media.read_bytes() == b"a picture, sound or film"


@pytest.mark.parametrize("command", ["train", "evaluate scenes"])
@pytest.mark.parametrize("where", ["the set", "a folder of the set", "a folder with a film of the set"])
def test_no_work_folder_is_made_among_inputs_not_even_with_y(run, tmp_path, command, where):
    (tmp_path / "set" / "inner").mkdir(parents=True)
    (tmp_path / "set" / "inner" / "film.mp4").write_bytes(b"theirs")
    (tmp_path / "set" / "log.jsonl").write_bytes(b"theirs")
    (tmp_path / "other").mkdir()
    os.link(tmp_path / "set" / "log.jsonl", tmp_path / "other" / "log.jsonl")
    work = {"the set": "set", "a folder of the set": "set/inner"}.get(where, "other")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    words = ("-o", "a.safetensors") if command == "train" else ()
    if work == "other":
        (tmp_path / "set.csv").write_text("clip\nset/log.jsonl\n")
        before[tmp_path / "set.csv"] = (tmp_path / "set.csv").read_bytes()
    data = "set.csv" if work == "other" else "set"
    done = run(*command.split(), data, "--work", work, *words, "-y")
    assert (done.returncode, "input" in done.stderr) == (5, True), done.stderr
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere /dev/stdout is no link")
def test_the_link_to_standard_output_is_not_replaced(run, tmp_path):
    (tmp_path / "a.path.json").write_text("theirs")
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    done = run("path", "export", "a.path.json", "--to", "csv", "-o", "stdout", "-y")
    assert (done.returncode, "stdout: is not a regular file" in done.stderr) == (5, True), done.stderr
    assert os.readlink(tmp_path / "stdout") == "/proc/self/fd/1"


def test_a_file_behind_a_url_is_a_file(run, film):
    before = film.read_bytes()
    done = run("pan", f"file://{film}", "-o", film, "-y", model=True)
    assert (done.returncode, "is an input" in done.stderr) == (5, True)
    assert film.read_bytes() == before


def test_an_output_may_be_a_url_of_a_file_on_this_machine_only(run, film, tmp_path):
    done = run("path", "import", "a.csv", "--from", "csv", "-o", f"file://{tmp_path}/none/b.path.json")
    assert (done.returncode, f"create {tmp_path}/none first" in done.stderr) == (5, True), done.stderr
    with pytest.raises(OutputError, match="is on another machine"):
        atomic_file.check_files(["https://example.org/b.mp4"])


def test_two_outputs_are_not_one_file(tmp_path):
    for one, other in (("a.csv", "a.csv"), ("a.csv", "A.CSV"), ("é.csv", "e\u0301.csv")):
        with pytest.raises(OutputError, match="is the same file as"):
            atomic_file.check_files([tmp_path / one, tmp_path / other])


def test_a_folder_with_other_files_is_not_worked_in(run, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "log.jsonl").write_text("mine")
    (tmp_path / "set.csv").write_text("picture,sound\n")
    words = ("train", "set.csv", "-o", "out.safetensors", "--work", "work")
    done = run(*words)
    assert (done.returncode, "the folder holds other files" in done.stderr) == (5, True)
    assert run(*words, "-y").returncode == 7
    assert (tmp_path / "work" / "log.jsonl").read_text() == "mine"


@pytest.mark.parametrize("work", ["set", "set/pano"])
@pytest.mark.parametrize("command", ["train -o out.safetensors", "evaluate scenes"])
def test_a_folder_with_inputs_is_not_offered_to_work_in(run, tmp_path, command, work):
    (tmp_path / "set" / "pano").mkdir(parents=True)
    for table in ("set.csv", "pano/directions.csv"):
        (tmp_path / "set" / table).write_text("picture,sound\n")
    done = run(*command.split(), "set", "--work", work)
    assert (done.returncode, "input" in done.stderr, "-y" in done.stderr) == (5, True, False), done.stderr


def test_a_refused_training_leaves_nothing_behind(run, tmp_path):
    (tmp_path / "set.csv").write_text("picture,sound\n")
    for words in (["--work", "a/b"], ["--recipe", "base"], ["--set", "nonsense=1"], ["--work", "/dev/null/a"], []):
        assert run("train", "set.csv", "-o", "out.safetensors", *words).returncode in (2, 5, 7)
        assert [path.name for path in tmp_path.iterdir()] == ["set.csv"]


def test_plan_keeps_pins_and_replaces_only_when_asked(run, film, tmp_path):
    run("analyse", film, "-o", "a.soundmap.npz", "-q", model=True)
    assert run("plan", "a.soundmap.npz").returncode == 0
    before = (tmp_path / "a.path.json").read_bytes()
    done = run("plan", "a.soundmap.npz", "--keep", "pins", "--fov", "50")
    assert (done.returncode, "-y replaces" in done.stderr) == (5, True)
    assert (tmp_path / "a.path.json").read_bytes() == before
    assert run("plan", "a.soundmap.npz", "--keep", "pins", "--fov", "50", "-y").returncode == 0
    assert (tmp_path / "a.path.json").read_bytes() != before


@pytest.fixture(params=["renamed by the kernel", "linked", "without links"])
def file_system(request, monkeypatch):
    """How a file gets a name that must be new, on file systems of three kinds."""

    def no_links(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    if request.param != "renamed by the kernel":
        monkeypatch.setattr(atomic_file, "renamed_by_kernel", lambda *_: False)
    if request.param == "without links":
        monkeypatch.setattr(os, "link", no_links)
    return request.param


@pytest.mark.parametrize("appeared", ["file", "link", "dangling link", "folder"])
def test_a_file_that_appears_meanwhile_is_kept(file_system, tmp_path, appeared):
    target, other = tmp_path / "a.csv", tmp_path / "other.csv"
    if appeared != "dangling link":
        other.write_text("theirs")
    appear = {
        "file": lambda: target.write_text("theirs"),
        "link": lambda: target.symlink_to(other),
        "dangling link": lambda: target.symlink_to(other),
        "folder": target.mkdir,
    }[appeared]
    with contextlib.ExitStack() as stack:
        stack.enter_context(written_whole(target, "w", overwrite=False)).write("ours")
        appear()
        with pytest.raises(OutputError, match="has appeared in the meantime and was kept"):
            stack.close()
    assert not other.exists() or other.read_text() == "theirs"
    assert target.is_symlink() or target.is_dir() or target.read_text() == "theirs"
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def test_a_new_name_is_given(file_system, tmp_path):
    with written_whole(tmp_path / "a.csv", "w", overwrite=False) as file:
        file.write("ours")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.csv": "ours"}


def test_a_result_is_moved_from_another_disk(file_system, tmp_path, monkeypatch):
    def on_one_disk(rename):
        def renamed(source, target, **more):
            if os.path.dirname(source) != os.path.dirname(target):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return rename(source, target, **more)

        return renamed

    monkeypatch.setattr(os, "replace", on_one_disk(os.replace))
    if file_system == "linked":
        monkeypatch.setattr(os, "link", on_one_disk(os.link))
    if file_system == "renamed by the kernel":
        monkeypatch.setattr(atomic_file, "renamed_by_kernel", on_one_disk(atomic_file.renamed_by_kernel))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "a.mp4").write_text("ours")
    results = store(tmp_path / "out")
    results.create()
    results.put(tmp_path / "scratch" / "a.mp4", "a.mp4")
    assert {p.name: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == {"a.mp4": "ours"}


def test_a_film_that_appears_while_one_is_written_is_kept(film, tmp_path):
    path = pano_sound.CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
    target = tmp_path / "out.mp4"
    with pytest.raises(OutputError, match="has appeared in the meantime"):
        pano_sound.render(film, path, target, progress=lambda *_: target.write_bytes(b"theirs"))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"out.mp4": b"theirs"}


def test_partial_names_are_unpredictable_and_no_link_is_followed(tmp_path, monkeypatch):
    alike = [tmp_path / f"{'x' * 240}{i}.mp4" for i in range(50)]
    made = {new_partial(path) for path in alike} | {new_partial(alike[0]) for _ in range(50)}
    assert len(made) == 100
    assert all(len(os.fsencode(p.name)) < 256 and p.name.startswith(".") for p in made)
    new_partial(tmp_path / ("é" * 127)).unlink()
    monkeypatch.setattr(os, "urandom", bytes)
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    (tmp_path / ".a.csv.partial-0000000000000000").symlink_to(victim)
    (tmp_path / ".b.csv.partial-0000000000000000").symlink_to(tmp_path / "nowhere")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(OutputError), written_whole(tmp_path / name, "w") as file:
            file.write("ours")
    assert victim.read_text() == "theirs"
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / ".a.csv.partial-0000000000000000").is_symlink()


def test_putting_in_place_may_replace_when_asked(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("theirs")
    partial = new_partial(target)
    partial.write_text("ours")
    put_in_place(partial, target, overwrite=True)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.csv": "ours"}
