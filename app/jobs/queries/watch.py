"""Watching a job: from then on it tells of its changes (the trigger `jobs_tell` of migration 0017)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

WATCH = text(
    """
    UPDATE jobs SET watched = true WHERE id = :id AND finished_at IS NULL AND NOT watched
    """
)


def watch(session: Session, job_id: UUID) -> bool:
    """Mark a live job as watched, which tells of its present state; false when it is already, or has ended."""
    return bool(session.execute(WATCH, {"id": job_id}).rowcount)  # type: ignore[attr-defined]
