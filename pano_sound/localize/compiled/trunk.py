"""The visual net as an OpenVINO graph: an equirectangular picture -> a unit vector for each cell.

The graph computes wide layers in strips of a few rows, because the widest layer would take 177 MB as a whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from openvino import Model, Type
from openvino import opset13 as ops

from ..architecture import LITE0_STAGES, same_padding
from .tensors import Tensors

Node = Any
"""A value in a graph: (1, channels, rows, columns)."""

_STRIP = 16 << 20
"""Bytes of a strip's widest layer, at most."""


class Convolution:
    """A convolution with bias, and ReLU6 if wanted; zeros are only added above and below."""

    def __init__(
        self,
        tensors: Tensors,
        name: str,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        relu6: bool = True,
    ) -> None:
        weight = tensors.take(f"{name}.weight", outputs, 1 if depthwise else inputs, kernel, kernel)
        self._weight = ops.constant(weight[:, None] if depthwise else weight)
        self._bias = tensors.take(f"{name}.bias", outputs)[None, :, None, None]
        self._convolve = ops.group_convolution if depthwise else ops.convolution
        self._strides, self._relu6 = [stride, stride], relu6

    def __call__(self, x: Node, zeros: tuple[int, int] = (0, 0)) -> Node:
        above, below = zeros
        y = self._convolve(x, self._weight, self._strides, [above, 0], [below, 0], [1, 1])
        # OpenVINO joins bias and ReLU6 with a convolution only if no other one uses the same constant.
        y = ops.add(y, ops.constant(self._bias))
        return ops.clamp(y, 0.0, 6.0) if self._relu6 else y


class Layer(ABC):
    """A convolution that looks at neighbours, on the sphere.

    Attributes:
        widest: channels of its widest tensor that has as many rows and columns as its input.
    """

    residual = False

    def __init__(self, kernel: int, stride: int, shift: int, widest: int) -> None:
        self.kernel, self.stride, self.shift, self.widest = kernel, stride, shift, widest

    def rows_for(self, first: int, last: int, height: int) -> tuple[int, int, int, int]:
        """What output rows `first` to `last` - 1 need of `height` rows: zeros above, begin and end, zeros below."""
        before, _ = same_padding(height, self.kernel, self.stride, self.shift)
        begin = first * self.stride - before
        end = (last - 1) * self.stride - before + self.kernel
        return max(-begin, 0), max(begin, 0), min(end, height), max(end - height, 0)

    def around(self, x: Node) -> Node:
        """x extended across its left and right ends, as far as the kernel reaches."""
        width = _shape(x)[3]
        left, right = same_padding(width, self.kernel, self.stride, self.shift)
        parts = [_part(x, width - left, width, 3)] * (left > 0) + [x] + [_part(x, 0, right, 3)] * (right > 0)
        return ops.concat(parts, 3) if len(parts) > 1 else x

    @abstractmethod
    def inside(self, x: Node, zeros: tuple[int, int]) -> Node:
        """The layer where its kernel fits into x and rows of zeros above and below."""


class Strided(Layer):
    """A 3x3 convolution of stride 2 with ReLU6."""

    def __init__(self, tensors: Tensors, name: str, inputs: int, outputs: int, shift: int = 0) -> None:
        super().__init__(3, 2, shift, outputs // 4)
        self._convolution = Convolution(tensors, name, inputs, outputs, 3, 2)

    def inside(self, x: Node, zeros: tuple[int, int]) -> Node:
        return self._convolution(x, zeros)


class Block(Layer):
    """EfficientNet-Lite0's block: expand 1x1, depthwise, project 1x1."""

    def __init__(
        self,
        tensors: Tensors,
        name: str,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        expansion: int,
        shift: int,
    ) -> None:
        inner = inputs * expansion
        super().__init__(kernel, stride, shift, inner)
        self.residual = stride == 1 and inputs == outputs
        self._expand = Convolution(tensors, f"{name}.expand", inputs, inner) if expansion > 1 else None
        self._depthwise = Convolution(tensors, f"{name}.depthwise", inner, inner, kernel, stride, depthwise=True)
        self._project = Convolution(tensors, f"{name}.project", inner, outputs, relu6=False)

    def inside(self, x: Node, zeros: tuple[int, int]) -> Node:
        return self._project(self._depthwise(self._expand(x) if self._expand else x, zeros))


def visual_graph(
    tensors: Tensors,
    trunk: Mapping[str, Any],
    embedding: int,
    panorama: tuple[int, int],
    surroundings: Mapping[str, Any] | None = None,
) -> Model:
    """The graph: uint8 (1, rows, columns, 3), RGB -> float32 (1, rows, columns, embedding) of cells.

    Args:
        trunk: its name, a key of TRUNKS, and options.
        embedding: D.
        panorama: rows and columns of pixels.
        surroundings: options of what is averaged around each cell; None: nothing.

    Raises ValueError if the tensors do not fit.
    """
    options = {key: value for key, value in trunk.items() if key != "name"}
    groups, last, channels = TRUNKS[trunk["name"]](tensors, **options)
    stride = np.prod([layer.stride for group in groups for layer in group])
    if panorama[1] % stride:
        raise ValueError(f"a panorama's width of {panorama[1]} is not a multiple of {stride}")
    picture = ops.parameter([1, *panorama, 3], Type.u8)
    x = ops.convert(ops.transpose(picture, ops.constant(np.array([0, 3, 1, 2]))), Type.f32)
    x = ops.divide(ops.subtract(x, ops.constant(np.float32(127.0))), ops.constant(np.float32(128.0)))
    for group in groups:
        x = _in_strips(group, x)
    for convolution in last:
        x = convolution(x)
    v = Convolution(tensors, "visual_head", channels, embedding, relu6=False)(x)
    if surroundings:
        v = ops.add(v, _surroundings(tensors, x, channels, embedding, **surroundings))
    v = ops.normalize_l2(v, ops.constant(np.array([1])), 1e-12, "max")
    v = ops.transpose(v, ops.constant(np.array([0, 2, 3, 1])))  # as it lies in memory
    return Model([v], [picture], "visual")


def _surroundings(tensors: Tensors, x: Node, inputs: int, outputs: int, channels: int, widths: Sequence[int]) -> Node:
    """Means over squares of cells around each cell, as `nets.surroundings` has them."""
    x = Convolution(tensors, "surroundings.reduce", inputs, channels)(x)
    expand = Convolution(tensors, "surroundings.expand", channels * len(widths), outputs, relu6=False)
    return expand(ops.concat([_mean_around(x, width) for width in widths], 1))


def _mean_around(x: Node, width: int) -> Node:
    reach, columns = width // 2, _shape(x)[3]
    around = np.arange(-reach, columns + reach) % columns
    x = ops.gather(x, ops.constant(around), ops.constant(np.array(3)))
    return ops.avg_pool(x, [1, 1], [reach, 0], [reach, 0], [width, width], exclude_pad=True)


Trunk = tuple[list[list[Layer]], list[Convolution], int]
"""Layers in groups that are computed strip by strip together, 1x1 convolutions after them, and the channels."""


def _lite0(tensors: Tensors) -> Trunk:
    layers: list[Layer] = [Strided(tensors, "trunk.stem", 3, 32)]
    channels, total = 32, 2
    for kernel, step, outputs, expansion, repeats in LITE0_STAGES:
        for i in range(repeats):
            stride, name = step if i == 0 else 1, f"trunk.blocks.{len(layers) - 1}"
            shift = int(stride == 2 and total == 16)
            layers.append(Block(tensors, name, channels, outputs, kernel, stride, expansion, shift))
            channels, total = outputs, total * stride
    # The outputs of the stem and of the first block are as large as many others' widest tensors.
    groups = [layers[:3], *([layer] for layer in layers[3:])]
    return groups, [Convolution(tensors, "trunk.head", channels, 1280)], 1280


def _tiny(tensors: Tensors, stride: int = 16, channels: int = 16) -> Trunk:
    widths = [3, 8, 8, 8, channels] + [channels] * (stride == 32)
    steps = len(widths) - 1
    layers = [
        Strided(tensors, f"trunk.layers.{i}", widths[i], widths[i + 1], int(i == steps - 1)) for i in range(steps)
    ]
    return [[layer] for layer in layers], [], channels


TRUNKS = {"lite0": _lite0, "tiny": _tiny}


def _in_strips(layers: Sequence[Layer], x: Node) -> Node:
    """The output of several layers, computed a few rows at a time."""
    _, _, height, width = _shape(x)
    size = 0
    for layer in layers:
        size = max(size, 4 * layer.widest * height * width)
        height, width = -(-height // layer.stride), -(-width // layer.stride)
    edges = np.linspace(0, height, min(height, -(-size // _STRIP)) + 1).round().astype(int)
    strips = [_rows(layers, x, int(a), int(b)) for a, b in pairwise(edges)]
    return ops.concat(strips, 2) if len(strips) > 1 else strips[0]


def _rows(layers: Sequence[Layer], x: Node, first: int, last: int) -> Node:
    """Rows `first` to `last` - 1 of the output of layers; x is the input of the first one."""
    if not layers:
        return x if (first, last) == (0, _shape(x)[2]) else _part(x, first, last, 2)
    *below, layer = layers
    height = _shape(x)[2]
    for each in below:
        height = -(-height // each.stride)
    above, begin, end, under = layer.rows_for(first, last, height)
    inner = _rows(below, x, begin, end)
    y = layer.inside(layer.around(inner), (above, under))
    return ops.add(y, _part(inner, first - begin, last - begin, 2)) if layer.residual else y


def _part(x: Node, first: int, last: int, axis: int) -> Node:
    begin, end, step, along = (ops.constant(np.array([number])) for number in (first, last, 1, axis))
    return ops.slice(x, begin, end, step, along)


def _shape(x: Node) -> list[int]:
    return [int(size) for size in x.get_output_shape(0)]
