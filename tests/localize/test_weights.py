"""Weights files: they round-trip, and bad ones are refused with a clear error."""

import errno
import json
import math
import warnings
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pano_sound.errors import ModelError, OutputError
from pano_sound.localize.nets import files, weights
from pano_sound.localize.nets.localizer import TINY, Localizer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    weights.save(Localizer(**TINY), path, {"name": "small", "version": "1"})
    return path


def test_saved_weights_load_to_within_half_precision(saved: Path) -> None:
    torch.manual_seed(0)
    original, loaded = Localizer(**TINY).eval(), weights.load(saved)
    assert not loaded.training
    assert loaded.config == original.config
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for name, value in original.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name].float(), value.float(), rtol=1e-3, atol=1e-4)
    assert [path.name for path in saved.parent.iterdir()] == ["small.safetensors"]


def test_files_with_the_names_of_former_versions_load(saved: Path) -> None:
    former = {"sound_encoder": "listener", "audio_head": "hear", "visual_head": "look"}
    state = load_file(saved)
    config = json.loads(files.read_metadata(saved)["config"])
    del config["tags"]
    config["listener"] = config.pop("sound_encoder")
    renamed = {".".join([former.get(k.split(".")[0], k.split(".")[0]), *k.split(".")[1:]]): v for k, v in state.items()}
    assert set(renamed).isdisjoint(k for k in state if k.split(".")[0] in former)
    old = saved.with_name("old.safetensors")
    save_file(renamed, old, {"format": files.FORMAT, "config": json.dumps(config)})
    model = weights.load(old)
    torch.testing.assert_close(model.visual_head.weight, state["visual_head.weight"].float())
    torch.testing.assert_close(model.audio_head[1].weight, state["audio_head.1.weight"].float())


def test_tag_scores_are_saved_and_loaded(saved: Path) -> None:
    torch.manual_seed(0)
    model = Localizer(**TINY, tags=["Speech", "Train"]).eval()
    with torch.no_grad():
        assert model.tag_head is not None
        model.tag_head.weight.zero_()
        model.tag_head.bias.copy_(torch.tensor([0.0, -100.0]))
    weights.save(model, saved, {"name": "small"})
    loaded, pooled = weights.load(saved), torch.randn(3, 16)
    assert loaded.tags == ["Speech", "Train"]
    torch.testing.assert_close(loaded.tag_scores(pooled), torch.tensor([[0.5, 0.0]]).expand(3, 2))
    assert Localizer(**TINY).tag_scores(pooled).shape == (3, 0)


def test_what_was_there_is_kept_when_the_new_cannot_be_written(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match="there is no room left on the disk"):
        weights.save(Localizer(**TINY), saved, {"name": "new"})
    assert [path.name for path in saved.parent.iterdir()] == ["small.safetensors"]
    assert saved.read_bytes() == before


def test_models_are_found_by_name_and_listed(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "folders", lambda: [saved.parent])
    assert files.find("small") == saved
    (entry,) = files.available()
    assert entry["name"] == "small"
    assert entry["parameters"] == sum(v.numel() for v in Localizer(**TINY).state_dict().values())
    assert entry["size"] == saved.stat().st_size
    assert len(entry["sha256"]) == 64
    assert entry["metadata"]["version"] == "1"
    assert json.loads(entry["metadata"]["config"]) == Localizer(**TINY).config
    with pytest.raises(ModelError, match="there are: small"):
        weights.load("large")


def test_files_that_are_not_weights_are_refused(tmp_path: Path, saved: Path) -> None:
    empty, text, other, cut = (tmp_path / f"{n}.safetensors" for n in ("empty", "text", "other", "cut"))
    empty.touch()
    text.write_text("these are not weights")
    save_file({"x": torch.zeros(1)}, other, {"format": "somebody.else/3"})
    cut.write_bytes(saved.read_bytes()[:-100])
    for path, word in ((empty, "damaged"), (text, "damaged"), (cut, "damaged"), (other, "another format")):
        with pytest.raises(ModelError, match=word) as error:
            weights.load(path)
        assert error.value.exit_code == 6
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)
    with pytest.raises(ModelError, match="no such weights file"):
        weights.load(tmp_path / "missing.safetensors")


def test_weights_that_may_not_be_read_are_not_called_damaged(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(saved))

    monkeypatch.setattr("builtins.open", refuse)  # Root may read everything.
    with pytest.raises(ModelError, match=r"small\.safetensors: cannot be read: Permission denied"):
        weights.load(saved)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    model = Localizer(**TINY)
    model.config["embedding"] = 99
    path = tmp_path / "odd.safetensors"
    weights.save(model, path, {})
    with pytest.raises(ModelError, match="do not fit") as error:
        weights.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_real_weights_load() -> None:
    model = weights.load("base")
    assert files.find("base").stat().st_size <= 25_000_000
    with torch.inference_mode():
        v = model.visual(torch.randint(0, 256, (1, 3, *model.panorama), dtype=torch.uint8), wrap=True)
        h = model.sound_embedding(model.sound_features(torch.randn(16_000)).mean(0, keepdim=True))
        raw = model.respond(v, h)
    assert raw.shape == (1, 30, 60)
    assert raw.abs().max() <= 1.0 + 1e-6 + 1e-4


def changed(path: Path, to: Path, state: dict | None = None, **config) -> Path:
    """A copy of a weights file with other tensors, and other numbers in the architecture that it states."""
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    about = json.loads(metadata["config"]) | config
    save_file(load_file(path) | (state or {}), to, metadata | {"config": json.dumps(about)})
    return to


KEY = "visual_head.weight"
WITH = {
    "nan": {KEY: torch.full((16, 16, 1, 1), torch.nan)},
    "infinity": {"visual_head.bias": torch.full((16,), torch.inf)},
    "negative variance": {"audio_head.0.running_var": -torch.ones(16)},
    "no temperature": {"log_temperature": torch.tensor(-1e9)},
    "endless temperature": {"log_temperature": torch.tensor(1e9)},
    "one number": {KEY: torch.tensor(1.0)},
    "nothing": {KEY: torch.zeros(0)},
    "turned shape": {"audio_head.1.weight": torch.zeros(16, 16, 1)},
    "another tensor": {"more": torch.zeros(1)},
    "integers": {KEY: torch.ones(16, 16, 1, 1, dtype=torch.int32)},
    "a count that is no integer": {"audio_head.0.num_batches_tracked": torch.tensor(1.5)},
}
STATED = {
    "panorama": {"panorama": [9600, 19200]},
    "long panorama": {"panorama": [16, 10**6]},
    "empty panorama": {"panorama": [0, 0]},
    "three sides": {"panorama": [480, 960, 1]},
    "hidden": {"hidden": 10**9},
    "hidden within limits": {"hidden": 16_000},
    "embedding": {"embedding": -1},
    "no embedding": {"embedding": 0},
    "nothing hidden": {"hidden": 0},
    "float": {"embedding": 16.5},
    "nan": {"presence": [math.nan, 0.5]},
    "text": {"hidden": "16"},
    "width": {"sound_encoder": {"widths": [100, 8, 8, 8, 16], "strides": [2, 2, 2, 2]}},
    "strides": {"sound_encoder": {"widths": [4, 8, 8, 8, 16], "strides": [0, 0, 0, 0]}},
    "nested": {"trunk": {"name": {"name": {}}}},
    "layers": {"sound_encoder": {"widths": [4] * 50_000, "strides": [1] * 49_999}},
    "option": {"trunk": {"name": "tiny", "stride": 16, "more": 1}},
}


@pytest.mark.parametrize("what", WITH)
def test_wrong_numbers_and_shapes_are_refused(tmp_path: Path, saved: Path, what: str) -> None:
    with pytest.raises(ModelError, match="do not fit") as error:
        weights.load(changed(saved, tmp_path / "odd.safetensors", WITH[what]))
    assert error.value.exit_code == 6
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("what", STATED)
def test_architectures_of_impossible_size_are_refused_unbuilt(tmp_path: Path, saved: Path, what: str) -> None:
    """What is stated is not built: it might take any memory. Nor does PyTorch warn of it."""
    odd = changed(saved, tmp_path / "odd.safetensors", **STATED[what])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match="do not fit"):
            weights.load(odd)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "[" * 90_000, "{" * 100_001])
def test_malformed_architectures_are_refused(tmp_path: Path, saved: Path, text: str) -> None:
    with safe_open(saved, "pt") as file:
        metadata = dict(file.metadata())
    save_file(load_file(saved), tmp_path / "odd.safetensors", metadata | {"config": text})
    with pytest.raises(ModelError, match="do not fit"):
        weights.load(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 2000])
def test_truncated_files_are_refused(tmp_path: Path, saved: Path, length: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(ModelError, match="damaged"):
        weights.load(path)


def test_shipped_weights_name_no_path_of_the_machine_that_made_them():
    for model in files.available():
        recipe = json.loads(model["metadata"].get("recipe") or "{}")
        assert not [value for value in recipe.values() if isinstance(value, str) and "/" in value]


def test_a_card_that_emulates_bfloat16_does_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def turing(including_emulation: bool = True) -> bool:  # a T4, which PyTorch by default says supports it
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", turing)
    assert not weights.has_bfloat16("cuda")
