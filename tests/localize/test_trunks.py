"""The visual trunks: wrap-around, the finer grid, and where a cell looks."""

import pytest
import torch

from pano_sound.localize.network import TINY, Localizer
from pano_sound.localize.trunks import EfficientNetLite0, TinyTrunk, make_trunk


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
    assert torch.equal(turned, still.roll(3, -1))
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


@pytest.mark.parametrize(("stride", "centre"), [(16, 7), (32, 7)])
def test_a_cell_looks_at_its_middle(stride: int, centre: int) -> None:
    """With constant positive weights a cell sums what it sees: its gradient's centre of mass is where it looks."""
    trunk = EfficientNetLite0(stride)
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.fill_(0.0 if parameter.dim() == 1 else 1.0 / parameter[0].numel())
    size, cell = 448, 448 // stride // 2
    # Small positive values stay between ReLU6's bends, so that the trunk is linear.
    x = torch.full((1, 3, size, size), 127.0 + 0.1, requires_grad=True)
    trunk(x)[0, 0, cell, cell].backward()
    assert x.grad is not None
    share = x.grad[0, 0].double()
    at = torch.arange(size).double()
    row, column = float((share.sum(1) * at).sum() / share.sum()), float((share.sum(0) * at).sum() / share.sum())
    assert row == pytest.approx(stride * cell + centre, abs=1.5)
    assert column == pytest.approx(row, abs=0.01)


def test_width_must_fit_the_grid_when_it_wraps() -> None:
    model = Localizer(**TINY).eval()
    with pytest.raises(ValueError, match="multiple of 16"):
        model.visual(torch.zeros(1, 3, 32, 70), wrap=True)
    assert model.visual(torch.zeros(1, 3, 32, 70), wrap=False).shape == (1, 16, 2, 5)


def test_unknown_trunk() -> None:
    with pytest.raises(ValueError, match="no trunk"):
        make_trunk("vgg", 16)
    with pytest.raises(ValueError, match="stride"):
        EfficientNetLite0(8)
