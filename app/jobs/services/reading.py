"""What a client sees of its jobs, and what it may do with them: get, wait, cancel, retry, resolve."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import BoundedSemaphore
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.db import release
from app.core.paging import Page, decode_cursor, page_of
from app.jobs.errors import AlreadyEnded, JobNotFound, NotEnded, NotInDoubt
from app.jobs.queries import effects
from app.jobs.queries import read as queries
from app.jobs.services.enqueue import enqueue, get_kind
from app.jobs.types import TERMINAL, JobFilter, Menu, NewJob, Status

FIRST_LOOK_SECONDS = 0.01
LONGEST_LOOK_SECONDS = 0.25
LISTING = "jobs"


def get_job(session: Session, job_id: UUID, *, principal: str | None) -> Row[Any]:
    """The job, live or archived; `principal` None sees everybody's. Raises JobNotFound, also for another's job."""
    job = queries.find_job(session, job_id)
    if job is None or (principal is not None and job.principal != principal):
        raise JobNotFound()
    return job


def get_jobs(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Live jobs by id, in one statement: a batch that has just been submitted."""
    return {row.id: row for row in queries.find_jobs(session, job_ids)}


def list_jobs(session: Session, wanted: JobFilter, *, cursor: str | None, limit: int) -> Page[Row[Any]]:
    """A page of jobs, newest first, live and archived together; raises InvalidInput for a bad cursor."""
    key = decode_cursor(LISTING, (UUID,), cursor)
    rows = queries.list_jobs(session, wanted, before=key[0] if key else None, limit=limit + 1)
    return page_of(rows, limit=limit, listing=LISTING, key=lambda row: (row.id,))


def cancel_job(session: Session, job_id: UUID, *, principal: str | None) -> Row[Any]:
    """End a queued job, or ask a running one to stop; raises AlreadyEnded. Asking twice changes nothing."""
    job = get_job(session, job_id, principal=principal)
    if not queries.cancel(session, job_id):
        raise AlreadyEnded(f"The job is {get_job(session, job_id, principal=principal).status}.", status_now=job.status)
    return get_job(session, job_id, principal=principal)


def retry_job(session: Session, job_id: UUID, menu: Menu, *, principal: str | None, request_id: str | None) -> UUID:
    """Enqueue an ended job again, as a new one that names the old; raises NotEnded, AlreadyLive, UnknownKind."""
    job = get_job(session, job_id, principal=principal)
    if Status(job.status) not in TERMINAL:
        raise NotEnded(f"The job is {job.status}.")
    new = NewJob(
        kind=get_kind(menu, job.kind),
        params=job.params,
        principal=job.principal,
        priority=job.priority,
        max_attempts=job.max_attempts,
        callback_url=job.callback_url,
        retried_from=job.id,
        request_id=request_id,
    )
    return enqueue(session, new)


def resolve_job(session: Session, job_id: UUID, status: Status) -> Row[Any]:
    """An operator's word on a job in doubt: its effect happened (succeeded), did not (failed), or do it (again).

    Back to the queue means that the effect is known not to have happened, so its row is forgotten.
    """
    get_job(session, job_id, principal=None)
    if not queries.resolve(session, job_id, status):
        raise NotInDoubt()
    if status is Status.SUCCEEDED:
        effects.settle(session, job_id)
    else:
        effects.forget_unsettled(session, job_id)
    return get_job(session, job_id, principal=None)


class Waiters:
    """How many requests may wait for a job at once: a quarter of the threads, so that others are always served."""

    def __init__(self, threads: int):
        self._places = BoundedSemaphore(max(1, threads // 4))

    def wait(self, session: Session, look: Callable[[], Row[Any]], seconds: float) -> Row[Any] | None:
        """Look until the job has ended or the time is up; the last look, or None when every place is taken.

        Between looks no connection and no snapshot is held.
        """
        if not self._places.acquire(blocking=False):
            return None
        try:
            deadline = time.monotonic() + seconds
            pause = FIRST_LOOK_SECONDS
            job = look()
            while Status(job.status) not in TERMINAL and time.monotonic() < deadline:
                release(session)
                time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
                pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)
                job = look()
            return job
        finally:
            self._places.release()
