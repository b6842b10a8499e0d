"""The temporal cues, what moves and what moves in time with the sound: from small grey pictures and onsets of the
sound.

The paper uses single pictures and mentions temporal cues as missing (section 6). There are two here, per cell:

    motion      how much the picture changes, over a few seconds, relative to the whole sphere
    synchrony   how well growth of that change goes with onsets of the sound, over some ten seconds

The rotation of a moving camera is undone first: changes are measured and averaged as a camera that never turned would
have seen them. What cannot be undone, at edges, is estimated and subtracted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..spool import Spool
from .cue import GRID, Cue, Evidence, Maps, Pictures, Sound, normalized
from .onsets import RATE, STEP, Onsets
from .rotation import Orientation, Stabilizer, is_identity, median, slope_down, turned_map

WIDTH, HEIGHT = 2 * GRID[1], 2 * GRID[0]
PICTURES_A_SECOND = 15.0
MOTION_STEP = 0.2
"""Seconds between compared pictures, long enough to see slow things move."""
MOTION_WINDOW = 3.0
SYNCHRONY_WINDOW = 20.0
LAG = 0.2
"""Seconds by which motion may precede or follow its sound."""
_MOTION_CAP = 2.3
"""Cap on the log ratio of a cell's motion to the mean: strong motion is evidence, but stronger motion of nearer things
is not."""
_CHANGE_CAP = 30.0
"""Most grey levels that a flash or an edge counts."""
_SHAKE = 60.0
"""Camera rotation in degrees per second at which both cues count half."""
_BLUR = 1.2
"""Standard deviation in pixels of the blur of changes between pictures that were turned back: interpolation leaves
differences at edges."""
_EDGES = 2.0
"""Change at an edge that is not counted then, relative to the median over the sphere."""
_SETTLE = 10.0
"""Seconds of film for synchrony to count fully; in shorter windows chance correlation is higher."""
_REFRESH = 1.0
"""Seconds by which the synchrony window moves before it is computed again."""
_LATE = 1.0
"""Seconds after which a cut has been reported."""


class TemporalCue(Cue):
    """Motion, and its synchrony with the sound.

    Args:
        orientation: the camera's; the cue finds it and fills it in.
    """

    names = ("motion", "synchrony")
    pictures = Pictures(WIDTH, HEIGHT, grey=True, rate=PICTURES_A_SECOND)
    sound = Sound(RATE)
    context = SYNCHRONY_WINDOW / 2 + _LATE

    def __init__(self, orientation: Orientation) -> None:
        self._onset_meter = Onsets()
        self._start = 0.0
        self._orientation = orientation
        self._stabilizer = Stabilizer(HEIGHT, WIDTH, orientation)
        self._quick, self._slow = _Change(), _Change()
        self._growth, self._change = _Recent(), _Recent()
        self._activity: deque[_Row] = deque(maxlen=3)
        self._requested: deque[float] = deque()
        self._shots: list[float] = []
        self._now = 0.0
        self._maps = {name: Spool(GRID, np.float32) for name in self.names}
        self._latest: tuple[tuple[float, float], Maps] | None = None

    def start_sound(self, t: float) -> None:
        self._start = t

    def add_sound(self, block: NDArray[np.float32]) -> None:
        self._onset_meter.add(block)

    def end_sound(self) -> None:
        strength = self._onset_meter.strength()
        from scipy.ndimage import gaussian_filter1d

        self._onsets = gaussian_filter1d(strength, 0.027 / STEP) - gaussian_filter1d(strength, 1.0 / STEP)

    def add_picture(self, t: float, picture: NDArray[np.uint8]) -> None:
        grey = self._stabilizer.steady(t, picture.astype(np.float32))
        matrix = self._stabilizer.matrix
        if not self._shots:
            self._shots.append(t)
        self._now = t
        quick = self._quick.since_last(t, grey, matrix)
        if quick is not None:
            self._grow(quick)
        if t - self._slow.latest >= MOTION_STEP - 1e-3:
            slow = self._slow.since_last(t, grey, matrix)
            if slow is not None:
                self._change.add(slow._replace(values=slow.values * _LEVEL))
        while self._requested and self._ready(self._requested[0]):
            self._answer(self._requested.popleft())
        for recent in (self._growth, self._change):
            recent.forget(min([t, *list(self._requested)[:1]]) - SYNCHRONY_WINDOW)

    def add_cut(self, t: float) -> None:
        self._shots.append(t)

    def request(self, t: float) -> None:
        self._requested.append(t)

    def end_pictures(self) -> None:
        while self._requested:
            self._answer(self._requested.popleft())

    def evidence(self, times: Sequence[float]) -> dict[str, Evidence]:
        nothing = np.zeros(len(times), np.float32)
        return {name: Evidence(maps, nothing) for name, maps in self._maps.items()}

    def _grow(self, change: _Row) -> None:
        """Growth of a cell's log change, smoothed over three pictures, one picture late."""
        self._activity.append(change._replace(values=np.log(_blurred(change.values) + 0.3)))
        if len(self._activity) == 3:
            before, now, after = self._activity
            growth = np.maximum(after.values - before.values, 0) / max(after.t - before.t, 1e-3)
            self._growth.add(_Row(now.t, before.first, after.last, growth, now.speed))

    def _shot(self, t: float) -> tuple[float, float]:
        """Begin and end of the shot at `t`, as far as it is known."""
        i = max(int(np.searchsorted(self._shots, t, side="right")) - 1, 0)
        return self._shots[i], self._shots[i + 1] if i + 1 < len(self._shots) else self._now

    def _ready(self, t: float) -> bool:
        """Whether everything that the evidence at `t` depends on is known."""
        begin, end = self._shot(t)
        return end < self._now or self._now >= max(t, begin + SYNCHRONY_WINDOW / 2) + SYNCHRONY_WINDOW / 2 + _LATE

    def _answer(self, t: float) -> None:
        shot = self._shot(t)
        self._maps["motion"].extend(self._seen(t, self._motion(t, shot))[None])
        begin, end = _window(t, SYNCHRONY_WINDOW, *shot)
        if self._latest is None or self._latest[0][0] < shot[0] or abs(begin - self._latest[0][0]) >= _REFRESH:
            self._latest = (begin, end), self._synchrony(begin, end, shot)
        self._maps["synchrony"].extend(self._seen(t, self._latest[1])[None])

    def _seen(self, t: float, steady: Maps) -> Maps:
        """A map as the camera saw it at `t`, from one by a camera that never turned."""
        turn = self._orientation.at(t)
        return steady if is_identity(turn) else normalized(turned_map(steady, turn)[None])[0]

    def _motion(self, t: float, shot: tuple[float, float]) -> Maps:
        _, change, speed = self._change.between(*_window(t, MOTION_WINDOW, *shot), shot)
        if not len(change):
            return np.zeros(GRID, np.float32)
        moving = _blurred(change.mean(axis=0))
        share = np.minimum(np.log(moving / max(float(moving.mean()), 1e-6) + 0.1), _MOTION_CAP)
        return normalized((share * _trust(speed))[None])[0]

    def _synchrony(self, begin: float, end: float, shot: tuple[float, float]) -> Maps:
        times, growth, speed = self._growth.between(begin, end, shot)
        if len(times) < 2 * PICTURES_A_SECOND:
            return np.zeros(GRID, np.float32)
        growth = growth.reshape(len(times), -1)
        growth = growth - growth.mean(axis=0)
        growth /= np.sqrt(np.einsum("ij,ij->j", growth, growth) / len(times)) + 1e-2
        step = float(np.median(np.diff(times)))
        reach = round(LAG / step)
        clock = self._start + np.arange(len(self._onsets)) * STEP
        onsets = np.stack([np.interp(times + lag * step, clock, self._onsets) for lag in range(-reach, reach + 1)])
        onsets -= onsets.mean(axis=1, keepdims=True)
        onsets /= onsets.std(axis=1, keepdims=True) + 1e-9
        correlation = (onsets.astype(np.float32) @ growth / len(times)).max(axis=0).reshape(GRID)
        length = min(1.0, (times[-1] - times[0]) / _SETTLE)
        # The maximum over lags is above zero by chance, equally everywhere.
        return normalized((_blurred(correlation) * (np.sqrt(length) * _trust(speed)))[None])[0]


class _Row(NamedTuple):
    """A map of what changes at time `t`, made of pictures from the `first` to the `last`, all in seconds, and the
    camera's `speed`, in degrees per second."""

    t: float
    first: float
    last: float
    values: NDArray[np.float32]
    speed: float


class _Change:
    """Measures the change of each cell from picture to picture."""

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.float32], NDArray[np.float64]] | None = None
        self.latest = -np.inf

    def since_last(self, t: float, picture: NDArray[np.float32], turn: NDArray[np.float64]) -> _Row | None:
        """Mean change of each cell, GRID, in grey levels.

        Args:
            picture: turned back. turn: the camera's orientation.
        """
        last, self._before = self._before, (picture, turn)
        since, self.latest = self.latest, t
        if last is None:
            return None
        before, speed = last[0], 0.0
        change = picture - before
        if not (turn == last[1]).all():
            speed = float(np.degrees(np.linalg.norm(cv2.Rodrigues(turn @ last[1].T)[0]))) / max(t - since, 1e-3)
            change = _smooth(change)
        change = np.abs(change - np.float32(median(change[::2, ::2])))
        if speed > 0:
            edges = _edges(picture)
            share = median(change[_LOW]) / max(median(edges[_LOW]), 0.5)
            change = np.maximum(change - _EDGES * share * edges, 0)
        change = np.minimum(change, _CHANGE_CAP)
        cells = change.reshape(GRID[0], HEIGHT // GRID[0], GRID[1], WIDTH // GRID[1]).mean(axis=(1, 3))
        return _Row(t, since, t, cells, speed)


class _Recent:
    """The latest maps of change."""

    def __init__(self) -> None:
        self._rows: deque[_Row] = deque()

    def add(self, row: _Row) -> None:
        self._rows.append(row)

    def forget(self, before: float) -> None:
        while self._rows and self._rows[0].t < before:
            self._rows.popleft()

    def between(
        self, begin: float, end: float, shot: tuple[float, float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], float]:
        """Of the maps between two times, those all of whose pictures are of one shot: times (n,), maps (n, rows,
        columns) and the mean speed."""
        rows = [row for row in self._rows if begin <= row.t <= end and shot[0] <= row.first and row.last <= shot[1]]
        times = np.array([row.t for row in rows])
        maps = np.array([row.values for row in rows], np.float32).reshape(-1, *GRID)
        return times, maps, float(np.mean([row.speed for row in rows])) if rows else 0.0


def _window(t: float, seconds: float, begin: float, end: float) -> tuple[float, float]:
    """Begin and end of a window of `seconds` around `t`, moved or shortened to lie between `begin` and `end`."""
    seconds = min(seconds, max(end - begin, 0.0))
    start = float(np.clip(t - seconds / 2, begin, max(end - seconds, begin)))
    return start, start + seconds


def _trust(speed: float) -> float:
    """The weight, 0..1, of a cue while the camera turns at `speed` degrees per second."""
    return 1.0 / (1.0 + speed / _SHAKE)


@cache
def _blur_matrix(cells: int, wrap: bool) -> NDArray[np.float32]:
    identity = np.eye(cells, dtype=np.float32)
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(identity, 1.0, axis=0, mode="wrap" if wrap else "nearest"))


_LOW = slice(HEIGHT // 6, HEIGHT - HEIGHT // 6)
"""Rows away from the poles."""


def _smooth(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = np.concatenate([picture[:, -8:], picture, picture[:, :8]], axis=1)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), _BLUR, borderType=cv2.BORDER_REPLICATE)[:, 8:-8])


def _edges(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """How steep a picture is, in grey levels per pixel."""
    wide = np.concatenate([picture[:, -1:], picture, picture[:, :1]], axis=1)
    return np.asarray(np.hypot((wide[:, 2:] - wide[:, :-2]) / 2, slope_down(picture)))


_LEVEL = np.cos(np.radians(90.0 - (np.arange(GRID[0]) + 0.5) * 180.0 / GRID[0]))[:, None].astype(np.float32)


def _blurred(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map GRID blurred by a cell, round the seam."""
    return np.asarray(_blur_matrix(GRID[0], False) @ maps @ _blur_matrix(GRID[1], True).T)
