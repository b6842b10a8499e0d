"""The output's sound: packets copied from the source where possible, else decoded and encoded to AAC.

Sound is copied if the container takes it and ordinary players can play it there: mono, stereo, 5.1, 7.1. Everything
else becomes AAC: mono and stereo at 192 kbit/s, 5.1 and larger surround layouts as 5.1 at 384, other layouts as stereo.
First-order ambisonics become the stereo of two virtual cardioid microphones that point left and right of the camera and
turn with it, or without a camera, of the middle of the 360° picture: L = (W + Y) / 2, R = (W - Y) / 2 in SN3D. In 360°
output ambisonics keep their four channels.

The user may ask for something else (`OutputSound`): two channels, one, or all. A field that is kept in a flat film
turns with the camera, so it is encoded again, and tagged as a field. Matroska has such a tag for Opus alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
import numpy as np

from ..options.video import OutputSound
from . import binaural
from .ambisonics import FIRST_ORDER, Ambisonics
from .footage import Footage
from .info import AudioInfo, MediaInfo
from .inputs import log, open_source
from .listener import PoseAt, cardioids, omni, turned
from .samples import Samples, rechunked, timeline, until

_EVERYWHERE = {"aac", "mp3", "mp3float", "ac3", "eac3", "alac"}
_COPIED = {"mp4": _EVERYWHERE, "mov": _EVERYWHERE | {f"pcm_{form}" for form in ("s16le", "s16be", "s24le", "s24be")}}
_COPIED_WHOLE = {"mp4": _COPIED["mp4"] | {"flac", "opus", "libopus"}, "mov": _COPIED["mov"]}
"""The same where a sound field or all channels are kept: AAC degrades fields, and sites that play them take these."""
_BEYOND_THE_END = 10.0
"""Seconds of sound after the picture's end that are kept; time stamps that jump beyond are damaged."""
_LONGEST_PACKET = 10.0
"""In seconds: no codec has longer ones. A packet that claims to be longer gets the duration of the one before it."""
_DESCRIPTION_BYTES = {"aac": 2, "flac": 34, "alac": 36, "opus": 19, "libopus": 19}
"""Least length of these codecs' descriptions for copying.

Without a description a muxer stops at the first damaged packet. AAC in transport streams never has one."""
_PLAYABLE = {
    "1 channels",
    "2 channels",
    "mono",
    "stereo",
    "5.1",
    "5.1(side)",
    "7.1",
    "7.1(wide)",
    "7.1(wide-side)",
}
_SURROUND = ("5.1", "6.1", "7.1", "6 channels", "8 channels")
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_FRAME = 1024
_BITS_PER_SECOND = 192_000
_BITS_OF_SURROUND = 384_000
_BITS_OF_A_CHANNEL = 96_000
_OF_FIELDS = {"aac_coder": "fast", "aac_is": "0", "aac_pns": "0"}
"""AAC's options for sound fields: the usual ones move noise above 4 kHz by up to 140°, these by 0.5°."""
_BY_COUNT = {3: "3.0", 4: "4.0", 5: "5.0", 6: "hexagonal", 7: "7.0", 8: "octagonal"}
"""Layouts in which AAC holds any channels. None has a bass channel, of which AAC keeps only low frequencies."""
_COUNTS = {"mono": 1, "stereo": 2}

Packets = Iterator[tuple[Fraction, Any]]
"""(decoding time in seconds, packet of the output)."""


@dataclass(frozen=True)
class SoundPlan:
    """The sound that goes into an output.

    footage: where it is.
    audio: the track to use.
    end: sound after this presentation time (s) is left out, and counts as damaged after a jump in time; None: no limit.
    lasts: where the sound ends before this presentation time (s), silence follows; None: it may end early.
    pose_at: the camera, with which ambisonics turn; None: it looks at the picture's middle.
    output_sound: what becomes of it in a flat film; None: ambisonics become stereo, other sound stays as it is if
        players know its channels.
    """

    footage: Footage
    audio: AudioInfo
    end: float | None = None
    lasts: float | None = None
    pose_at: PoseAt | None = None
    output_sound: OutputSound | None = None

    @classmethod
    def of(
        cls, film: MediaInfo, pose_at: PoseAt | None = None, output_sound: OutputSound | None = None
    ) -> SoundPlan | None:
        """A film's own sound, or the recording that is heard instead; None if it has none."""
        if film.audio is None:
            return None
        end = film.start + film.duration if film.duration else None
        latest = None if end is None else end + _BEYOND_THE_END
        lasts = end if len(film.footage.paths) > 1 else None
        return cls(film.footage, film.audio, latest, lasts, pose_at, output_sound)


class Soundtrack:
    """Writes sound into an output container.

    Args:
        output: an open PyAV output container, to which a stream is added.
        muxer: its format: 'mp4', 'mov' or 'matroska'.
        plan: which sound.
        spherical: the output is 360° footage.
        may_copy: whether packets may be copied at all.

    Attributes:
        copied: whether packets are copied.
        ambisonic: the output's ambisonics; None for plain channels.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(
        self,
        output: Any,
        muxer: str,
        plan: SoundPlan,
        spherical: bool,
        may_copy: bool = True,
    ) -> None:
        self._output = output
        self._source = open_source(plan.footage)
        self._audio = plan.audio
        field, wanted = plan.audio.ambisonic, plan.output_sound
        if field is not None and spherical:
            wanted = "keep"
        if field is not None and wanted == "keep" and not field.certain:
            field = None  # Nobody knows the order of the channels: they stay as they are, without a tag.
            if not spherical:
                what = "%s: the sound field is kept as it is and does not turn: the order of its channels is not known"
                log.warning(what, self._source.path)
        self._field, self._wanted, self._pose_at = field, wanted, plan.pose_at
        self._end = None if plan.end is None else Fraction(plan.end)
        self._lasts = None if plan.lasts is None else Fraction(plan.lasts)
        self._packets: Packets = iter(())
        self._next: tuple[Fraction, Any] | None = None
        self.copied = False
        self.ambisonic: Ambisonics | None = None
        sound = self._source.audio
        if sound is None:
            return
        try:
            self._packets = self._prepare(sound, muxer, spherical, may_copy)
        except BaseException:
            self.close()
            raise

    def _prepare(self, sound: Any, muxer: str, spherical: bool, may_copy: bool) -> Packets:
        context, field = sound.codec_context, self._field
        recorded = self._audio if self._source.footage.recording is not None else None
        layout = recorded.layout if recorded else context.layout.name
        count = recorded.channels if recorded else context.layout.nb_channels
        described = len(context.extradata or b"") >= _DESCRIPTION_BYTES.get(context.name, 0)
        one_file = len(self._source.footage.paths) == 1
        taken = muxer == "matroska" or context.name in (_COPIED_WHOLE if self._wanted == "keep" else _COPIED)[muxer]
        # A part begins inside a packet, which only an edit list can express.
        begins = self._source.footage.start is None or (context.name == "aac" and muxer != "matroska")
        may_copy = may_copy and recorded is None and one_file and begins and not _leaves_out_from_inside(sound)
        if may_copy and self._is_unchanged(layout, count, spherical) and described and taken:
            try:
                stream = self._output.add_stream_from_template(sound)
            except ValueError:
                pass  # The container refuses this codec after all.
            else:
                self.copied = True
                self.ambisonic = field
                copied = self._copied(sound, stream)
                return _without_unheard(copied) if muxer == "matroska" else copied
        if field is not None and self._wanted == "keep":
            self.ambisonic = replace(FIRST_ORDER, head_locked=(4, 5) if field.head_locked else ())
            if field.order > 1:
                what = "%s: only W, Y, Z and X of the sound field are kept: orders above the first are left out"
                log.warning(what, self._source.path)
            if muxer == "matroska":
                return self._encoded(sound, self._opus_field(self.ambisonic))
        rate = recorded.rate if recorded else context.sample_rate
        rate, options = rate if rate in _AAC_RATES else 48000, _OF_FIELDS if self.ambisonic else {}
        stream = self._output.add_stream("aac", rate=rate, layout=self._aac_layout(layout, count), options=options)
        stream.bit_rate = _bits_per_second(stream.codec_context.layout)
        return self._encoded(sound, stream)

    def _is_unchanged(self, layout: str, count: int, spherical: bool) -> bool:
        """Whether the output has the channels of the source, which are `count`, as they are."""
        if self._field is not None:
            return spherical and self._field.norm == "sn3d" and self._field.count == count
        if self._wanted == "keep":
            return not layout.startswith("ambisonic")  # The user says that this tag is wrong.
        return layout in _PLAYABLE and count == _COUNTS.get(self._wanted or "", count)

    def _aac_layout(self, layout: str, count: int) -> str:
        """The layout for encoding a source with this one."""
        if self.ambisonic is not None:
            return _BY_COUNT[self.ambisonic.count]
        if self._wanted == "mono" or (count == 1 and self._wanted != "stereo"):
            return "mono"
        if self._field is not None or self._wanted == "stereo":
            return "stereo"
        if self._wanted == "keep" and count > 2:
            if _is_in_aac(usual := layout.removesuffix("(side)")):
                return usual
            if count in _BY_COUNT:
                return _BY_COUNT[count]
            what = "%s: %d channels of sound cannot be encoded, so they are mixed; .mov and .mkv may keep them"
            log.warning(what, self._source.path, count)
        return "5.1" if layout.startswith(_SURROUND) else "stereo"

    def _opus_field(self, field: Ambisonics) -> Any:
        """A stream for first-order ambisonics in Matroska, which has no tag for those of other codecs."""
        layout = "ambisonic 1+stereo" if field.head_locked else "ambisonic 1"
        stream = self._output.add_stream("libopus", rate=48000, layout=layout, options={"mapping_family": "2"})
        stream.bit_rate = _bits_per_second(stream.codec_context.layout)
        return stream

    def finish(self, end: Fraction) -> None:
        """Write all packets that are left. `end`: presentation time (s) of the end of the pictures."""
        if self._lasts is not None:
            self._lasts = min(self._lasts, end)  # A damaged film may end earlier than it says.
        self.mux_until(None)

    def mux_until(self, t: Fraction | None) -> None:
        """Write all packets that begin before presentation time `t` (s), or all that are left."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            if self._next is None or (t is not None and self._next[0] >= t):
                return
            self._output.mux(self._next[1])
            self._next = None

    def close(self) -> None:
        """Close the source; safe to call twice."""
        source = self._source
        if source.damaged:
            log.warning("%s: damaged packets of sound skipped: %d", source.path, source.damaged)
            source.damaged = 0
        source.close()

    def _copied(self, sound: Any, stream: Any) -> Packets:
        last: int | None = None
        footage = self._source.footage
        cut = None if footage.end is None else round((footage.end - footage.origin) / Fraction(sound.time_base))
        heard, usual = False, 0
        for packet in self._source.packets(sound):
            time = packet.dts if packet.dts is not None else packet.pts
            if time is None or (packet.is_discard and heard):
                continue  # Codecs need the packets before the first audible one.
            heard = not packet.is_discard
            late = self._end is not None and time * Fraction(sound.time_base) > self._end
            if late and last is not None and 0 < (time - last) * Fraction(sound.time_base) <= _LONGEST_PACKET:
                return  # The sound goes on: nothing is damaged.
            if packet.is_corrupt or late or (last is not None and time <= last) or not _decodes(sound, packet):
                self._source.damaged += 1
                continue
            last = time
            packet.dts = time
            packet.pts = time if packet.pts is None else packet.pts
            if not 0 < packet.duration * Fraction(sound.time_base) <= _LONGEST_PACKET:
                packet.duration = usual
            usual = packet.duration
            if cut is not None and packet.duration:
                packet.duration = max(1, min(packet.duration, cut - packet.pts))
            packet.stream = stream
            yield packet.dts * Fraction(sound.time_base), packet

    def _encoded(self, sound: Any, stream: Any) -> Packets:
        rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout.name
        stream.codec_context.time_base = Fraction(1, rate)
        recorded = self._source.footage.recording is not None
        at = 0 if recorded else round(self._source.begin(sound) * rate)
        heard = layout if self._field is None else "4.0+2"
        pieces = timeline(self._source, rate, heard, Fraction(at, rate), self._end, self._field)
        footage = self._source.footage
        ends = [self._end, None if footage.end is None else footage.end - footage.origin]
        left = min((max(0, round(t * rate) - at) for t in ends if t is not None), default=None)
        channels = 6 if self._field is not None else stream.codec_context.layout.nb_channels
        lasting = self._silence_after(pieces, channels, at, rate)
        blocks: Iterable[Samples] = rechunked(until(lasting, left), _AAC_FRAME)
        if self._field is not None:
            if self._pose_at is not None:
                blocks = turned(blocks, self._pose_at, at, rate)
            blocks = self._of_field(blocks, rate)
        for samples in blocks:
            # Not by channel: PyAV makes no such frames of eight.
            packed = np.ascontiguousarray(samples.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            at += samples.shape[1]
            yield from self._timed(stream.encode(frame))
        yield from self._timed(stream.encode(None))

    def _silence_after(self, pieces: Iterable[Samples], channels: int, at: int, rate: int) -> Iterator[Samples]:
        """The pieces, of which the first sample has number `at` in the film, and silence while pictures follow."""
        for piece in pieces:
            yield piece
            at += piece.shape[1]
        while self._lasts is not None and (left := round(self._lasts * rate) - at) > 0:
            silence = np.zeros((channels, min(left, _AAC_FRAME)), np.float32)
            yield silence
            at += silence.shape[1]

    def _of_field(self, blocks: Iterable[Samples], rate: int) -> Iterable[Samples]:
        """What becomes of a field in blocks (6, samples), of W, Y, Z, X and head-locked left and right."""
        if self.ambisonic is not None:
            count = self.ambisonic.count
            return (np.clip(block[:count], -1, 1) for block in blocks)
        if self._wanted == "mono":
            return omni(blocks)
        if self._wanted == "binaural":
            return rechunked(binaural.heard(blocks, binaural.ears(rate), binaural.before(rate)), _AAC_FRAME)
        return cardioids(blocks)

    def _timed(self, packets: list[Any]) -> Packets:
        for packet in packets:
            yield packet.dts * Fraction(packet.time_base), packet


def _without_unheard(packets: Packets) -> Packets:
    """The packets from the last one before the first that is heard, which some codecs need, to the end.

    Only mp4 and mov can hide the others, with an edit list. Elsewhere a trimmed film would begin with what was trimmed.
    """
    before = None
    for time, packet in packets:
        if packet.is_discard:
            before = time, packet
            continue
        if before is not None:
            yield before
            before = None
        yield time, packet


def _bits_per_second(layout: Any) -> int:
    if layout.nb_channels <= 2:
        return _BITS_PER_SECOND
    return _BITS_OF_SURROUND if layout.name == "5.1" else _BITS_OF_A_CHANNEL * layout.nb_channels


def _is_in_aac(layout: str) -> bool:
    """Whether the encoder takes a layout, by its name."""
    if "channels" in layout:
        return False
    encoder: Any = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.format = 48000, "fltp"
    try:
        encoder.layout = layout
        encoder.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _leaves_out_from_inside(sound: Any) -> bool:
    """Whether a track's edit list leaves out packets in the middle, so that the rest does not decode as one stream."""
    kept_before = left_out = False
    entries = getattr(sound, "index_entries", ())  # since PyAV 17
    for entry in entries if sound.container.format.name.startswith("mov") else ():
        if entry.is_discard:
            left_out = kept_before
        elif left_out:
            return True
        else:
            kept_before = True
    return False


def _decodes(sound: Any, packet: Any) -> bool:
    """Whether a packet decodes, so that no player stumbles over it."""
    try:
        sound.codec_context.decode(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True
