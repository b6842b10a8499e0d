"""Processing time of the network for one panorama, and for one second of sound."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ...localize.nets import weights


def speed(model: str = "base", repeats: int = 10) -> dict[str, float]:
    """Milliseconds per panorama, of the size that the model is made for, and per second of sound: the best of
    `repeats`, as the machine may be busy with other things too. Also the number of threads, that size in pixels, and
    whether bfloat16 is used (0 or 1)."""
    network = weights.load(model)
    height, width = network.panorama
    picture = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    out: dict[str, float] = {"threads": torch.get_num_threads(), "width": width, "height": height}
    out["bfloat16"] = float(network.precision == torch.bfloat16)
    out["ms per panorama"] = best(lambda: network.visual(picture, wrap=True), repeats)
    wave = torch.randn(30 * network.sound_rate) * 0.1
    out["ms per second of sound"] = best(lambda: network.sound_features(wave), repeats) / 30
    return {name: round(value, 2) for name, value in out.items()}


def best(work: Callable[[], object], repeats: int) -> float:
    """Shortest time of several, in ms."""
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
    return 1000 * min(times)
