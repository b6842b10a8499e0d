"""Processing time of the network for one panorama, and for one second of sound."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...localize import network_threads
from ...localize.loading import load_network


def speed(model: str = "base", repeats: int = 10) -> dict[str, float]:
    """Milliseconds per panorama, of the size that the model is made for, and per second of sound, as `pan` computes
    them (`pictures_at_once` panoramas at a time): the best of `repeats`, as the machine may be busy with other things
    too. Also the number of threads, and that size in pixels."""
    network = load_network(model)
    height, width = network.panorama
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (height, width, 3), np.uint8)
    out: dict[str, float] = {"threads": network_threads.count(), "width": width, "height": height}
    pictures = [picture] * network.pictures_at_once
    with ThreadPoolExecutor(len(pictures)) as pool:
        at_once = best(lambda: list(pool.map(network.embed_picture, pictures)), repeats)
    out["ms per panorama"] = at_once / len(pictures)
    wave = random.normal(0.0, 0.1, 30 * network.sound.rate).astype(np.float32)
    out["ms per second of sound"] = best(lambda: network.sound_features(wave), repeats) / 30
    return {name: round(value, 2) for name, value in out.items()}


def best(work: Callable[[], object], repeats: int) -> float:
    """Shortest time of several, in ms."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1000 * min(times)
