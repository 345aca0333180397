"""The dispatcher's statements: which messages to publish, which to publish again, what to rescue, expire and archive.

Any number of dispatchers may run them at once: rows are taken with SKIP LOCKED.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text
from sqlalchemy.orm import Session

# Fills each queue's window. One index probe a (queue, priority); the rows come in the index's own order, so nothing is
# sorted and the backlog behind the window is never read. An array, not a join: its guess at the rows picked would have
# the planner read the whole table. The mark may commit asynchronously: lost, the job is sent twice.
FILL = text(
    """
    WITH how AS (SELECT set_config('synchronous_commit', 'off', true)),
    room AS (
        SELECT w.queue, w.size - (SELECT count(*) FROM jobs o WHERE o.queue = w.queue AND o.status = 'queued'
                                  AND o.dispatched_at IS NOT NULL) AS free
        FROM how, unnest(CAST(:queues AS text[]), CAST(:sizes AS int[])) AS w(queue, size)
    ),
    picked AS MATERIALIZED (
        SELECT p.id FROM room CROSS JOIN LATERAL (
            SELECT j.id FROM generate_series(0, 9) AS n(priority) CROSS JOIN LATERAL (
                SELECT r.id FROM jobs r
                WHERE r.queue = room.queue AND r.priority = n.priority AND r.status = 'queued'
                  AND r.dispatched_at IS NULL AND NOT r.blocked AND r.run_at <= statement_timestamp()
                ORDER BY r.run_at, r.id
                LIMIT least(greatest(room.free, 0), 500) FOR UPDATE SKIP LOCKED
            ) AS j LIMIT least(greatest(room.free, 0), 500)
        ) AS p
    )
    UPDATE jobs j SET dispatched_at = statement_timestamp(), dispatch_count = j.dispatch_count + 1
    WHERE j.id = ANY(ARRAY(SELECT id FROM picked))
    RETURNING j.id, j.kind, j.queue, j.dispatch_count, j.priority, j.run_at
    """
)

OUTSTANDING = text(
    "SELECT queue, kind FROM jobs WHERE status = 'queued' AND dispatched_at IS NOT NULL"  # windows: counted by us
)

# Messages that must have been lost: the queue in Redis is shorter than what was published and not claimed. The gap
# doubles with each sending, so that messages which only wait in a busy worker's hands do not multiply.
FORGET = text(
    """
    UPDATE jobs SET dispatched_at = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM jobs
        WHERE queue = :queue AND status = 'queued' AND dispatched_at IS NOT NULL
          AND dispatched_at < statement_timestamp()
              - make_interval(secs => :after * least(2 ^ greatest(dispatch_count - 1, 0), 64))
        ORDER BY dispatched_at LIMIT :missing FOR UPDATE SKIP LOCKED))
    """
)
FORGET_ALL = text(
    "UPDATE jobs SET dispatched_at = NULL, dispatch_count = 0 WHERE status = 'queued' AND dispatched_at IS NOT NULL"
)

# An expired lease. The crash costs no attempt but counts towards poison. An unrepeatable effect that was being sent
# makes the outcome unknown: in doubt, never queued. The first crash runs again at once, later ones back off.
RESCUE = text(
    """
    UPDATE jobs j
    SET status = v.status, claim_token = NULL, lease_until = NULL, dispatched_at = NULL, crashes = j.crashes + 1,
        attempt = CASE WHEN v.status = 'queued' THEN j.attempt - 1 ELSE j.attempt END,
        run_at = CASE WHEN v.status = 'queued' AND j.crashes > 0
                 THEN statement_timestamp() + make_interval(secs => least(60, 2 ^ j.crashes)) ELSE j.run_at END,
        error = CASE v.status
                WHEN 'failed' THEN CAST(:poisoned AS jsonb) WHEN 'in_doubt' THEN CAST(:in_doubt AS jsonb)
                ELSE j.error END,
        finished_at = CASE WHEN v.status IN ('failed', 'cancelled') THEN statement_timestamp() END
    FROM (
        SELECT id, CASE
            WHEN EXISTS (SELECT FROM effects e
                         WHERE e.job_id = jobs.id AND e.phase = 'sending' AND NOT e.repeatable) THEN 'in_doubt'
            WHEN crashes + 1 >= :max_crashes THEN 'failed'
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            ELSE 'queued' END AS status
        FROM jobs WHERE status = 'running' AND lease_until < statement_timestamp()
        LIMIT 100 FOR UPDATE SKIP LOCKED
    ) AS v
    WHERE j.id = v.id
    RETURNING j.id, j.kind, j.status, j.crashes, j.worker
    """
)

EXPIRE = text(
    """
    UPDATE jobs SET status = 'expired', finished_at = statement_timestamp(), dispatched_at = NULL, blocked = false
    WHERE id = ANY(ARRAY(SELECT id FROM jobs WHERE status = 'queued' AND expires_at < statement_timestamp()
                         ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED))
    RETURNING id
    """
)

# Callbacks whose job has ended become delivery jobs, once: the rows stay locked until the note of it commits.
DUE_CALLBACKS = text(
    """
    SELECT job_id FROM job_callbacks WHERE delivery_job_id IS NULL
    ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED
    """
)
MARK_CALLBACKS = text(
    """
    UPDATE job_callbacks c SET delivery_job_id = d.id
    FROM unnest(CAST(:job_ids AS uuid[]), CAST(:delivery_ids AS uuid[])) AS d(job_id, id) WHERE c.job_id = d.job_id
    """
)

ARCHIVE_COLUMNS = """id, finished_at, kind, principal, queue, priority, status, params, run_at, expires_at, attempt,
    max_attempts, crashes, fence, worker, cancel_requested_at, overlap_key, serial_key, schedule, slot_at, progress,
    result, error, callback_url, retried_from, request_id, created_at, started_at"""
ARCHIVE = text(
    f"""
    WITH gone AS (
        DELETE FROM jobs WHERE id = ANY(ARRAY(
            SELECT id FROM jobs WHERE finished_at < statement_timestamp() - make_interval(secs => :after)
            ORDER BY finished_at LIMIT :most FOR UPDATE SKIP LOCKED))
        RETURNING {ARCHIVE_COLUMNS}
    )
    INSERT INTO jobs_archive ({ARCHIVE_COLUMNS}) SELECT {ARCHIVE_COLUMNS} FROM gone
    """  # noqa: S608 - the columns are the constant above
)
DROP_OLD_KEYS = text(
    """
    DELETE FROM job_keys WHERE (principal, route, key) IN (
        SELECT principal, route, key FROM job_keys WHERE expires_at < statement_timestamp()
        ORDER BY expires_at LIMIT :most FOR UPDATE SKIP LOCKED)
    """
)


def fill(connection: Connection, windows: Mapping[str, int]) -> list[Row[Any]]:
    """Mark as published what fits each queue's window; returns (id, kind, queue, dispatch_count, …) in sending
    order.
    """
    rows = connection.execute(FILL, {"queues": list(windows), "sizes": list(windows.values())})
    return sorted(rows, key=lambda row: (row.priority, row.run_at, row.id))


def outstanding(session: Session) -> Counter[tuple[str, str]]:
    """Published and unclaimed jobs by (queue, kind): at most a window a queue."""
    return Counter((row.queue, row.kind) for row in session.execute(OUTSTANDING))


def forget(session: Session, queue: str, *, missing: int, after: float) -> int:
    """Let the oldest `missing` lost messages of a queue be published again; returns how many."""
    result = session.execute(FORGET, {"queue": queue, "missing": missing, "after": after})
    return int(result.rowcount)  # type: ignore[attr-defined]


def forget_all(session: Session) -> int:
    """Redis was emptied: everything published is published again; returns how many."""
    return int(session.execute(FORGET_ALL).rowcount)  # type: ignore[attr-defined]


def rescue(session: Session, *, max_crashes: int, poisoned: str, in_doubt: str) -> list[Row[Any]]:
    """Take up to 100 jobs from dead workers; the two errors are JSON. O(running jobs)."""
    values = {"max_crashes": max_crashes, "poisoned": poisoned, "in_doubt": in_doubt}
    return list(session.execute(RESCUE, values))


def expire(session: Session) -> list[UUID]:
    """End up to 500 queued jobs whose time has passed."""
    return list(session.scalars(EXPIRE))


def due_callbacks(session: Session) -> list[UUID]:
    """Up to 100 ended jobs whose callback has no delivery job; locked."""
    return list(session.scalars(DUE_CALLBACKS))


def mark_callbacks(session: Session, deliveries: Sequence[tuple[UUID, UUID]]) -> None:
    """Note which job delivers which callback: pairs of (ended job, delivery job)."""
    values = {"job_ids": [job for job, _ in deliveries], "delivery_ids": [delivery for _, delivery in deliveries]}
    session.execute(MARK_CALLBACKS, values)


def archive(session: Session, *, after: float, most: int) -> int:
    """Move up to `most` ended jobs out of the live table; returns how many."""
    return int(session.execute(ARCHIVE, {"after": after, "most": most}).rowcount)  # type: ignore[attr-defined]


def drop_old_keys(session: Session, *, most: int) -> int:
    """Forget up to `most` expired Idempotency-Keys; returns how many."""
    return int(session.execute(DROP_OLD_KEYS, {"most": most}).rowcount)  # type: ignore[attr-defined]
