"""Whether the queue moves: progress, not processes. A dispatcher that is alive and sends nothing is down."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.jobs.queries import progress as queries

STALLED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Progress:
    """The queue's state in two answers, each with its reason when it is no."""

    queue_fault: str | None
    schedule_fault: str | None


def queue_progress(session: Session) -> Progress:
    """Jobs wait and none starts: the queue stands. A slot is overdue: beat stands. A mere backlog is neither."""
    row = queries.read_progress(session)
    waits = float(row.oldest_seconds)
    stands = waits > STALLED_SECONDS and float(row.quiet_seconds) > STALLED_SECONDS
    late = float(row.schedule_lag_seconds)
    return Progress(
        queue_fault=f"A job has waited {waits:.0f} s and none was started meanwhile." if stands else None,
        schedule_fault=f"A schedule's slot is {late:.0f} s late." if late > STALLED_SECONDS else None,
    )
