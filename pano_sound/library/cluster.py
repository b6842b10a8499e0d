"""A library worked through by a Ray cluster. The process that was started owns the manifest, the others make films.

Ray starts a film again elsewhere when its worker or its machine is lost. At most as many films are handed out as keep
the cluster busy, and let an autoscaler see that there is more to do.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError, PanoSoundError
from .intake import Library
from .manifest import STRIKES, LostClaimError, Row
from .run import WORKER_BYTES, Tell, note, unexpected
from .storage import first_line, store

if TYPE_CHECKING:
    from .work import Outcome

log = logging.getLogger("pano_sound")

_AHEAD = 2
"""Films handed out for each core of the cluster."""
_LOOK_EVERY = 5.0
_ANSWERS_WITHIN = 10.0


def work(library: Library, tell: Tell, fail_fast: bool = False) -> dict[str, int]:
    """Make all films that the library's run wants on the cluster of its settings; how many ended in which state.

    Raises:
        PanoSoundError: there is no such cluster, or no Ray.
        OutputError: nothing can be written any more.
    """
    ray = _connected(library.settings.ray or "auto")
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
        raise PanoSoundError(f"no Ray cluster answers at {address!r}: {first_line(error)}") from None
    return ray


class _Driver:
    def __init__(self, ray: Any, library: Library, tell: Tell, fail_fast: bool) -> None:
        self._ray, self._library, self._tell, self._fail_fast = ray, library, tell, fail_fast
        # One core each, as on one machine: so the results are the same. Lost workers and machines are Ray's matter.
        task = ray.remote(num_cpus=1, memory=WORKER_BYTES, max_retries=STRIKES, retry_exceptions=False)
        self._film = task(_film)
        self._out: dict[Any, Row] = {}
        self._number = 0

    def work(self) -> dict[str, int]:
        library, looked = self._library, 0.0
        while True:
            if time.monotonic() - looked > _LOOK_EVERY:
                looked = time.monotonic()
                library.keep()
                most = library.settings.workers or _AHEAD * self._cores()
            while len(self._out) < most and self._hand_out():
                pass
            if not self._out:
                return library.manifest.count(library.run)
            ready, _ = self._ray.wait(list(self._out), timeout=_LOOK_EVERY)
            for reference in ready:
                if self._take(reference, self._out.pop(reference)) == "failed" and self._fail_fast:
                    return library.manifest.count(library.run)

    def give_back(self) -> None:
        """Let others make what was handed out and did not come back."""
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
        settings, contents = library.manifest.settings(row.settings), library.manifest.contents(row.files)
        reference = self._film.remote(row, settings, library.out.root, library.soundmaps.root, contents)
        self._out[reference] = row
        self._tell(row.output, "begin", 0.0, 0.0, None)
        return True

    def _take(self, reference: Any, row: Row) -> str:
        manifest = self._library.manifest
        error: str | None = None
        try:
            found: Outcome = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as failure:
            error, state = unexpected(failure.cause), "failed"
            manifest.fail(row, error, 1)
        except self._ray.exceptions.RayError as failure:
            error, state = f"its worker was lost {STRIKES + 1} times: {first_line(failure)}", "failed"
            manifest.fail(row, error, 1)
        else:
            if found.state == "broken":
                raise OutputError(found.error)
            error = found.error
            try:
                if found.made is not None:
                    manifest.intend(row, found.made)
                state = note(manifest, row, found)
            except LostClaimError:
                state = "lost"
        self._tell(row.output, state, 0.0, 0.0, error)
        return state


def _film(row: Row, settings: dict[str, Any], out: str, soundmaps: str, contents: dict[str, str]) -> Outcome:
    """One film, on a machine of the cluster."""
    from .work import attempt, prepare_process

    prepare_process()
    logging.getLogger("pano_sound").propagate = False
    scratch = Path(tempfile.gettempdir()) / f"pano-sound-{os.getpid()}-{uuid.uuid4().hex}"
    return attempt(row, settings, store(out), store(soundmaps), scratch, contents, _silent)


def _silent(stage: str, done: float, total: float) -> None:
    pass
