"""What /metrics tells of the queue. Every statement reads partial indexes: O(live rows of its kind), none
O(history).
"""

from __future__ import annotations

from app.core.metrics import SqlGauge
from app.jobs.types import LIVE, Queue

QUEUES = ", ".join(f"('{queue}')" for queue in Queue)
LIVE_STATUSES = ", ".join(f"('{status}')" for status in sorted(LIVE))

# Zeros are said too: a series that is missing looks like a scrape that failed.
GAUGES = (
    SqlGauge(
        "watchkeeper_jobs",
        "Live jobs by queue and status",
        f"""
        SELECT q.queue, s.status, count(j.id)
        FROM (VALUES {QUEUES}) AS q(queue) CROSS JOIN (VALUES {LIVE_STATUSES}) AS s(status)
        LEFT JOIN jobs j ON j.queue = q.queue AND j.status = s.status AND j.finished_at IS NULL
        GROUP BY q.queue, s.status
        """,  # noqa: S608 - our own words
        ("queue", "status"),
    ),
    SqlGauge(
        "watchkeeper_queue_oldest_seconds",
        "Age of the oldest job that could start now; 0 when none waits",
        f"""
        SELECT q.queue, coalesce(extract(epoch FROM statement_timestamp() - min(j.run_at)), 0)
        FROM (VALUES {QUEUES}) AS q(queue)
        LEFT JOIN jobs j ON j.queue = q.queue AND j.status = 'queued' AND NOT j.blocked
                         AND j.run_at <= statement_timestamp()
        GROUP BY q.queue
        """,  # noqa: S608 - our own words
        ("queue",),
    ),
    SqlGauge(
        "watchkeeper_live_leases",
        "Running jobs by whether their lease still holds",
        """
        SELECT l.lease, count(j.id) FROM (VALUES ('held'), ('expired')) AS l(lease)
        LEFT JOIN jobs j ON j.status = 'running'
                         AND (j.lease_until > statement_timestamp()) = (l.lease = 'held')
        GROUP BY l.lease
        """,
        ("lease",),
    ),
    SqlGauge(
        "watchkeeper_schedule_lag_seconds",
        "How late the next slot of each schedule is; 0 when it is not due",
        """
        SELECT name, greatest(0, extract(epoch FROM statement_timestamp() - next_at)) FROM schedules
        WHERE NOT paused AND NOT retired
        """,
        ("schedule",),
    ),
    SqlGauge(
        "watchkeeper_outbox_waiting",
        "Domain events not yet published",
        "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    ),
)
