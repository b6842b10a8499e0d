"""Footage in, sound map out: what is heard and what is seen of a film, or of one segment of it, compared."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

import numpy as np
import torch

from ..errors import ModelError
from ..media.cuts import APART, CutFinder
from ..media.probe import MediaInfo
from ..media.reader import NoPictureError, VideoReader
from ..media.segments import WHOLE, Segment, part
from ..media.sound import SoundReader
from ..settings import AnalyseSettings
from ..soundmap import SILENCE_DB, SoundMap
from .nets.network import Localizer
from .nets.weights import load
from .windows import SoundFeatures

log = logging.getLogger("pano_sound")

T = TypeVar("T")
Progress = Callable[[str, float, float], None]

SOUND_BLOCK = 20.0
_NOTHING = -1.0
"""Response where a part of a sphere has no picture: no sound can come from there."""
_RARELY = 0.1
"""Below this share of its sounding time in which the network is sure, a film's user is told."""
_AROUND = Fraction(1)
"""Seconds that are read on either side of a segment: for cuts at its ends, and for sound to settle."""


def sound_map(info: MediaInfo, settings: AnalyseSettings, progress: Progress, segment: Segment = WHOLE) -> SoundMap:
    """Where a film sounds, at those of its pictures that are in the segment: equal to that part of the whole film's
    sound map, but for rounding in what is heard.

    `progress` is called with the stage, 'listen' or 'look', and seconds done and in all.

    Raises:
        InputError: not one picture can be decoded, or more are damaged than may be.
        ModelError: the model is not there, or damaged; there is no such device.
    """
    assert info.video is not None
    base = info.video.time_base
    begin, end = (None if ticks is None else ticks * base for ticks in (segment.begin, segment.end))
    if settings.device == "cuda" and not torch.cuda.is_available():
        hint = "leave --device out, or install a PyTorch that fits the card"
        raise ModelError("PyTorch finds no graphics card of NVIDIA here", hint=hint)
    model = load(settings.model, settings.device)
    log.info("%s: listening at %d Hz with model %s", info.path, model.sound_rate, settings.model)
    sound, heard_from = _listen(info, model, settings.window, begin, end, progress)

    around = 2 * round(_AROUND / base / 2)  # Even, as the ends of segments are.
    seen = part(
        info,
        None if segment.begin is None else (segment.begin - around) * base,
        None if segment.end is None else (segment.end + around) * base,
    )
    # What to add to the times of what is read to get those of the film, in ticks.
    later = 0 if segment.begin is None else segment.begin - around
    first = (round(info.start / base) - later) * base
    times: list[float] = []
    responses, levels = [], []
    with VideoReader(info.path, seen) as reader:
        height, width = model.panorama
        grid = height // model.grid_stride, width // model.grid_stride
        covered = reader.coverage(*grid)
        cuts = CutFinder()
        pictures = reader.analysis_pictures(settings.every, width, height, cuts, first)
        for read_t, rgb in pictures if segment == WHOLE else _if_any(pictures):
            ticks = round(read_t / base) + later
            if not segment.holds(ticks):
                continue
            t = float(ticks * base)
            at = np.array([t - heard_from])
            level = sound.level(at, settings.window)[0]
            response = np.zeros(grid, np.float16)
            if level > SILENCE_DB:
                with torch.inference_mode():
                    picture = torch.tensor(rgb, device=settings.device)
                    v = model.visual(picture.permute(2, 0, 1)[None], wrap=True)
                    pooled = torch.from_numpy(sound.pooled(at, settings.window)).to(settings.device)
                    response[:] = model.respond(v, model.sound_embedding(pooled))[0].cpu().numpy()
            if covered is not None:
                response[~covered] = _NOTHING
            times.append(t)
            responses.append(response)
            levels.append(level)
            progress("look", read_t - seen.start, seen.duration)
    cuts.finish()
    progress("look", seen.duration, seen.duration)
    found = np.array(cuts.cuts) + float(later * base)
    width, height = info.eye
    return SoundMap(
        times=np.array(times) + info.origin,
        response=np.stack(responses) if responses else np.zeros((0, *grid), np.float16),
        level_db=np.array(levels, np.float32),
        temperature=model.temperature,
        presence=model.presence,
        source={
            "path": os.path.basename(info.path),
            "size_bytes": info.size_bytes,
            "width": width,
            "height": height,
            "end": info.origin + info.start + info.duration,
            **({"covers": list(info.covers)} if info.covers else {}),
        },
        settings=settings.to_json(),
        cuts=found[[segment.holds(math.floor(t / base)) for t in found]] + info.origin if len(found) else found,
    )


def _if_any(pictures: Iterator[T]) -> Iterator[T]:
    """A segment may lie where a film of variable rate has no pictures."""
    with contextlib.suppress(NoPictureError):
        yield from pictures


def joined(parts: list[SoundMap]) -> SoundMap:
    """One sound map from those of a film's segments, in their order."""
    cuts: list[float] = []
    for t in np.concatenate([each.cuts for each in parts]):
        if not cuts or t - cuts[-1] >= APART:
            cuts.append(float(t))
    return replace(
        parts[0],
        times=np.concatenate([each.times for each in parts]),
        response=np.concatenate([each.response for each in parts]),
        level_db=np.concatenate([each.level_db for each in parts]),
        cuts=np.array(cuts),
    )


def remark(info: MediaInfo, soundmap: SoundMap) -> None:
    """Warn where a film's user should not expect much."""
    heard = soundmap.level_db > SILENCE_DB
    if not heard.any():
        what = "is silent" if info.audio else "has no sound"
        log.warning("%s %s: the view holds", info.path, what)
    elif (soundmap.confidence()[heard] > 0.5).mean() < _RARELY:
        log.warning("%s: hardly anything in the picture seems to make its sound: the view mostly holds", info.path)


def _listen(
    info: MediaInfo,
    model: Localizer,
    window: float,
    begin: Fraction | None,
    end: Fraction | None,
    progress: Progress,
) -> tuple[SoundFeatures, float]:
    """What is heard between two presentation times (s), and so long around them as windows reach and features depend
    on; and the presentation time of its first sample."""
    start, rate = Fraction(info.start).limit_denominator(10**9), model.sound_rate
    before, after = (Fraction(samples, rate) + Fraction(window) + _AROUND for samples in model.sound_encoder.field)
    from_start = Fraction(0)
    if begin is not None:
        # Whole steps, so that features are those of the whole film.
        step = Fraction(model.sound_encoder.hop, rate)
        from_start = max(0, math.floor((begin - before - start) / step)) * step
    heard_from = start + from_start
    read = part(info, heard_from if from_start else None, None if end is None else end + after)
    sound = SoundFeatures(model)
    for i, block in enumerate(SoundReader(info.path, rate, read).blocks(SOUND_BLOCK)):
        progress("listen", min(i * SOUND_BLOCK, read.duration), read.duration)
        sound.add(block)
    # Past the end of its sound a film is silent, not as loud as it was last.
    for t in np.arange(sound.seconds, read.duration, SOUND_BLOCK):
        sound.add(np.zeros(round(min(SOUND_BLOCK, read.duration - t) * rate), np.float32))
    sound.finish()
    progress("listen", read.duration, read.duration)
    return sound, float(heard_from)
