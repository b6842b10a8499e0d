"""The claims and commands of README and docs are checked."""

import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import click
import cv2
import films
import numpy as np
import pytest

from pano_sound.camera_path import CameraPath
from pano_sound.commands import cli, main
from pano_sound.options.base import described
from pano_sound.options.camera import PlanOptions, preset_value
from pano_sound.options.presets import PRESETS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CAMERA = (ROOT / "docs" / "camera.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Every `pano-sound …` line of a page, in order."""
    lines = [line.partition("#")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("pano-sound ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a film called input.mp4, and a tiny model in the place of `base`."""
    import torch

    from pano_sound.localize.nets.localizer import TINY, Localizer
    from pano_sound.localize.nets.weights import save

    path = tmp_path_factory.mktemp("readme")
    films.make_film(path / "input.mp4", films.steady(15, 15), size=(256, 128), sound=films.tone(1.0))
    (path / "DCIM").mkdir()
    shutil.copy(path / "input.mp4", path / "DCIM")
    torch.manual_seed(0)
    save(Localizer(**TINY), path / "tiny.safetensors", {"name": "tiny", "version": "0"})
    return path


@pytest.mark.parametrize(("page", "count"), [(README, 7), (CAMERA, 15)], ids=["README.md", "camera.md"])
def test_every_command_of_a_page_runs(folder, monkeypatch, page, count):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    assert len(commands(page)) >= count
    for line in commands(page):
        words = shlex.split(line)
        if words[1] in ("pan", "analyse", "overlay", "batch"):
            words += ["--model", "tiny.safetensors"]
        if words[1] not in ("probe", "batch"):
            words += ["-y"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as exit:
            main()
        assert exit.value.code == 0, line


def all_commands(page: Path) -> list[str]:
    """Every `pano-sound …` line of a page's code blocks, fenced or indented."""
    found = re.findall(r"^(?: {4}|\$ )?(pano-sound [^\n]*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [line.partition(" #")[0].replace("DATA...", "DATA") for line in found if page.name != "cli.md"]


def parsed(words: list[str]) -> click.Command:
    """The command that these words name; raises if an option or value does not exist."""
    command, context = cli, cli.make_context("pano-sound", list(words))
    while isinstance(command, click.Group) and (rest := [*getattr(context, "_protected_args", []), *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return command


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_of_every_page_exists(page):
    for line in all_commands(page):
        assert parsed(shlex.split(line)[1:]) is not cli, line


def test_a_missing_command_in_the_docs_is_noticed():
    assert len(all_commands(ROOT / "docs" / "batch.md")) >= 7
    for words in (
        ["pan", "a.mp4", "-o", "b.mp4", "--speed", "3"],
        ["evaluate", "ears", "DATA"],
        ["plan", "--paths", "x"],
    ):
        with pytest.raises(click.UsageError):
            parsed(words)


@pytest.mark.parametrize(
    ("page", "output"), [(README, "out.mp4"), (PYTHON, "tall.mp4")], ids=["README.md", "python.md"]
)
def test_the_python_example_runs(folder, monkeypatch, page, output):
    monkeypatch.chdir(folder)
    (folder / output).unlink(missing_ok=True)
    (code,) = blocks(page, "python")
    code = re.sub(r"\b(Pan|Analyse)Options\(", r"\1Options(model='tiny.safetensors', ", code)
    exec(compile(code, "page", "exec"), {})
    assert (folder / output).stat().st_size > 0


def test_the_network_answers_as_the_docs_show(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("frame.jpg", np.zeros((48, 96, 3), np.uint8))
    films.make_sound(tmp_path / "sound.wav", films.tone(1.0))
    (code,) = blocks((ROOT / "docs" / "models.md").read_text(encoding="utf-8"), "python")
    found = {}
    exec(compile(code.replace('"base"', repr(str(folder / "tiny.safetensors"))), "page", "exec"), found)
    assert found["cosines"].shape == (1, 30, 60)
    assert float(found["attention"].sum()) == pytest.approx(1, abs=1e-3)


def test_the_path_file_of_the_docs_can_be_read():
    (example,) = blocks(CAMERA, "json")
    path = CameraPath.from_json(json.loads(example))
    assert path.at(2.5)[0] == pytest.approx(40)
    assert (len(path.pins), len(path.masks), path.cuts) == (1, 2, {2})


def test_the_docs_state_the_presets_of_the_program():
    head, _, *rows = re.findall(
        r"^\|.*\|$", CAMERA.partition("## Presets")[2].partition("- **`calm`**")[0], re.MULTILINE
    )
    names = re.findall(r"`(\w+)`", head)
    assert names == list(PRESETS)
    told = {name: {} for name in names}
    for row in rows:
        option, *numbers = [cell.strip() for cell in row.strip("|").split("|")]
        for name, number in zip(names, numbers, strict=True):
            if number != "–":
                told[name][option.strip("`")] = number
    options = [about for about in described(PlanOptions).values() if about.default is None]
    for name in PRESETS:
        values = {about.flag: preset_value(about.name, name) for about in options}
        assert told[name] == {k: f"{v:g}" if isinstance(v, float) else v for k, v in values.items() if v is not None}


def test_ci_runs_what_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    starts = [b.strip() for b in blocks(README, "sh") if ".venv/bin/pip" in b]
    assert len(starts) == 2
    for start in starts:
        assert start in script


@pytest.mark.parametrize(("name", "text"), [("cli.md", "page"), ("python.md", "python_page")])
def test_the_pages_of_options_are_up_to_date(name, text):
    now = runpy.run_path(str(ROOT / "docs" / "make_cli.py"))[text]()
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == now, "run python docs/make_cli.py"


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]]
    assert [page for page in pages if page != "README.md" and f"]({page})" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_are_not_dead(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_animation_is_up_to_date():
    make = runpy.run_path(str(ROOT / "docs" / "make_animation.py"))
    stored = json.loads((ROOT / "docs" / "animation.json").read_text())
    assert stored == make["sources"](), "run python docs/make_animation.py"
    done, animation = cv2.imreadanimation(str(make["ANIMATION"]))
    assert done
    assert 40 <= len(animation.frames) <= 60
    assert make["ANIMATION"].stat().st_size < make["MOST_BYTES"]
