"""How much waits in a queue, up to a number that is too much: beyond it nothing is read."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

# The dispatcher's own index, and little else: what is published already is a window at most, what waits for its serial
# key's turn comes from schedules.
WAITING = text(
    """
    SELECT count(*) FROM (
        SELECT FROM jobs
        WHERE queue = :queue AND status = 'queued' AND dispatched_at IS NULL AND NOT blocked LIMIT :most
    ) AS counted
    """
)


def count_waiting(session: Session, queue: str, most: int) -> int:
    """Jobs of the queue that no message was published for, counted up to `most`. O(the smaller of the two)."""
    return int(session.execute(WAITING, {"queue": queue, "most": most}).scalar_one())
