"""A network of the kind of `base`, computed by OpenVINO and NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import Core

from .. import network_threads
from ..memory import keep_freed_memory
from ..nets.files import LARGEST, must_fit
from ..network import Floats, Network
from .sound import SOUND_NETS, make_sound_net
from .tensors import Tensors
from .trunk import TRUNKS, visual_graph

_STREAMS = 2
"""Pictures in the visual net at a time, each with its share of the threads: with more, more wait for each other."""


def compiles(config: Mapping[str, Any]) -> bool:
    """Whether this architecture is known here."""
    trunk, sound = config.get("trunk", {}), config.get("sound_encoder", {})
    kinds = isinstance(trunk, Mapping) and isinstance(sound, Mapping) and config.get("kind", "base") == "base"
    return kinds and trunk.get("name") in TRUNKS and sound.get("name", "mel") in SOUND_NETS


@cache
def _core() -> Core:
    """OpenVINO's core: one for the whole process, which is never taken down.

    The thread that makes the first core is given a stack of its own for signals. Where another thread lets go of the
    last core, that stack is unmapped and still in use: Ctrl-C, which Python hears in the main thread, would end in a
    crash.
    """
    return Core()


def visual_precision(core: Core) -> str:
    """The numbers that the visual net is computed with: "bf16" if the processor multiplies these natively, else "f32".

    The sound net is always computed with "f32": it takes little time.
    """
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


class CompiledNetwork(Network):
    """See `Network`. Arguments: the weights file, and the architecture that it states.

    Raises ModelError if they do not fit each other.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path = path
        keep_freed_memory()
        count = network_threads.count()
        self.pictures_at_once = min(_STREAMS, count)
        self._core = core = _core()
        # Cores are shared with what decodes; threads that are bound to one would wait for it.
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": count, "ENABLE_CPU_PINNING": False})
        with must_fit(path):
            self._fill(Tensors(path), **config)

    def _fill(
        self,
        tensors: Tensors,
        trunk: Mapping[str, Any],
        sound_encoder: Mapping[str, Any],
        hidden: int = 1024,
        embedding: int = 512,
        presence: tuple[float, float] = (11.86, 0.256),
        mechanism: int = 1,
        panorama: tuple[int, int] = (480, 960),
        tags: tuple[str, ...] = (),
        surroundings: Mapping[str, Any] | None = None,
        kind: str = "base",
    ) -> None:
        steepness, middle = presence
        self.presence = float(steepness), float(middle)
        self.panorama = int(panorama[0]), int(panorama[1])
        self.tags = list(tags)
        self.temperature = math.exp(tensors.take("log_temperature"))
        if not 0 < self.temperature < LARGEST:
            raise ValueError(f"its temperature is {self.temperature}")
        self.sound = self._sound_net = make_sound_net(self._core, tensors, "sound_encoder", **sound_encoder)
        width = self.sound.features
        self._first = tensors.take_norm("audio_head.0", width)
        self._hidden = tensors.take("audio_head.1.weight", hidden, width), tensors.take("audio_head.1.bias", hidden)
        self._out = tensors.take("audio_head.4.weight", embedding, hidden), tensors.take("audio_head.4.bias", embedding)
        self._last = tensors.take_norm("audio_head.5", embedding, affine=False)
        if tags:
            self._tags = tensors.take("tag_head.weight", len(tags), width), tensors.take("tag_head.bias", len(tags))
        graph = visual_graph(tensors, trunk, embedding, self.panorama, surroundings)
        tensors.end()
        # That takes half a second, in which sound can be read.
        starter = ThreadPoolExecutor(1)
        settings = {"NUM_STREAMS": self.pictures_at_once, "INFERENCE_PRECISION_HINT": visual_precision(self._core)}
        self._of_thread = local()
        self._visual = starter.submit(self._core.compile_model, graph, "CPU", settings)
        starter.shutdown(wait=False)

    def sound_features(self, wave: Floats) -> Floats:
        return self._sound_net(wave)

    def embed_sound(self, pooled: Floats) -> Floats:
        x = pooled * self._first[0] + self._first[1]
        x = np.maximum(x @ self._hidden[0].T + self._hidden[1], 0.0)
        x = (x @ self._out[0].T + self._out[1]) * self._last[0] + self._last[1]
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), np.float32)

    def tag_scores(self, pooled: Floats) -> Floats:
        if not self.tags:
            return np.zeros((len(pooled), 0), np.float32)
        return np.asarray(1.0 / (1.0 + np.exp(-(pooled @ self._tags[0].T + self._tags[1]))), np.float32)

    def embed_picture(self, picture: NDArray[np.uint8]) -> Floats:
        """Unit vectors (D, rows, columns) of cells."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._visual.result().create_infer_request()
        request = self._of_thread.request
        request.infer({0: np.ascontiguousarray(picture)[None]})
        found: Floats = request.get_output_tensor(0).data[0].copy()
        return found.transpose(2, 0, 1)

    def respond(self, picture: Floats, sound: Floats) -> Floats:
        found: Floats = np.tensordot(sound, picture, 1)
        return found
