"""The outbox: numbering after the commit, then publishing in that order; and each subject's latest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

# One dispatcher numbers at a time, so that numbers follow commits: a row committed later never gets a smaller number.
LOCK = text("SELECT pg_try_advisory_xact_lock(4242002)")
# The subjects' latest move in the statement that numbers: of what is numbered, the two always say the same.
NUMBER = text(
    """
    WITH fresh AS (
        SELECT id, (SELECT coalesce(max(number), 0) FROM outbox) + row_number() OVER (ORDER BY place) AS number
        FROM (SELECT id, place FROM outbox WHERE number IS NULL ORDER BY place LIMIT :limit) AS waiting
    ), numbered AS (
        UPDATE outbox o SET number = fresh.number FROM fresh WHERE o.id = fresh.id
        RETURNING o.topic, o.subject, o.number, o.payload, o.created_at, o.standing
    ), last AS (
        SELECT DISTINCT ON (topic, subject) * FROM numbered WHERE standing <> 'fact'
        ORDER BY topic, subject, number DESC
    ), ended AS (
        DELETE FROM outbox_latest l USING last
        WHERE last.standing = 'end' AND l.topic = last.topic AND l.subject = last.subject
    )
    INSERT INTO outbox_latest (topic, subject, number, payload, created_at)
    SELECT topic, subject, number, payload, created_at FROM last WHERE standing = 'state'
    ON CONFLICT (topic, subject) DO UPDATE
        SET number = excluded.number, payload = excluded.payload, created_at = excluded.created_at
    """
)
ANY = text(
    "SELECT EXISTS (SELECT FROM outbox WHERE number IS NULL)"
    " OR EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND number IS NOT NULL)"
)
UNPUBLISHED = text(
    """
    SELECT number, topic, subject, payload, created_at, standing FROM outbox
    WHERE published_at IS NULL AND number IS NOT NULL ORDER BY number LIMIT :limit
    """
)
PUBLISHED = text(
    "UPDATE outbox SET published_at = statement_timestamp() WHERE published_at IS NULL AND number <= :number"
)
# The newest number that Redis was given: the newest of all, less those that wait.
LAST_PUBLISHED = text(
    """
    SELECT coalesce(
        (SELECT min(number) - 1 FROM outbox WHERE published_at IS NULL AND number IS NOT NULL),
        (SELECT max(number) FROM outbox), 0)
    """
)
LATEST = text(
    """
    SELECT topic, subject, number, payload, created_at FROM outbox_latest
    WHERE (topic, subject) > (:topic, :subject) ORDER BY topic, subject LIMIT :limit
    """
)


def has_unpublished(session: Session) -> bool:
    """Whether there is anything to do: two probes of indexes that hold nothing else."""
    return bool(session.scalar(ANY))


def lock(session: Session) -> bool:
    """Keep every other dispatcher from numbering until the commit; false when one is at it."""
    return bool(session.scalar(LOCK))


def number_new(session: Session, limit: int) -> bool:
    """Number what has been committed; false when another dispatcher is at it. Keeps the lock until the commit."""
    if not lock(session):
        return False
    session.execute(NUMBER, {"limit": limit})
    return True


def unpublished(session: Session, limit: int) -> Sequence[Row[Any]]:
    """The numbered events that no stream has yet, in order."""
    return session.execute(UNPUBLISHED, {"limit": limit}).all()


def mark_published(session: Session, number: int) -> None:
    """Everything up to this number is in its stream."""
    session.execute(PUBLISHED, {"number": number})


def last_published(session: Session) -> int:
    """The number up to which everything was published; 0 when nothing was."""
    return int(session.execute(LAST_PUBLISHED).scalar_one())


def latest(session: Session, page: int) -> Iterator[Sequence[Row[Any]]]:
    """Every subject's latest, in pages."""
    after = ("", "")
    while rows := session.execute(LATEST, {"topic": after[0], "subject": after[1], "limit": page}).all():
        yield rows
        after = (rows[-1].topic, rows[-1].subject)
