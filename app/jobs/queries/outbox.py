"""The outbox: numbering after the commit, then publishing in that order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

# One dispatcher numbers at a time, so that numbers follow commits: a row committed later never gets a smaller number.
LOCK = text("SELECT pg_try_advisory_xact_lock(4242002)")
NUMBER = text(
    """
    UPDATE outbox o SET number = n.number FROM (
        SELECT id, (SELECT coalesce(max(number), 0) FROM outbox) + row_number() OVER (ORDER BY id) AS number
        FROM (SELECT id FROM outbox WHERE number IS NULL ORDER BY id LIMIT :limit) AS fresh
    ) AS n WHERE o.id = n.id
    """
)
ANY = text(
    "SELECT EXISTS (SELECT FROM outbox WHERE number IS NULL)"
    " OR EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND number IS NOT NULL)"
)
UNPUBLISHED = text(
    """
    SELECT number, topic, subject, payload, created_at FROM outbox
    WHERE published_at IS NULL AND number IS NOT NULL ORDER BY number LIMIT :limit
    """
)
PUBLISHED = text(
    "UPDATE outbox SET published_at = statement_timestamp() WHERE published_at IS NULL AND number <= :number"
)


def has_unpublished(session: Session) -> bool:
    """Whether there is anything to do: two probes of indexes that hold nothing else."""
    return bool(session.scalar(ANY))


def number_new(session: Session, limit: int) -> bool:
    """Number what has been committed; false when another dispatcher is at it. Keeps the lock until the commit."""
    if not session.scalar(LOCK):
        return False
    session.execute(NUMBER, {"limit": limit})
    return True


def unpublished(session: Session, limit: int) -> Sequence[Row[Any]]:
    """The numbered events that no stream has yet, in order."""
    return session.execute(UNPUBLISHED, {"limit": limit}).all()


def mark_published(session: Session, number: int) -> None:
    """Everything up to this number is in its stream."""
    session.execute(PUBLISHED, {"number": number})
