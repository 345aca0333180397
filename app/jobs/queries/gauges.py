"""What /metrics tells of the queue. Every statement reads partial indexes: O(live rows of its kind), none
O(history).
"""

from __future__ import annotations

from app.core.metrics import SqlGauge

GAUGES = (
    SqlGauge(
        "watchkeeper_jobs",
        "Live jobs by queue and status",
        "SELECT queue, status, count(*) FROM jobs WHERE finished_at IS NULL GROUP BY queue, status",
        ("queue", "status"),
    ),
    SqlGauge(
        "watchkeeper_queue_oldest_seconds",
        "Age of the oldest job that could start now",
        """
        SELECT queue, extract(epoch FROM statement_timestamp() - min(run_at)) FROM jobs
        WHERE status = 'queued' AND NOT blocked AND run_at <= statement_timestamp() GROUP BY queue
        """,
        ("queue",),
    ),
    SqlGauge(
        "watchkeeper_live_leases",
        "Running jobs by whether their lease still holds",
        """
        SELECT CASE WHEN lease_until > statement_timestamp() THEN 'held' ELSE 'expired' END, count(*) FROM jobs
        WHERE status = 'running' GROUP BY 1
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
