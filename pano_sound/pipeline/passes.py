"""One pass over a film's sound and one over its pictures; each feeds all cues."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..localize.cue import Cue, Evidence, Pictures, Sound
from ..localize.level import RATE as LEVEL_RATE
from ..localize.level import Level
from ..media.cuts import CutFinder
from ..media.info import MediaInfo
from ..media.reader import NoPictureError, VideoReader
from ..media.segments import WHOLE, Segment, part
from ..media.shrink import StoredPicture
from ..media.sound import SoundReader
from .ahead import Ahead
from .consumer import Consumer
from .film import Progress

SOUND_BLOCK = 20.0
_AVERAGED = 2.0
"""Cues are also asked for this many seconds around a segment, because they average over time."""
_NO_PICTURES = Fraction(1, 1000)
"""Tick in seconds of films without pictures."""
_AROUND = 1.0
"""At least this many seconds around a segment are read, to find cuts at its ends."""


@dataclass(frozen=True)
class Stretch:
    """What is analysed: a whole film, or a segment.

    Args:
        info: the film.
        segment: in ticks of its pictures' clock.
    """

    info: MediaInfo
    segment: Segment = WHOLE

    @property
    def base(self) -> Fraction:
        return self.info.video.time_base if self.info.video else _NO_PICTURES

    def bounds(self, around: float) -> tuple[Fraction | None, Fraction | None]:
        """Begin and end in presentation time, with `around` seconds on either side. None stands for the film's own."""
        if self.segment == WHOLE:
            return None, None
        # Even numbers, like the ends of segments.
        ticks = 2 * math.ceil(Fraction(around) / self.base / 2)
        begin, end = self.segment.begin, self.segment.end
        return (
            None if begin is None else (begin - ticks) * self.base,
            None if end is None else (end + ticks) * self.base,
        )


def listen(stretch: Stretch, cues: Sequence[Cue], progress: Progress) -> Level:
    """Feed the cues their sound. Returns the level of the film over presentation time."""
    level = Level()
    readings: dict[Sound, list[Cue | Level]] = {Sound(LEVEL_RATE): [level]}
    for cue in cues:
        if cue.sound is not None:
            readings.setdefault(cue.sound, []).append(cue)
    for done, (sound, listeners) in enumerate(readings.items()):

        def share(stage: str, t: float, of: float, done: int = done) -> None:
            progress(stage, (done * of + t) / len(readings), of)

        _listen_once(stretch, sound, listeners, share)
    return level


def _listen_once(stretch: Stretch, sound: Sound, listeners: Sequence[Cue | Level], progress: Progress) -> None:
    info, rate = stretch.info, sound.rate
    context = max(listener.context for listener in listeners) + _AROUND
    begin, end = stretch.bounds(context)
    start = Fraction(info.start).limit_denominator(10**9)
    # Whole steps from the film's start, so that a segment gets the same steps as the film.
    hop = Fraction(sound.hop, rate)
    skipped = Fraction(0) if begin is None else max(0, math.floor((begin - start) / hop)) * hop
    read = part(info, start + skipped if skipped else None, end)
    for listener in listeners:
        listener.begin(float(start + skipped))
    heard = 0.0
    for block in SoundReader(info.path, rate, read, sound.channels).blocks(SOUND_BLOCK):
        progress("listen", min(heard, read.duration), read.duration)
        for listener in listeners:
            listener.hear(block)
        heard += block.shape[-1] / rate
    # After the end of its sound a film is silent.
    shape = () if sound.channels == "mono" else (4,)
    for t in np.arange(heard, read.duration, SOUND_BLOCK):
        silence = np.zeros((*shape, round(min(SOUND_BLOCK, read.duration - t) * rate)), np.float32)
        for listener in listeners:
            listener.hear(silence)
    for listener in listeners:
        listener.heard()
    progress("listen", read.duration, read.duration)


@dataclass
class Watched:
    """What the pass over the pictures found. Presentation times in seconds.

    asked: the times that cues were asked for; `inside`: which of them are in the segment. Cues average over time, so
        times around it are asked for, too.
    cuts: where shots end.
    """

    asked: list[float] = field(default_factory=list)
    inside: list[bool] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        """The analysed times of the segment."""
        return [t for t, inside in zip(self.asked, self.inside, strict=True) if inside]

    def evidence(self, cues: Sequence[Cue]) -> dict[str, Evidence]:
        """The cues' evidence at the analysed times, by name."""
        kept = np.array(self.inside, bool)
        return {
            name: Evidence(one.maps[kept], one.nothing[kept])
            for cue in cues
            for name, one in cue.evidence(self.asked).items()
        }


def watch(stretch: Stretch, cues: Sequence[Cue], every: float, progress: Progress) -> Watched:
    """Feed the cues their pictures, from one decode, and ask for their evidence every `every` seconds.

    The decoder and each cue work in a thread of their own, bounded queues between them.

    Raises InputError: no picture can be decoded, or too many are damaged.
    """
    info, segment = stretch.info, stretch.segment
    around = max([_AROUND, *(cue.context for cue in cues if cue.pictures is not None)])
    begin, end = stretch.bounds(around)
    seen = part(info, begin, end)
    # Added to the times of the part read, this gives the film's times.
    later = begin or Fraction(0)
    start = round(info.start / stretch.base) * stretch.base
    inside, asked = stretch.bounds(0.0), stretch.bounds(_AVERAGED)
    fps = info.video.fps if info.video else None
    analysed = Clock(every, start)
    cuts, told = CutFinder(), 0
    found = Watched()
    with contextlib.ExitStack() as open_now:
        consumers = [(cue, open_now.enter_context(Consumer())) for cue in cues]
        feeds = [
            _Feed(cue, consumer, cue.pictures, start, every, inside, fps) for cue, consumer in consumers if cue.pictures
        ]
        reader = open_now.enter_context(VideoReader(info.path, seen))
        pictures: Iterator[StoredPicture] = open_now.enter_context(Ahead(reader.stored()))
        for picture in pictures if segment == WHOLE else _if_any(pictures):
            t = picture.t + later
            cuts.add(float(t), picture.frame)
            for cut in cuts.cuts[told:]:
                for feed in feeds:
                    feed.cut(cut)
            told = len(cuts.cuts)
            shared: dict[Pictures, NDArray[np.uint8]] = {}
            for feed in feeds:
                feed.see(t, picture, shared)
            if analysed.strikes(t) and (asked[0] is None or t >= asked[0]) and (asked[1] is None or t < asked[1]):
                found.asked.append(float(t))
                found.inside.append(segment.holds(round(t / stretch.base)))
                for cue, consumer in consumers:
                    consumer.tell(cue.ask, float(t))
            progress("look", float(picture.t) - seen.start, seen.duration)
        cuts.finish()
        for cue, consumer in consumers:
            for cut in cuts.cuts[told:]:
                consumer.tell(cue.cut, cut)
            consumer.tell(cue.seen)
        for _, consumer in consumers:
            consumer.finish()
    progress("look", seen.duration, seen.duration)
    found.cuts = [t for t in cuts.cuts if segment.holds(math.floor(t / stretch.base))]
    return found


class Clock:
    """Ticks at the first picture at or after each multiple of `every` seconds from `start`; 0: at each picture."""

    def __init__(self, every: float, start: Fraction) -> None:
        self._step = Fraction(every).limit_denominator(1_000_000)
        self._start = start
        self._latest: int | None = None

    def reset(self) -> None:
        """Tick at the next picture, whenever that is."""
        self._latest = None

    def strikes(self, t: Fraction) -> bool:
        if not self._step:
            return True
        number = (t - self._start) // self._step
        if self._latest is not None and number <= self._latest:
            return False
        self._latest = number
        return True


class _Feed:
    """Feeds one cue with as many pictures as it wants, evenly spaced, in and around the segment."""

    def __init__(
        self,
        cue: Cue,
        consumer: Consumer,
        wanted: Pictures,
        start: Fraction,
        every: float,
        inside: tuple[Fraction | None, Fraction | None],
        fps: Fraction | None,
    ) -> None:
        self._cue, self._consumer, self._wanted = cue, consumer, wanted
        context = Fraction(cue.context)
        self._begin = None if inside[0] is None else inside[0] - context
        self._end = None if inside[1] is None else inside[1] + context
        self._fps, self._start = fps, start
        self._each = max(1, math.floor(fps / Fraction(wanted.rate) + Fraction(1, 50))) if fps and wanted.rate > 1 else 1
        step = every if not wanted.rate else 1.0 / wanted.rate if wanted.rate <= 1 else 0.0
        self._clock = Clock(step, start)

    def cut(self, t: float) -> None:
        """Tell of a cut: the next picture is of another shot."""
        self._consumer.tell(self._cue.cut, t)
        self._clock.reset()

    def see(self, t: Fraction, picture: StoredPicture, shared: dict[Pictures, NDArray[np.uint8]]) -> None:
        if (self._begin is not None and t < self._begin) or (self._end is not None and t >= self._end):
            return
        # At high rates take every n-th picture, counted from the film's start, so that segments get the same ones.
        if self._each > 1 and self._fps and round((t - self._start) * self._fps) % self._each:
            return
        if not self._clock.strikes(t):
            return
        wanted = self._wanted
        if wanted not in shared:
            make = picture.grey if wanted.grey else picture.rgb
            shared[wanted] = make(wanted.width, wanted.height)
        self._consumer.tell(self._cue.see, float(t), shared[wanted])


def _if_any(pictures: Iterator[StoredPicture]) -> Iterator[StoredPicture]:
    """A segment may lie where a film of variable rate has no pictures."""
    with contextlib.suppress(NoPictureError):
        yield from pictures
