"""Malicious films, sound maps and camera paths cannot reach other files, run anything or fill memory."""

from __future__ import annotations

import ast
import io
import json
import sys
import zipfile
from pathlib import Path

import av
import films
import numpy as np
import pytest

import pano_sound
from pano_sound.camera_path import CameraPath
from pano_sound.errors import DataFileError
from pano_sound.options.steps import RenderOptions
from pano_sound.soundmap import SoundMap

CODE = sorted(Path(pano_sound.__file__).parent.rglob("*.py"))
FORBIDDEN = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "subprocess.getoutput"}


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


@pytest.mark.parametrize("path", CODE, ids=lambda p: p.relative_to(CODE[0].parent).as_posix())
def test_no_shell_no_evaluation_no_pickle(path):
    for name, keywords in calls(ast.parse(path.read_text(encoding="utf-8"))):
        assert name not in FORBIDDEN
        assert keywords.get("shell", "False") == "False"
        assert keywords.get("allow_pickle", "False") == "False"
        if name == "torch.load":
            assert keywords.get("weights_only") == "True"


def test_the_check_would_find_them():
    code = "eval('1'); torch.load(f); subprocess.run('a', shell=True); np.load(f, allow_pickle=True); os.system('a')"
    found = dict(calls(ast.parse(code)))
    assert FORBIDDEN & set(found) == {"eval", "os.system"}
    assert found["subprocess.run"]["shell"] == found["np.load"]["allow_pickle"] == "True"
    assert "weights_only" not in found["torch.load"]


OPENED: list[str] | None = None
"""Names of the files that a test opens; audit hooks cannot be removed."""


@sys.addaudithook
def _listen(event, args):
    if OPENED is not None and event == "open" and isinstance(args[0], (str, bytes)):
        OPENED.append(str(args[0]))


@pytest.mark.parametrize(
    "aim", ["../elsewhere.mp4", "{folder}/elsewhere.mp4", "file:../elsewhere.mp4", "concat:../elsewhere.mp4"]
)
def test_names_in_paths_and_sound_maps_are_never_opened(tmp_path, monkeypatch, aim):
    """A path file names the film it was made for. That name is only ever printed."""
    global OPENED
    inside = tmp_path / "inside"
    inside.mkdir()
    film = films.make_film(inside / "a.mp4")
    elsewhere = films.make_film(tmp_path / "elsewhere.mp4")
    aim = aim.format(folder=tmp_path)
    monkeypatch.chdir(inside)
    CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]), source={"path": aim, "output": aim}).save("a.path.json")
    SoundMap(
        times=np.array([0.0, 0.3]),
        posterior=np.zeros((2, 4, 8), np.float16),
        elsewhere=np.ones(2, np.float32),
        level_db=np.zeros(2, np.float32),
        source={"path": aim, "width": 128, "height": 64, "end": 0.4},
        settings={"model": aim},
    ).save("a.soundmap.npz")
    before = elsewhere.read_bytes()
    by_ffmpeg, open_film = [], av.open
    monkeypatch.setattr(
        av, "open", lambda name, *rest, **more: by_ffmpeg.append(name) or open_film(name, *rest, **more)
    )
    OPENED = []
    try:
        pano_sound.render("a.mp4", CameraPath.load("a.path.json"), "b.mp4", RenderOptions(encoder_preset="ultrafast"))
        pano_sound.plan(SoundMap.load("a.soundmap.npz")).save("b.path.json")
    finally:
        opened, OPENED = OPENED, None
    assert any(name.endswith("a.path.json") for name in opened)
    assert "file:a.mp4" in by_ffmpeg
    assert not any("elsewhere" in name for name in opened + by_ffmpeg)
    assert elsewhere.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere.mp4", "inside"]
    assert {p.name for p in inside.iterdir()} == {film.name, "a.path.json", "a.soundmap.npz", "b.mp4", "b.path.json"}


def replaced(path, name, content):
    """A copy of a sound map with one part replaced."""
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, old in parts.items():
            with archive.open(part, "w", force_zip64=True) as file:
                for piece in content if part == name else [old]:
                    file.write(piece)


def header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.fixture
def soundmap(tmp_path):
    path = tmp_path / "a.soundmap.npz"
    posterior, elsewhere = np.zeros((1, 4, 8), np.float16), np.ones(1, np.float32)
    SoundMap(np.zeros(1), posterior, elsewhere, np.zeros(1, np.float32), {"width": 128, "height": 64, "end": 0.5}).save(
        path
    )
    assert SoundMap.load(path).posterior.shape == (1, 4, 8)
    return path


@pytest.mark.parametrize("shape", [(10**7, 10**4, 10**4), (2**40, 2**40, 1), (-1, 4, 8)])
def test_a_sound_map_with_false_sizes_is_refused(soundmap, shape):
    replaced(soundmap, "posterior.npy", [header(shape)])
    with pytest.raises(DataFileError, match="not a sound map, or damaged"):
        SoundMap.load(soundmap)


@pytest.mark.slow
def test_a_sound_map_larger_than_memory_is_refused(soundmap):
    replaced(soundmap, "posterior.npy", [header((2**32 // 64, 4, 8)), *[bytes(1 << 24)] * 257])
    assert soundmap.stat().st_size < 10_000_000
    with pytest.raises(DataFileError, match="unpacks to more than it should"):
        SoundMap.load(soundmap)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deeply_nested_text_is_refused(tmp_path, soundmap, text):
    (tmp_path / "a.path.json").write_text(text)
    with pytest.raises(DataFileError, match="nested too deeply"):
        CameraPath.load(tmp_path / "a.path.json")
    file = io.BytesIO()
    np.save(file, np.array(text), allow_pickle=False)
    replaced(soundmap, "about.npy", [file.getvalue()])
    with pytest.raises(DataFileError, match="not a sound map"):
        SoundMap.load(soundmap)


def test_absurdly_large_numbers_are_refused(tmp_path):
    data = {
        "format": "pano-sound.path/2",
        "view": {"width": 64, "height": 64},
        "samples": [{"t": 0, "yaw": 1e308, "pitch": 0, "roll": 0, "hfov": 90}],
    }
    for text in (
        json.dumps(data),
        json.dumps(data).replace("1e+308", "9" * 5000),
        json.dumps(data).replace("64", "1e400"),
    ):
        (tmp_path / "a.path.json").write_text(text)
        with pytest.raises(DataFileError):
            CameraPath.load(tmp_path / "a.path.json")


@pytest.mark.parametrize("source", ['{"end": 1%s}', '{"width": 1%s, "height": 2}', '{"width": 2, "height": 1%s}'])
def test_absurdly_large_numbers_about_the_film_do_no_harm(tmp_path, source):
    text = json.dumps(CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]])).to_json())
    (tmp_path / "a.path.json").write_text(text.replace('"source": {}', f'"source": {source % ("0" * 400)}'))
    films.make_film(tmp_path / "a.mp4")
    path, options = CameraPath.load(tmp_path / "a.path.json"), RenderOptions(encoder_preset="ultrafast")
    pano_sound.render(tmp_path / "a.mp4", path, tmp_path / "b.mp4", options)
    assert (tmp_path / "b.mp4").exists()
