"""Watching a job: whoever does is told of each change of its status and progress by the topic `jobs:<id>`.

Only watched jobs tell: a job nobody watches costs no event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.events import Standing, emit
from app.jobs.queries import watch as queries
from app.jobs.services.reading import get_job
from app.jobs.types import TERMINAL, Status


def watch_job(session: Session, job_id: UUID, *, principal: str | None) -> None:
    """Have the job tell of its changes from now on, and of its present state at once; an ended one only of that.

    `principal` None watches anybody's. Raises JobNotFound, also for another's job.
    """
    job = get_job(session, job_id, principal=principal)
    if not queries.watch(session, job_id) and Status(job.status) in TERMINAL:
        emit(session, topic_of(job_id), str(job_id), job_event(job), Standing.STATE)


def topic_of(job_id: UUID) -> str:
    """Where a job's changes are told."""
    return f"jobs:{job_id}"


def job_event(job: Row[Any]) -> Mapping[str, Any]:
    """What the trigger says of a job, for one that does not change any more."""
    told = ("kind", "status", "attempt", "max_attempts", "progress", "error")
    return {"id": str(job.id), **{name: getattr(job, name) for name in told}}
