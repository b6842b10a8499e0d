"""`pano-sound train`, on tiny sets with a tiny model."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import wavfile

from pano_sound.commands import main
from pano_sound.localize.nets import files, weights
from pano_sound.localize.nets.paper import PAPER_TINY, PaperLocalizer


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of eight pairs, half of them with a box, and a tiny model; the working folder."""
    rng = np.random.default_rng(0)
    rows = ["picture,sound,x0,y0,x1,y1"]
    for i in range(8):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 255, (32, 32, 3), np.uint8))
        wavfile.write(tmp_path / f"{i}.wav", 16000, rng.normal(0, 0.1, 8000).astype(np.float32))
        rows.append(f"{i}.png,{i}.wav," + ("0.1,0.1,0.5,0.5" if i % 2 else ",,,"))
    (tmp_path / "set.csv").write_text("\n".join(rows))
    torch.manual_seed(0)
    weights.save(PaperLocalizer(**PAPER_TINY), tmp_path / "tiny.safetensors", {"name": "tiny"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of `pano-sound train` with these words and a tiny model."""
    tiny = ["--set", "start=tiny.safetensors", "--set", "batch=4"]
    monkeypatch.setattr(sys, "argv", ["pano-sound", "train", *tiny, *words])
    with pytest.raises(SystemExit) as exit:
        main()
    return int(exit.value.code or 0)


def about(path: Path) -> dict[str, object]:
    return json.loads(files.read_metadata(path)["recipe"])


def test_it_trains_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["set.csv", "-o", "out.safetensors", "--mode", "semi"]
    assert run(monkeypatch, *words, "--set", "steps=3") == 0
    assert isinstance(weights.load("out.safetensors"), PaperLocalizer)
    said = about(folder / "out.safetensors")
    assert (said["mode"], said["steps"], said["labelled"], said["unlabelled"]) == ("semi", 3, 4, 4)
    assert run(monkeypatch, *words, "--set", "steps=5") == 5  # it exists
    assert run(monkeypatch, *words, "--set", "steps=5", "-y") == 0
    steps = [json.loads(line)["step"] for line in (folder / "training" / "log.jsonl").read_text().splitlines()]
    assert steps == [0, 2, 4]


def test_shards_are_streamed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("webdataset")
    import tarfile

    with tarfile.open(folder / "set-0.tar", "w") as out:
        for i in range(8):
            for kind in ("png", "wav"):
                out.add(folder / f"{i}.{kind}", f"{i}.{kind}")
    assert run(monkeypatch, "set-{0..0}.tar", "-o", "out.safetensors", "--set", "steps=3") == 0
    said = about(folder / "out.safetensors")
    assert (said["mode"], said["labelled"], said["unlabelled"]) == ("unsupervised", None, None)
    moved = ("--set", f"start={folder / 'tiny.safetensors'}", "--work", "moved", "--set", "steps=1")
    assert run(monkeypatch, "set-{0..0}.tar", "-o", "moved.safetensors", *moved) == 0
    assert about(folder / "moved.safetensors")["start"] == "tiny.safetensors"
    assert run(monkeypatch, "set-0.tar", "set.csv", "-o", "x.safetensors") == 2
    # Another part of the shards, or only what has boxes: there is none.
    assert run(monkeypatch, "set-0.tar", "-o", "x.safetensors", "--mode", "supervised", "--work", "other") == 7


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set", "speed=3"], 2, "the recipe has no field 'speed'"),
        (["--set", "seed=-1"], 2, "seed must be from 0 to 4294967295"),
        (["--set", "seed=99999999999999999999"], 2, "seed must be from 0 to 4294967295"),
        (["--work", "set.csv"], 2, "is a file"),
        (["-o", "out.pt"], 2, "the weights must be a .safetensors file, not 'out.pt'"),
        (["--set", "steps=soon"], 2, "steps cannot be 'soon'"),
        (["--set", "mechanism=3"], 2, "mechanism must be 1 or 2"),
        (["--set", "whole=perhaps"], 2, "whole cannot be"),
        (["--split", "dev"], 7, "no examples of split 'dev'"),
        (["--layout", "mine"], 7, "no layout is called 'mine'"),
        (["--recipe", "base", "--mode", "semi"], 2, "takes one folder and no --mode"),
        (["--recipe", "base", "--split", "val"], 2, "takes one folder and no --mode, --layout or --split"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    assert run(monkeypatch, "set.csv", "-o", "out.safetensors", *words) == code
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in message
    assert not (folder / "out.safetensors").exists()


def test_without_a_set_no_model_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "gone/", "-o", "out.safetensors") == 7
    monkeypatch.setattr(sys, "argv", ["pano-sound", "train", "set.csv", "-o", "x.safetensors", "--set", "start=gone"])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 6
