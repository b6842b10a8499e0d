"""OpenVINO computes the numbers that PyTorch computes, and damaged weights are refused as there."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pano_sound.errors import ModelError
from pano_sound.localize import network_threads
from pano_sound.localize.compiled import network, trunk
from pano_sound.localize.compiled.network import CompiledNetwork
from pano_sound.localize.loading import load_network
from pano_sound.localize.nets import files, weights
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.paper import PAPER_TINY, PaperLocalizer
from pano_sound.localize.nets.torch_network import TorchNetwork

MEL = {"name": "mel", "widths": [4, 8, 8, 8, 16], "strides": [2, 2, 2, 2]}
JOINT = {
    "name": "joint",
    "parts": [
        MEL,
        {"name": "wave", "widths": [4, 4, 8, 8, 16]},
        {"name": "wave", "widths": [4, 4, 8, 8, 16], "level": False},
    ],
}
SKIPPING = {"name": "mel", "widths": [4, 4, 8, 8, 8, 16], "strides": [1, 2, 2, 2, 2]}
"""A block with a skip, too."""
WAVE_LENGTHS = [1, 399, 400, 5120, 16_000, 16_000 * 31 + 77]


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Compare the networks in float32, whatever the processor is good at."""
    monkeypatch.setattr(network, "visual_precision", lambda core: "f32")
    monkeypatch.setattr(weights, "has_bfloat16", lambda device="cpu": False)


def trained(**config) -> Localizer:
    """A model with statistics and biases as after training: none is 0 or 1."""
    torch.manual_seed(0)
    model = Localizer(**config)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dim() == 4 and "trunk" in name:
                torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
            elif name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif name == "log_temperature":
                value.fill_(-1.0)
            elif value.dim() == 1 and value.is_floating_point():
                value.add_(0.2 * torch.randn(value.shape))
    return model.eval()


def both(path: Path, model: Localizer) -> tuple[CompiledNetwork, TorchNetwork]:
    weights.save(model, path, {"name": "made"})
    compiled = load_network(path)
    assert isinstance(compiled, CompiledNetwork)
    return compiled, TorchNetwork.load(path)


def equal(found, expected, tolerance: float = 2e-4) -> None:
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=tolerance * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("sound_encoder", [MEL, SKIPPING, JOINT], ids=["mel", "skipping", "joint"])
def test_sounds_are_heard_as_by_pytorch(tmp_path, sound_encoder):
    model = trained(**TINY | {"sound_encoder": sound_encoder}, tags=["Speech", "Dog"])
    compiled, expected = both(tmp_path / "a.safetensors", model)
    for name in ("rate", "hop", "features", "field", "margin", "step", "middle"):
        assert getattr(compiled.sound, name) == getattr(expected.sound, name)
    random = np.random.default_rng(0)
    for samples in WAVE_LENGTHS:
        wave = (random.normal(0, 0.1, samples) * (1 + np.sin(np.arange(samples) / 9000))).astype(np.float32)
        features = compiled.sound_features(wave)
        equal(features, expected.sound_features(wave))
        assert len(features) == compiled.sound.count(samples)
    assert features.std() > 0.05
    for ours, theirs in ((compiled.embed_sound, expected.embed_sound), (compiled.tag_scores, expected.tag_scores)):
        equal(ours(features), theirs(features))
    silence = np.zeros(16_000, np.float32)
    equal(compiled.sound_features(silence), expected.sound_features(silence))


@pytest.mark.parametrize("strip", [4_000, 1 << 40], ids=["strips", "whole"])
@pytest.mark.parametrize("name", [{"name": "lite0"}, {"name": "tiny"}, {"name": "tiny", "stride": 32}], ids=str)
def test_pictures_are_seen_as_by_pytorch(monkeypatch, tmp_path, name, strip):
    monkeypatch.setattr(trunk, "_STRIP", strip)
    panorama = (96, 192) if name["name"] == "lite0" else (160, 320)
    compiled, expected = both(tmp_path / "a.safetensors", trained(**TINY | {"trunk": name, "panorama": panorama}))
    picture = np.random.default_rng(0).integers(0, 256, (*panorama, 3), dtype=np.uint8)
    seen, wanted = compiled.embed_picture(picture), expected.embed_picture(picture)
    equal(seen, wanted.numpy()[0])
    sound = compiled.embed_sound(np.random.default_rng(1).normal(0, 1, (1, 16)).astype(np.float32))[0]
    equal(compiled.respond(seen, sound), expected.respond(wanted, sound))
    assert compiled.respond(seen, sound).std() > 0.01


def test_surroundings_are_seen_as_by_pytorch(tmp_path):
    model = trained(**TINY, panorama=(96, 192), surroundings={"channels": 8, "widths": [3, 5]})
    torch.nn.init.normal_(model.surroundings.expand.weight)
    compiled, expected = both(tmp_path / "a.safetensors", model)
    picture = np.random.default_rng(0).integers(0, 256, (96, 192, 3), dtype=np.uint8)
    equal(compiled.embed_picture(picture), expected.embed_picture(picture).numpy()[0])


def test_pictures_may_be_seen_by_several_threads_at_once(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    compiled, _ = both(tmp_path / "a.safetensors", trained(**TINY))
    pictures = np.random.default_rng(0).integers(0, 256, (8, *compiled.panorama, 3), dtype=np.uint8)
    alone = [compiled.embed_picture(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(compiled.embed_picture, pictures), alone, strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("trunk", [{"name": "lite0"}, {"name": "tiny"}], ids=str)
def test_bfloat16_changes_little(monkeypatch, tmp_path, trunk):
    """On processors without bfloat16, OpenVINO computes float32 after all, and the two are equal."""
    model = trained(**TINY | {"trunk": trunk, "panorama": (96, 192)})
    weights.save(model, tmp_path / "a.safetensors", {})
    picture = np.random.default_rng(0).integers(0, 256, (96, 192, 3), dtype=np.uint8)
    seen = []
    for precision in ("f32", "bf16"):
        monkeypatch.setattr(network, "visual_precision", lambda core, it=precision: it)
        seen.append(load_network(tmp_path / "a.safetensors").embed_picture(picture))
    assert (seen[0] * seen[1]).sum(axis=0).min() > 0.99


@pytest.mark.parametrize("openvino", [True, False])
@pytest.mark.parametrize(("made_for", "looked_at"), [((480, 960), (96, 192)), ((64, 128), (64, 128))])
def test_panoramas_are_no_larger_than_wanted(monkeypatch, tmp_path, openvino, made_for, looked_at):
    if not openvino:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "a.safetensors"
    weights.save(trained(**TINY, panorama=made_for), path, {})
    smaller = load_network(path, largest=(96, 192))
    assert smaller.panorama == looked_at
    picture = np.random.default_rng(0).integers(0, 256, (*looked_at, 3), dtype=np.uint8)
    seen = smaller.embed_picture(picture)
    assert seen.shape[-2:] == (looked_at[0] // 16, looked_at[1] // 16)
    equal(np.asarray(seen).reshape(16, *seen.shape[-2:]), TorchNetwork.load(path).embed_picture(picture).numpy()[0])


def test_constants_of_the_model_are_read(tmp_path):
    compiled, expected = both(tmp_path / "a.safetensors", trained(**TINY, presence=(3.0, 0.5), tags=["Dog"]))
    assert compiled.temperature == pytest.approx(expected.temperature) == pytest.approx(np.exp(-1.0))
    assert (compiled.presence, compiled.panorama) == ((3.0, 0.5), (480, 960))
    assert compiled.tags == expected.tags == ["Dog"]


def test_pytorch_computes_what_is_not_known_here(tmp_path):
    weights.save(PaperLocalizer(**PAPER_TINY), tmp_path / "a.safetensors", {})
    assert isinstance(load_network(tmp_path / "a.safetensors"), TorchNetwork)
    weights.save(Localizer(**TINY), tmp_path / "b.safetensors", {})
    assert isinstance(load_network(tmp_path / "b.safetensors", "cpu"), CompiledNetwork)


def test_pytorch_computes_where_there_is_no_openvino(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    weights.save(Localizer(**TINY), tmp_path / "a.safetensors", {})
    assert isinstance(load_network(tmp_path / "a.safetensors"), TorchNetwork)


def _without(key):
    return lambda state, config: state.pop(key)


DAMAGE = {
    "a tensor is missing": (_without("audio_head.1.bias"), "audio_head.1.bias is missing"),
    "a tensor too many": (lambda s, c: s.update(more=torch.zeros(3)), "more is"),
    "a tensor of another shape": (lambda s, c: s.update({"visual_head.bias": torch.zeros(3)}), "visual_head.bias is"),
    "a tensor of integers": (
        lambda s, c: s.update({"visual_head.bias": torch.zeros(16, dtype=torch.int32)}),
        "another type, int32",
    ),
    "NaN": (lambda s, c: s["trunk.layers.0.weight"].fill_(np.nan), "NaN"),
    "a negative variance": (lambda s, c: s["audio_head.0.running_var"].fill_(-1), "negative"),
    "an endless temperature": (lambda s, c: s["log_temperature"].fill_(20.0), "temperature"),
    "an unknown option": (lambda s, c: c.update(colour="red"), "colour"),
    "a width that does not fit": (lambda s, c: c.update(panorama=[100, 200]), "multiple of 16"),
    "no heads": (lambda s, c: c.update(hidden=17), "audio_head"),
    "no strides": (lambda s, c: c["sound_encoder"].update(strides=[2]), "widths"),
    "a picture without rows": (lambda s, c: c.update(panorama=[0, 960]), "panorama"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_weights_are_refused(tmp_path, what):
    damage, message = DAMAGE[what]
    path = tmp_path / "a.safetensors"
    weights.save(Localizer(**TINY), path, {})
    state, config = load_file(path), json.loads(files.read_metadata(path)["config"])
    damage(state, config)
    save_file(state, path, {"format": files.FORMAT, "config": json.dumps(config)})
    with pytest.raises(ModelError, match=message) as caught:
        load_network(path)
    assert str(path) in str(caught.value)


def test_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(network_threads, "_count", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert network_threads.count() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert network_threads.count() >= 1
    network_threads.use(2)
    assert network_threads.count() == 2


def test_a_signal_is_heard_after_another_thread_let_go_of_a_network(tiny):
    """It ended in a crash on Linux, where OpenVINO gives a thread a stack for signals."""
    code = """
import os, signal, sys, threading
from pano_sound.localize.loading import load_network
kept = [load_network(sys.argv[1], "cpu")]
kept[0].sound
def let_go():
    network = kept.pop()
    network._visual.result()
thread = threading.Thread(target=let_go)
thread.start()
thread.join()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", code, tiny], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
