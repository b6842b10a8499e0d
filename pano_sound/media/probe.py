"""Probing a film: one file, several as one film, or a part of these."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..errors import InputError, UnsupportedInputError
from ..options.input import InputOptions
from ..options.values import parse_time
from .ambisonics import ambisonics_of
from .cameras import looks_like_two_fisheyes, raw_format, raw_tracks
from .clock import Clock, read_clock
from .colour import UNSTATED, colour_of
from .containers import read_container_index
from .footage import Footage, Recording, size_of
from .info import EXPORT, AudioInfo, MediaInfo, VideoInfo
from .inputs import Source, fraction, log, open_source
from .soundfield import recognized
from .synchrony import synchronize
from .tags import Spherical, is_mirrored, read_tags

_STEADY = 0.001
_LEAST_PICTURES = 0.5
"""A frame rate at which a whole film has fewer pictures is false."""
_EMPTY = 1.0
"""Seconds without picture and sound, at the beginning of a part, that someone will notice."""
_SILENT = 1.0
"""Seconds by which a separate recording may end before the film without a word."""
_FIELDS = (4, 9, 16)
"""Numbers of channels that ambisonics of the first three orders have."""

Path = str | os.PathLike[str]
_DEFAULTS = InputOptions()


def probe(source: Path | Sequence[Path], options: InputOptions = _DEFAULTS) -> MediaInfo:
    """Open a film, decode its first picture, and say what is in it.

    Args:
        source: a file or URL, or several in a row.
        options: which part is read, and what its tags leave out.

    Raises:
        UnsupportedInputError: the files do not fit together, or the options do not fit the film.
        InputError: a file is missing, a folder, empty, not media, or so damaged that no picture decodes; it is larger
            or longer than the options allow; nothing is left between start and end.
    """
    given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    footage = Footage(
        tuple(os.fspath(path) for path in given),
        video_track=options.video_track,
        audio_track=options.audio_track,
        max_pixels=round(options.max_megapixels * 1e6),
        max_damage=options.max_damage,
    )
    own = options if options.sound is None else replace(options, ambisonics=None)
    parts = [_one_file(replace(footage, paths=(path,)), own) for path in footage.paths]
    info = parts[0] if len(parts) == 1 else _joined(parts, footage)
    if options.audio_track is not None and info.audio is None:
        raise InputError(f"sound track {options.audio_track} is not there", info.path, "it has no sound")
    if info.duration > options.max_hours * 3600:
        what = f"the film says that it is {info.duration / 3600:.3g} hours long"
        raise InputError(what, info.path, "if that is true, raise `max_hours`; else it is damaged")
    if options.sound is not None:
        info = _with_recording(info, options.sound, options)
    start, end = parse_time(options.start), parse_time(options.end)
    if options.duration is not None:
        begin = Fraction(info.start).limit_denominator(10**9) if options.start is None else start or Fraction(0)
        end = begin + (parse_time(options.duration) or 0)
    begins = info.start if info.audio is None else min(info.start, info.audio.start)
    if start and (end is None or end > info.start) and begins - start > _EMPTY:
        what = "%s: begins at %.2f s: from %g s to there the part has neither picture nor sound"
        log.warning(what, info.path, begins, start)
    return info if not start and end is None else excerpt(info, start or None, end)


def _one_file(footage: Footage, options: InputOptions) -> MediaInfo:
    with open_source(footage) as source:
        if source.video is None and source.audio is None:
            raise InputError("holds neither pictures nor sound", source.path)
        size = size_of(source.path)
        index = read_container_index(source.path, source.container)
        if index.cut_off:
            share = f"{max(0.01, index.cut_off / (size + index.cut_off)):.0%}"
            log.warning("%s: %s of the file is missing: was the copy or the recording interrupted?", source.path, share)
        video, spherical, start = None, Spherical(), 0.0
        raw = raw_format(source.path) if options.projection is None else None
        duration = _seconds(source.container.duration, Fraction(1, 1_000_000))
        if source.video is not None:
            frame = _first_picture(source, source.video, options)
            tags = index.tags(source.container, source.video)
            spherical = read_tags(frame, tags).with_options(options.projection, options.stereo)
            video = _video_info(source, frame)
            start = float(frame.pts * video.time_base)
            duration = _duration(source, source.video, start)
            footage = _with_clock(footage, size)
            clock = footage.clocks[0] if footage.clocks else None
            if clock is not None:
                duration = float(clock.end + source.offset) - start
                video = replace(video, fps=Fraction(clock.pictures / duration).limit_denominator(1001))
            if raw is None and not spherical.stitched:
                raw = f"the tags say that the lens images are not stitched yet: {EXPORT}"
            if raw is None and spherical.projection is None:
                raw = raw_tracks([(s.codec_context.width, s.codec_context.height) for s in source.video_tracks])
            if raw is None and spherical.projection is None and looks_like_two_fisheyes(frame):
                raw = f"the picture shows two round lens images, not stitched yet: {EXPORT}"
        if video is not None and video.fps and duration and video.fps * duration < _LEAST_PICTURES:
            video = replace(video, fps=None)  # It would make the output's last frame last for days.
        audio = None if source.audio is None else _audio_info(source, index.moov, options.ambisonics)
        if audio and audio.channels in _FIELDS and not audio.ambisonic and not audio.assumed and not options.ambisonics:
            audio = _recognized(audio, footage)
        return MediaInfo(
            path=source.path,
            container=source.container.format.name,
            size_bytes=size,
            start=start,
            duration=duration,
            video=video,
            audio=audio,
            spherical=spherical,
            metadata=dict(source.container.metadata),
            raw=raw,
            footage=footage,
        )


def _with_recording(info: MediaInfo, path: Path, options: InputOptions) -> MediaInfo:
    """The film with a separate recording as its sound."""
    recorded = _one_file(Footage((os.fspath(path),)), replace(options, audio_track=None, video_track=None))
    if recorded.audio is None:
        raise UnsupportedInputError("the recording has no sound", path, "give another one as `sound`")
    if info.audio is None or not info.duration:
        raise UnsupportedInputError("the film has no sound", info.path, "a recording cannot be aligned without it")
    end = info.start + info.duration
    found = synchronize(info.footage, info.start, end, path)
    lies = Recording(
        os.fspath(path),
        Fraction(found.begin).limit_denominator(10**9),
        found.drift,
        Fraction(end) + info.footage.origin,
    )
    told = [f"the sound is {os.path.basename(path)}: it {found}", recorded.audio.assumed]
    length = (recorded.audio.end - recorded.audio.start) * (1 + found.drift)
    silent = end - found.begin - length if recorded.audio.end else 0.0
    if silent > _SILENT:
        told.append(f"it ends {silent:.1f} s before the film, which is silent from there on")
    audio = replace(
        recorded.audio,
        start=max(info.start, found.begin),
        end=min(end, found.begin + length) if recorded.audio.end else end,
        assumed="; ".join(one for one in told if one),
    )
    return replace(info, audio=audio, footage=replace(info.footage, recording=lies))


def _with_clock(footage: Footage, size: int) -> Footage:
    """Footage of one file with its clock. Warns if the clock jumps."""
    with open_source(footage) as source:
        clock = read_clock(source.container, source.video, source.audio, size)
    if clock is None:
        return footage
    times = "once" if len(clock.jumps) == 1 else f"{len(clock.jumps)} times"
    log.warning("%s: its clock jumps %s: the jumps are left out", footage.paths[0], times)
    return replace(footage, clocks=(clock,))


def _first_picture(source: Source, stream: Any, options: InputOptions) -> Any:
    frame = next(source.frames(stream), None)
    if frame is not None and frame.width and frame.height:
        return frame
    context = stream.codec_context
    if not context.width or context.width * context.height > source.footage.max_pixels:
        what = f"no picture can be decoded: it is damaged, or larger than {options.max_megapixels:g} megapixels"
        raise InputError(what, source.path, "if it is that large, raise `max_megapixels`")
    hint = "the file is damaged, cut short, or in a format that cannot be decoded"
    raise InputError("no picture can be decoded", source.path, hint)


def _joined(parts: list[MediaInfo], footage: Footage) -> MediaInfo:
    """Several films as one, each beginning where the last picture of the one before ends."""
    first = parts[0]
    begins, joints, end = [Fraction(0)], list[Fraction](), Fraction(first.start) + Fraction(first.duration)
    for before, part in itertools.pairwise(parts):
        if first.video is None or part.video is None:
            raise UnsupportedInputError("has no picture", part.path if first.video else first.path)
        if not before.duration:
            hint = "put it into an mp4 or mkv file first"
            raise UnsupportedInputError("has no known duration, so nothing can follow it", before.path, hint)
        for what, one, other in (
            ("size", f"{first.video.width}x{first.video.height}", f"{part.video.width}x{part.video.height}"),
            ("rotation", f"{first.video.rotation}°", f"{part.video.rotation}°"),
            ("orientation", *("mirrored" if v.mirrored else "not mirrored" for v in (first.video, part.video))),
            ("projection", first.spherical.projection or "untagged", part.spherical.projection or "untagged"),
            ("stereo layout", first.spherical.stereo, part.spherical.stereo),
            ("part of the sphere", *(_covered(one.spherical) for one in (first, part))),
            ("camera pose", *(_pose(one.spherical) for one in (first, part))),
            ("padding", *(f"{one.spherical.padding} pixels" for one in (first, part))),
            ("dynamic range", *(v.colour.hdr or "SDR" for v in (first.video, part.video))),
        ):
            if one != other:
                message = f"is of another {what} ({other}) than the first file ({one})"
                raise UnsupportedInputError(message, part.path, "files of one film must be alike")
        _check_channels(first, part)
        if (first.audio is None) != (part.audio is None):
            what = "sound, unlike the first file: its sound is left out" if part.audio else "no sound: it stays silent"
            log.warning("%s: has %s", part.path, what)
        begins.append(end - Fraction(part.start))
        joints.append(end)
        end += Fraction(part.duration)
    return replace(
        first,
        size_bytes=sum(part.size_bytes for part in parts),
        duration=float(end) - first.start,
        raw=next((part.raw for part in parts if part.raw), None),
        footage=replace(footage, begins=tuple(begins), joints=tuple(joints), clocks=_clocks(parts)),
    )


def _covered(sphere: Spherical) -> str:
    left, top, right, bottom = (round(100 * share, 1) for share in sphere.missing)
    return f"{left:g} to {100 - right:g}% of its width, {top:g} to {100 - bottom:g}% of its height"


def _pose(sphere: Spherical) -> str:
    return "yaw {:.3g}°, pitch {:.3g}°, roll {:.3g}°".format(*sphere.pose)


def _check_channels(first: MediaInfo, part: MediaInfo) -> None:
    """Raises UnsupportedInputError if two files' sound cannot follow one another: sound fields are not mixed with other
    sound, nor with fields in other channels, while plain channels of any number are."""
    if first.audio is None or part.audio is None or not (first.audio.ambisonic or part.audio.ambisonic):
        return
    here, there = part.audio.channels, first.audio.channels
    if here != there:
        message = f"has another number of sound channels ({here}) than the first file ({there})"
    elif part.audio.ambisonic == first.audio.ambisonic or first.audio.assumed or part.audio.assumed:
        return  # What is not tagged is taken for the same.
    else:
        message = "has other sound channels, by their tags, than the first file"
    raise UnsupportedInputError(message, part.path, "files of one film must be alike where sound is ambisonic")


def _clocks(parts: list[MediaInfo]) -> tuple[Clock | None, ...]:
    return tuple(part.footage.clocks[0] if part.footage.clocks else None for part in parts)


def excerpt(info: MediaInfo, start: Fraction | None, end: Fraction | None) -> MediaInfo:
    """A part of a film; presentation times count from `start`."""
    whole = info.start + info.duration if info.duration else None
    if whole is not None and start is not None and start >= whole:
        raise InputError(f"`start={float(start):g}` is after the film's end, {whole:.2f} s", info.path)
    footage = replace(info.footage, start=start, end=end)
    first = info.start
    if end is not None and end <= info.start:
        told = f"the part ends at {float(end):g} s, before the film's first frame at {info.start:.2f} s"
        raise InputError(told, info.path, "`start` and `end` are the film's own times")
    if start is not None and info.video is not None:
        with open_source(footage) as source:
            frame = next(source.frames(source.video), None)
            if frame is None:
                raise InputError("there is no frame between `start` and `end`", info.path)
            first = float(frame.pts * info.video.time_base)
    ends = [t for t in (whole, None if end is None else float(end)) if t is not None]
    duration = max(0.0, min(ends) - float(start or 0) - first) if ends else 0.0
    return replace(info, start=first, duration=duration, footage=footage)


def _video_info(source: Source, frame: Any) -> VideoInfo:
    stream: Any = source.video
    context = stream.codec_context
    colour = colour_of(frame, stream)
    if colour.unreadable is not None:
        frame.colorspace = UNSTATED  # Otherwise FFmpeg could not even convert it to grey.
    average, base = fraction(stream.average_rate), fraction(stream.base_rate)
    return VideoInfo(
        width=frame.width,
        height=frame.height,
        fps=average or fraction(stream.guessed_rate),
        codec=context.codec.canonical_name,
        pix_fmt=frame.format.name,
        bit_depth=max(c.bits for c in frame.format.components),
        time_base=Fraction(stream.time_base),
        rotation=frame.rotation,
        mirrored=is_mirrored(frame),
        sample_aspect_ratio=fraction(stream.sample_aspect_ratio) or fraction(context.sample_aspect_ratio),
        steady=bool(average and base and abs(average / base - 1) < _STEADY),
        colour=colour,
        track=source.video_tracks.index(stream) + 1,
        tracks=len(source.video_tracks),
    )


def _audio_info(source: Source, moov: bytes | None, ambisonics: str | None) -> AudioInfo:
    stream: Any = source.audio
    context = stream.codec_context
    layout, channels = context.layout.name, context.layout.nb_channels
    kind, assumed = ambisonics_of(source.path, moov, stream.id, layout, channels, ambisonics)
    track = source.audio_tracks.index(stream) + 1
    start = float(source.begin(stream))
    length = _duration(source, stream, start)
    return AudioInfo(
        codec=context.codec.canonical_name,
        rate=context.sample_rate or 0,
        channels=channels,
        layout=layout,
        start=start,
        end=start + length if length else 0.0,
        track=track,
        tracks=len(source.audio_tracks),
        ambisonic=kind,
        assumed=assumed,
    )


def _recognized(audio: AudioInfo, footage: Footage) -> AudioInfo:
    """An untagged sound track, classified by its sound."""
    channels = f"the sound's {audio.channels} channels have no tag"
    found = recognized(footage)
    if found is None:
        told = "taken for plain ones: their sound does not tell; if they are ambisonics, say so with `ambisonics`"
        return replace(audio, assumed=f"{channels} and are {told}")
    if not found.certain:
        told = "sound like ambisonics in an order that is not clear: W, Y, Z, X (AmbiX), unless the picture says FuMa"
        found = replace(found, order=math.isqrt(audio.channels) - 1)
        return replace(
            audio, ambisonic=found, assumed=f"{channels} and {told}; if you know it, say so with `ambisonics`"
        )
    order = "W, X, Y, Z (FuMa)" if found.norm == "fuma" else "W, Y, Z, X (AmbiX)"
    told = f"taken for ambisonics, {order}, by their sound; if they are not, say so with `ambisonics`"
    found = replace(found, order=math.isqrt(audio.channels) - 1)
    return replace(audio, ambisonic=found, assumed=f"{channels} and are {told}")


def _seconds(ticks: int | None, time_base: Fraction) -> float:
    return 0.0 if ticks is None or ticks < 0 else float(ticks * time_base)


def _duration(source: Source, stream: Any, start: float) -> float:
    """From the stream; else from Matroska's DURATION tag, which is the end; else from the container."""
    if stream.duration:
        return _seconds(stream.duration, stream.time_base)
    tag = next((v for k, v in stream.metadata.items() if k.upper() == "DURATION"), None)
    if tag is not None:
        try:
            hours, minutes, seconds = tag.split(":")
            return max(0.0, int(hours) * 3600 + int(minutes) * 60 + float(seconds) - start)
        except ValueError:
            pass
    container = source.container
    begin = _seconds(container.start_time, Fraction(1, 1_000_000)) + float(source.offset)
    whole = _seconds(container.duration, Fraction(1, 1_000_000))
    if "matroska" in container.format.name:
        begin = 0.0
    return max(0.0, begin + whole - start)
