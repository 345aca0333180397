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
from app.core.paging import Page, decode_cursor, encode_cursor, page_of
from app.jobs.errors import JobNotFound
from app.jobs.queries import read as queries
from app.jobs.types import TERMINAL, JobFilter, Status

FIRST_LOOK_SECONDS = 0.01
LONGEST_LOOK_SECONDS = 0.25
LISTING = "jobs"


def get_job(session: Session, job_id: UUID, *, principal: str | None) -> Row[Any]:
    """The job, live or archived; `principal` None sees everybody's. Raises JobNotFound, also for another's job."""
    job = queries.find_job(session, job_id)
    if job is None or (principal is not None and job.principal != principal):
        raise JobNotFound()
    return job


def list_statuses(session: Session, ids: Sequence[UUID]) -> dict[UUID, Status]:
    """The statuses of these jobs, by id; one that ended long ago is left out."""
    return {job_id: Status(status) for job_id, status in queries.live_statuses(session, ids).items()}


def list_jobs(session: Session, wanted: JobFilter, *, cursor: str | None, limit: int) -> Page[Row[Any]]:
    """A page of jobs, newest first, live and archived together; raises InvalidInput for a bad cursor.

    Where filters leave out most of what was looked at, the page is short, or empty, and its cursor goes on from there.
    """
    key = decode_cursor(LISTING, (UUID,), cursor)
    rows = queries.list_jobs(session, wanted, before=key[0] if key else None, limit=limit + 1)
    # Below the first place where a table's walk stopped, the other table's rows may not be all there are.
    last = next((row.id for row in rows if row.is_last_walked), None)
    found = [row for row in rows if row.matches and (last is None or row.id >= last)]
    if last is not None and len(found) <= limit:
        return Page(found, encode_cursor(LISTING, (last,)))
    return page_of(found, limit=limit, listing=LISTING, key=lambda row: (row.id,))


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
