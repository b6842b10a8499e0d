"""SoundMap: where a film sounds, and how surely, over time; and its file, `*.soundmap.npz`.

The file is a NumPy archive without pickled objects:

    format      "pano-sound.soundmap/1"
    times       (n,) float64, presentation times in seconds
    response    (n, h, w) float16, cosine between the sound and each cell of the equirectangular picture, -1..1
    level_db    (n,) float32, level of the sound in the window, dBFS (-120 = digital silence)
    cuts        (m,) float64, presentation times in seconds at which the picture cuts to another shot; may be missing
    about       JSON text: source (path, size, duration ...), settings, temperature, presence
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataFileError
from .outputs import written_whole

FORMAT = "pano-sound.soundmap/1"
SILENCE_DB = -60.0
CHUNK = 256
"""Maps computed at once: a long film's need not be in memory as float32 all together."""
PEAK = 0.03
"""Temperature of the smooth maximum over a map's cells from which presence is told: nearly the highest response."""

# What NumPy, zip and JSON raise on files that are not what they should be.
_DAMAGE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
_LONGEST = 36e6
"""Seconds, 10,000 hours: what no film of any length that is read can be beyond."""
_MOST_BYTES = 1 << 32
"""A day of film, looked at twice a second, takes 3 GB; few bytes can unpack to many more."""


@dataclass(frozen=True)
class SoundMap:
    """Raw responses of the localizer over a film.

    Args:
        times: (n,) float64, presentation times in seconds, growing.
        response: (n, h, w) float16, cosine of sound and picture cell, -1..1; row 0 is the top of the sphere.
        level_db: (n,) float32, level of the sound in each window, dBFS.
        temperature: what cosines are divided by before the softmax (learnt), > 0.
        presence: (steepness, middle) of the learnt curve from a map's highest response to how likely it is that
            anything in the picture makes the sound.
        source: what was analysed: path (its name), size_bytes, width, height, end (presentation time, s).
        settings: the AnalyseSettings used, as JSON-able dict.
        cuts: (m,) float64, presentation times at which the picture cuts to another shot, growing.
    """

    times: NDArray[np.float64]
    response: NDArray[np.float16]
    level_db: NDArray[np.float32]
    temperature: float
    presence: tuple[float, float]
    source: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    cuts: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the map."""
        return self.response.shape[1], self.response.shape[2]

    def saliency(self, mechanism: int = 2, part: slice = slice(None)) -> NDArray[np.float32]:
        """Attention of the paper over the cells: (n, h, w) float32, each map sums to 1.

        Mechanism 1 is the softmax of the response (eq. 2), mechanism 2 that of its positive part (eq. 3).
        `part` selects times, so that a long film need not be in memory as a whole.
        """
        a = self.response[part].astype(np.float32)
        if mechanism == 2:
            a = np.maximum(a, 0)
        a -= a.max(axis=(1, 2), keepdims=True)
        a /= self.temperature
        np.exp(a, out=a)
        a /= a.sum(axis=(1, 2), keepdims=True)
        return a

    def confidence(self) -> NDArray[np.float32]:
        """How surely something in the picture makes this sound: (n,) float32, 0..1; 0 in silence.

        In training, where as many pictures with as without the sounding thing were shown, this was the
        probability of "with". It tells them apart only so well (see the model's card).
        """
        steepness, middle = self.presence
        highest = np.empty(len(self), np.float32)
        for begin in range(0, len(self), CHUNK):
            part = slice(begin, begin + CHUNK)
            cells = self.response[part].reshape(len(highest[part]), -1).astype(np.float32)
            best = cells.max(axis=1)
            cells -= best[:, None]
            cells /= PEAK
            highest[part] = best + PEAK * np.log(np.exp(cells, out=cells).mean(axis=1))
        sure = 1.0 / (1.0 + np.exp(-steepness * (highest - middle)))
        return np.where(self.level_db > SILENCE_DB, sure, 0.0).astype(np.float32)

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the file. Raises OutputError, also where it exists and `overwrite` is False."""
        about = {
            "source": self.source,
            "settings": self.settings,
            "temperature": self.temperature,
            "presence": list(self.presence),
        }
        with written_whole(path, overwrite=overwrite) as file:
            np.savez_compressed(
                file,
                format=np.array(FORMAT),
                times=self.times,
                response=self.response,
                level_db=self.level_db,
                cuts=self.cuts,
                about=np.array(json.dumps(about)),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SoundMap:
        """Read a file that `save` wrote. Raises DataFileError when it is missing, damaged or of another format."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                if sum(part.file_size for part in archive.zip.infolist()) > _MOST_BYTES:
                    raise DataFileError("unpacks to more than 4 GB", path, "analyse again, with a larger --every")
                found = str(archive["format"])
                if found != FORMAT:
                    raise DataFileError(f"format is {found!r}, this version reads {FORMAT!r}", path, "analyse again")
                about = json.loads(str(archive["about"]))
                soundmap = cls(
                    times=archive["times"],
                    response=archive["response"],
                    level_db=archive["level_db"],
                    temperature=float(about["temperature"]),
                    presence=(float(about["presence"][0]), float(about["presence"][1])),
                    source=about["source"],
                    settings=about["settings"],
                    cuts=archive["cuts"] if "cuts" in archive else np.empty(0),
                )
                soundmap._check(path)
        except FileNotFoundError:
            raise DataFileError("no such sound map", path) from None
        except (*_DAMAGE, OSError) as error:
            raise DataFileError("not a sound map, or damaged", path, "analyse again") from error
        return soundmap

    def _check(self, path: str | os.PathLike[str]) -> None:
        """Raises DataFileError, naming `path`, when the parts do not fit each other."""
        arrays = (self.times, self.response, self.level_db, self.cuts)
        if any(array.dtype.kind != "f" or not array.ndim for array in arrays):
            raise DataFileError("its numbers are of another type", path, "analyse again")
        n = len(self.times)
        growing = self.times.shape == (n,) and n > 0 and bool(np.all(np.diff(self.times) > 0))
        shots = self.cuts.ndim == 1 and bool(np.all(np.diff(self.cuts) > 0))
        same_length = self.response.ndim == 3 and self.level_db.shape == (n,) and len(self.response) == n
        numbers = np.array([self.temperature, *self.presence])
        finite = all(bool(np.isfinite(array).all()) for array in (*arrays, numbers)) and self.temperature > 0
        long = n > 0 and bool(np.abs(self.times[[0, -1]]).max() > _LONGEST)
        known = isinstance(self.source, dict) and isinstance(self.settings, dict) and _is_source(self.source)
        if not (growing and shots and same_length and finite and known and self.response.size) or long:
            raise DataFileError("its parts do not fit each other", path, "analyse again")


def _is_source(source: dict[str, Any]) -> bool:
    """Whether the numbers of a film that others rely on are numbers: width, height, end and what it covers."""
    sides = [source.get("width"), source.get("height", 1)]
    times = [source.get("end", 0.0), *(source.get("covers") or ())]
    return (
        all(isinstance(side, int) and 0 < side < 1 << 20 for side in sides)
        and all(isinstance(t, (int, float)) and abs(t) <= _LONGEST for t in times)
        and len(times) in (1, 5)
    )
