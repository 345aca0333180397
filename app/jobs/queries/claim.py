"""The worker's statements. Each is one compare-and-set: there is no read followed by a write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

# Claims the given jobs, as many as may start now. A duplicate message finds status <> 'queued' and claims nothing.
# With :fast the claim's commit does not wait for the disk: lost, the job is simply queued again.
CLAIM = text(
    """
    WITH how AS (SELECT set_config('synchronous_commit', CASE WHEN :fast THEN 'off' ELSE 'on' END, true))
    UPDATE jobs j
    SET status = 'running', attempt = attempt + 1, fence = fence + 1, claim_token = :token, worker = :worker,
        lease_until = statement_timestamp() + make_interval(secs => :lease),
        started_at = coalesce(started_at, statement_timestamp())
    FROM how
    WHERE j.id = ANY(:ids) AND j.status = 'queued' AND j.run_at <= statement_timestamp()
      AND j.attempt < j.max_attempts AND (j.expires_at IS NULL OR j.expires_at > statement_timestamp())
      AND (j.serial_key IS NULL OR NOT EXISTS (
          SELECT FROM jobs o
          WHERE o.serial_key = j.serial_key AND o.status IN ('in_doubt', 'queued', 'running')
            AND (coalesce(o.slot_at, '-infinity'::timestamptz), o.id)
                < (coalesce(j.slot_at, '-infinity'::timestamptz), j.id)))
    RETURNING j.id, j.kind, j.params, j.principal, j.fence, j.attempt, j.max_attempts, j.cursor, j.schedule, j.slot_at,
              j.request_id
    """
)

# A published job that could not start because an older one of its serial key lives: out of the dispatcher's sight until
# the older one's end releases it. The lock orders this against that end (see the trigger jobs_ended).
LOCK_SERIAL = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(serial_key, 0)) FROM jobs"
    " WHERE id = :id AND serial_key IS NOT NULL AND status = 'queued'"
)
BLOCK = text(
    """
    UPDATE jobs j SET blocked = true, dispatched_at = NULL
    WHERE j.id = :id AND j.status = 'queued' AND EXISTS (
        SELECT FROM jobs o
        WHERE o.serial_key = j.serial_key AND o.status IN ('in_doubt', 'queued', 'running')
          AND (coalesce(o.slot_at, '-infinity'::timestamptz), o.id)
              < (coalesce(j.slot_at, '-infinity'::timestamptz), j.id))
    """
)

# Every later write shows the token. No row back: the claim is somebody else's now.
HEARTBEAT = text(
    """
    UPDATE jobs SET lease_until = statement_timestamp() + make_interval(secs => :lease),
                    progress = coalesce(:progress, progress)
    WHERE id = ANY(:ids) AND status = 'running' AND claim_token = :token
    RETURNING id, cancel_requested_at IS NOT NULL AS cancelled
    """
).bindparams(bindparam("progress", type_=JSONB(none_as_null=True)))

STEP = text(
    """
    UPDATE jobs SET lease_until = statement_timestamp() + make_interval(secs => :lease),
                    cursor = coalesce(:cursor, cursor), progress = coalesce(:progress, progress)
    WHERE id = :id AND status = 'running' AND claim_token = :token
    RETURNING cancel_requested_at IS NOT NULL AS cancelled
    """
).bindparams(bindparam("cursor", type_=JSONB(none_as_null=True)), bindparam("progress", type_=JSONB(none_as_null=True)))

# Ends the attempts of one message: each item says its next status. `again_seconds` moves run_at for those that go back
# to the queue; `give_back` returns the attempt (a snooze costs none). The ids stand by themselves too: from the items
# alone the planner guesses at a hundred, and reads a whole small table for one.
FINISH = text(
    """
    UPDATE jobs j
    SET status = f.status, claim_token = NULL, lease_until = NULL, result = f.result, error = f.error,
        progress = CASE WHEN f.status = 'succeeded' AND j.progress IS NOT NULL
                   THEN CAST('{"pct": 100.0, "stage": "done", "message": ""}' AS jsonb)
                   ELSE coalesce(f.progress, j.progress) END,
        attempt = j.attempt - CASE WHEN f.give_back THEN 1 ELSE 0 END,
        run_at = CASE WHEN f.status = 'queued' THEN statement_timestamp() + make_interval(secs => f.again_seconds)
                 ELSE j.run_at END,
        dispatched_at = NULL,
        finished_at = CASE WHEN f.status IN ('succeeded', 'failed', 'cancelled') THEN statement_timestamp() END
    FROM jsonb_to_recordset(:items)
         AS f(id uuid, status text, result jsonb, error jsonb, progress jsonb, again_seconds float, give_back boolean)
    WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.id = f.id AND j.status = 'running' AND j.claim_token = :token
    RETURNING j.id
    """
).bindparams(bindparam("items", type_=JSONB))


def claim(
    connection: Connection, ids: Sequence[UUID], *, token: UUID, lease: float, worker: str, fast: bool
) -> list[Row[Any]]:
    """Claim what may start; the caller's connection is in autocommit. O(ids)."""
    values = {"ids": list(ids), "token": token, "lease": lease, "worker": worker, "fast": fast}
    return list(connection.execute(CLAIM, values))


def block(connection: Connection, job_id: UUID) -> bool:
    """Put a job that must wait for its serial key out of the dispatcher's sight; true when it was."""
    connection.execute(LOCK_SERIAL, {"id": job_id})
    return connection.execute(BLOCK, {"id": job_id}).rowcount == 1


def heartbeat(
    connection: Connection, ids: Sequence[UUID], *, token: UUID, lease: float, progress: Mapping[str, Any] | None
) -> dict[UUID, bool]:
    """Extend the leases still ours; returns them, each with whether its cancellation was asked for."""
    values = {"ids": list(ids), "token": token, "lease": lease, "progress": progress}
    return {row.id: row.cancelled for row in connection.execute(HEARTBEAT, values)}


def step(
    session: Session,
    job_id: UUID,
    *,
    token: UUID,
    lease: float,
    cursor: Mapping[str, Any] | None,
    progress: Mapping[str, Any] | None,
) -> bool | None:
    """Check the token inside the caller's transaction; None: no longer ours; else whether cancellation was asked
    for.
    """
    values = {"id": job_id, "token": token, "lease": lease, "cursor": cursor, "progress": progress}
    row = session.execute(STEP, values).one_or_none()
    return None if row is None else bool(row.cancelled)


def finish(session: Session, items: Sequence[Mapping[str, Any]], *, token: UUID) -> set[UUID]:
    """End attempts inside the caller's transaction; returns the ids that were still ours."""
    values = {"ids": [item["id"] for item in items], "items": list(items), "token": token}
    return set(session.scalars(FINISH, values))
