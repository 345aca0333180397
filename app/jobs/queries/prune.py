"""Forgetting: what the queue keeps for a while only. Each statement is bounded; the job runs them until they are
done.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

# The newest number stays: the next one is counted from it.
EVENTS = text(
    """
    DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox
        WHERE published_at < statement_timestamp() - make_interval(days => :days)
          AND number < (SELECT max(number) FROM outbox)
        ORDER BY number LIMIT :limit)
    """
)
SLOTS = text(
    """
    DELETE FROM schedule_slots WHERE (schedule, slot_at) IN (
        SELECT schedule, slot_at FROM schedule_slots
        WHERE slot_at < statement_timestamp() - make_interval(days => :days) LIMIT :limit)
    """
)
CALLBACKS = text(
    """
    DELETE FROM job_callbacks WHERE job_id IN (
        SELECT job_id FROM job_callbacks
        WHERE created_at < statement_timestamp() - make_interval(days => :days) AND delivery_job_id IS NOT NULL
        LIMIT :limit)
    """
)
# Of watched jobs only: everything else goes with its subject's end.
LATEST = text(
    """
    DELETE FROM outbox_latest WHERE (topic, subject) IN (
        SELECT topic, subject FROM outbox_latest
        WHERE topic LIKE 'jobs:%' AND created_at < statement_timestamp() - make_interval(days => :days)
        LIMIT :limit)
    """
)
STATEMENTS = {"events": EVENTS, "watched_jobs": LATEST, "schedule_slots": SLOTS, "callbacks": CALLBACKS}


def prune(session: Session, what: str, *, days: int, limit: int) -> int:
    """Delete up to `limit` rows older than `days`; returns how many went."""
    return int(session.execute(STATEMENTS[what], {"days": days, "limit": limit}).rowcount)  # type: ignore[attr-defined]
