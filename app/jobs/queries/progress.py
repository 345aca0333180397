"""Is the queue moving? Index probes only, whatever the backlog."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.jobs.types import Queue

# The oldest job that could start: the first of each (queue, priority) in the dispatcher's index, and the window.
PROGRESS = text(
    """
    SELECT
        coalesce(extract(epoch FROM statement_timestamp() - least(
            (SELECT min(first.run_at)
             FROM unnest(CAST(:queues AS text[])) AS q(queue), generate_series(0, 9) AS p(priority),
             LATERAL (SELECT run_at FROM jobs
                      WHERE queue = q.queue AND priority = p.priority AND status = 'queued' AND dispatched_at IS NULL
                        AND NOT blocked AND run_at <= statement_timestamp()
                      ORDER BY run_at LIMIT 1) AS first),
            (SELECT min(run_at) FROM jobs WHERE status = 'queued' AND dispatched_at IS NOT NULL))), 0)
            AS oldest_seconds,
        coalesce(extract(epoch FROM statement_timestamp() - greatest(
            (SELECT max(started_at) FROM jobs WHERE status = 'running'),
            (SELECT max(finished_at) FROM jobs WHERE finished_at IS NOT NULL))), 1e9) AS quiet_seconds,
        (SELECT coalesce(max(greatest(0, extract(epoch FROM statement_timestamp() - next_at))), 0) FROM schedules
         WHERE NOT paused AND NOT retired) AS schedule_lag_seconds
    """
)


def read_progress(session: Session) -> Row[Any]:
    """Age of the oldest job that could start, time since one last started or ended, and the latest schedule's
    lateness.
    """
    return session.execute(PROGRESS, {"queues": list(Queue)}).one()
