"""The semantic cue, what looks like the sound: the paper's network.

The network's response, the cosine between a sound and each place of a picture, divided by the learnt temperature, is a
log-likelihood ratio up to a constant. The highest response tells how likely the source is in the picture at all.
Temperature and presence curve come with the network's weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..presence import present_log_odds
from ..soundmap import CHUNK, Named
from ..sphere.geometry import cell_areas
from ..spool import Spool
from .cue import GRID, Cue, Evidence, Maps, Pictures, Sound, normalized
from .naming import named
from .network import Floats, Network
from .rotation import Orientation, turned_map
from .windows import SoundFeatures

SMOOTHING = 2.0
"""Seconds over which responses are averaged, to reduce noise."""
_FEW = 10
"""Most responses of a mean that are turned one by one. More are turned and summed once, and each mean is turned again:
that saves time, but blurs a little."""
_BLUR = 1.0
"""Standard deviation of their blur in cells."""
PICTURE_EVERY = 2.0
"""Seconds between pictures that go through the network (also after each cut). The sound is compared with the nearest
one. Every three seconds held no less on real scenes, but lost the source in a sample (carpark)."""
PAPER_PANORAMA = 480, 960
"""Rows and columns of pixels at which the paper looks at each frame. `base`, made for twice as many, takes a quarter of
its time for them."""
_LATE = 1.0
"""Seconds after which a cut has been reported."""
_AT_ONCE = 8
"""Requests whose sounds go through the network at once where there is one for each picture. One by one, they take three
times as long, and where NumPy uses several threads, which wait for each other, much longer."""

THUMB = (2 * GRID[0], 2 * GRID[1])
"""Rows and columns of the thumbnails that tell a still scene: each cell has 16x16 pixels of `base`'s panorama."""
STILL = 2
"""Most levels, of 255, by which any cell may change in any colour in a still scene, whose picture need not go through
the network again."""
_STILL_FOR = 10.0
"""Seconds after which it does all the same, so that evidence depends on nothing long past."""


class SemanticCue(Cue):
    """The responses of a trained network.

    Args:
        network: ready to use.
        window: seconds of sound, centred on a picture, to compare with it.
        every: seconds between analysed times; 0: each picture, and all of them go through the network.
        orientation: the camera's, if another cue fills it in. A picture's answer is turned with the camera until the
            next one.
    """

    names = ("semantic",)

    def __init__(self, network: Network, window: float, every: float, orientation: Orientation | None = None) -> None:
        self._network, self._window = network, window
        self._orientation = orientation or Orientation()
        rows, columns = network.panorama
        rate = 0.0 if every == 0 or every >= PICTURE_EVERY else 1.0 / PICTURE_EVERY
        self.pictures = Pictures(columns, rows, rate=rate)
        self.sound = Sound(network.sound.rate, hop=network.sound.hop)
        before, after = (samples / network.sound.rate for samples in network.sound.field)
        self.context = max(max(before, after) + window, _STILL_FOR + PICTURE_EVERY) + SMOOTHING
        self._features = SoundFeatures(network)
        self._start = 0.0
        self._workers = ThreadPoolExecutor(network.pictures_at_once)
        # One more than go through the network at once, so that no worker waits for its next picture.
        self._running: deque[Future[Any]] = deque(maxlen=network.pictures_at_once + 1)
        # Pictures that went through the network, or will. The first one comes before the first request.
        self._looks: deque[tuple[float, Future[Any]]] = deque()
        self._undecided: deque[float] = deque()
        # The time of the picture that was chosen, the picture, and the time that evidence was requested for.
        self._requests: deque[tuple[float, Future[Any], float]] = deque()
        self._latest: tuple[float, NDArray[np.int16]] | None = None
        self._at_once = _AT_ONCE if every == 0 else 1
        self._responses: Spool | None = None
        self._looked: list[float] = []
        self._shots: list[float] = []

    def start_sound(self, t: float) -> None:
        self._start = t

    def add_sound(self, block: NDArray[np.float32]) -> None:
        self._features.add(block)

    def end_sound(self) -> None:
        self._features.finish()

    def add_picture(self, t: float, picture: NDArray[np.uint8]) -> None:
        thumb = cv2.resize(picture, THUMB[::-1], interpolation=cv2.INTER_AREA).astype(np.int16)
        period = t // _STILL_FOR
        if self._latest is not None and self._latest[0] == period and np.abs(thumb - self._latest[1]).max() <= STILL:
            self._looks.append((t, self._looks[-1][1]))
            return
        self._latest = period, thumb
        if len(self._running) == self._running.maxlen:
            self._running[0].result()
        visual = self._workers.submit(self._network.embed_picture, picture)
        self._running.append(visual)
        self._looks.append((t, visual))

    def add_cut(self, t: float) -> None:
        self._shots.append(t)

    def request(self, t: float) -> None:
        self._undecided.append(t)
        self._decide(t)
        while len(self._requests) >= self._at_once and self._requests[self._at_once - 1][1].done():
            self._respond()

    def end_pictures(self) -> None:
        self._decide(np.inf)
        while self._requests:
            self._respond()
        self._workers.shutdown()

    def _decide(self, now: float) -> None:
        """Choose the picture of each request for which that is certain at `now`: the nearest one of its shot."""
        while self._undecided:
            t = self._undecided[0]
            while len(self._looks) > 1 and self._looks[1][0] <= t:
                self._looks.popleft()
            look = self._looks[0]
            before = look[0]
            if before != t and now < np.inf and (len(self._looks) == 1 or now < self._looks[1][0] + _LATE):
                return
            if len(self._looks) > 1:
                after, later = self._looks[1]
                cut = next((cut for cut in self._shots if before < cut <= after), (before + after) / 2)
                look = (after, later) if t >= cut else look
            self._undecided.popleft()
            self._requests.append((*look, t))

    def _respond(self) -> None:
        """Compute the responses to the earliest requests."""
        some = [self._requests.popleft() for _ in range(min(self._at_once, len(self._requests)))]
        pooled = self._features.pooled([t - self._start for _, _, t in some], self._window)
        for (looked, visual, _), sound in zip(some, self._network.embed_sound(pooled), strict=True):
            response = self._network.respond(visual.result(), sound)
            if not np.isfinite(response).all():
                raise ModelError("the weights compute NaN or infinity", path=self._network.path)
            if self._responses is None:
                self._responses = Spool(response.shape)
            self._responses.extend(response[None])
            self._looked.append(looked)

    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        from scipy.ndimage import gaussian_filter1d

        found, nothing = Spool(GRID), np.empty(len(times), np.float32)
        first, last = self._around(np.asarray(times))
        for begin in range(0, len(times), CHUNK):
            part = slice(begin, begin + CHUNK)
            maps = self._averaged(times[part], first[part], last[part])
            maps = gaussian_filter1d(maps, _BLUR, axis=1, mode="nearest")
            maps = gaussian_filter1d(maps, _BLUR, axis=2, mode="wrap")
            found.extend(normalized(maps / self._network.temperature))
            nothing[part] = self._absence(self.responses(part))
        return {"semantic": Evidence(found, nothing)}

    def _around(self, times: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Of each time, the first analysed one within SMOOTHING seconds in its shot, and the one after the last."""
        bounds = np.concatenate([[-np.inf], np.asarray(self._shots), [np.inf]])
        shot = np.searchsorted(bounds, times, side="right")
        first = np.searchsorted(times, np.maximum(times - SMOOTHING / 2, bounds[shot - 1]), side="left")
        last = np.searchsorted(times, np.minimum(times + SMOOTHING / 2, bounds[shot]), side="right")
        return first, np.maximum(last, first + 1)

    def _averaged(self, times: Sequence[float], first: NDArray[np.intp], last: NDArray[np.intp]) -> Maps:
        """Mean of the responses from `first` up to `last` of each time, each turned with the camera."""
        begin, between = int(first[0]), self._orientation.between
        maps = self.responses(slice(begin, int(last[-1])))
        looked = self._looked[begin : int(last[-1])]
        first, last = first - begin, last - begin
        found = np.empty((len(times), *GRID), np.float32)
        if (last - first).max() <= _FEW:
            for i, (t, a, b) in enumerate(zip(times, first, last, strict=True)):
                found[i] = np.mean([turned_map(maps[k], between(looked[k], t)) for k in range(a, b)], axis=0)
            return found
        steady = times[len(times) // 2]
        sums = np.zeros((len(maps) + 1, *GRID))
        for k, t in enumerate(looked):
            sums[k + 1] = sums[k] + turned_map(maps[k], between(t, steady))
        for i, (t, a, b) in enumerate(zip(times, first, last, strict=True)):
            found[i] = turned_map((sums[b] - sums[a]) / (b - a), between(steady, t))
        return found

    def named(self, times: Sequence[float] | NDArray[np.float64]) -> Named:
        """What is heard at these times, by name."""
        found = np.empty((len(times), len(self._network.tags)), np.float32)
        for begin in range(0, len(times), CHUNK):
            part = np.asarray(times[begin : begin + CHUNK]) - self._start
            found[begin : begin + CHUNK] = self._network.tag_scores(self._features.pooled(part, self._window))
        return named(self._network.tags, found)

    def responses(self, part: slice = slice(None)) -> Maps:
        """The raw responses, cosines, in cells of GRID, (n, rows, columns)."""
        if self._responses is None:
            return np.zeros((0, *GRID), np.float32)
        maps = self._responses[part].astype(np.float32)
        return maps if maps.shape[1:] == GRID else np.stack([_on_grid(one) for one in maps])

    def attention(self, mechanism: int) -> Maps:
        """The paper's attention (equations 1 to 3): (n, rows, columns), each map sums to 1."""
        from scipy.special import softmax

        raw = self.responses()
        raw = raw if mechanism == 1 else np.maximum(raw, 0.0)
        return np.asarray(softmax(raw / self._network.temperature, axis=(1, 2)), np.float32)

    def attention_posterior(
        self, mechanism: int, covered: NDArray[np.bool_] | None
    ) -> tuple[Maps, NDArray[np.float32]]:
        """The paper's method: the attention, weighted with the network's presence.

        Returns:
            The probability of each cell (n, rows, columns), and of `elsewhere` (n,): together 1.
        """
        areas = cell_areas(*GRID).astype(np.float32)
        mass = self.attention(mechanism) * (areas if covered is None else np.where(covered, areas, 0.0))
        present = self.presence()
        mass *= (present / np.maximum(mass.sum(axis=(1, 2)), 1e-30))[:, None, None]
        return mass, 1.0 - present

    def presence(self) -> NDArray[np.float32]:
        """The network's own probability that something in the picture makes the sound: (n,), 0..1."""
        return np.asarray(1.0 / (1.0 + np.exp(self._absence(self.responses()))), np.float32)

    def _absence(self, maps: Maps) -> NDArray[np.float32]:
        """Log-odds that nothing in the picture makes the sound, (n,)."""
        return -present_log_odds(maps, self._network.presence)


def _on_grid(response: Floats) -> Floats:
    """A response (rows, columns) in cells of another size, in those of GRID."""
    if response.shape[1] > GRID[1]:
        return np.asarray(cv2.resize(response, GRID[::-1], interpolation=cv2.INTER_AREA), np.float32)
    down, across = ((np.arange(n) + 0.5) * size / n + 0.5 for n, size in zip(GRID, response.shape, strict=True))
    wider = np.pad(np.pad(response, ((1, 1), (0, 0)), "edge"), ((0, 0), (1, 1)), "wrap")
    u, v = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    return np.asarray(cv2.remap(wider, u, v, cv2.INTER_LINEAR), np.float32)
