"""Forgetting what the queue keeps for a while only, in steps that commit."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from app.jobs.queries import prune as queries

BATCH = 5000


def prune_queue(session: Session, *, days: int, commit: Callable[[], None]) -> dict[str, int]:
    """Delete old published events, slots and delivered callbacks; returns the rows gone by kind. O(rows deleted)."""
    gone = dict.fromkeys(queries.STATEMENTS, 0)
    for what in queries.STATEMENTS:
        while deleted := queries.prune(session, what, days=days, limit=BATCH):
            gone[what] += deleted
            commit()
    return gone
