"""Output formats, and checks of an output file."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..atomic_file import FilePath, check_files
from ..encoders import ENCODERS
from ..errors import OutputError
from ..options.video import OutputSound
from .binaural import check_installed

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""FFmpeg's format for each extension that an output may have."""


def check_output(
    path: str | os.PathLike[str],
    inputs: Sequence[FilePath] = (),
    overwrite: bool = False,
    spherical: bool = False,
    codec: str | None = None,
    sound: OutputSound | None = None,
) -> None:
    """Check, before any work, that an output can be written.

    Args:
        path: the file to be written; its extension (mp4, m4v, mov, mkv) decides its format.
        inputs, overwrite: as for `atomic_file.check_files`.
        spherical: whether it will be tagged as 360°, which only mp4 and mov can be.
        codec: the video encoder; None: the default, which every format takes.
        sound: what its sound is to be. 'binaural' needs an extra.

    Raises:
        OutputError: unknown or unfit extension, and as `atomic_file.check_files`.
        PanoSoundError: the extra is not installed.
    """
    name = os.fspath(path)
    if not os.path.isdir(name):
        check_format(name, codec)
    if spherical and MUXERS.get(os.path.splitext(name)[1].lower()) == "matroska":
        raise OutputError("360° tags can only be written into mp4 and mov", name, "use .mp4, .m4v or .mov")
    if sound == "binaural":
        check_installed()
    check_files([name], inputs, overwrite)


def check_format(name: str, codec: str | None) -> None:
    """Check that an output can be written under a name, whose extension decides its format.

    Raises OutputError: unknown extension, or one of a format that does not take the video encoder.
    """
    extension = os.path.splitext(name)[1].lower()
    if extension not in MUXERS:
        what = f"cannot write '{extension}' files" if extension else "has no extension"
        raise OutputError(what, name, f"use one of {', '.join(MUXERS)}")
    if codec is not None and MUXERS[extension] not in ENCODERS[codec].muxers:
        fit = [e for e, muxer in MUXERS.items() if muxer in ENCODERS[codec].muxers]
        raise OutputError(f"{codec} cannot be written into {extension} files", name, f"use {' or '.join(fit)}")
