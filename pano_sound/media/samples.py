"""Decoded sound as samples without gaps: gaps between time stamps become silence."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from .ambisonics import Ambisonics
from .footage import Footage, Recording
from .inputs import Source, open_source

Samples = NDArray[np.float32]

_GAP = Fraction(20, 1000)
"""Time stamps may be off by this much (s) without counting as a gap or an overlap, because containers round them."""

_PIECE = 1 << 16
_TOGETHER = 1 << 14
"""Samples that are converted together."""
_EARLY = Fraction(2)
"""Seconds before what is wanted at which a recording is opened."""
_HALF, _PHASES = 12, 512
"""Samples on either side that an interpolation uses, and places between two samples that it tells apart."""
_MIXED = ("mono", "stereo", "5.1")
"""Layouts into which sound is mixed; for others, its channels are kept."""
_USUAL_COUNTS = (1, 2, 6, 8)
"""Numbers of channels that mean mono, stereo, 5.1 and 7.1, even if the file does not say so."""


def rechunked(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same samples (last axis) in pieces of exactly `size`; the last one may be shorter."""
    waiting: list[Samples] = []
    held = 0
    for piece in pieces:
        waiting.append(piece)
        held += piece.shape[-1]
        if held >= size:
            joined = np.concatenate(waiting, axis=-1)
            whole = held - held % size
            for at in range(0, whole, size):
                yield joined[..., at : at + size].copy()
            waiting, held = [joined[..., whole:].copy()], held - whole
    if held:
        yield np.concatenate(waiting, axis=-1)


def until(pieces: Iterable[Samples], count: int | None) -> Iterator[Samples]:
    """The first `count` samples (last axis) of pieces; None: all."""
    for piece in pieces:
        yield piece[..., :count]
        if count is not None:
            count -= min(count, piece.shape[-1])
            if not count:
                return


def timeline(
    source: Source,
    rate: int,
    layout: str,
    begin: Fraction,
    end: Fraction | None = None,
    field: Ambisonics | None = None,
) -> Iterator[Samples]:
    """The sound of an open file without gaps, from presentation time `begin` (s) on.

    Args:
        rate: samples per second to convert to.
        layout: FFmpeg's name; of ambisonics 'mono', '4.0' or '4.0+2', see `Ambisonics.matrix`. Channels of a layout
            that has as many are not mixed.
        end: sound after a gap that ends later than this presentation time (s) is left out; None: no limit.
        field: the track's ambisonics; None: plain channels, which swresample mixes down. Unknown channels are averaged.

    Yields:
        float32 (channels, samples) in [-1, 1], of any length.
    """
    if source.footage.recording is not None:
        yield from _recorded(source.footage, source.footage.recording, rate, layout, begin, field)
        return
    cursor = 0
    for at, piece in _placed(source, rate, layout, begin, field):
        if end is not None and at > cursor and at > (end - begin) * rate:
            continue
        while cursor < at:
            hole = min(at - cursor, _PIECE)
            yield np.zeros((piece.shape[0], hole), np.float32)
            cursor += hole
        fresh = piece[:, cursor - at :]
        if fresh.shape[1]:
            yield fresh
            cursor += fresh.shape[1]


def _recorded(
    footage: Footage, recording: Recording, rate: int, layout: str, begin: Fraction, field: Ambisonics | None
) -> Iterator[Samples]:
    """The sound of a separate recording from the film's presentation time `begin` (s) on, to the end of the film."""
    until_t = recording.until if footage.end is None else min(footage.end, recording.until)
    length = 1 + Fraction(recording.drift).limit_denominator(10**9)
    first = (begin + footage.origin - recording.begin) / length
    start = first - _EARLY if first > 2 * _EARLY else Fraction(0)
    with open_source(Footage((recording.path,), start=start or None)) as source:
        pieces = timeline(source, rate, layout, first - start, None, field)
        count = max(0, round((until_t - footage.origin - begin) * rate))
        if count:
            yield from until(stretched(pieces, float(length)), count)


def stretched(pieces: Iterable[Samples], length: float) -> Iterator[Samples]:
    """The same sound, `length` times as long, interpolated with a windowed sinc. For lengths near 1."""
    base, made, waiting = -_HALF, 0, None
    for piece in itertools.chain(pieces, [None]):
        if waiting is None:
            if piece is None:
                return
            waiting = np.zeros((piece.shape[0], _HALF), np.float32)
        fresh = np.zeros((waiting.shape[0], _HALF), np.float32) if piece is None else piece
        waiting = np.concatenate([waiting, fresh], axis=1)
        last = base + waiting.shape[1] - _HALF - 1
        count = math.ceil(last * length) - made
        if count <= 0:
            continue
        at = np.arange(made, made + count) / length
        whole = np.floor(at)
        weights = _sinc()[np.rint((at - whole) * _PHASES).astype(np.intp)]
        windows = np.lib.stride_tricks.sliding_window_view(waiting, 2 * _HALF, axis=1)
        taken = windows[:, whole.astype(np.int64) - base - _HALF + 1]
        yield np.einsum("cnk,nk->cn", taken, weights).astype(np.float32)
        made += count
        used = max(0, math.floor(made / length) - _HALF - base)
        waiting, base = waiting[:, used:], base + used


@cache
def _sinc() -> Samples:
    """Weights of the samples around a place, by its phase between two of them, (phases + 1, 2 * half)."""
    at = np.arange(1 - _HALF, _HALF + 1) - np.arange(_PHASES + 1)[:, None] / _PHASES
    weights = np.sinc(at) * np.cos(np.pi * at / (2 * _HALF + 2)) ** 2
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _placed(
    source: Source, rate: int, layout: str, begin: Fraction, field: Ambisonics | None
) -> Iterator[tuple[int, Samples]]:
    """(number of the first sample counted from `begin`, samples) in file order, with gaps and overlaps.

    Consecutive frames are resampled as one run, so that rounded time stamps are not audible. Padding in a file's last
    frame is left out.
    """

    run: _Run | None = None
    stretch = source.stretch
    track: Any = source.audio
    time_base = Fraction(track.time_base)
    for frame in source.frames(track):
        if not frame.samples or not frame.sample_rate:
            continue
        t = None if frame.pts is None else frame.pts * time_base
        pieces: list[tuple[int, Samples]] = []
        try:
            if run is None or source.stretch != stretch or not run.goes_on_with(frame, t):
                if run is not None:
                    yield from _within(run.finish(), source.footage.extent(stretch.file), begin, rate)
                if t is None:
                    t = begin if run is None else run.expected
                run, stretch = _Run(frame, t, round((t - begin) * rate), rate, layout, field), source.stretch
            pieces = run.push(frame)
        except (av.FFmpegError, ValueError):
            # A damaged frame may claim channels that cannot be mixed.
            source.damaged += 1
            if run is not None:
                with contextlib.suppress(av.FFmpegError, ValueError):
                    pieces = run.finish()
            run = None
        yield from _within(pieces, source.footage.extent(stretch.file), begin, rate)
    if run is not None:
        yield from _within(run.finish(), source.footage.extent(stretch.file), begin, rate)


def _within(
    pieces: list[tuple[int, Samples]], extent: tuple[Fraction | None, Fraction | None], begin: Fraction, rate: int
) -> Iterator[tuple[int, Samples]]:
    """The part of pieces (number of the first sample counted from `begin`, samples) between two presentation times
    (s)."""
    first, last = (None if t is None else round((t - begin) * rate) for t in extent)
    for at, piece in pieces:
        early = 0 if first is None else max(0, first - at)
        late = piece.shape[1] if last is None else max(0, last - at)
        if early < late:
            yield at + early, piece[:, early:late]


class _Run:
    """Frames without a gap between them, converted together."""

    def __init__(self, frame: Any, t: Fraction, at: int, rate: int, layout: str, field: Ambisonics | None) -> None:
        self.kind = _kind(frame)
        self.expected = t
        self.at = at
        self.graph = Graph()
        given = {"sample_rate": frame.sample_rate, "format": frame.format.name, "layout": frame.layout.name}
        source = self.graph.add_abuffer(time_base=Fraction(1, frame.sample_rate), **given)
        # To integers, because only then swresample mixes down without exceeding full scale.
        wanted = f"sample_fmts=s32:sample_rates={rate}"
        ready = self.graph.add("aformat", wanted if field else f"{wanted}:channel_layouts={layout}")
        self.matrix = field.matrix(layout, frame.layout.nb_channels) if field else None
        mixed = None if field else _mix(frame.layout, layout)
        if mixed is None:
            source.link_to(ready)
        else:
            mixer = self.graph.add(*mixed)
            source.link_to(mixer)
            mixer.link_to(ready)
        # Many frames in one: each that comes out costs Python as much time as decoding ten.
        together = self.graph.add("asetnsamples", f"nb_out_samples={_TOGETHER}:pad=0")
        ready.link_to(together)
        together.link_to(self.graph.add("abuffersink"))
        self.graph.configure()

    def goes_on_with(self, frame: Any, t: Fraction | None) -> bool:
        return _kind(frame) == self.kind and (t is None or abs(t - self.expected) <= _GAP)

    def push(self, frame: Any) -> list[tuple[int, Samples]]:
        self.expected += Fraction(frame.samples, frame.sample_rate)
        frame.pts = None
        return self._out(frame)

    def finish(self) -> list[tuple[int, Samples]]:
        return self._out(None)

    def _out(self, frame: Any) -> list[tuple[int, Samples]]:
        self.graph.push(frame)
        pieces: list[tuple[int, Samples]] = []
        while True:
            try:
                out: Any = self.graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return pieces
            samples = (out.to_ndarray() * np.float64(2.0**-31)).astype(np.float32)
            samples = samples.reshape(-1, out.layout.nb_channels).T
            if self.matrix is not None:
                samples = np.clip(self.matrix @ samples, -1, 1)
            pieces.append((self.at, samples))
            self.at += samples.shape[1]


def _mix(given: Any, layout: str) -> tuple[str, str] | None:
    """FFmpeg's filter that makes a layout of one that is given, and its options; None if FFmpeg knows how to."""
    count = given.nb_channels
    if layout == "stereo" and count == 1:
        return "pan", "stereo|c0=c0|c1=c0"  # FFmpeg would make it softer.
    if layout not in _MIXED:
        if given.name == layout or count != av.AudioLayout(layout).nb_channels:
            return None
        return "channelmap", f"map={'|'.join(map(str, range(count)))}:channel_layout={layout}"
    unknown = "channels" in given.name or given.name.startswith("ambisonic")
    if not unknown or (given.name == f"{count} channels" and count in _USUAL_COUNTS):
        return None
    mean = "+".join(f"{1 / count:.9f}*c{channel}" for channel in range(count))
    return "pan", f"mono|c0={mean}" if layout == "mono" else f"stereo|c0={mean}|c1={mean}"


def _kind(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
