"""benchmarks/findings.py: what was measured on other data is not taken for results on this."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, without networks: figures are 1."""
    spec = importlib.util.spec_from_file_location("findings", Path(__file__).parents[2] / "benchmarks" / "findings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "findings", module)
    spec.loader.exec_module(module)
    figures = dict.fromkeys((*module.COLUMNS, "centre", "centre_auc"), 1.0)
    for name in ("network", "Cached", "fit"):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(module, "Judge", lambda *_: SimpleNamespace(measure=lambda *_: figures))
    return module


def test_other_data_is_measured_anew(findings: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures.csv").write_text("file,label,split\ndog.jpg,dog,train\ncow.jpg,dog,val\n")
    (tmp_path / "pairs.csv").write_text("sound,picture\ndog,dog\n")
    monkeypatch.setattr(sys, "argv", ["findings.py", str(tmp_path), "--seeds", "2", "--work", str(tmp_path)])

    def measured(more: str = "") -> int:
        with open(tmp_path / "sounds.csv", "a") as file:
            file.write(more)
        findings.main()
        return len((tmp_path / "results.jsonl").read_text().splitlines())

    once = 2 * len(findings.RUNS)
    assert measured("file,label,split\nbark.wav,dog,train\nwoof.wav,dog,val\n") == once
    assert measured() == once
    assert measured("rain.wav,rain,val\n") == 2 * once
    last = json.loads((tmp_path / "results.jsonl").read_text().splitlines()[-1])
    assert (last["seed"], last["ciou"]) == (1, 1.0)
