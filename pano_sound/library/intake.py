"""A library: from the sources that a user names to the films that a run has to make."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import posixpath
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import DataFileError, OutputError, PanoSoundError
from ..localize.nets.files import find
from ..media.binaural import check_installed
from ..media.footage import is_url
from ..media.output_format import check_format
from ..options.batch import BatchOptions
from ..options.steps import PanOptions
from .discover import Film, discover, outputs, path_name, report_name, result_names
from .lease import ManifestLease
from .locations import manifest_path, soundmaps_folder
from .manifest import Manifest, Synced, Wanted
from .ownership import PENDING, check_results, is_own, take_pending, write_result
from .process_lock import ProcessLock, is_alive
from .records import FilmRecord, file_hashes
from .report import jsonl, page_names, pages
from .settings import full_settings, settings_key, unchanged_files
from .storage import HIDDEN, SEGMENTS, Bucket, Folder, Stamp, Store, digest, is_inside, store

log = logging.getLogger("pano_sound")


class Library:
    """A place for results, its manifest, and one run over it.

    `Library.open` opens it; close it with `close()`, or use it as a context manager. It may hold locks.

    Attributes:
        out: the store of results. soundmaps: the store of sound maps.
        home: the local folder of work in progress.
        run: the name of this run, locked while it is alive.
        manifest: the open manifest.
    """

    def __init__(
        self,
        out: Store,
        soundmaps: Store,
        options: BatchOptions,
        manifest: Manifest,
        lock: ProcessLock,
        *,
        lease: ManifestLease | None = None,
        new_folders: Sequence[Path] | None = None,
        rehearsal: bool = False,
    ) -> None:
        """
        Args:
            manifest: an open one; `lock`: held beside it.
            lease: that of a manifest that is kept in a bucket.
            new_folders: folders that were made for a new manifest, the innermost first; None: the manifest is not new.
            rehearsal: only estimate; make nothing, and lock nobody out.
        """
        self.out, self.soundmaps, self.options, self.manifest = out, soundmaps, options, manifest
        self.home = manifest.home
        self.run = lock.name
        self._lock, self._lease, self._new_folders, self._rehearsal = lock, lease, new_folders, rehearsal
        self._at_work = False

    @classmethod
    def open(
        cls, out: str, options: BatchOptions | None = None, *, create: bool = True, rehearsal: bool = False
    ) -> Library:
        """Open the library with results in a folder or URL: fetch its manifest if that is in a bucket, and lock it.

        Args:
            create: as of Manifest.
            rehearsal: only estimate; make nothing, and lock nobody out.

        Raises:
            OutputError, DataFileError.
        """
        options, results = options or BatchOptions(), store(out)
        soundmaps = store(options.soundmaps or soundmaps_folder(results, options.ray is not None))
        at = manifest_path(results, options.manifest)
        lease = ManifestLease(results, at) if isinstance(results, Bucket) and not rehearsal else None
        if lease:
            lease.fetch()
            if not create and not at.is_file():
                raise DataFileError("there is no batch here", out, "give the URL of the results")
        new_folders = [*(folder for folder in at.parents if not folder.exists()), *_missing(results)]
        is_new = not at.exists()
        # A cluster's results may be on a network drive, and the manifest with them.
        alone = options.ray is not None and lease is None
        try:
            if create and not rehearsal:
                results.create()
            manifest, lock = _open_and_lock(at, create, alone)
        except PanoSoundError:
            _remove_empty(new_folders)
            raise
        new = new_folders if is_new else None
        return cls(results, soundmaps, options, manifest, lock, lease=lease, new_folders=new, rehearsal=rehearsal)

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the run."""
        with contextlib.suppress(PanoSoundError):
            self.manifest.forget(self.run)
            if self._lease and self._at_work:
                self._lease.check()  # Whoever has taken over uses the segments and notes.
            counts = self.manifest.count()
            if self._at_work and not counts["waiting"] + counts["running"]:
                self.out.clear(SEGMENTS)  # Segments of films that failed, or are no longer wanted.
                self.out.clear(PENDING)
            if self._lease and self._at_work:
                self._lease.end(self.manifest)
            if self._new_folders is not None:
                self.manifest.remove_unused(self.run)
        self.manifest.close()
        self._lock.end()
        if not self.manifest.path.exists():
            _remove_empty([self.home / "work", self.manifest.locks, self.home, *(self._new_folders or ())])

    def take_in(
        self,
        sources: Sequence[str],
        listed: Iterable[str],
        options: PanOptions,
        overwrite: bool = False,
        inputs: Iterable[str] = (),
    ) -> Synced:
        """Find the films and record what is to be made, and how.

        Args:
            overwrite: results may replace files that this library did not write, but never inputs.
            inputs: other files that are read, besides films and weights.

        Raises:
            InputError, ModelError; PanoSoundError: another run is making them with other options.
            OutputError: a result cannot be written, or would replace another file.
        """
        settings = full_settings(options)
        check_rule(self.options.name, settings["codec"])
        if settings["output_sound"] == "binaural":
            check_installed()
        self._begin()
        # Looking for films and reading equal ones can take longer than a lease lasts.
        with self._lease.held() if self._lease else contextlib.nullcontext():
            films = self._without_results(discover(sources, listed, self.out.root))
            names = outputs(films, self.options.name, self._known_names(films))
            copies = self._copies(films, dict(zip((film.paths for film in films), names, strict=True)))
            wanted = [Wanted(name, film, copies.get(film.paths)) for name, film in zip(names, films, strict=True)]
            key = settings_key(settings)
            self._same_content(wanted)
            checked = self._checked(names, overwrite)
            to_make = [one.output for one in wanted if not one.same_as and self._is_to_make(one, key, checked)]
            read = [*(path for film in films for path in film.paths), str(find(settings["model"])), *inputs]
            read += [settings["sound"]] if settings["sound"] is not None else []
            new_folders = _missing(self.soundmaps)
            self._check_results(to_make, read, overwrite)
            try:
                found = self.manifest.sync(self.run, wanted, settings, key, checked)
            except PanoSoundError:
                _remove_empty(new_folders)
                raise
            if self.options.limit is not None:
                self.manifest.limit(self.run, self.options.limit)
            return found

    def retake(self, state: str = "failed", overwrite: bool = False) -> int:
        """Queue all films of a state again, with the settings that they had. Returns their number.

        Raises:
            OutputError: as `take_in`.
            ModelError, InputError: the weights, or a separate recording, have changed since, or cannot be read.
        """
        self._begin()
        rows = list(self.manifest.rows())
        again = [row for row in rows if row.state == state]
        read = [path for row in rows for path in row.paths]
        for key in {row.settings for row in again}:
            read += unchanged_files(self.manifest.settings(key))
        self._check_results([row.output for row in again], read, overwrite)
        return self.manifest.want(self.run, state)

    def keep(self) -> None:
        """Keep the lease alive. Call this regularly during a run.

        Raises PanoSoundError if another machine has taken over, DiskError if the folder of results is gone.
        """
        self.out.check_there()
        if self._lease:
            self._lease.renew(self.manifest)

    def check_made(self) -> None:
        """Check, at the end of a run, that its results still exist. Raises OutputError."""
        self.out.check_there()
        done = [row.output for row in self.manifest.rows(self.run) if row.state == "done"]
        gone = sorted(set(done) - set(self.out.present(done)))
        if gone:
            more = f", and so have {len(gone) - 1} more results" if len(gone) > 1 else ""
            raise OutputError(f"has disappeared since it was made{more}", self.out.name(gone[0]), "run the batch again")

    def report(self) -> None:
        """Write report.jsonl and report.html beside the results.

        Raises OutputError; PanoSoundError if another machine has taken over, whose reports are right.
        """
        if self._lease:
            self._lease.check()
        rows = list(self.manifest.rows())
        title = f"pano-sound: {self.out.root}"
        reports = {"report.jsonl": jsonl(rows), **pages(rows, map(self.manifest.thumbnail, rows), title)}
        for name, content in reports.items():
            write_result(self.out, self.manifest, name, content, hashlib.sha256(content).hexdigest())

    def _begin(self) -> None:
        """Start a run: release the claims of runs that have died, and remove what they left."""
        if self._lease:
            self._lease.take()
        self._at_work = True
        if not self._rehearsal:
            self.out.create()
            take_pending(self.out, self.manifest)
        (self.home / "work").mkdir(exist_ok=True)
        self.manifest.release_dead()
        self.manifest.drop_deleted()
        for folder in (self.home / "work").glob("*"):
            if not is_alive(self.manifest.locks, folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        for lock in self.manifest.locks.glob("*.lock"):
            if lock.stem != self.run:
                is_alive(self.manifest.locks, lock.stem)

    def _without_results(self, films: list[Film]) -> list[Film]:
        """Films without this library's own results, which may be in a folder of inputs."""
        results = {self.out.name(name) for name in self.manifest.own_names()}
        return [film for film in films if results.isdisjoint(film.paths)]

    def _is_to_make(self, wanted: Wanted, key: str, checked: Mapping[int, tuple[Stamp, Stamp | None]]) -> bool:
        row = self.manifest.known(wanted.output)
        if row is None or row.state in ("waiting", "running", "duplicate"):
            return True
        changed = row.files != wanted.film.files or row.settings != key
        return changed or (row.state == "done" and checked[row.id][1] is None)

    def _check_results(self, outputs: list[str], inputs: list[str], overwrite: bool) -> None:
        films = [name for output in outputs for name in result_names(output, self._has_report(output))]
        names = [*films, "report.jsonl", *page_names(self.manifest.count_all() + len(outputs))]
        manifest = [f"{self.manifest.path}{ending}" for ending in ("", "-wal", "-shm")]
        check_results(self.out, self.manifest, names, [*inputs, *manifest], overwrite)
        if not self._rehearsal:
            self.soundmaps.create()  # Only now, because a batch that is refused leaves nothing behind.

    def _has_report(self, output: str) -> bool:
        """Whether a film gets a page: if pages are wanted, or it has one, which must not become stale."""
        return self.options.reports or report_name(output) in self.manifest.owned_files(output)

    def _known_names(self, films: Sequence[Film]) -> dict[str, tuple[str, ...]]:
        """Names given in earlier runs, with their films' paths. Names of films that no longer exist are free again."""
        here = {film.paths for film in films}
        known = ((row.output, row.paths) for row in self.manifest.rows())
        return {o: paths for o, paths in known if paths in here or is_url(paths[0]) or os.path.lexists(paths[0])}

    def _copies(self, films: Sequence[Film], names: dict[tuple[str, ...], str]) -> dict[tuple[str, ...], str]:
        """Films with the same content as an earlier film, or as one that is finished: paths -> that film's output. Only
        files of equal size are read."""
        alike: dict[tuple[int, ...], list[Film]] = defaultdict(list)
        for film in films:
            if all(file.stamp is not None and file.stamp[0] for file in film.files):
                alike[tuple(file.stamp[0] for file in film.files if file.stamp)].append(film)
        copies: dict[tuple[str, ...], str] = {}
        for group in alike.values():
            if len(group) < 2:
                continue
            first: dict[tuple[str, ...], Film] = {}
            for film in sorted(group, key=lambda film: not self._is_finished(names[film.paths])):
                content = self._content(film)
                if content is not None and first.setdefault(content, film) is not film:
                    copies[film.paths] = names[first[content].paths]
        return copies

    def _is_finished(self, output: str) -> bool:
        row = self.manifest.known(output)
        return row is not None and row.state == "done"

    def _content(self, film: Film) -> tuple[str, ...] | None:
        """The hashes of a film's files; None if one cannot be read."""
        known = self.manifest.contents(film.files)
        try:
            fresh = {file: digest(file.path) for file in film.files if file.path not in known}
        except PanoSoundError:
            return None
        self.manifest.remember(fresh)
        known |= {file.path: sha256 for file, sha256 in fresh.items()}
        return tuple(known[path] for path in film.paths)

    def _same_content(self, wanted: list[Wanted]) -> None:
        """Recognise films whose files have a new date or place but the same content, so that they are not made
        again."""
        for one in wanted:
            row, film = self.manifest.known(one.output), one.film
            if row is None or row.files == film.files or row.size != film.size:
                continue
            before = self.manifest.contents(row.files)
            was = tuple(before[path] for path in row.paths if path in before)
            if len(was) == len(row.files) and self._content(film) == was:
                self.manifest.touch(row, film)

    def _checked(self, names: list[str], overwrite: bool) -> dict[int, tuple[Stamp, Stamp | None]]:
        """Check finished results: by row, the recorded stamp and the present one, or None if the result has to be made
        again."""
        rows = filter(None, map(self.manifest.known, names))
        done = [(row, row.stamp) for row in rows if row.state == "done" and row.stamp is not None]
        present = self.out.present([n for row, _ in done for n in result_names(row.output, True)]) if done else {}
        return {row.id: (stamp, self._still(row, present, overwrite)) for row, stamp in done}

    def _still(self, row: FilmRecord, present: dict[str, Stamp], overwrite: bool) -> Stamp | None:
        names = {path_name(row.output), *file_hashes(row.output, row.made)}
        if not names <= present.keys():
            return None
        changed = sorted(name for name in names if not self._is_as_made(row, name, present[name]))
        if not changed:
            page_is_missing = self.options.reports and report_name(row.output) not in names
            return None if page_is_missing else present[row.output]
        if overwrite:
            return None
        for name in changed:
            log.warning(
                "%s: was changed after it was made, and is kept (`overwrite` makes it again)", self.out.name(name)
            )
        return row.stamp  # Unchanged, so that the next run warns, too.

    def _is_as_made(self, row: FilmRecord, name: str, stamp: Stamp) -> bool:
        if name != row.output:
            return is_own(self.out, name, stamp, self.manifest.owned(name))
        same = stamp[0] == row.made["bytes"]
        return stamp == row.stamp or (same and digest(self.out.name(name)) == row.made["sha256"])


def _missing(place: Store) -> list[Path]:
    """The folders of a store that do not exist, the innermost first."""
    folders = Path(place.name("x")).parents if isinstance(place, Folder) else ()
    return [folder for folder in folders if not folder.exists()]


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _open_and_lock(at: Path, create: bool, alone: bool) -> tuple[Manifest, ProcessLock]:
    """Open a manifest and hold a lock beside it, again if a run that found nothing to do has just removed it."""
    while True:
        manifest = Manifest(at, create=create, alone=alone)
        lock = ProcessLock(manifest.locks)
        if manifest.is_there():
            return manifest, lock
        manifest.close()
        lock.end()


def check_rule(rule: str, codec: str | None) -> None:
    """Raises OutputError if no film can be written under such a name."""
    if not is_inside(posixpath.normpath(rule.format(folder="a", stem="b"))):
        raise OutputError(f"the folder {HIDDEN} is for the batch's own files", rule, "give another `name`")
    check_format(rule, codec)
