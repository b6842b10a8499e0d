"""VGG-16 to conv5_3: every layer as published, torchvision's numbering, the sphere without a seam."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pano_sound.localize.nets.vgg import VGG16, from_torchvision

TINY = (4, 4, 8, 8, 16)

# What torchvision's vgg16().features holds up to conv5_3: number -> channels in and out; poolings are at 4, 9, 16, 23.
CONVOLUTIONS = {
    **{0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128)},
    **{10: (128, 256), 12: (256, 256), 14: (256, 256)},
    **{17: (256, 512), 19: (512, 512), 21: (512, 512)},
    **{24: (512, 512), 26: (512, 512), 28: (512, 512)},
}


@pytest.fixture(scope="module")
def trunk() -> VGG16:
    torch.manual_seed(0)
    trunk = VGG16(widths=TINY).eval()
    for parameter in trunk.parameters():
        if parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return trunk


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(320, 320, 20, 20), (480, 960, 30, 60)])
def test_layers_are_those_published(height: int, width: int, rows: int, columns: int) -> None:
    with torch.device("meta"):
        trunk = VGG16().eval()
        shapes: list[tuple[int, ...]] = []
        for layer in trunk.features:
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape)))
        out = trunk(torch.zeros(2, 3, height, width))
    assert out.shape == (2, 512, rows, columns)
    assert len(trunk.features) == 29
    side = 1
    for number, layer in enumerate(trunk.features):
        if number in CONVOLUTIONS:
            assert isinstance(layer, nn.Conv2d)
            assert (layer.in_channels, layer.out_channels) == CONVOLUTIONS[number]
            assert (layer.kernel_size, layer.stride, layer.dilation) == ((3, 3), (1, 1), (1, 1))
            assert layer.bias is not None
        elif number in (4, 9, 16, 23):
            assert isinstance(layer, nn.MaxPool2d)
            assert (layer.kernel_size, layer.stride, layer.padding) == (2, 2, 0)
            side *= 2
        else:
            assert isinstance(layer, nn.ReLU)
        assert shapes[number][2:] == (height // side, width // side)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (47, 65), (100, 70), (64, 128)])
def test_sizes_that_are_no_multiple_of_a_cell_are_rounded_down(trunk: VGG16, height: int, width: int) -> None:
    with torch.inference_mode():
        assert trunk(torch.zeros(1, 3, height, width)).shape == (1, 16, height // 16, width // 16)


def test_it_computes_what_torchvisions_layers_would(trunk: VGG16) -> None:
    picture = torch.rand(1, 3, 48, 80, generator=torch.Generator().manual_seed(0)) * 255
    # As torchvision says: RGB / 255, mean (0.48235, 0.45882, 0.40784), deviation 1 / 255.
    x = (picture / 255 - torch.tensor([0.48235, 0.45882, 0.40784])[:, None, None]) * 255
    state = trunk.state_dict()
    for number in range(29):
        if number in CONVOLUTIONS:
            x = F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1)
        else:
            x = F.max_pool2d(x, 2, 2) if number in (4, 9, 16, 23) else F.relu(x)
    with torch.inference_mode():
        out = trunk(picture)
    torch.testing.assert_close(out, x, rtol=1e-3, atol=1e-3 * float(x.abs().max()))
    assert out.min() < 0 < out.max()  # before the ReLU


def test_turning_the_sphere_turns_the_map(trunk: VGG16) -> None:
    picture = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(1)) * 255
    trunk.set_wrap(True)
    with torch.inference_mode():
        still, turned = trunk(picture), trunk(picture.roll(3 * 16, -1))
        trunk.set_wrap(False)
        flat = trunk(picture)
    torch.testing.assert_close(turned, still.roll(3, -1), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(flat, still, rtol=1e-2)


def test_torchvisions_weights_fit() -> None:
    names = {f"features.{n}": (o, i, 3, 3) for n, (i, o) in CONVOLUTIONS.items()}
    theirs = {f"{name}.weight": torch.full(shape, 0.5) for name, shape in names.items()}
    theirs |= {f"{name}.bias": torch.ones(shape[0]) for name, shape in names.items()}
    theirs["classifier.0.weight"] = torch.zeros(2, 2)
    ours = from_torchvision(theirs)
    trunk = VGG16()
    trunk.load_state_dict(ours)
    assert all(torch.equal(value, theirs[name]) for name, value in trunk.state_dict().items())
    del theirs["features.28.bias"]
    with pytest.raises(KeyError):
        from_torchvision(theirs)


def test_a_stride_or_number_of_widths_it_cannot_have_raises() -> None:
    with pytest.raises(ValueError, match="stride"):
        VGG16(stride=32)
    with pytest.raises(ValueError, match="5 groups"):
        VGG16(widths=(4, 4))
