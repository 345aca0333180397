"""What people do to jobs: cancel, and resolve a doubt. Each is one compare-and-set."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# Queued jobs end at once; for a running one the wish is noted, and its next heartbeat or step brings it to the worker.
CANCEL = text(
    """
    UPDATE jobs SET
        status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
        finished_at = CASE WHEN status = 'queued' THEN statement_timestamp() END,
        blocked = blocked AND status <> 'queued',
        cancel_requested_at = coalesce(cancel_requested_at, statement_timestamp())
    WHERE id = :id AND status IN ('queued', 'running') RETURNING id
    """
)

RESOLVE = text(
    """
    UPDATE jobs SET status = :status, error = CASE WHEN :status = 'failed' THEN error END,
        finished_at = CASE WHEN :status <> 'queued' THEN statement_timestamp() END,
        run_at = CASE WHEN :status = 'queued' THEN statement_timestamp() ELSE run_at END,
        attempt = CASE WHEN :status = 'queued' THEN greatest(attempt - 1, 0) ELSE attempt END,
        dispatched_at = NULL
    WHERE id = :id AND status = 'in_doubt' RETURNING id
    """
)


def cancel(session: Session, job_id: UUID) -> bool:
    """End a queued job or ask a running one to stop; false when it is neither."""
    return session.scalar(CANCEL, {"id": job_id}) is not None


def resolve(session: Session, job_id: UUID, status: str) -> bool:
    """Take a job out of doubt; false when it is not in doubt."""
    return session.scalar(RESOLVE, {"id": job_id, "status": status}) is not None
