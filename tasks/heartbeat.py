"""The heartbeat: one thread a worker process extends the leases of what runs there, at least every third of a lease.

A job shorter than a sixth never needs one. The thread also brings back cancellations, and fences its own process: when
no beat got through for a whole lease, the job counts as lost without asking anybody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.core.failpoints import failpoint
from app.core.logging import get_logger
from app.jobs.services.claim import extend_leases
from app.jobs.services.run import JobRun

log = get_logger(__name__)


@dataclass(eq=False)
class _Watched:
    runs: Sequence[JobRun]
    last_beat: float = field(default_factory=time.monotonic)


class Heartbeat:
    """Beats for every group of runs between `beating(runs)` and its end."""

    def __init__(self, engine: Engine, lease_seconds: float):
        """`engine` commits each statement by itself."""
        self._engine = engine
        self._lease = lease_seconds
        self._watched: set[_Watched] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def beating(self, runs: Sequence[JobRun]) -> Iterator[None]:
        """Keep the leases of `runs` (one message's jobs, one token) while the block runs."""
        group = _Watched(runs)
        with self._lock:
            self._watched.add(group)
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="heart", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched.discard(group)

    def _live(self) -> None:
        # It looks twice a beat, whether there are jobs or not: to be told of each short job would cost more than it.
        while True:
            time.sleep(self._lease / 6)
            now = time.monotonic()
            with self._lock:
                due = [group for group in self._watched if now - group.last_beat >= self._lease / 6]
            for group in due:
                self._beat(group)

    def _beat(self, group: _Watched) -> None:
        runs = group.runs
        started = time.monotonic()
        failpoint("worker.heartbeat")
        try:
            with self._engine.connect() as connection:
                still_ours = extend_leases(
                    connection,
                    [run.claim for run in runs],
                    lease_seconds=self._lease,
                    progress=runs[0].progress if len(runs) == 1 else None,
                )
        except SQLAlchemyError as error:
            log.warning("heartbeat_failed", reason=type(error).__name__, job_id=str(runs[0].claim.id))
            self._after_failure(group, started)
            return
        group.last_beat = started
        for run in runs:
            if run.claim.id not in still_ours:
                run.lost.set()
            elif still_ours[run.claim.id]:
                run.cancelled.set()

    def _after_failure(self, group: _Watched, started: float) -> None:
        # It is tried again at the next look; `last_beat` stays what it was until a beat gets through.
        if started - group.last_beat >= self._lease:
            for run in group.runs:
                run.lost.set()
