"""The heartbeat: one thread a worker process extends the leases of what runs there, every third of a lease.

A job shorter than that never needs one. The thread also brings back cancellations, and fences its own process: when no
beat got through for a whole lease, the job counts as lost without asking anybody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.core.logging import get_logger
from app.jobs.queries import claim as queries
from app.jobs.services.run import JobRun

log = get_logger(__name__)


@dataclass(eq=False)
class _Patient:
    runs: Sequence[JobRun]
    last_beat: float = field(default_factory=time.monotonic)


class Heart:
    """Beats for every group of runs between `beating(runs)` and its end."""

    def __init__(self, engine: Engine, lease_seconds: float):
        self._engine = engine
        self._lease = lease_seconds
        self._patients: set[_Patient] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def beating(self, runs: Sequence[JobRun]) -> Iterator[None]:
        """Keep the leases of `runs` (one message's jobs, one token) while the block runs."""
        patient = _Patient(runs)
        with self._changed:
            self._patients.add(patient)
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="heart", daemon=True)
                self._thread.start()
            elif len(self._patients) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._patients.discard(patient)

    def _live(self) -> None:
        while True:
            with self._changed:
                while not self._patients:
                    self._changed.wait()
                due = min(patient.last_beat for patient in self._patients) + self._lease / 3
                self._changed.wait(max(0.0, due - time.monotonic()))
                now = time.monotonic()
                ripe = [patient for patient in self._patients if now - patient.last_beat >= self._lease / 3]
            for patient in ripe:
                self._beat(patient)

    def _beat(self, patient: _Patient) -> None:
        runs = patient.runs
        started = time.monotonic()
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                still_ours = queries.heartbeat(
                    connection,
                    [run.claim.id for run in runs],
                    token=runs[0].claim.token,
                    lease=self._lease,
                    progress=runs[0].progress if len(runs) == 1 else None,
                )
        except SQLAlchemyError as error:
            log.warning("heartbeat_failed", reason=type(error).__name__, job_id=str(runs[0].claim.id))
            self._after_failure(patient, started)
            return
        patient.last_beat = started
        for run in runs:
            if run.claim.id not in still_ours:
                run.lost.set()
            elif still_ours[run.claim.id]:
                run.cancelled.set()

    def _after_failure(self, patient: _Patient, started: float) -> None:
        if started - patient.last_beat >= self._lease:
            for run in patient.runs:
                run.lost.set()
        # Try again soon, but not in a tight loop; `last_beat` stays what it was until a beat gets through.
        time.sleep(min(0.5, self._lease / 10))
