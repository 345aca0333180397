"""The worker's statements. Each is one compare-and-set: there is no read followed by a write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

# The commit does not wait for the disk where :flush is `off`: lost, the job is simply queued again. That setting is a
# condition that is always true, because a CTE for it would double the time to plan a claim.
SET = """
    SET status = 'running', attempt = attempt + 1, fence = fence + 1, claim_token = :token, worker = :worker,
        lease_until = statement_timestamp() + make_interval(secs => :lease),
        started_at = coalesce(started_at, statement_timestamp())
"""
MAY_START = """
    j.status = 'queued' AND j.run_at <= statement_timestamp() AND j.attempt < j.max_attempts
    AND (j.expires_at IS NULL OR j.expires_at > statement_timestamp())
    AND set_config('synchronous_commit', :flush, true) IS NOT NULL
"""
CLAIMED = """
    RETURNING j.id, j.kind, j.params, j.principal, j.fence, j.attempt, j.max_attempts, j.cursor, j.schedule, j.slot_at,
              j.request_id
"""
# Claims the given jobs, as many as may start now. A duplicate message finds status <> 'queued' and claims nothing.
CLAIM = text(f"UPDATE jobs j {SET} WHERE j.id = ANY(:ids) AND {MAY_START} {CLAIMED}")
# The same for a kind whose jobs stand in line: not while an older one of the line lives.
CLAIM_IN_LINE = text(
    f"""
    UPDATE jobs j {SET} WHERE j.id = ANY(:ids) AND {MAY_START} AND NOT EXISTS (
        SELECT FROM jobs o
        WHERE o.serial_key = j.serial_key AND o.status IN ('in_doubt', 'queued', 'running')
          AND (coalesce(o.slot_at, '-infinity'::timestamptz), o.id)
              < (coalesce(j.slot_at, '-infinity'::timestamptz), j.id))
    {CLAIMED}
    """
)
# Claims the next job of a kind that waits behind the window, if it is among the first few of its queue: a worker that
# has just finished one goes on without a message. Only the row that is taken is locked; several workers look at once.
CLAIM_NEXT = text(
    f"""
    UPDATE jobs j {SET} WHERE {MAY_START} AND j.id = (
        SELECT c.id FROM jobs c WHERE c.status = 'queued' AND c.dispatched_at IS NULL AND c.id IN (
            SELECT first.id FROM (
                SELECT r.id, r.kind FROM jobs r
                WHERE r.queue = :queue AND r.status = 'queued' AND r.dispatched_at IS NULL AND NOT r.blocked
                  AND r.run_at <= statement_timestamp()
                ORDER BY r.priority, r.run_at, r.id LIMIT 16
            ) AS first WHERE first.kind = :kind)
        LIMIT 1 FOR UPDATE SKIP LOCKED)
    {CLAIMED}
    """  # noqa: S608 - made of the constants above
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

# Ends attempts: each item says its next status. `again_seconds` moves run_at for those that go back to the queue;
# `give_back` returns the attempt (a snooze costs none). Why a job waits is told beside how far it had come. The ids
# stand by themselves too: from the items alone the planner guesses at a hundred, and reads a whole small table for one.
END = """
    SET status = f.status, claim_token = NULL, lease_until = NULL, result = f.result, error = f.error,
        progress = CASE WHEN f.status = 'succeeded' AND j.progress IS NOT NULL
                   THEN CAST('{"pct": 100.0, "stage": "done", "message": "", "eta_at": null}' AS jsonb)
                   ELSE coalesce(j.progress || f.progress, f.progress, j.progress) END,
        attempt = j.attempt - CASE WHEN f.give_back THEN 1 ELSE 0 END,
        run_at = CASE WHEN f.status = 'queued' THEN statement_timestamp() + make_interval(secs => f.again_seconds)
                 ELSE j.run_at END,
        dispatched_at = NULL,
        finished_at = CASE WHEN f.status IN ('succeeded', 'failed', 'cancelled') THEN statement_timestamp() END
"""
OURS = "j.status = 'running' AND j.claim_token = :token RETURNING j.id"
FINISH = text(
    f"""
    UPDATE jobs j {END} FROM jsonb_to_recordset(:items)
         AS f(id uuid, status text, result jsonb, error jsonb, progress jsonb, again_seconds float, give_back boolean)
    WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.id = f.id AND {OURS}
    """
).bindparams(bindparam("items", type_=JSONB))
# The same for one, whose values stand in the statement: a third of the time to plan and run.
ITEM = {"status": "text", "result": "jsonb", "error": "jsonb", "progress": "jsonb", "again_seconds": "float8",
        "give_back": "boolean"}  # fmt: skip
FINISH_ONE = text(
    f"UPDATE jobs j {re.sub(r'f[.]([a-z_]+)', lambda name: f'CAST(:{name[1]} AS {ITEM[name[1]]})', END)}"
    f" WHERE j.id = :id AND {OURS}"
).bindparams(*(bindparam(name, type_=JSONB(none_as_null=True)) for name, kind in ITEM.items() if kind == "jsonb"))


def claim(
    connection: Connection, ids: Sequence[UUID], *, token: UUID, lease: float, worker: str, fast: bool, in_line: bool
) -> list[Row[Any]]:
    """Claim what may start; the caller's connection is in autocommit. O(ids)."""
    values = {"ids": list(ids), "token": token, "lease": lease, "worker": worker, "flush": "off" if fast else "on"}
    return list(connection.execute(CLAIM_IN_LINE if in_line else CLAIM, values))


def claim_next(
    connection: Connection, queue: str, kind: str, *, token: UUID, lease: float, worker: str, fast: bool
) -> Row[Any] | None:
    """Claim a job of a kind that no message names yet; None when none is among the queue's first. O(log jobs)."""
    values = {"queue": queue, "kind": kind, "token": token, "lease": lease, "worker": worker}
    return connection.execute(CLAIM_NEXT, values | {"flush": "off" if fast else "on"}).one_or_none()


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


def finish(session: Session | Connection, items: Sequence[Mapping[str, Any]], *, token: UUID) -> set[UUID]:
    """End attempts inside the caller's transaction; returns the ids that were still ours."""
    if len(items) == 1:
        return set(session.scalars(FINISH_ONE, {**dict.fromkeys(ITEM), **items[0], "token": token}))
    values = {"ids": [item["id"] for item in items], "items": list(items), "token": token}
    return set(session.scalars(FINISH, values))
