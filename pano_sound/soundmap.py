"""SoundMap: where the sound of a film comes from over time, as probabilities; and its file, `*.soundmap.npz`.

The file is a NumPy archive without pickled objects:

    format      "pano-sound.soundmap/2"
    times       (n,) float64, presentation times in seconds
    posterior   (n, rows, columns) float16, probability that the dominant sound comes from that cell
    elsewhere   (n,) float32, probability that nothing in the picture makes it; with the posterior 1 at each time
    level_db    (n,) float32, level of the sound in the window, dBFS (-120 = digital silence)
    cuts        (m,) float64, presentation times in seconds at which the picture cuts to another shot; may be missing
    turned      (n,) float32, degrees that the camera turned to the right since the time before; may be missing
    cues/NAME   (n, rows, columns) float16, one cue's log-likelihood ratios, in nats; any number of them, or none
    names       (n, k) float16, how surely each sound named in `about` is heard, 0..1; 0 where not sure; may be missing
    about       JSON text: source (path, size, duration ...), settings, and names (k texts), if there are any

Files of "pano-sound.soundmap/1", which held one network's responses, are still read.
"""

from __future__ import annotations

import io
import json
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .atomic_file import check_file, written_whole
from .constraints import plain
from .errors import DataFileError
from .presence import present_log_odds
from .sphere.geometry import cell_areas, cell_directions
from .spool import SpooledMaps

FORMAT = "pano-sound.soundmap/2"
BEFORE = "pano-sound.soundmap/1"
SILENCE_DB = -70.0
SURE = 0.5
"""A map with at least this sureness is called sure."""
NEARBY = 30.0
"""Degrees around the likeliest direction that count as the same place: about what a view holds."""
CHUNK = 256
"""Maps processed at once, so that a long film's need not all be in memory as float32."""

# What NumPy, zip and JSON raise for damaged files.
_DAMAGE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError),
)
_LONGEST = 36e6
"""Longest time in seconds: 10,000 hours."""
MOST_BYTES = 1 << 32
"""Largest size of all maps of a film. A day with three cues, twice a second, takes 2.5 GB."""
_MOST_READ = 5 << 30
"""Largest unpacked size of a file: that, and what its sounds' names and an estimated frame rate can add."""
_MOST_PACKED = 1000
"""Highest compression ratio of deflate. Files that claim more are made to fill the memory."""
_MOST_CELLS = 1 << 20
"""Most cells of one map; ours have 1,800."""
MOST_NAMES = 3
"""Of what is heard at once, or in a film; more would not be read."""
_LONGEST_NAME = 100
_TYPES = {
    "times": np.float64,
    "posterior": np.float16,
    "elsewhere": np.float32,
    "level_db": np.float32,
    "cuts": np.float64,
    "turned": np.float32,
}
"""The types of numbers in a file. In memory, they may be others."""
_OFF = 0.02
"""By how much the sum of probabilities may differ from 1 after rounding to float16."""
_ROUNDED = 1e-3
"""By how much a probability may be below 0: 1 less a sum of float16 may be."""


@dataclass(frozen=True)
class Named:
    """What is heard, by name.

    Args:
        names: everyday words, such as 'guitar', in alphabetical order.
        scores: (n, k) float16, how surely each of the k names is heard, 0..1; 0 where that is not sure.
    """

    names: tuple[str, ...]
    scores: NDArray[np.float16]

    def at(self, k: int) -> list[str]:
        """Names of what is surely heard at time `k`, the surest first, `MOST_NAMES` at most."""
        return self._surest(self.scores[k])

    def heard(self) -> list[str]:
        """Names of what is surely heard in the film, the longest heard first, `MOST_NAMES` at most.

        What is heard for less than a quarter as long as the first is left out: it may be a mistake.
        """
        total = self.scores.sum(axis=0, dtype=np.float32)
        return self._surest(np.where(total >= total.max(initial=0.0) / 4, total, 0.0))

    def _surest(self, scores: NDArray[np.floating]) -> list[str]:
        best = np.argsort(-scores, kind="stable")[:MOST_NAMES]
        return [self.names[k] for k in best if scores[k] > 0]


@dataclass(frozen=True)
class SoundMap:
    """Where the sound of a film comes from, as a calibrated posterior over the sphere.

    Args:
        times: (n,) float64, presentation times in seconds, growing.
        posterior: (n, rows, columns) float16, probability that the dominant sound comes from that cell; row 0 is the
            top of the sphere.
        elsewhere: (n,) float32, probability that nothing in the picture makes the sound. 1 in silence.
        level_db: (n,) float32, level of the sound in each window, dBFS.
        source: what was analysed: path (its name), size_bytes, width, height, end (presentation time, s).
        settings: the ListeningOptions used, as JSON.
        cuts: (m,) float64, presentation times at which the picture cuts to another shot, growing.
        cues: each cue's log-likelihood ratios in nats, (n, rows, columns) float16; may be empty.
        named: what is heard; None if unknown.
        turned: (n,) float32, degrees that the camera turned to the right since the time before; across a cut it means
            nothing. Zeros if not given.
    """

    times: NDArray[np.float64]
    posterior: NDArray[np.float16]
    elsewhere: NDArray[np.float32]
    level_db: NDArray[np.float32]
    source: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    cuts: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    cues: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    named: Named | None = None
    turned: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    def __post_init__(self) -> None:
        for name in _TYPES:
            array = np.asarray(getattr(self, name))
            object.__setattr__(self, name, array.astype(_TYPES[name]) if array.dtype.kind in "iu" else array)
        for name in ("source", "settings"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if not self.turned.size:
            object.__setattr__(self, "turned", np.zeros(self.times.size, np.float32))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the map."""
        return self.posterior.shape[1], self.posterior.shape[2]

    def present(self) -> NDArray[np.float32]:
        """Probability that something in the picture makes the sound: (n,) float32."""
        return (1.0 - self.elsewhere).astype(np.float32)

    def saliency(self, part: slice = slice(None)) -> NDArray[np.float32]:
        """Probability per area, relative to a uniform sphere: (n, rows, columns) float32, for drawing.

        1 means as probable as chance, if something in the picture surely makes the sound.
        """
        return np.asarray(self.posterior[part].astype(np.float32) / cell_areas(*self.grid).astype(np.float32))

    def sureness(self) -> NDArray[np.float32]:
        """Probability that the sound comes from within `NEARBY` degrees of its likeliest direction, (n,) float32.

        Low if nothing in the picture seems to make the sound, or if it might come from anywhere; 0 in silence.
        """
        cells = cell_directions(*self.grid).reshape(-1, 3).astype(np.float32)
        near = np.cos(np.radians(NEARBY))
        found = np.empty(len(self), np.float32)
        for begin in range(0, len(self), CHUNK):
            part = slice(begin, begin + CHUNK)
            peaks = cells[self.saliency(part).reshape(-1, len(cells)).argmax(axis=1)]
            mass = self.posterior[part].reshape(-1, len(cells)).astype(np.float32)
            found[part] = (mass * (peaks @ cells.T >= near)).sum(axis=1)
        return found

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the file atomically. Raises OutputError; ValueError if it could not be read again."""
        check_file(path, overwrite=overwrite)
        self.check_parts()
        numbers = {name: getattr(self, name).astype(kind, copy=False) for name, kind in _TYPES.items()}
        cues = SpooledMaps(self.cues)
        named = None if self.named is None else replace(self.named, scores=self.named.scores.astype(np.float16))
        if (wrong := replace(self, **numbers, cues=cues, named=named)._impossible()) is not None:
            raise ValueError(f"the sound map cannot be saved: {wrong}")
        about: dict[str, Any] = {"source": self.source, "settings": self.settings}
        if named is not None:
            about["names"] = named.names
        try:
            text = json.dumps(about)
        except TypeError as error:
            raise ValueError(f"the sound map cannot be saved: its source or settings: {error}") from None
        few = {"format": np.array(FORMAT), **numbers, "about": np.array(text)}
        scores = {} if named is None else {"names": named.scores}
        of_cues = ((f"cues/{name}", maps) for name, maps in cues.items())
        # As `numpy.savez_compressed` does, but a long film's cues are never all in memory.
        with (
            written_whole(path, overwrite=overwrite) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, array in chain(few.items(), of_cues, scores.items()):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    npy.write_array(entry, np.asarray(array), allow_pickle=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SoundMap:
        """Read a file that `save` wrote. Raises DataFileError if it cannot be read, is damaged or of another format."""
        path = os.fspath(path)
        try:
            _check_sizes(path)
            with np.load(path, allow_pickle=False) as archive:
                found = str(archive["format"])
                if found not in (FORMAT, BEFORE):
                    raise DataFileError(f"format is {found!r}, this version reads {FORMAT!r}", path, "analyse again")
                about = json.loads(str(archive["about"]))
                soundmap = (cls._from_archive if found == FORMAT else cls._from_responses)(archive, about)
                soundmap._check(path)
        except FileNotFoundError:
            raise DataFileError("no such sound map", path) from None
        except PermissionError as error:
            raise DataFileError(f"cannot be read: {error.strerror or error}", path) from error
        except (*_DAMAGE, OSError) as error:
            hint = "give the .soundmap.npz file that 'analyse' writes; if it is that, analyse again"
            raise DataFileError("not a sound map, or damaged", path, hint) from error
        return soundmap

    @classmethod
    def _from_archive(cls, archive: Any, about: dict[str, Any]) -> SoundMap:
        return cls(
            times=archive["times"],
            posterior=archive["posterior"],
            elsewhere=archive["elsewhere"],
            level_db=archive["level_db"],
            source=about["source"],
            settings=about["settings"],
            cuts=archive["cuts"] if "cuts" in archive else np.empty(0),
            turned=archive["turned"] if "turned" in archive else np.empty(0, np.float32),
            cues={name.removeprefix("cues/"): archive[name] for name in archive.files if name.startswith("cues/")},
            named=Named(tuple(about["names"]), archive["names"]) if "names" in archive else None,
        )

    @classmethod
    def _from_responses(cls, archive: Any, about: dict[str, Any]) -> SoundMap:
        """From a file of the first format."""
        steepness, middle = (float(number) for number in about["presence"])
        return cls.of_responses(
            archive["times"],
            archive["response"],
            archive["level_db"],
            float(about["temperature"]),
            (steepness, middle),
            about["source"],
            about["settings"],
            archive.get("cuts"),
        )

    @classmethod
    def of_responses(
        cls,
        times: NDArray[np.float64],
        responses: NDArray[np.floating],
        level_db: NDArray[np.float32],
        temperature: float,
        presence: tuple[float, float],
        source: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        cuts: NDArray[np.float64] | None = None,
    ) -> SoundMap:
        """From one network's responses: the paper's attention (mechanism 2), weighted with presence.

        Args:
            responses: (n, rows, columns), cosines of sound and picture.
            temperature: what they are divided by before the softmax, > 0.
            presence: steepness and middle of a logistic curve, see `present_log_odds`.

        Raises ValueError for arrays that are not responses.
        """
        if not (temperature > 0 and responses.ndim == 3 and responses.shape[:1] == np.shape(level_db)):
            raise ValueError("not responses")
        areas = cell_areas(*responses.shape[1:]).astype(np.float32)
        posterior = np.empty(responses.shape, np.float16)
        elsewhere = np.empty(len(responses), np.float32)
        for begin in range(0, len(responses), CHUNK):
            part = slice(begin, begin + CHUNK)
            cells = responses[part].astype(np.float32)
            odds = np.clip(present_log_odds(cells, presence), -60.0, 60.0)
            present = np.where(level_db[part] > SILENCE_DB, 1.0 / (1.0 + np.exp(-odds)), 0.0).astype(np.float32)
            heard = np.maximum(cells, 0)
            attention = np.exp((heard - heard.max(axis=(1, 2), keepdims=True)) / temperature) * areas
            attention /= attention.sum(axis=(1, 2), keepdims=True)
            posterior[part], elsewhere[part] = attention * present[:, None, None], 1.0 - present
        shots = np.empty(0) if cuts is None else cuts
        return cls(times, posterior, elsewhere, level_db, source or {}, settings or {}, shots)

    def check_parts(self) -> None:
        """Raises ValueError, which names a part, unless all are numbers and fit each other. Does not check that
        probabilities add up to 1."""
        if (wrong := self._misfit()) is not None:
            raise ValueError(f"the sound map cannot be used: {wrong}")

    def _check(self, path: str | os.PathLike[str]) -> None:
        """Raises DataFileError, naming `path`, if the parts do not fit each other, or cannot be."""
        named = [] if self.named is None else [self.named.scores]
        arrays = (*(getattr(self, name) for name in _TYPES), *self.cues.values(), *named)
        wrong = self._misfit() or self._impossible()
        if any(array.dtype.kind != "f" for array in arrays):
            wrong = "its numbers are of another type"
        if wrong is not None:
            raise DataFileError(f"damaged: {wrong}", path, "analyse again")

    def _misfit(self) -> str | None:
        """Which part holds no numbers, or is of another form than the others; None: none."""
        n, cells = self.times.size, self.posterior.shape[1:]
        wanted = {"times": (n,), "posterior": (n, *cells), "cuts": (self.cuts.size,)}
        wanted |= dict.fromkeys(("elsewhere", "level_db", "turned"), (n,))
        if n == 0 or self.posterior.ndim != 3 or 0 in cells:
            return "`posterior` must hold a map (rows, columns) for each of `times`, at least one"
        for name, shape in wanted.items():
            if wrong := _unlike(f"`{name}`", getattr(self, name), shape):
                return wrong
            if not np.isfinite(getattr(self, name)).all():
                return f"some numbers of `{name}` are not finite"
            if name in ("posterior", "elsewhere") and getattr(self, name).min() < -_ROUNDED:
                return f"some probabilities in `{name}` are negative"
            if name in ("times", "cuts") and not np.all(np.diff(getattr(self, name)) > 0):
                return f"`{name}` must grow"
        if not (isinstance(self.source, dict) and isinstance(self.settings, dict)):
            return "`source` and `settings` must be dictionaries"
        if not _is_source({"width": 1, **self.source}):
            return "`source` states what no film has: check its width, height, end and covers"
        if not isinstance(self.cues, Mapping):
            return "`cues` must be maps by name"
        for name, maps in self.cues.items():
            if wrong := _unlike(f"the cue {name!r}", maps, (n, *cells)):
                return wrong
        if self.named is None:
            return None
        if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in self.named.names):
            return "the names of what is heard must be short text"
        return _unlike("`named.scores`", self.named.scores, (n, len(self.named.names)))

    def _impossible(self) -> str | None:
        """What cannot be true of parts that fit each other; None: nothing."""
        named = [] if self.named is None else [self.named.scores]
        # Maps on disk are read one after the other.
        if not all(np.isfinite(array).all() for array in chain(self.cues.values(), named)):
            return "some of its numbers are not finite"
        if np.abs(self.times[[0, -1]]).max() > _LONGEST or np.abs(self.turned).max() > 180:
            return "some of its times or turns are too large"
        if "width" not in self.source:
            return "its source lacks the width of the film"
        if len(self.times) == 1 and not self.source.get("end", 0.0) > self.times[0]:
            return "it lasts no time"
        total = self.posterior.sum(axis=(1, 2), dtype=np.float32) + self.elsewhere
        if np.abs(total - 1).max() > _OFF:
            return "its probabilities do not add up to 1"
        return None


def _unlike(what: str, array: Any, shape: tuple[int, ...]) -> str | None:
    """Why something is no array of numbers of this shape; None: it is one."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fi":
        return f"{what} must be an array of numbers"
    return None if array.shape == shape else f"{what} has the shape {array.shape}, not {shape}"


def _check_sizes(path: str | os.PathLike[str]) -> None:
    """Raises ValueError unless each array of an archive is as large as its header says; DataFileError if they are too
    large."""
    packed, total = os.path.getsize(path), 0
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("compressed as NumPy never does")
            with archive.open(part) as file:
                # The header states its own length; ours are short.
                head = io.BytesIO(file.read(4096))
            version = npy.read_magic(head)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, kind = read(head, max_header_size=4096)
            size = math.prod(shape) * kind.itemsize
            total += size
            cells = math.prod(shape[1:]) if len(shape) == 3 else 0
            if kind.hasobject or min(shape, default=0) < 0 or size > part.file_size or cells > _MOST_CELLS:
                raise ValueError("larger than it is")
    if total > _MOST_READ or total > _MOST_PACKED * packed + (1 << 26):
        raise DataFileError("unpacks to more than it should", path, "analyse again, with a larger `every`")


def _is_source(source: dict[str, Any]) -> bool:
    """Whether width, height, end and covered area are valid numbers."""
    sides = [source.get("width"), source.get("height", 1)]
    covers = source.get("covers") or []
    return (
        all(isinstance(side, int) and 0 < side < 1 << 20 for side in sides)
        and isinstance(covers, list)
        and all(isinstance(t, (int, float)) and abs(t) <= _LONGEST for t in (source.get("end", 0.0), *covers))
        and (not covers or _is_area(covers))
    )


def _is_area(edges: list[float]) -> bool:
    """Whether yaw of a left and right edge, and pitch of a lower and upper one, lie on the sphere in this order."""
    if len(edges) != 4:
        return False
    left, right, lower, upper = edges
    return -180 <= left < right <= 180 and -90 <= lower < upper <= 90
