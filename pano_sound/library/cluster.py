"""Work through a library on a Ray cluster. The process that you start owns the manifest; the others make films.

Ray restarts a film elsewhere if its worker or machine is lost. Only so many films are handed out that the cluster stays
busy and an autoscaler sees that there is more to do.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PanoSoundError, first_line
from .discover import report_name
from .intake import Library
from .job import Job
from .manifest import MAX_TRIES, LostClaimError
from .ownership import PENDING
from .pool import WORKER_BYTES, Tell, record_outcome, say_warnings, unexpected
from .records import FilmRecord, RenderResult, file_hashes
from .storage import store

if TYPE_CHECKING:
    from .work import Outcome

log = logging.getLogger("pano_sound")

_AHEAD = 2
"""Films handed out for each core of the cluster."""
_CHECK_EVERY = 5.0
_SHARE_OF_CARD = 0.25
_ANSWERS_WITHIN = 10.0


def work(library: Library, tell: Tell, fail_fast: bool = False) -> dict[str, int]:
    """Make all films of the library's run on the cluster that its options name. Returns the number of films by state.

    Raises:
        PanoSoundError: there is no such cluster, or Ray is not installed.
        OutputError: results can no longer be written.
    """
    ray = _connected(library.options.ray or "auto")
    driver = _Driver(ray, library, tell, fail_fast)
    try:
        return driver.work()
    finally:
        ray.shutdown()
        driver.give_back()


def _connected(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise PanoSoundError("clusters need Ray", hint="pip install 'pano-sound[cluster]'") from error
    host, colon, port = address.rpartition(":")
    try:
        if colon and port.isdecimal():
            # Ray itself would try for many minutes.
            socket.create_connection((host.rpartition("/")[2], int(port)), timeout=_ANSWERS_WITHIN).close()
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Of many kinds.
        hint = "give its address, 'auto' on one of its machines, or 'local'"
        raise PanoSoundError(f"no Ray cluster answers at {address!r}: {first_line(error)}", hint=hint) from None
    return ray


class _Driver:
    def __init__(self, ray: Any, library: Library, tell: Tell, fail_fast: bool) -> None:
        self._ray, self._library, self._tell, self._fail_fast = ray, library, tell, fail_fast
        # One core each, as on one machine, so that results are the same. Ray replaces lost workers and machines.
        task = ray.remote(num_cpus=1, memory=WORKER_BYTES, max_retries=MAX_TRIES, retry_exceptions=False)
        self._film, self._analysed, self._rendered = task(_film), task(_analysed), task(_rendered)
        self._out: dict[Any, FilmRecord] = {}
        self._number = 0
        self._help = False

    def work(self) -> dict[str, int]:
        library, checked = self._library, 0.0
        while True:
            if time.monotonic() - checked > _CHECK_EVERY:
                checked = time.monotonic()
                library.keep()
                most = library.options.workers or _AHEAD * self._cores()
                # Made by several workers, a film is read more often, so only idle workers help.
                self._help = library.manifest.count(library.run)["waiting"] + len(self._out) <= self._cores()
            while len(self._out) < most and self._hand_out():
                pass
            if not self._out:
                library.check_made()
                return library.manifest.count(library.run)
            ready, _ = self._ray.wait(list(self._out), timeout=_CHECK_EVERY)
            for reference in ready:
                if self._take(reference, self._out.pop(reference)) == "failed" and self._fail_fast:
                    return library.manifest.count(library.run)

    def give_back(self) -> None:
        """Release films that were handed out and did not come back."""
        for row in self._out.values():
            self._library.manifest.release(row.claim or "")

    def _cores(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _hand_out(self) -> bool:
        library = self._library
        self._number += 1
        row = library.manifest.claim(library.run, f"{library.run}.{self._number}")
        if row is None:
            return False
        job = self._job(row, library.manifest.contents(row.files))
        if _card(job) and not self._ray.cluster_resources().get("GPU"):
            library.manifest.release(row.claim or "")
            hint = "leave `device` out, or add a machine that has one"
            raise PanoSoundError("no machine of the cluster has a GPU", hint=hint)
        self._out[self._film.options(**_card(job)).remote(job, self._help)] = row
        self._tell(row.output, "begin", 0.0, 0.0, None)
        return True

    def _job(self, row: FilmRecord, contents: dict[str, str]) -> Job:
        library = self._library
        manifest = library.manifest
        own = manifest.owned_files(row.output)
        reports = library.options.reports or report_name(row.output) in own
        roots = library.out.root, library.soundmaps.root
        return Job(row, manifest.settings(row.settings), *roots, contents, own, reports)

    def _share_out(self, row: FilmRecord, found: Outcome) -> None:
        """Make a long film's segments on idle workers. All are analysed before the first is rendered.

        A single worker makes the same segments one after the other, so the result is the same.
        """
        job = self._job(row, found.contents)
        analyse = self._analysed.options(**_card(job))
        analysed = [analyse.remote(job, number) for number in range(found.segments)]
        rendered = [self._rendered.remote(job, number, *analysed) for number in range(found.segments)]
        self._out[self._film.options(**_card(job)).remote(job, False, *analysed, *rendered)] = row

    def _take(self, reference: Any, row: FilmRecord) -> str:
        manifest = self._library.manifest
        error = ""
        found: Outcome | None = None
        try:
            found = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as failure:
            error = unexpected(failure.cause)
        except self._ray.exceptions.RayError as failure:
            error = f"its worker was lost {MAX_TRIES + 1} times: {first_line(failure)}"
        if found is not None and found.trouble is not None:
            raise found.trouble
        if found is not None and found.state == "long":
            self._share_out(row, found)
            return found.state
        try:
            if found is None:
                state = "failed"
                manifest.fail(row, error, 1)
            else:
                if found.made is not None:
                    manifest.record_pending(row, found.made)
                state = record_outcome(manifest, row, found)
        except LostClaimError:
            state = "lost"
        if state == "done":
            say_warnings(manifest, row.output)
        failed = manifest.known(row.output) if state == "failed" else None
        self._tell(row.output, state, 0.0, 0.0, failed.failure if failed else None)
        return state


def _card(job: Job) -> dict[str, float]:
    """Resources of a task that may analyse, besides a core: several tasks share a GPU."""
    return {"num_gpus": _SHARE_OF_CARD} if job.settings.get("device") == "cuda" else {}


def _film(job: Job, split: bool, *said: list[str]) -> Outcome:
    """Make one film on a machine of the cluster. `said`: warnings from making its segments."""
    from ..pipeline.film import no_progress
    from .work import attempt

    def record_pending(made: RenderResult) -> None:
        # The manifest is on another machine. If its owner is lost, this note tells what was put in place.
        hashes = file_hashes(job.row.output, made.to_json())
        store(job.out).write(f"{PENDING}/{job.row.id}.json", json.dumps(hashes).encode())

    lines = [line for lines in said for line in lines]
    with _prepared() as scratch:
        return attempt(job, scratch, no_progress, record_pending, split=split, said=lines)


def _analysed(job: Job, number: int) -> list[str]:
    """Analyse one segment of a long film. Returns warnings."""
    from .work import analyse_part

    return _tried(analyse_part, job, number)


def _rendered(job: Job, number: int, *_: list[str]) -> list[str]:
    """Render one segment of a long film. Returns warnings."""
    from .work import render_part

    return _tried(render_part, job, number)


def _tried(make: Any, job: Job, number: int) -> list[str]:
    with _prepared() as scratch:
        try:
            warnings: list[str] = make(job, scratch, number)
        except (PanoSoundError, MemoryError):
            return []  # The worker that joins the film tries again and reports the error.
        return warnings


@contextlib.contextmanager
def _prepared() -> Iterator[Path]:
    """Prepare a worker process. Returns a scratch folder."""
    from .work import prepare_process

    prepare_process()
    logging.getLogger("pano_sound").propagate = False
    with tempfile.TemporaryDirectory(prefix="pano-sound-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "work"
