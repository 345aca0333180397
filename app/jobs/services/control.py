"""What people do to jobs: cancel, retry, resolve a doubt."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.jobs.errors import AlreadyEnded, NotEnded, NotInDoubt
from app.jobs.queries import control as queries
from app.jobs.queries import effects
from app.jobs.services.enqueue import enqueue, get_kind
from app.jobs.services.reading import get_job
from app.jobs.types import TERMINAL, Menu, NewJob, Status


def cancel_job(session: Session, job_id: UUID, *, principal: str | None) -> Row[Any]:
    """End a queued job, or ask a running one to stop; raises AlreadyEnded. Asking twice changes nothing."""
    get_job(session, job_id, principal=principal)
    done = queries.cancel(session, job_id)
    job = get_job(session, job_id, principal=principal)
    if not done:
        raise AlreadyEnded(f"The job is {job.status}.", status_now=job.status)
    return job


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
