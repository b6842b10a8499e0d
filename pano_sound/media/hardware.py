"""Testing whether a hardware encoder works on this machine, beyond FFmpeg knowing its name."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Any

import av

from ..encoders import ENCODERS

log = logging.getLogger("pano_sound")


def usable(name: str, width: int, height: int, bit_depth: int) -> str:
    """The encoder `name` if it can encode a frame of this size and depth, else its software replacement.

    Software encoders are not tested. A warning says why an encoder is replaced.
    """
    encoder = ENCODERS[name]
    if encoder.instead is None:
        return name
    pix_fmt = encoder.pix_fmts[bit_depth > 8]
    if pix_fmt is None:
        log.warning("%s does not take %d bit pictures: %s is used instead", name, bit_depth, encoder.instead)
        return encoder.instead
    try:
        context: Any = av.CodecContext.create(name, "w")
        context.width, context.height, context.pix_fmt = width, height, pix_fmt
        context.time_base = Fraction(1, 30)
        frame = av.VideoFrame(width, height, pix_fmt)
        frame.pts, frame.time_base = 0, context.time_base
        if context.encode(frame) + context.encode(None):
            return name
        reason = "it encodes nothing"
    except ValueError:
        reason = "FFmpeg was built without it"
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
    log.warning(
        "%s does not work here for %dx%d (%s): %s is used instead", name, width, height, reason, encoder.instead
    )
    return encoder.instead
