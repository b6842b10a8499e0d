"""The visual trunks: wrap-around, the finer grid, and where a cell looks."""

import pytest
import torch

from pano_sound.localize.network import TINY, Localizer, make_trunk
from pano_sound.localize.trunks import EfficientNetLite0, TinyTrunk


def lite0(stride: int) -> EfficientNetLite0:
    torch.manual_seed(0)
    trunk = EfficientNetLite0(stride).eval()
    for parameter in trunk.parameters():  # the default initialisation dies out over 50 layers
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return trunk


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return torch.rand(1, 3, 128, 256, generator=torch.Generator().manual_seed(1)) * 255


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(128, 256, 8, 16), (100, 70, 7, 5), (16, 16, 1, 1)])
def test_any_size(height: int, width: int, rows: int, columns: int) -> None:
    with torch.inference_mode():
        assert lite0(16)(torch.zeros(2, 3, height, width)).shape == (2, 1280, rows, columns)
        assert TinyTrunk()(torch.zeros(2, 3, height, width)).shape == (2, 16, rows, columns)


@pytest.mark.parametrize("stride", [16, 32])
@pytest.mark.parametrize("name", ["lite0", "tiny"])
def test_turning_the_sphere_turns_the_map(name: str, stride: int, picture: torch.Tensor) -> None:
    trunk = lite0(stride) if name == "lite0" else TinyTrunk(stride).eval()
    trunk.set_wrap(True)
    with torch.inference_mode():
        still, turned = trunk(picture), trunk(picture.roll(3 * stride, -1))
        trunk.set_wrap(False)
        flat = trunk(picture)
    torch.testing.assert_close(turned, still.roll(3, -1), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(flat, still)


@pytest.mark.parametrize("wrap", [False, True])
def test_every_second_fine_cell_is_the_coarse_cell(wrap: bool, picture: torch.Tensor) -> None:
    fine, coarse = lite0(16), lite0(32)
    fine.set_wrap(wrap)
    coarse.set_wrap(wrap)
    with torch.inference_mode():
        a, b = fine(picture)[..., ::2, ::2], coarse(picture)
    assert b.abs().max() > 0.1
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("stride", [16, 32])
def test_a_cell_looks_at_its_middle(stride: int) -> None:
    """With kernels that only pass on their middle, a cell sees one pixel: the one that it is centred on."""
    trunk = EfficientNetLite0(stride)
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.zero_()
            if parameter.dim() == 4:
                middle = parameter.shape[-1] // 2
                parameter[..., middle, middle] = 1.0 / parameter.shape[1]
    x = torch.full((1, 3, 128, 128), 127.1, requires_grad=True)  # between ReLU6's bends all through
    trunk(x)[0, 0, 2, 1].backward()
    assert x.grad is not None
    assert x.grad[0, 0].nonzero().tolist() == [[2 * stride + 7, stride + 7]]


def test_width_must_fit_the_grid_when_it_wraps() -> None:
    model = Localizer(**TINY).eval()
    with pytest.raises(ValueError, match="multiple of 16"):
        model.visual(torch.zeros(1, 3, 32, 70), wrap=True)
    assert model.visual(torch.zeros(1, 3, 32, 70), wrap=False).shape == (1, 16, 2, 5)


def test_unknown_trunk() -> None:
    with pytest.raises(ValueError, match="no trunk"):
        make_trunk("vgg", stride=16)
    with pytest.raises(ValueError, match="stride"):
        EfficientNetLite0(8)
