"""SoundMap: where a film sounds, and how surely, over time; and its file, `*.soundmap.npz`.

The file is a NumPy archive without pickled objects:

    format      "pano-sound.soundmap/1"
    times       (n,) float64, presentation times in seconds
    response    (n, h, w) float16, cosine between the sound and each cell of the equirectangular picture, -1..1
    level_db    (n,) float32, level of the sound in the window, dBFS (-120 = digital silence)
    about       JSON text: source (path, size, duration ...), settings, temperature, presence
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataFileError, OutputError

FORMAT = "pano-sound.soundmap/1"
SILENCE_DB = -60.0
PEAK = 0.03
"""Temperature of the smooth maximum over a map's cells from which presence is told: nearly the highest response."""


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
        source: what was analysed: path, size_bytes, duration, width, height, has_sound.
        settings: the AnalyseSettings used, as JSON-able dict.
    """

    times: NDArray[np.float64]
    response: NDArray[np.float16]
    level_db: NDArray[np.float32]
    temperature: float
    presence: tuple[float, float]
    source: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

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
        a /= self.temperature
        a = np.exp(a - a.max(axis=(1, 2), keepdims=True))
        return a / a.sum(axis=(1, 2), keepdims=True)

    def confidence(self) -> NDArray[np.float32]:
        """How surely something in the picture makes this sound: (n,) float32, 0..1; 0 in silence.

        In training, where as many pictures with as without the sounding thing were shown, this was the
        probability of "with". It tells them apart only so well (see the model's card).
        """
        steepness, middle = self.presence
        cells = self.response.reshape(len(self), -1).astype(np.float32)
        best = cells.max(axis=1)
        highest = best + PEAK * np.log(np.exp((cells - best[:, None]) / PEAK).mean(axis=1))
        sure = 1.0 / (1.0 + np.exp(-steepness * (highest - middle)))
        return np.where(self.level_db > SILENCE_DB, sure, 0.0).astype(np.float32)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, beside its final name first. Raises OutputError."""
        path = Path(path)
        about = {
            "source": self.source,
            "settings": self.settings,
            "temperature": self.temperature,
            "presence": list(self.presence),
        }
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        try:
            with open(partial, "wb") as f:
                np.savez_compressed(
                    f,
                    format=np.array(FORMAT),
                    times=self.times,
                    response=self.response,
                    level_db=self.level_db,
                    about=np.array(json.dumps(about)),
                )
            os.replace(partial, path)
        except OSError as error:
            raise OutputError(f"cannot write the sound map: {error.strerror or error}", path) from error
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SoundMap:
        """Read a file that `save` wrote. Raises DataFileError when it is missing, damaged or of another format."""
        try:
            with np.load(path, allow_pickle=False) as archive:
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
                )
        except FileNotFoundError:
            raise DataFileError("no such sound map", path) from None
        except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DataFileError("not a sound map, or damaged", path, "analyse again") from error
        n = len(soundmap.times)
        times_ok = soundmap.times.shape == (n,) and n > 0 and bool(np.all(np.diff(soundmap.times) > 0))
        if not times_ok or soundmap.response.ndim != 3 or {len(soundmap.response), len(soundmap.level_db)} != {n}:
            raise DataFileError("its parts do not fit each other", path, "analyse again")
        return soundmap
