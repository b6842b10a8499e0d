"""Footage in, sound map out."""

from __future__ import annotations

import logging
import math
import os
from collections import ChainMap
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedInputError
from ..localize import fusion
from ..localize.alignment import Alignment, align
from ..localize.cue import GRID, Cue, Evidence, normalized
from ..localize.loading import load_network
from ..localize.memory import return_freed_memory
from ..localize.rotation import Orientation
from ..localize.semantic import PAPER_PANORAMA, SemanticCue
from ..localize.spatial import SpatialCue
from ..localize.stereo import Sides, StereoCue, sides_of
from ..localize.temporal import TemporalCue
from ..media.cuts import APART
from ..media.info import MediaInfo, PannableFilm
from ..media.reader import VideoReader
from ..media.segments import WHOLE, Segment
from ..media.twins import probe_twin
from ..options.listening import ListeningOptions
from ..options.steps import AnalyseOptions
from ..soundmap import CHUNK, MOST_BYTES, SILENCE_DB, Named, SoundMap
from ..spool import SpooledMaps
from .film import FilmPaths, Progress, check_kind, no_progress, pannable
from .passes import FilmPart, feed_pictures, feed_sound

log = logging.getLogger("pano_sound")

_DEFAULTS = AnalyseOptions()
_RARELY = 0.1
"""Warn if a source is likely in less than this share of the time with sound."""
_NAMED_EVERY = 0.5
"""Seconds between the times at which what is heard is named, where nothing else is asked."""


def analyse(src: FilmPaths, options: AnalyseOptions = _DEFAULTS, *, progress: Progress | None = None) -> SoundMap:
    """Find where the sound of `src` comes from, over time.

    Raises InputError, UnsupportedInputError, ModelError.
    """
    check_kind(options, AnalyseOptions)
    return analyse_film(pannable(src, options), options, progress or no_progress)


def analyse_film(info: PannableFilm, options: ListeningOptions, progress: Progress) -> SoundMap:
    """The same for a probed film. Warns if hardly anything was found."""
    soundmap = compared(analyse_segment(info, options, progress))
    return_freed_memory()  # Rendering may follow.
    warn_if_uncertain(info, soundmap)
    return soundmap


def analyse_segment(
    info: PannableFilm, options: ListeningOptions, progress: Progress, segment: Segment = WHOLE
) -> SoundMap:
    """The sound map of a segment: equal to that part of the whole film's sound map, to within rounding; where the
    camera turns, to within the error of measuring that.

    `progress` is called with the stage ('listen' or 'look'), the seconds done and all seconds.

    Raises:
        InputError: no picture can be decoded, or too many are damaged.
        UnsupportedInputError: the film's sound map would be too large to be read.
        ModelError: the model is missing or damaged, or there is no such device.
    """
    cues = make_cues(info, options)
    _check_size(info, options.every, sum(len(cue.names) for cue in cues.all))
    network, observed = cues.network, observe(info, options, cues, progress, segment)
    with VideoReader(info) as reader:
        covered = reader.coverage(*GRID)
    names = None if network is None else network.named(observed.times)
    posterior: NDArray[np.floating]
    if network is not None and options.attention:
        posterior, elsewhere = network.attention_posterior(options.attention, covered)
    else:
        del cues, network
        return_freed_memory()  # A long film's posterior takes the network's place.
        # Stereo counts only after the whole film is known, see `compared`.
        at_once = {name: one for name, one in observed.evidence.items() if name != "stereo"}
        posterior, elsewhere = _fused(at_once, covered)
    silent = observed.level_db <= SILENCE_DB
    posterior[silent], elsewhere[silent] = 0.0, 1.0
    if names is not None:
        names.scores[silent] = 0.0
    width, height = info.eye
    return SoundMap(
        times=np.array(observed.times) + info.origin,
        posterior=posterior.astype(np.float16, copy=False),
        elsewhere=elsewhere,
        level_db=observed.level_db,
        source={
            "path": os.path.basename(info.path),
            "size_bytes": info.size_bytes,
            "width": width,
            "height": height,
            # A film of unknown length has at least one picture.
            "end": info.origin + info.start + (info.duration or 1 / float(info.video.fps or 30)),
            **({"covers": list(info.covers)} if info.covers else {}),
            **({"channel_order": None} if _order_is_open(info) else {}),
        },
        settings=options.part(ListeningOptions).to_json(),
        cuts=np.array(observed.cuts, np.float64) + info.origin,
        turned=observed.turned,
        cues=SpooledMaps({name: one.maps for name, one in observed.evidence.items()}),
        named=names,
    )


def _fused(
    evidence: dict[str, Evidence], covered: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """The posterior (n, rows, columns) and `elsewhere` (n,), computed for some times at once."""
    shape = next(iter(evidence.values())).maps.shape
    posterior, elsewhere = np.empty(shape, np.float16), np.empty(shape[0], np.float32)
    for first in range(0, shape[0], CHUNK):
        part = slice(first, first + CHUNK)
        some = {name: Evidence(one.maps[part].astype(np.float32), one.nothing[part]) for name, one in evidence.items()}
        posterior[part], elsewhere[part] = fusion.learnt().posterior(some, covered)
    return posterior, elsewhere


def names_heard(info: MediaInfo, options: ListeningOptions, progress: Progress) -> list[str]:
    """Names of the sounds that are surely heard in a probed film, the longest heard first. Pictures are not read.

    Raises InputError, ModelError.
    """
    if info.audio is None:
        return []
    network = _network(info, options)
    level = feed_sound(FilmPart(info), [network], progress)
    times = np.arange(0.0, max(info.duration, _NAMED_EVERY), _NAMED_EVERY) + info.start
    names = network.named(times)
    names.scores[level.at(times, options.window) <= SILENCE_DB] = 0.0
    return names.heard()


def _check_size(info: PannableFilm, every: float, evidence: int) -> None:
    """Raises UnsupportedInputError, before hours of work, if the sound map would be too large to be read, with maps of
    this many kinds of `evidence`."""
    step = max(every, 1 / float(info.video.fps) if info.video.fps else 0.0)
    maps = info.duration / step * (1 + evidence) if step else 0.0
    size = maps * math.prod(GRID) * np.dtype(np.float16).itemsize
    if size > MOST_BYTES:
        what = f"the sound map of {info.duration / 3600:.1f} hours would take {size / 1e9:.1f} GB"
        hint = "give a larger `every`, or analyse parts with `start` and `end`"
        raise UnsupportedInputError(what, info.path, hint)


@dataclass(frozen=True)
class Observed:
    """The evidence of all cues for a film, before fusion.

    times: (n,) the analysed presentation times; cuts: where shots end, seconds.
    level_db: (n,) float32, dBFS.
    turned: (n,) float32, degrees that the camera turned to the right since the time before.
    evidence: each cue's, by name.
    """

    times: list[float]
    cuts: list[float]
    level_db: NDArray[np.float32]
    turned: NDArray[np.float32]
    evidence: dict[str, Evidence]


@dataclass(frozen=True)
class Cues:
    """All cues for a film.

    Args:
        network: the one among them that is the network; None if it is not needed.
        orientation: the camera's, filled in by the temporal cue if that is among them.
    """

    network: SemanticCue | None
    all: list[Cue]
    orientation: Orientation = field(default_factory=Orientation)


def make_cues(info: PannableFilm, options: ListeningOptions) -> Cues:
    """The cues that a film and the options need.

    Raises ModelError; UnsupportedInputError if the options ask for the sound's direction and it is not ambisonic.
    """
    ambisonic = info.audio is not None and info.audio.ambisonic is not None
    if options.listen == "spatial":
        if not ambisonic:
            hint = "leave `listen` out; or say what its channels are with `ambisonics`"
            raise UnsupportedInputError("the sound carries no direction: it is not ambisonic", info.path, hint)
        return Cues(None, [SpatialCue(info.path)])
    orientation = Orientation()
    network = _network(info, options, orientation)
    if options.attention:
        return Cues(network, [network])
    cues: list[Cue] = [network, TemporalCue(orientation)]
    if ambisonic and options.listen == "auto":
        cues.append(SpatialCue(info.path))
    elif info.audio is not None and info.audio.channels == 2 and options.listen == "auto":
        cues.append(StereoCue())
    return Cues(network, cues, orientation)


def observe(
    info: PannableFilm, options: ListeningOptions, cues: Cues, progress: Progress, segment: Segment = WHOLE
) -> Observed:
    """Feed a film, or a segment of it, to the cues. Its pictures are those of its low-resolution twin, if it has one.

    Raises InputError; UnsupportedInputError if the options name a twin that does not fit.
    """
    film_part = FilmPart(info, segment, probe_twin(info, options.proxy))
    level = feed_sound(film_part, cues.all, progress)
    return_freed_memory()  # Pictures need theirs.
    found = feed_pictures(film_part, cues.all, options.every, progress)
    levels = level.at(found.times, options.window)
    return Observed(found.times, found.cuts, levels, found.turned(cues.orientation), found.evidence(cues.all))


def _order_is_open(info: MediaInfo) -> bool:
    return info.audio is not None and info.audio.ambisonic is not None and not info.audio.ambisonic.certain


def _network(info: MediaInfo, options: ListeningOptions, orientation: Orientation | None = None) -> SemanticCue:
    network = load_network(options.model, options.device, PAPER_PANORAMA if options.every == 0 else None)
    log.info("%s: listening at %d Hz with model %s", info.path, network.sound.rate, options.model)
    return SemanticCue(network, options.window, options.every, orientation)


def compared(soundmap: SoundMap) -> SoundMap:
    """The sound map of a whole film, what its sound says of directions compared with the picture: a sound field is
    aligned with it, and stereo counts as far as it agrees. Says so if a field was not aligned."""
    if not {"spatial", "stereo"} & soundmap.cues.keys():
        return soundmap
    looks = fusion.learnt().looks(soundmap.cues)
    if looks is None:
        return soundmap
    sounds = soundmap.level_db > SILENCE_DB
    if "spatial" in soundmap.cues:
        return _aligned(soundmap, looks, sounds)
    return _with_stereo(soundmap, looks, sounds)


def _with_stereo(soundmap: SoundMap, looks: NDArray[np.float32], sounds: NDArray[np.bool_]) -> SoundMap:
    heard = soundmap.cues["stereo"]
    if not heard.any():
        return soundmap
    sides = sides_of(heard[sounds], looks[sounds], soundmap.times[sounds])
    what = "%s: left and right of the stereo sound are those of the picture: %.0f%% likely; swapped: %.0f%%"
    log.info(what, _name(soundmap), 100 * sides.true, 100 * sides.swapped)
    return _mixed(soundmap, "stereo", np.zeros_like(heard), sides)


def _aligned(soundmap: SoundMap, looks: NDArray[np.float32], sounds: NDArray[np.bool_]) -> SoundMap:
    before = soundmap.cues["spatial"]
    order_is_open = "channel_order" in soundmap.source
    alignment = align(before[sounds], looks[sounds], soundmap.times[sounds], order_is_open)
    if order_is_open:
        soundmap = replace(soundmap, source={**soundmap.source, "channel_order": alignment.order})
    path, fault = _name(soundmap), alignment.fault
    if order_is_open and alignment.order:
        name = {"ambix": "AmbiX", "fuma": "FuMa"}[alignment.order]
        log.warning("%s: by the picture, the sound's channels are in %s order", path, name)
    elif order_is_open:
        log.warning("%s: the picture does not show the order of the sound's channels either", path)
    elif alignment.doubtful and fault is None:
        log.warning("%s: the sound field does not agree with the picture: its directions count less", path)
    elif alignment.doubtful:
        log.warning("%s: the sound field does not agree with the picture: %s. This is corrected", path, fault)
    return _mixed(soundmap, "spatial", before, alignment)


def _mixed(soundmap: SoundMap, name: str, fused_as: NDArray[np.float16], cases: Alignment | Sides) -> SoundMap:
    """The mixture of the sound maps for all ways in which the directions in a sound may lie on the picture.

    Args:
        name: of the cue that measures them.
        fused_as: (n, rows, columns), its evidence as the sound map holds it now.
    """
    learnt = fusion.learnt()
    posterior, elsewhere = np.empty_like(soundmap.posterior), np.empty_like(soundmap.elsewhere)
    evidence = np.empty_like(soundmap.cues[name])
    for first in range(0, len(soundmap), CHUNK):
        part = slice(first, first + CHUNK)
        before, heard = (one[part].astype(np.float32) for one in (fused_as, soundmap.cues[name]))
        fused = soundmap.posterior[part].astype(np.float32), soundmap.elsewhere[part]
        mass, absent = np.zeros_like(before), np.zeros(len(before), np.float32)
        ratios = np.zeros_like(before)
        for share, after in cases.alternatives(heard):
            one, without = learnt.repointed(*fused, before, after, name)
            mass += share * one
            absent += share * without
            ratios += share * np.exp(after)
        posterior[part], elsewhere[part] = mass, absent
        evidence[part] = normalized(np.log(np.maximum(ratios, 1e-9)))
    cues = ChainMap({name: evidence}, soundmap.cues)  # type: ignore[arg-type]  # which is only read
    return replace(soundmap, posterior=posterior, elsewhere=elsewhere, cues=cues)


def _name(soundmap: SoundMap) -> str:
    return str(soundmap.source.get("path"))


def joined(parts: list[SoundMap]) -> SoundMap:
    """Join the sound maps of a film's segments, in order, and compare the film's directions with its picture."""
    cuts: list[float] = []
    for t in np.concatenate([each.cuts for each in parts]):
        if not cuts or t - cuts[-1] >= APART:
            cuts.append(float(t))
    whole = replace(
        parts[0],
        times=np.concatenate([each.times for each in parts]),
        posterior=np.concatenate([each.posterior for each in parts]),
        elsewhere=np.concatenate([each.elsewhere for each in parts]),
        level_db=np.concatenate([each.level_db for each in parts]),
        cuts=np.array(cuts),
        turned=np.concatenate([each.turned for each in parts]),
        cues={name: np.concatenate([each.cues[name] for each in parts]) for name in parts[0].cues},
        named=_joined_names([each.named for each in parts]),
    )
    return compared(whole)


def _joined_names(parts: list[Named | None]) -> Named | None:
    """Names and scores of segments, in their order; None unless all have them."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    names = tuple(sorted({name for part in known for name in part.names}))
    scores = np.zeros((sum(len(part.scores) for part in known), len(names)), np.float16)
    begin = 0
    for part in known:
        end = begin + len(part.scores)
        scores[begin:end, [names.index(name) for name in part.names]] = part.scores
        begin = end
    return Named(names, scores)


def warn_if_uncertain(info: PannableFilm, soundmap: SoundMap) -> None:
    """Warn if the film is silent, or hardly anything was found."""
    heard = soundmap.level_db > SILENCE_DB
    if not heard.any():
        what = "is silent" if info.audio else "has no sound"
        log.warning("%s %s: a camera planned for it holds still", info.path, what)
    elif (soundmap.present()[heard] > 0.5).mean() < _RARELY:
        told = "%s: hardly any source of the sound was found in the picture: a camera planned for it mostly holds still"
        log.warning(told, info.path)
