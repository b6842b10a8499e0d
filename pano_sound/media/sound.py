"""The sound of a film, addressed by presentation time. Gaps between time stamps are silence."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from .info import MediaInfo
from .inputs import log, open_source
from .samples import Samples, rechunked, timeline


class SoundReader:
    """Reads the sound of a probed film as mono, as stereo, or as a first-order sound field.

    First-order ambisonics are read as their W channel, everything else is mixed down by swresample.

    Attributes:
        info: the film.
        damaged_packets: damaged packets skipped in the latest `blocks`.
    """

    def __init__(self, info: MediaInfo, rate: int, channels: str = "mono") -> None:
        """
        Args:
            rate: samples per second to read at.
            channels: 'mono'; 'stereo'; or 'field': W, Y, Z, X of ambisonics.
        """
        self.info, self.rate, self.channels = info, rate, channels
        self.damaged_packets = 0

    def blocks(self, seconds: float) -> Iterator[Samples]:
        """The whole track in consecutive blocks.

        Sample 0 is at presentation time `info.start`, that of the first frame. Earlier sound is left out. Where the
        track starts late or has gaps there are zeros.

        Args:
            seconds: length of a block; each has exactly round(seconds * rate) samples, the last one may
                have fewer.

        Yields:
            float32 (samples,) in [-1, 1]; of stereo (2, samples), of a field (4, samples).

        Raises InputError if the file cannot be read.
        """
        size = max(1, round(seconds * self.rate))
        if self.info.audio is None:
            return
        with open_source(self.info.footage) as source:
            begin = Fraction(self.info.start).limit_denominator(10**9)
            end = begin + Fraction(self.info.duration) if self.info.video and self.info.duration else None
            layout = "4.0" if self.channels == "field" else self.channels
            pieces = timeline(source, self.rate, layout, begin, end, self.info.audio.ambisonic)
            yield from rechunked((piece[0] if layout == "mono" else piece for piece in pieces), size)
            self.damaged_packets = source.damaged
        if self.damaged_packets:
            log.warning("%s: damaged packets of sound skipped: %d", self.info.path, self.damaged_packets)
