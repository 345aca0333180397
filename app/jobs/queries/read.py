"""Reading jobs back: the live table first, then the archive. Every list walks an index by id, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, union_all
from sqlalchemy.orm import Session

from app.jobs.models import ArchivedJob, Job
from app.jobs.types import JobFilter

NEVER_MILLISECONDS = 253_402_300_800_000
"""The year 10000, which neither Python nor Postgres's driver can hold."""

SHOWN = (
    "id",
    "kind",
    "principal",
    "queue",
    "priority",
    "status",
    "params",
    "run_at",
    "expires_at",
    "attempt",
    "max_attempts",
    "crashes",
    "fence",
    "cancel_requested_at",
    "overlap_key",
    "serial_key",
    "schedule",
    "slot_at",
    "progress",
    "result",
    "error",
    "callback_url",
    "retried_from",
    "request_id",
    "created_at",
    "started_at",
    "finished_at",
)


def find_job(session: Session, job_id: UUID) -> Row[Any] | None:
    """A job, live or archived. Two statements at the most; the archive's reads the partitions since the job was
    made.
    """
    live = session.execute(_select(Job).where(Job.id == job_id)).one_or_none()
    if live is not None:
        return live
    made_at_milliseconds = job_id.int >> 80
    if made_at_milliseconds >= NEVER_MILLISECONDS:  # no id of ours: a client may ask for any
        return None
    made_at = datetime.fromtimestamp(made_at_milliseconds / 1000, tz=UTC)
    return session.execute(
        _select(ArchivedJob).where(ArchivedJob.id == job_id, ArchivedJob.finished_at >= made_at)
    ).one_or_none()


def find_jobs(session: Session, job_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Live jobs by id."""
    return session.execute(_select(Job).where(Job.id.in_(job_ids))).all()


def list_jobs(session: Session, wanted: JobFilter, *, before: UUID | None, limit: int) -> Sequence[Row[Any]]:
    """The newest `limit` jobs older than `before`, from both tables. O(limit · log jobs)."""
    halves = [_page(model, wanted, before, limit).subquery() for model in (Job, ArchivedJob)]
    both = union_all(*(select(half) for half in halves)).subquery()
    return session.execute(select(both).order_by(both.c.id.desc()).limit(limit)).all()


def _page(model: Any, wanted: JobFilter, before: UUID | None, limit: int) -> Select[Any]:
    chosen = [
        getattr(model, name) == value
        for name in ("principal", "status", "kind", "queue", "schedule")
        if (value := getattr(wanted, name)) is not None
    ]
    if before is not None:
        chosen.append(model.id < before)
    if wanted.created_after is not None:
        chosen.append(model.id >= _first_id(wanted.created_after))
    if wanted.created_before is not None:
        chosen.append(model.id < _first_id(wanted.created_before))
    return _select(model).where(*chosen).order_by(model.id.desc()).limit(limit)


def _select(model: Any) -> Select[Any]:
    return select(*(getattr(model, name) for name in SHOWN))


def _first_id(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment: ids are in the order of their making, so a time is a range of ids."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
