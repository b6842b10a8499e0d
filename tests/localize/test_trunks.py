"""The visual trunks: wrap-around, the finer grid, and where a cell looks."""

import pytest
import torch
import torch.nn.functional as F

from pano_sound.localize.nets.localizer import TINY, Localizer, make_trunk
from pano_sound.localize.nets.trunks import Conv, EfficientNetLite0, TinyTrunk, Trunk


def lite0() -> EfficientNetLite0:
    torch.manual_seed(0)
    trunk = EfficientNetLite0().eval()
    for parameter in trunk.parameters():  # the default initialisation dies out over 50 layers
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return trunk


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return torch.rand(1, 3, 128, 256, generator=torch.Generator().manual_seed(1)) * 255


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(128, 256, 4, 8), (100, 70, 4, 3), (32, 32, 1, 1)])
def test_pictures_of_any_size_give_the_expected_grid(height: int, width: int, rows: int, columns: int) -> None:
    with torch.inference_mode():
        assert lite0()(torch.zeros(2, 3, height, width)).shape == (2, 1280, rows, columns)
        assert TinyTrunk(32)(torch.zeros(2, 3, height, width)).shape == (2, 16, rows, columns)


@pytest.mark.parametrize("trunk", [lite0(), TinyTrunk().eval()], ids=["lite0", "tiny"])
def test_turning_the_sphere_turns_the_map(trunk: Trunk, picture: torch.Tensor) -> None:
    trunk.set_wrap(True)
    with torch.inference_mode():
        still, turned = trunk(picture), trunk(picture.roll(3 * trunk.stride, -1))
        trunk.set_wrap(False)
        flat = trunk(picture)
    torch.testing.assert_close(turned, still.roll(3, -1), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(flat, still)


@pytest.mark.parametrize("wrap", [False, True])
def test_zeros_are_where_they_would_be_if_they_were_added_first(wrap: bool) -> None:
    """What `Conv` computes without a copy is the convolution of the picture with its border added."""
    torch.manual_seed(0)
    for kernel, stride, shift, size in (
        (3, 2, 0, 16),
        (3, 2, 1, 16),
        (5, 2, 0, 16),
        (5, 2, 1, 16),
        (3, 1, 0, 7),
        (3, 2, 0, 15),
    ):
        conv = Conv(2, 3, kernel, stride, shift=shift)
        conv.wrap = wrap and size % stride == 0
        x = torch.randn(1, 2, size, size)
        before, after = conv._padding(size)
        bordered = F.pad(x, (before, after, 0, 0), "circular" if conv.wrap else "constant")
        bordered = F.pad(bordered, (0, 0, before, after))
        expected = F.conv2d(bordered, conv.weight, conv.bias, stride)
        assert expected.shape[-1] == -(-size // stride)
        torch.testing.assert_close(conv(x), expected)


def test_a_cell_looks_at_its_middle() -> None:
    """With kernels that only pass on their middle, a cell sees one pixel: the one that it is centred on."""
    trunk = EfficientNetLite0()
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.zero_()
            if parameter.dim() == 4:
                middle = parameter.shape[-1] // 2
                parameter[..., middle, middle] = 1.0 / parameter.shape[1]
    x = torch.full((1, 3, 128, 128), 127.1, requires_grad=True)  # between ReLU6's bends all through
    trunk(x)[0, 0, 2, 1].backward()
    assert x.grad is not None
    assert x.grad[0, 0].nonzero().tolist() == [[2 * 32 + 15, 32 + 15]]


def test_width_must_fit_the_grid_when_it_wraps() -> None:
    model = Localizer(**TINY).eval()
    with pytest.raises(ValueError, match="multiple of 16"):
        model.visual(torch.zeros(1, 3, 32, 70), wrap=True)
    assert model.visual(torch.zeros(1, 3, 32, 70), wrap=False).shape == (1, 16, 2, 5)


def test_an_unknown_trunk_raises() -> None:
    with pytest.raises(ValueError, match="no trunk"):
        make_trunk("vgg", stride=16)
    with pytest.raises(ValueError, match="stride"):
        TinyTrunk(8)
