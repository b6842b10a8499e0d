"""From what a user names to what is to be made: a library, its films, and what the manifest says of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import platformdirs

from ..encoders import ENCODERS
from ..errors import OutputError, PanoSoundError
from ..localize.nets.files import find
from ..media.footage import is_url
from ..media.outputs import MUXERS
from ..settings import AnalyseSettings, BatchSettings, InputSettings, PlanSettings, RenderSettings
from ..visualize.report import jsonl, pages
from .beings import Being, is_alive
from .discover import Film, discover, outputs, path_name
from .manifest import Manifest, Row, Synced
from .shared import Shared
from .storage import HIDDEN, SEGMENTS, Bucket, Stamp, Store, digest, store

MANIFEST = "manifest.sqlite"
KINDS = (InputSettings, AnalyseSettings, PlanSettings, RenderSettings)


class Library:
    """A place for results, the manifest of what is in it, and one run over it.

    Close it with `close()`, or use it as a context manager.

    Attributes:
        out: where results go. soundmaps: where sound maps are kept.
        home: the folder on this machine where the manifest is, and what is being worked on.
        run: this run's name, held while it lives.
        manifest: open in this process.
    """

    def __init__(
        self,
        out: str,
        settings: BatchSettings | None = None,
        *,
        create: bool = True,
        rehearsal: bool = False,
    ) -> None:
        """
        Args:
            create: as of Manifest.
            rehearsal: nothing will be made, and nobody else is to be kept away.

        Raises:
            OutputError, DataFileError.
        """
        self.settings = settings or BatchSettings()
        self.out: Store = store(out)
        at = manifest_path(self.out, self.settings.manifest)
        self.home = at.parent
        self._shared = Shared(self.out, at) if isinstance(self.out, Bucket) and not rehearsal else None
        if self._shared:
            self._shared.fetch()
        # A cluster's results may lie on a network drive; then the manifest does, too.
        on_cluster = self.settings.ray is not None
        self.manifest = Manifest(at, create=create, alone=on_cluster and self._shared is None)
        self.soundmaps: Store = store(self.settings.soundmaps or _soundmaps_folder(self.out, on_cluster))
        self._being = Being(self.manifest.beings)
        self.run = self._being.name
        self._at_work = False

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The run is over."""
        with contextlib.suppress(PanoSoundError):
            self.manifest.forget(self.run)
            counts = self.manifest.count()
            if self._at_work and not counts["waiting"] + counts["running"]:
                self.out.clear(SEGMENTS)  # Of films that failed, or are not wanted any more.
            if self._shared and self._at_work:
                self._shared.end(self.manifest)
        self.manifest.close()
        self._being.end()

    def take_in(self, sources: Sequence[str], listed: Iterable[str], options: dict[str, Any]) -> Synced:
        """Find the films and note what is to be made of them, and how.

        Raises:
            InputError, ModelError, OutputError; PanoSoundError: another run makes them otherwise just now.
        """
        settings = full_settings(options)
        check_rule(self.settings.name, settings["codec"])
        self._begin()
        films = discover(sources, listed, self.out.root)
        names = outputs(films, self.settings.name, self._known_names(films))
        copies = self._copies(films, dict(zip((film.paths for film in films), names, strict=True)))
        wanted = [(name, film, copies.get(film.paths)) for name, film in zip(names, films, strict=True)]
        key = settings_key(settings)
        self._same_content(wanted)
        found = self.manifest.sync(self.run, wanted, settings, key, self._checked(names))
        if self.settings.limit is not None:
            self.manifest.limit(self.run, self.settings.limit)
        return found

    def retake(self, state: str = "failed") -> int:
        """Want all films of a state made again, with the settings that they had; how many there are."""
        self._begin()
        return self.manifest.want(self.run, state)

    def keep(self) -> None:
        """To be called now and then while the run lasts. Raises PanoSoundError when the library was taken away."""
        if self._shared:
            self._shared.renew(self.manifest)

    def report(self) -> None:
        """Write report.jsonl and report.html into the results. Raises OutputError."""
        rows = list(self.manifest.rows())
        self.out.write("report.jsonl", jsonl(rows))
        title = f"pano-sound: {self.out.root}"
        for name, page in pages(rows, map(self.manifest.look, rows), title).items():
            self.out.write(name, page)

    def _begin(self) -> None:
        """Come in, and give back and remove what the dead have left."""
        if self._shared:
            self._shared.take()
        self._at_work = True
        self.manifest.release_dead()
        for folder in (self.home / "work").glob("*"):
            if not is_alive(self.manifest.beings, folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        for lock in self.manifest.beings.glob("*.lock"):
            if lock.stem != self.run:
                is_alive(self.manifest.beings, lock.stem)

    def _known_names(self, films: Sequence[Film]) -> dict[str, tuple[str, ...]]:
        """Names given before, and to which films' paths; free again are those of films that are there no more."""
        here = {film.paths for film in films}
        known = ((row.output, row.paths) for row in self.manifest.rows())
        return {o: paths for o, paths in known if paths in here or is_url(paths[0]) or os.path.lexists(paths[0])}

    def _copies(self, films: Sequence[Film], names: dict[tuple[str, ...], str]) -> dict[tuple[str, ...], str]:
        """Films with the same content as an earlier one: paths -> that one's output. Only equal sizes are read."""
        alike: dict[tuple[int, ...], list[Film]] = defaultdict(list)
        for film in films:
            if all(file.stamp is not None and file.stamp[0] for file in film.files):
                alike[tuple(file.stamp[0] for file in film.files if file.stamp)].append(film)
        copies: dict[tuple[str, ...], str] = {}
        for group in alike.values():
            if len(group) < 2:
                continue
            first: dict[tuple[str, ...], Film] = {}
            for film in group:
                content = self._content(film)
                if content is not None and first.setdefault(content, film) is not film:
                    copies[film.paths] = names[first[content].paths]
        return copies

    def _content(self, film: Film) -> tuple[str, ...] | None:
        """The hashes of a film's files; None where one cannot be read."""
        known = self.manifest.contents(film.files)
        try:
            fresh = {file: digest(file.path) for file in film.files if file.path not in known}
        except PanoSoundError:
            return None
        self.manifest.remember(fresh)
        known |= {file.path: sha256 for file, sha256 in fresh.items()}
        return tuple(known[path] for path in film.paths)

    def _same_content(self, wanted: list[tuple[str, Film, str | None]]) -> None:
        """A film whose files have another date or place, but the content they had, is not made again."""
        for output, film, _ in wanted:
            row = self.manifest.known(output)
            if row is None or row.files == film.files or row.size != film.size:
                continue
            before = self.manifest.contents(row.files)
            was = tuple(before[path] for path in row.paths if path in before)
            if len(was) == len(row.files) and self._content(film) == was:
                self.manifest.touch(row, film)

    def _checked(self, names: list[str]) -> dict[int, tuple[Stamp, Stamp | None]]:
        """Whether finished results are still there, as they were written."""
        done = [row for name in names if (row := self.manifest.known(name)) is not None and row.state == "done"]
        present = self.out.present([n for row in done for n in (row.output, path_name(row.output))]) if done else {}
        found: dict[int, tuple[Stamp, Stamp | None]] = {}
        for row in done:
            assert row.stamp is not None
            found[row.id] = (row.stamp, self._still(row, present))
        return found

    def _still(self, row: Row, present: dict[str, Stamp]) -> Stamp | None:
        stamp = present.get(row.output)
        if stamp is None or path_name(row.output) not in present or stamp == row.stamp:
            return stamp if path_name(row.output) in present else None
        same = stamp[0] == row.made["bytes"] and digest(self.out.name(row.output)) == row.made["sha256"]
        return stamp if same else None


def full_settings(options: dict[str, Any]) -> dict[str, Any]:
    """All that a film's result depends on besides the film: every option, and the weights' content.

    Raises ModelError when there are no such weights; ValueError, TypeError for options.
    """
    found: dict[str, Any] = {}
    for kind in KINDS:
        names = {f.name for f in fields(kind)}
        found |= kind(**{k: v for k, v in options.items() if k in names}).to_json()
    found["weights"] = hashlib.sha256(find(found["model"]).read_bytes()).hexdigest()
    return found


def settings_key(settings: dict[str, Any]) -> str:
    """A short text that is another one for other settings. Where a model's file lies is no matter, its content is;
    nor is what it runs on."""
    return key_of({k: v for k, v in settings.items() if k not in ("model", "device")})


def key_of(value: Any) -> str:
    """A short text that is another one for another value, of what JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def check_rule(rule: str, codec: str | None) -> None:
    """Raises OutputError when no film can be written under such a name."""
    ending = os.path.splitext(rule)[1].lower()
    if ending not in MUXERS:
        raise OutputError(f"cannot write '{ending}' files", rule, f"let `name` end in one of {', '.join(MUXERS)}")
    if codec is not None and MUXERS[ending] not in ENCODERS[codec].muxers:
        raise OutputError(f"{codec} cannot be written into {ending} files", rule)


def manifest_path(out: Store, manifest: str | None) -> Path:
    """Where the manifest of results is, if not in the file named."""
    if manifest is not None:
        return Path(manifest).absolute()
    if isinstance(out, Bucket):
        name = hashlib.sha256(out.root.encode()).hexdigest()[:16]
        return platformdirs.user_state_path("pano-sound") / "batch" / name / MANIFEST
    return Path(out.root) / HIDDEN / MANIFEST


def _soundmaps_folder(out: Store, on_cluster: bool) -> str:
    if on_cluster or isinstance(out, Bucket):
        return out.name(f"{HIDDEN}/soundmaps")
    return str(platformdirs.user_cache_path("pano-sound") / "soundmaps")
