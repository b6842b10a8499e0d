"""Work through a library on one machine, with processes that each make one film after the other.

A worker dies with its parent. The next run finds what it was working on, and its scratch folder (see `manifest`).
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import psutil

from ..atomic_file import remove_partials
from ..errors import PanoSoundError, first_line
from .discover import report_name
from .intake import Library
from .job import Job
from .manifest import MAX_TRIES, LostClaimError, Manifest
from .process_lock import ProcessLock, is_alive
from .records import FilmRecord, file_hashes
from .storage import Store, digest, store

if TYPE_CHECKING:
    from .work import Outcome

log = logging.getLogger("pano_sound")

WORKER_BYTES = 2_000_000_000
"""Memory of one worker for 4K films; see docs/research/scale.md."""
_LOOK_ROUND = 2.0
_LONGEST_PAUSE = 30.0

Tell = Callable[[str, str, float, float, str | None], None]
"""Called as tell(film, stage, done, total, failure), with seconds of film; at the end, `stage` is the film's state, and
`failure` says what failed and why."""
_SAID_EVERY = 0.2


def fitting_workers() -> int:
    """The number of workers for this machine's cores and free memory, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = psutil.virtual_memory().available
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            free = min(free, int(file.read()))
    except (OSError, ValueError):
        pass  # Not in a container, or in one without a limit.
    return max(1, min(cores, free // WORKER_BYTES))


def work(library: Library, tell: Tell, fail_fast: bool = False) -> dict[str, int]:
    """Make all films of the library's run. Returns the number of films by state.

    Also waits for those that another run is making.

    Raises:
        OutputError: results can no longer be written.
        PanoSoundError: workers die before they start a film, or the inputs have vanished.
    """
    with WorkerPool(library, tell, fail_fast) as pool:
        pool.work()
    library.check_made()
    return library.manifest.count(library.run)


@dataclass
class _Process:
    process: BaseProcess
    pipe: Connection
    name: str = ""
    busy: bool = False
    over: bool = False


class WorkerPool:
    def __init__(self, library: Library, tell: Tell, fail_fast: bool) -> None:
        self._library, self._tell, self._fail_fast = library, tell, fail_fast
        self._most = library.options.workers or fitting_workers()
        self._workers: list[_Process] = []
        self._stop = False
        self._trouble: PanoSoundError | None = None
        self._died_idle = 0

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(10)
            worker.process.kill()
            worker.process.join()
            if not worker.name and worker.pipe.poll():
                self._take(worker)  # A worker sends its name first.
            with contextlib.suppress(PanoSoundError):
                self.reap(worker, None)

    def work(self) -> None:
        manifest, run = self._library.manifest, self._library.run
        looked = 0.0
        while not self._stop:
            if time.monotonic() - looked > _LOOK_ROUND or not self._workers:
                looked = time.monotonic()
                self._library.keep()
                manifest.release_dead()
                counts = manifest.count(run)
                busy = sum(worker.busy for worker in self._workers)
                while len(self._workers) < min(self._most, counts["waiting"] + busy):
                    self._workers.append(self._start())
                if not self._workers and not counts["waiting"] + counts["running"]:
                    return
                if not self._workers:
                    time.sleep(_LOOK_ROUND / 4)
            self._listen()
        if self._trouble:
            raise self._trouble

    def _start(self) -> _Process:
        context = _context()
        ours, theirs = context.Pipe(duplex=False)
        library = self._library
        places = str(library.manifest.path), library.out.root, library.soundmaps.root
        level = log.getEffectiveLevel()
        words = (theirs, *places, library.options.reports, library.run, level, self._fail_fast)
        process = context.Process(target=run_worker, args=words, name="pano-sound worker")
        process.start()
        theirs.close()
        return _Process(process, ours)

    def _listen(self) -> None:
        """Handle the workers' messages, until there are no more or a worker has died."""
        ready = wait([w.pipe for w in self._workers] + [w.process.sentinel for w in self._workers], _LOOK_ROUND / 2)
        for worker in list(self._workers):
            if worker.pipe in ready:
                self._take(worker)
            elif worker.process.sentinel in ready:
                worker.over = True
            if worker.over:
                worker.process.join()
                self._workers.remove(worker)
                self.reap(worker, worker.process.exitcode)

    def _take(self, worker: _Process) -> None:
        try:
            kind, *words = worker.pipe.recv()
        except (EOFError, OSError):
            worker.over = True
            return
        if kind == "name":
            (worker.name,) = words
        elif kind == "broken":
            self._stop = True
            (self._trouble,) = words
        else:
            film, stage, done, total = words
            failure = None
            self._died_idle = 0
            if not total:
                worker.busy = stage == "begin"
            if stage == "failed":
                self._stop |= self._fail_fast
                row = self._library.manifest.known(film)
                failure = row.failure if row else None
            elif stage == "done":
                say_warnings(self._library.manifest, film)
            self._tell(film, stage, done, total, failure)

    def reap(self, worker: _Process, exit_code: int | None) -> None:
        """Release a dead worker's film. If the worker crashed, the film is suspected.

        Raises PanoSoundError if workers crash repeatedly without a film.
        """
        how = f"signal {-exit_code}" if exit_code and exit_code < 0 else f"exit code {exit_code}"
        error = f"its worker process died {MAX_TRIES} times ({how}): out of memory?" if exit_code else None
        films = self._library.manifest.release(worker.name, error) if worker.name else 0
        if exit_code and not films:
            self._died_idle += 1
            if self._died_idle >= MAX_TRIES:
                raise PanoSoundError(f"worker processes die before they begin a film ({how})", hint="out of memory?")
        if not worker.name:
            return
        is_alive(self._library.manifest.locks, worker.name)
        shutil.rmtree(self._library.home / "work" / worker.name, ignore_errors=True)


def run_worker(
    pipe: Connection, manifest: str, out: str, soundmaps: str, reports: bool, run: str, level: int, fail_fast: bool
) -> None:
    """The main function of a worker process."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # Ctrl-C reaches all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    log.setLevel(level)
    # The parent reports warnings, from the manifest.
    log.addHandler(logging.NullHandler())
    log.propagate = False
    from .work import prepare_process

    prepare_process()
    try:
        with Manifest(manifest, create=False) as open_manifest:
            me = ProcessLock(open_manifest.locks)
            pipe.send(("name", me.name))
            try:
                Worker(open_manifest, me.name, store(out), soundmaps, reports, run, pipe).work(fail_fast)
            finally:
                with contextlib.suppress(PanoSoundError):
                    open_manifest.release(me.name)
                remove_partials()
                me.end()
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:  # An error of the manifest or the disk, not of a film.
        log.debug("unexpected error", exc_info=True)
        trouble = error if isinstance(error, PanoSoundError) else PanoSoundError(unexpected(error))
        with contextlib.suppress(BrokenPipeError):
            pipe.send(("broken", trouble))


class Worker:
    """A running worker."""

    def __init__(
        self, manifest: Manifest, name: str, out: Store, soundmaps: str, reports: bool, run: str, pipe: Connection
    ) -> None:
        self._manifest, self._name, self._out, self._soundmaps = manifest, name, out, soundmaps
        self._reports, self._run, self._pipe = reports, run, pipe
        self._scratch = manifest.home / "work" / name
        self._said = 0.0

    def work(self, fail_fast: bool = False) -> None:
        """Make films until none is waiting, or the first fails."""
        while (row := self._manifest.claim(self._run, self._name)) is not None:
            self._say(row, "begin")
            try:
                state = self._one(row)
            except LostClaimError:
                state = "lost"
            finally:
                shutil.rmtree(self._scratch, ignore_errors=True)
            self._say(row, state)
            if state == "broken" or (fail_fast and state == "failed"):
                return

    def _one(self, row: FilmRecord) -> str:
        from .work import attempt

        if self._is_there(row):
            return "done"
        manifest = self._manifest
        try:
            found = attempt(
                Job(
                    row,
                    manifest.settings(row.settings),
                    self._out.root,
                    self._soundmaps,
                    manifest.contents(row.files),
                    own := manifest.owned_files(row.output),
                    self._reports or report_name(row.output) in own,
                ),
                self._scratch,
                lambda stage, done, total: self._say(row, stage, done, total),
                lambda made: manifest.record_pending(row, made),
            )
        except (LostClaimError, BrokenPipeError, PanoSoundError):
            raise
        except Exception as error:
            log.debug("unexpected error", exc_info=True)
            manifest.fail(row, unexpected(error), 1)
            return "failed"
        if found.state == "broken":
            manifest.release(self._name)
            self._pipe.send(("broken", found.trouble))
        if found.state == "again":
            time.sleep(pause(row))
        return record_outcome(manifest, row, found)

    def _is_there(self, row: FilmRecord) -> bool:
        """Whether a result is in place although that was not recorded."""
        try:
            hashes = file_hashes(row.output, row.made)
            stamps = {name: stamp for name in hashes if (stamp := self._out.stamp(name)) is not None}
            if len(hashes) < 2 or len(stamps) < len(hashes) or stamps[row.output][0] != row.made["bytes"]:
                return False
            if any(digest(self._out.name(name)) != sha256 for name, sha256 in hashes.items()):
                return False
        except PanoSoundError:
            return False
        self._manifest.finish(row, stamps)
        return True

    def _say(self, row: FilmRecord, stage: str, done: float = 0.0, total: float = 0.0) -> None:
        if total and time.monotonic() - self._said < _SAID_EVERY:
            return
        self._said = time.monotonic()
        self._pipe.send(("tell", row.output, stage, done, total))


def record_outcome(manifest: Manifest, row: FilmRecord, found: Outcome) -> str:
    """Write an outcome into the manifest. Returns the film's new state, or 'again'. Raises LostClaimError."""
    manifest.remember({f: found.contents[f.path] for f in row.files if f.path in found.contents})
    if found.state == "done":
        manifest.finish(row, found.stamps)
    elif found.state in ("skipped", "failed"):
        manifest.fail(row, found.error, found.exit_code, found.state)
    elif found.state == "again":
        manifest.release(row.claim or "", found.error)
        return "failed" if row.tries + 1 >= MAX_TRIES else "again"
    return found.state


def say_warnings(manifest: Manifest, output: str) -> None:
    """Log the warnings of a finished film."""
    row = manifest.known(output)
    for warning in row.warnings if row else ():
        log.warning("%s: %s", output, warning)


def unexpected(error: BaseException) -> str:
    """The message for an unexpected error."""
    return f"unexpected {type(error).__name__}: {first_line(error)} (please report it)"


def pause(row: FilmRecord) -> float:
    """Seconds to wait before the next attempt."""
    return min(_LONGEST_PAUSE, 2.0**row.tries)


@cache
def _context() -> Any:
    """The multiprocessing context: forks from a process with all imports done and no threads, where possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pano_sound.library.work"])
    # Ctrl-C reaches that process, too; until it ignores the signal, it would print a traceback.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _leave(number: int, frame: Any) -> None:
    """Exit without an exception, which libraries might swallow. The parent cleans up."""
    remove_partials()
    os._exit(128 + number)
