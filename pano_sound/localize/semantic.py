"""The semantic cue, what looks like the sound: the paper's network.

The network's response, the cosine between a sound and each place of a picture, divided by the learnt temperature, is a
log-likelihood ratio up to a constant. The highest response tells how likely the source is in the picture at all.
Temperature and presence curve come with the network's weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..presence import present_log_odds
from ..soundmap import Named
from ..sphere.geometry import cell_areas
from .cue import GRID, Cue, Evidence, Maps, Pictures, Sound, normalized
from .naming import named
from .nets.attention import mechanism1, mechanism2
from .nets.network import Localizer
from .rotation import Orientation, turned_map
from .windows import SoundFeatures

SMOOTHING = 2.0
"""Seconds over which responses are averaged, to reduce noise."""
_BLUR = 1.0
"""Standard deviation of their blur in cells."""
_PICTURE_EVERY = 2.0
"""Seconds between pictures that go through the network (also after each cut). The sound is compared with the nearest
one. Every three seconds held no less on real scenes, but lost the source in a sample (carpark)."""
_LATE = 1.0
"""Seconds after which a cut has been reported."""

THUMB = (2 * GRID[0], 2 * GRID[1])
"""Rows and columns of the thumbnails that tell a still scene: each cell has 16x16 pixels of `base`'s panorama."""
STILL = 2
"""Most levels, of 255, by which any cell may change in any colour in a still scene, whose picture need not go through
the network again."""
_STILL_FOR = 10.0
"""Seconds after which it does all the same, so that evidence depends on nothing long past."""
_WORKERS = 2
"""Pictures in the network at a time. Two at once, each with half of PyTorch's threads, take less processor time
than two in turn with all of them, and keep all cores busy."""


class SemanticCue(Cue):
    """The responses of a trained network.

    Args:
        model: the network, ready to use.
        window: seconds of sound, centred on a picture, to compare with it.
        every: seconds between analysed times; 0: each picture, and all of them go through the network.
        orientation: the camera's, if another cue fills it in. A picture's answer is turned with the camera until the
            next one.
    """

    names = ("semantic",)

    def __init__(self, model: Localizer, window: float, every: float, orientation: Orientation | None = None) -> None:
        self._model, self._window = model, window
        self._orientation = orientation or Orientation()
        rows, columns = model.panorama
        rate = 0.0 if every == 0 or every >= _PICTURE_EVERY else 1.0 / _PICTURE_EVERY
        self.pictures = Pictures(columns, rows, rate=rate)
        self.sound = Sound(model.sound_rate, hop=model.sound_encoder.hop)
        before, after = (samples / model.sound_rate for samples in model.sound_encoder.field)
        self.context = max(max(before, after) + window, _STILL_FOR + _PICTURE_EVERY) + SMOOTHING
        self._features = SoundFeatures(model)
        self._device = next(model.parameters()).device
        self._start = 0.0
        self._threads = torch.get_num_threads()
        each = max(1, self._threads // _WORKERS)
        self._workers = ThreadPoolExecutor(_WORKERS, initializer=torch.set_num_threads, initargs=(each,))
        self._running: deque[Future[torch.Tensor]] = deque(maxlen=_WORKERS)
        # Pictures that went through the network, or will. The first one comes before the first request.
        self._looks: deque[tuple[float, Future[torch.Tensor]]] = deque()
        self._undecided: deque[tuple[float, torch.Tensor]] = deque()
        self._requests: deque[tuple[float, Future[torch.Tensor], torch.Tensor]] = deque()
        self._latest: tuple[float, NDArray[np.int16]] | None = None
        self._responses: list[NDArray[np.float16]] = []
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
        if len(self._running) == _WORKERS:
            self._running[0].result()
        visual = self._workers.submit(self._embed, picture)
        self._running.append(visual)
        self._looks.append((t, visual))

    def _embed(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        with torch.inference_mode():
            rgb = torch.as_tensor(np.require(picture, requirements=["C", "W"]), device=self._device)
            return self._model.visual(rgb.permute(2, 0, 1)[None], wrap=True)

    def add_cut(self, t: float) -> None:
        self._shots.append(t)

    def request(self, t: float) -> None:
        pooled = torch.from_numpy(self._features.pooled([t - self._start], self._window)).to(self._device)
        with torch.inference_mode():
            self._undecided.append((t, self._model.sound_embedding(pooled)))
        self._decide(t)
        while self._requests and self._requests[0][1].done():
            self._respond()

    def end_pictures(self) -> None:
        self._decide(np.inf)
        while self._requests:
            self._respond()
        self._workers.shutdown()
        torch.set_num_threads(self._threads)  # What a thread sets is also the default of threads that start later.

    def _decide(self, now: float) -> None:
        """Choose the picture of each request for which that is certain at `now`: the nearest one of its shot."""
        while self._undecided:
            t, sound = self._undecided[0]
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
            self._requests.append((*look, sound))

    def _respond(self) -> None:
        """Compute the response to the earliest request."""
        looked, visual, sound = self._requests.popleft()
        with torch.inference_mode():
            response = self._model.respond(visual.result(), sound)[0]
        self._responses.append(response.cpu().numpy().astype(np.float16))
        self._looked.append(looked)

    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        maps = self.responses()
        if not len(maps):
            return {"semantic": Evidence(maps, np.zeros(0, np.float32))}
        steady = self._averaged(maps, np.asarray(times))
        steady = gaussian_filter1d(gaussian_filter1d(steady, _BLUR, axis=1, mode="nearest"), _BLUR, axis=2, mode="wrap")
        return {"semantic": Evidence(normalized(steady / self._model.temperature), self._absence(maps))}

    def _averaged(self, maps: Maps, times: NDArray[np.float64]) -> Maps:
        """Means over SMOOTHING seconds around each time, within its shot, each map turned with the camera."""
        bounds = np.concatenate([[-np.inf], np.asarray(self._shots), [np.inf]])
        shot = np.searchsorted(bounds, times, side="right")
        first = np.searchsorted(times, np.maximum(times - SMOOTHING / 2, bounds[shot - 1]), side="left")
        last = np.searchsorted(times, np.minimum(times + SMOOTHING / 2, bounds[shot]), side="right")
        last = np.maximum(last, first + 1)
        between = self._orientation.between
        found = np.empty_like(maps)
        for i, (t, a, b) in enumerate(zip(times, first, last, strict=True)):
            turned = [turned_map(maps[k], between(self._looked[k], t)) for k in range(a, b)]
            found[i] = np.mean(turned, axis=0)
        return found

    def named(self, times: Sequence[float] | NDArray[np.float64]) -> Named:
        """What is heard at these times, by name."""
        pooled = torch.from_numpy(self._features.pooled(np.asarray(times) - self._start, self._window))
        with torch.inference_mode():
            scores = self._model.tag_scores(pooled.to(self._device)).cpu().numpy()
        return named(self._model.tags, scores)

    def responses(self) -> Maps:
        """The raw responses, cosines, in cells of GRID, (n, rows, columns)."""
        if not self._responses:
            return np.zeros((0, *GRID), np.float32)
        maps = np.stack(self._responses).astype(np.float32)
        if maps.shape[1:] == GRID:
            return maps
        return np.stack([cv2.resize(one, GRID[::-1], interpolation=cv2.INTER_AREA) for one in maps])

    def attention(self, mechanism: int) -> Maps:
        """The paper's attention (equations 1 to 3): (n, rows, columns), each map sums to 1."""
        attend = mechanism1 if mechanism == 1 else mechanism2
        return attend(torch.from_numpy(self.responses()), self._model.temperature).numpy()

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
        return -present_log_odds(maps, self._model.presence)
