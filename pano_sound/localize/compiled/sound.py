"""The sound nets of `base`: NumPy computes mel bands and levels, an OpenVINO graph the convolutions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from openvino import CompiledModel, Core, Model
from openvino import opset13 as ops

from ..architecture import (
    CELL,
    CELLS,
    FFT,
    FLOOR,
    FULL_SCALE,
    HOP,
    LOUDNESS,
    QUIET,
    WAVE_LAYERS,
    WINDOW,
    JointSteps,
    MelSteps,
    SoundSteps,
    WaveSteps,
    mel_bank,
)
from ..network import Floats
from .tensors import Tensors

_PIECE = 12
"""Features of a wave that are computed at once, from 4 s of sound. OpenVINO's code for these nets grows with the
length, and is kept for each length: 34 MB for half a minute."""

Node = Any
"""A value in a graph: (1, channels, …)."""


class SoundNet(SoundSteps):
    """The interface: a wave (samples,), float32 in [-1, 1] at `rate` -> features (count(samples), F)."""

    @abstractmethod
    def __call__(self, wave: Floats) -> Floats: ...


class Mel(MelSteps, SoundNet):
    """`MelEncoder`, compiled."""

    def __init__(self, core: Core, tensors: Tensors, name: str, widths: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__(widths, strides)
        self._window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
        self._bank = mel_bank()
        bands = ops.parameter([1, 1, -1, self._bank.shape[1]])
        x = _normed_convolution(tensors, bands, f"{name}.stem.0", f"{name}.stem.1", 1, widths[0], 3, 2)
        x = ops.relu(x)
        for i, stride in enumerate(strides):
            inputs, outputs, layer = widths[i], widths[i + 1], f"{name}.blocks.{i}.layers"
            y = _normed_convolution(tensors, x, f"{layer}.0", f"{layer}.1", inputs, inputs, 3, stride, depthwise=True)
            y = _normed_convolution(tensors, ops.relu(y), f"{layer}.3", f"{layer}.4", inputs, outputs, 1, 1)
            x = ops.relu(ops.add(y, x) if stride == 1 and inputs == outputs else y)
        means = ops.reduce_mean(x, ops.constant(np.array([3])), False)
        self._compiled = _compiled(core, Model([means], [bands], "mel"))

    def __call__(self, wave: Floats) -> Floats:
        wave = np.pad(wave, (0, max(0, WINDOW - len(wave))))
        frames = sliding_window_view(wave, WINDOW)[::HOP] * self._window
        magnitudes = np.abs(np.fft.rfft(frames, FFT)).astype(np.float32) @ self._bank
        bands = (np.log(magnitudes + np.float32(FLOOR)) + 2.0) / 3.0
        return _run(self._compiled, bands.astype(np.float32)[None, None]).T


class Wave(WaveSteps, SoundNet):
    """`WaveEncoder`, compiled."""

    def __init__(self, core: Core, tensors: Tensors, name: str, widths: Sequence[int], level: bool = True) -> None:
        super().__init__(widths, level)
        wave = ops.parameter([1, 1, -1])
        x, inputs = wave, 1
        for i, ((kernel, stride, padding, pool), outputs) in enumerate(zip(WAVE_LAYERS, widths, strict=True)):
            weight = tensors.take(f"{name}.convolutions.{i}.weight", outputs, inputs, kernel)
            bias = tensors.take(f"{name}.convolutions.{i}.bias", outputs)[None, :, None]
            x = ops.convolution(x, ops.constant(weight), [stride], [padding], [padding], [1])
            x = ops.relu(ops.add(x, ops.constant(bias)))
            if pool > 1:
                x = ops.max_pool(x, [pool], [1], [0], [0], [pool]).output(0)
            inputs = outputs
        self._spoiled = -(-WaveSteps(widths, level=False).field[0] // self.hop)  # features at the start of a piece
        self._compiled = _compiled(core, Model([x], [wave], "wave"))

    def __call__(self, wave: Floats) -> Floats:
        wanted = self.count(len(wave))
        levelled_wave = levelled(wave) if self.level else np.float32(FULL_SCALE) * wave
        # The last feature of a piece needs samples of the next one.
        x = np.pad(levelled_wave, (0, (wanted + _PIECE + 1) * self.hop - len(wave)))
        found = np.empty((wanted, self.features), np.float32)
        done = 0
        while done < wanted:
            first = max(0, done - self._spoiled)
            piece = x[first * self.hop : (first + _PIECE + 1) * self.hop]
            part = _run(self._compiled, piece[None, None])[:, done - first : min(wanted - first, _PIECE)].T
            found[done : done + len(part)] = part
            done += len(part)
        return found


class Joint(JointSteps, SoundNet):
    """`JointEncoder`, compiled."""

    def __init__(self, core: Core, tensors: Tensors, name: str, parts: Sequence[Mapping[str, Any]]) -> None:
        self._nets = [make_sound_net(core, tensors, f"{name}.parts.{i}", **part) for i, part in enumerate(parts)]
        super().__init__(self._nets)

    def __call__(self, wave: Floats) -> Floats:
        count, found = self.count(len(wave)), []
        for net, lead in zip(self._nets, self.leads, strict=True):
            found.append(net(np.pad(wave, (lead, self.hop)) if lead else wave)[:count])
        return np.concatenate(found, axis=1)


SOUND_NETS = {"mel": Mel, "wave": Wave, "joint": Joint}


def make_sound_net(core: Core, tensors: Tensors, prefix: str, name: str = "mel", **options: Any) -> SoundNet:
    """A compiled sound net; `prefix` begins the names of its tensors. Raises ValueError, TypeError or KeyError if
    options or tensors do not fit."""
    made: SoundNet = SOUND_NETS[name](core, tensors, prefix, **options)
    return made


def levelled(wave: Floats) -> Floats:
    """A wave (samples,), brought to LOUDNESS as measured over 2 s around each sample."""
    cells = -(-len(wave) // CELL)
    sizes = np.minimum(CELL, len(wave) - CELL * np.arange(cells))
    power = np.add.reduceat(np.square(wave, dtype=np.float64), CELL * np.arange(cells)) / sizes
    sums = np.concatenate([[0.0], np.cumsum(power)])
    first = np.maximum(np.arange(cells) - CELLS // 2, 0)
    last = np.minimum(np.arange(cells) + CELLS // 2 + 1, cells)
    around = np.maximum(sums[last] - sums[first], 0.0) / (last - first)
    loudness = np.interp((np.arange(len(wave)) + 0.5) / CELL - 0.5, np.arange(cells), np.sqrt(around))
    return (wave * (LOUDNESS / (loudness + QUIET))).astype(np.float32)


def _normed_convolution(
    tensors: Tensors,
    x: Node,
    convolution: str,
    norm: str,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    depthwise: bool = False,
) -> Node:
    """A convolution without bias, and the BatchNorm after it, folded into one."""
    weight = tensors.take(f"{convolution}.weight", outputs, 1 if depthwise else inputs, kernel, kernel)
    factor, added = tensors.take_norm(norm, outputs)
    weight = weight * factor[:, None, None, None]
    padding, strides = [kernel // 2] * 2, [stride] * 2
    if depthwise:
        y = ops.group_convolution(x, ops.constant(weight[:, None]), strides, padding, padding, [1, 1])
    else:
        y = ops.convolution(x, ops.constant(weight), strides, padding, padding, [1, 1])
    return ops.add(y, ops.constant(added[None, :, None, None]))


def _compiled(core: Core, model: Model) -> CompiledModel:
    return core.compile_model(model, "CPU", {"NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"})


def _run(model: CompiledModel, value: Floats) -> Floats:
    found: Floats = model(value)[0][0]
    # Else the layers of half a minute of sound, 44 MB, would stay while pictures are looked at.
    model.release_memory()
    return found
