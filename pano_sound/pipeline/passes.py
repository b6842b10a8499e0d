"""One pass over a film's sound and one over its pictures; each feeds all cues."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..localize.cue import Cue, Evidence, Pictures, Sound
from ..localize.level import RATE as LEVEL_RATE
from ..localize.level import Level
from ..localize.rotation import Orientation, yaw_turned
from ..media.cuts import CutFinder
from ..media.info import MediaInfo
from ..media.reader import NoPictureError, VideoReader
from ..media.segments import WHOLE, Segment, part
from ..media.shrink import StoredPicture
from ..media.sound import SoundReader
from ..soundmap import CHUNK
from ..spool import Spool
from .ahead import Ahead
from .consumer import Consumer
from .film import Progress

SOUND_BLOCK = 20.0
_AVERAGED = 2.0
"""Evidence is also requested for this many seconds around a segment, because cues average over time."""
_NO_PICTURES = Fraction(1, 1000)
"""Tick in seconds of films without pictures."""
_ROUNDED = Fraction(9, 20)
"""What is added before rounding down to the number of a picture. A half would count unevenly where a part begins
midway between two pictures, and time stamps are rounded."""
_AROUND = 1.0
"""At least this many seconds around a segment are read, to find cuts at its ends."""


@dataclass(frozen=True)
class FilmPart:
    """What is analysed: a whole film, or a segment.

    Args:
        info: the film.
        segment: in ticks of its pictures' clock.
        twin: its low-resolution twin, if that is looked at in its place.
    """

    info: MediaInfo
    segment: Segment = WHOLE
    twin: MediaInfo | None = None

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


def feed_sound(film_part: FilmPart, cues: Sequence[Cue], progress: Progress) -> Level:
    """Feed the cues their sound. Returns the level of the film over presentation time."""
    level = Level()
    wanted: list[tuple[Sound, Cue | Level]] = [(Sound(LEVEL_RATE), level)]
    wanted += [(cue.sound, cue) for cue in cues if cue.sound is not None]
    # The sound is read once for all that want it alike: they differ at most in where they let a segment begin.
    readings: dict[Sound, list[Cue | Level]] = {}
    for sound, receiver in wanted:
        alike = [one.hop for one, _ in wanted if (one.rate, one.channels) == (sound.rate, sound.channels)]
        readings.setdefault(replace(sound, hop=math.lcm(*alike)), []).append(receiver)
    for done, (sound, receivers) in enumerate(readings.items()):

        def share(stage: str, t: float, of: float, done: int = done) -> None:
            progress(stage, (done * of + t) / len(readings), of)

        _feed_once(film_part, sound, receivers, share)
    return level


def _feed_once(film_part: FilmPart, sound: Sound, receivers: Sequence[Cue | Level], progress: Progress) -> None:
    info, rate = film_part.info, sound.rate
    context = max(receiver.context for receiver in receivers) + _AROUND
    begin, end = film_part.bounds(context)
    start = Fraction(info.start).limit_denominator(10**9)
    # Whole steps from the film's start, so that a segment gets the same steps as the film.
    hop = Fraction(sound.hop, rate)
    skipped = Fraction(0) if begin is None else max(0, math.floor((begin - start) / hop)) * hop
    read = part(info, start + skipped if skipped else None, end)
    for receiver in receivers:
        receiver.start_sound(float(start + skipped))
    fed = 0.0
    for block in SoundReader(read, rate, sound.channels).blocks(SOUND_BLOCK):
        progress("listen", min(fed, read.duration), read.duration)
        for receiver in receivers:
            receiver.add_sound(block)
        fed += block.shape[-1] / rate
    # After the end of its sound a film is silent.
    shape = {"mono": (), "stereo": (2,), "field": (4,)}[sound.channels]
    for t in np.arange(fed, read.duration, SOUND_BLOCK):
        silence = np.zeros((*shape, round(min(SOUND_BLOCK, read.duration - t) * rate)), np.float32)
        for receiver in receivers:
            receiver.add_sound(silence)
    for receiver in receivers:
        receiver.end_sound()
    progress("listen", read.duration, read.duration)


@dataclass
class PicturePass:
    """What the pass over the pictures found. Presentation times in seconds.

    requested: the times at which evidence was requested; `inside`: which of them are in the segment. Cues average
        over time, so evidence around it is requested, too.
    cuts: where shots end.
    """

    requested: list[float] = field(default_factory=list)
    inside: list[bool] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        """The analysed times of the segment."""
        return [t for t, inside in zip(self.requested, self.inside, strict=True) if inside]

    def turned(self, orientation: Orientation) -> NDArray[np.float32]:
        """By how many degrees the camera turned to the right before each analysed time, since the one before it: (n,).
        Means nothing across a cut."""
        turns = [yaw_turned(orientation.between(*both)) for both in pairwise(self.requested)]
        return np.array([0.0, *turns], np.float32)[: len(self.requested)][np.array(self.inside, bool)]

    def evidence(self, cues: Sequence[Cue]) -> dict[str, Evidence]:
        """The cues' evidence at the analysed times, by name, on disk."""
        return {name: self._inside(one) for cue in cues for name, one in cue.evidence(self.requested).items()}

    def _inside(self, evidence: Evidence) -> Evidence:
        inside = np.array(self.inside, bool)
        kept = Spool(evidence.maps.shape[1:])
        for begin in range(0, len(inside), CHUNK):
            part = slice(begin, begin + CHUNK)
            kept.extend(evidence.maps[part][inside[part]])
        return Evidence(kept, evidence.nothing[inside])


def feed_pictures(film_part: FilmPart, cues: Sequence[Cue], every: float, progress: Progress) -> PicturePass:
    """Feed the cues their pictures, from one decode, and request their evidence every `every` seconds.

    The decoder and each cue work in a thread of their own, bounded queues between them.

    Raises InputError: no picture can be decoded, or too many are damaged.
    """
    info, segment = film_part.info, film_part.segment
    around = max([_AROUND, *(cue.context for cue in cues if cue.pictures is not None)])
    begin, end = film_part.bounds(around)
    seen = film_part.twin or info
    read = part(seen, begin, end)
    # Added to the times of the part read, this gives the film's times.
    later = begin or Fraction(0)
    start = round(info.start / film_part.base) * film_part.base
    inside, needed = film_part.bounds(0.0), film_part.bounds(_AVERAGED)
    fps = seen.video.fps if seen.video and seen.video.steady else None
    analysed = Schedule(every, start)
    cuts, passed_on = CutFinder(), 0
    found = PicturePass()
    with contextlib.ExitStack() as open_now:
        consumers = [(cue, open_now.enter_context(Consumer())) for cue in cues]
        feeds = [
            _Feed(cue, consumer, cue.pictures, start, every, inside, fps) for cue, consumer in consumers if cue.pictures
        ]
        reader = open_now.enter_context(VideoReader(read))
        pictures: Iterator[StoredPicture] = open_now.enter_context(Ahead(reader.stored()))
        for picture in pictures if segment == WHOLE else _if_any(pictures):
            t = picture.t + later
            cuts.add(float(t), picture.frame)
            for cut in cuts.cuts[passed_on:]:
                for feed in feeds:
                    feed.add_cut(cut)
            passed_on = len(cuts.cuts)
            shared: dict[Pictures, NDArray[np.uint8]] = {}
            for feed in feeds:
                feed.add_picture(t, picture, shared)
            if analysed.due(t) and (needed[0] is None or t >= needed[0]) and (needed[1] is None or t < needed[1]):
                found.requested.append(float(t))
                found.inside.append(segment.holds(round(t / film_part.base)))
                for cue, consumer in consumers:
                    consumer.submit(cue.request, float(t))
            progress("look", float(picture.t) - read.start, read.duration)
        cuts.finish()
        for cue, consumer in consumers:
            for cut in cuts.cuts[passed_on:]:
                consumer.submit(cue.add_cut, cut)
            consumer.submit(cue.end_pictures)
        for _, consumer in consumers:
            consumer.finish()
    progress("look", read.duration, read.duration)
    found.cuts = [t for t in cuts.cuts if segment.holds(math.floor(t / film_part.base))]
    return found


class Schedule:
    """The first picture at or after each multiple of `every` seconds from `start`; 0: each picture."""

    def __init__(self, every: float, start: Fraction) -> None:
        self._step = Fraction(every).limit_denominator(1_000_000)
        self._start = start
        self._latest: int | None = None

    def reset(self) -> None:
        """Make the next picture due, whenever it comes."""
        self._latest = None

    def due(self, t: Fraction) -> bool:
        if not self._step:
            return True
        number = (t - self._start) // self._step
        if self._latest is not None and number <= self._latest:
            return False
        self._latest = number
        return True


class _Feed:
    """Feeds one cue with as many pictures as it needs, evenly spaced, in and around the segment."""

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
        self._schedule = Schedule(step, start)

    def add_cut(self, t: float) -> None:
        """Pass on a cut: the next picture is of another shot."""
        self._consumer.submit(self._cue.add_cut, t)
        self._schedule.reset()

    def add_picture(self, t: Fraction, picture: StoredPicture, shared: dict[Pictures, NDArray[np.uint8]]) -> None:
        if (self._begin is not None and t < self._begin) or (self._end is not None and t >= self._end):
            return
        # At high constant rates take every n-th picture, counted from the film's start, so that segments get the same.
        if self._each > 1 and self._fps and math.floor((t - self._start) * self._fps + _ROUNDED) % self._each:
            return
        if not self._schedule.due(t):
            return
        wanted = self._wanted
        if wanted not in shared:
            make = picture.grey if wanted.grey else picture.rgb
            shared[wanted] = make(wanted.width, wanted.height)
        self._consumer.submit(self._cue.add_picture, float(t), shared[wanted])


def _if_any(pictures: Iterator[StoredPicture]) -> Iterator[StoredPicture]:
    """A segment may lie where a film of variable rate has no pictures."""
    with contextlib.suppress(NoPictureError):
        yield from pictures
